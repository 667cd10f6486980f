"""How long a sandbox has: after an auto-resume, after set_timeout, after connect."""

from sdk import Sandbox, near, seconds_left


def left():
    return seconds_left(sandbox.get_info())


lifecycle = {"on_timeout": "pause", "auto_resume": True}
sandbox = Sandbox.create(timeout=40, lifecycle=lifecycle)
assert near(left(), 40)

# Woken by a request, it gets at least five minutes.
sandbox.pause()
sandbox.commands.run("true")
assert near(left(), 300), left()

# set_timeout counts from now, and may make it shorter.
sandbox.set_timeout(60)
assert near(left(), 60), left()
Sandbox.set_timeout(sandbox.sandbox_id, 600)
assert near(left(), 600), left()

# connect never makes it shorter ...
sandbox.connect(timeout=30)
assert near(left(), 600), left()
# ... but longer,
Sandbox.connect(sandbox.sandbox_id, timeout=900)
assert near(left(), 900), left()
# and one that was paused has just what connect says.
sandbox.pause()
sandbox.connect(timeout=45)
assert near(left(), 45), left()
sandbox.kill()

# A longer timeout of its own is kept by an auto-resume.
sandbox = Sandbox.create(timeout=500, lifecycle=lifecycle)
sandbox.pause()
sandbox.commands.run("true")
assert near(left(), 500), left()
sandbox.kill()
