"""A pause keeps everything: files, running processes, and what they have in memory."""

from sdk import NAME, NotFoundException, PtySize, Sandbox, SandboxQuery, SandboxState
from sdk import near, refused, seconds_left, state


def listed_as_paused():
    """All paused sandboxes, page by page."""
    paginator = Sandbox.list(query=SandboxQuery(state=[SandboxState.PAUSED]), limit=2)
    found = []
    while paginator.has_next:
        found += [one.sandbox_id for one in paginator.next_items()]
    return found


def shows(terminal, text):
    """Read a terminal until it shows a text."""
    shown = b""
    for _, _, data in terminal:
        shown += data or b""
        if text in shown:
            return
    raise AssertionError(f"the terminal ended without {text!r}: {shown!r}")


sandbox = Sandbox.create(timeout=120)
sandbox.files.write("/home/user/notes.txt", "kept")
count = "n=0; while sleep 0.2; do n=$((n+1)); echo $n > /tmp/next; mv /tmp/next /tmp/count; done"
counter = sandbox.commands.run(count, background=True)

# A Python session with a variable in it.
terminal = sandbox.pty.create(PtySize(rows=24, cols=80))
sandbox.pty.send_stdin(terminal.pid, b"exec python3 -iqc 'answer = 41'\n")
shows(terminal, b">>> ")
terminal.disconnect()

paused = sandbox.pause()
assert paused in (True, None), paused
assert state(sandbox.sandbox_id) == "paused"
assert sandbox.sandbox_id in listed_as_paused()
assert not sandbox.is_running()
again = Sandbox.pause(sandbox.sandbox_id)
assert again is False if NAME == "e2b" else again == sandbox.sandbox_id, again
refused(lambda: Sandbox.set_timeout(sandbox.sandbox_id, 60), NotFoundException)

same = Sandbox.connect(sandbox.sandbox_id, timeout=77)
assert near(seconds_left(same.get_info()), 77)
assert state(sandbox.sandbox_id) == "running"
assert sandbox.sandbox_id not in listed_as_paused()
assert same.files.read("/home/user/notes.txt") == "kept"
pids = [process.pid for process in same.commands.list()]
assert counter.pid in pids and terminal.pid in pids, pids
before = int(same.files.read("/tmp/count"))
same.commands.run(f"until [ $(cat /tmp/count) -gt {before} ]; do sleep 0.1; done", timeout=30)

terminal = same.pty.connect(terminal.pid)
same.pty.send_stdin(terminal.pid, b"print('answer', answer + 1)\n")
shows(terminal, b"answer 42")
terminal.disconnect()

# The first object goes on working too, and so does the older name of the verb.
sandbox.beta_pause()
assert state(sandbox.sandbox_id) == "paused"
sandbox.connect(timeout=60)
assert sandbox.commands.run("cat notes.txt").stdout == "kept"
sandbox.pause()

# Paused sandboxes can be killed.
assert Sandbox.kill(sandbox.sandbox_id) is True
assert sandbox.sandbox_id not in listed_as_paused()
refused(lambda: Sandbox.get_info(sandbox.sandbox_id), NotFoundException)
refused(lambda: Sandbox.connect(sandbox.sandbox_id), NotFoundException)
refused(lambda: Sandbox.pause(sandbox.sandbox_id), NotFoundException)
assert Sandbox.kill(sandbox.sandbox_id) is False
