"""What happens when the time is up: a pause, as often as it was resumed, or the end."""

from datetime import datetime, timezone

from sdk import NAME, InvalidArgumentException, Sandbox, api, refused, state, until


def pauses_itself(sandbox):
    """Wait for the pause, which must not come early."""
    ends = sandbox.get_info().end_at
    until(lambda: state(sandbox.sandbox_id) == "paused", "paused at its timeout")
    assert datetime.now(timezone.utc) >= ends, "paused before its time was up"


killed = Sandbox.create(timeout=3)
sandbox = Sandbox.create(timeout=4, lifecycle={"on_timeout": "pause"})
lifecycle = sandbox.get_info().lifecycle
assert lifecycle == {"on_timeout": "pause", "auto_resume": False}, lifecycle
sandbox.files.write("visits", "0")
pauses_itself(sandbox)

# Not only the first time: again after each resume.
for visit in ("1", "2"):
    sandbox.connect(timeout=3)
    sandbox.files.write("visits", visit)
    pauses_itself(sandbox)

# Without auto_resume a request wakes nobody.
refused(lambda: sandbox.commands.run("true"), Exception)
assert not sandbox.is_running()
assert state(sandbox.sandbox_id) == "paused"

sandbox.connect(timeout=60)
assert sandbox.files.read("visits") == "2"
sandbox.kill()

# The default is the end.
until(lambda: state(killed.sandbox_id) == "gone", "killed at its timeout")
refused(lambda: killed.commands.run("true"), Exception)

# auto_resume makes sense with a pause only.
never = {"on_timeout": "kill", "auto_resume": True}
if NAME == "e2b":
    refused(lambda: Sandbox.create(lifecycle=never), InvalidArgumentException, says="auto_resume")
else:
    # This SDK leaves the word out of its request.
    plain = Sandbox.create(timeout=60, lifecycle=never)
    assert plain.get_info().lifecycle == {"on_timeout": "kill", "auto_resume": False}
    plain.kill()
    paused = Sandbox.create(timeout=2, auto_pause=True)
    until(lambda: state(paused.sandbox_id) == "paused", "auto_pause paused it")
    paused.kill()
wish = {"templateID": "base", "timeout": 60, "autoPause": False, "autoResume": {"enabled": True}}
for path in ("/sandboxes", "/v2/sandboxes"):
    answer = api("POST", path, wish)
    assert answer.status == 400 and answer.json["code"] == 400 and answer.json["message"], answer.text
