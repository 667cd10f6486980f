"""With auto_resume nobody needs to know that a sandbox is paused: what is asked of it wakes it, and is answered."""

from concurrent.futures import ThreadPoolExecutor

from sdk import Sandbox, preview, resumes, state, until

sandbox = Sandbox.create(timeout=120, lifecycle={"on_timeout": "pause", "auto_resume": True})
assert sandbox.get_info().lifecycle == {"on_timeout": "pause", "auto_resume": True}
sandbox.files.write("/home/user/www/index.html", "<h1>still here</h1>")
server = sandbox.commands.run("exec python3 -m http.server 8000 --directory www", background=True)
host = sandbox.get_host(8000)
until(lambda: preview(host).status == 200, "the server answers")


def pause():
    sandbox.pause()
    assert state(sandbox.sandbox_id) == "paused"


# The first request of each kind is answered, not refused.
pause()
answer = preview(host)
assert (answer.status, answer.text) == (200, "<h1>still here</h1>"), (answer.status, answer.text)
assert state(sandbox.sandbox_id) == "running"
pause()
assert sandbox.commands.run("echo awake").stdout == "awake\n"
pause()
assert sandbox.files.read("/home/user/www/index.html") == "<h1>still here</h1>"
pause()
sandbox.files.write("/home/user/www/new.html", "new")
assert preview(host, "/new.html").text == "new"

# A process that was started before the pauses is the same one.
assert server.pid in [process.pid for process in sandbox.commands.list()]

# Several at once wake it once.
before = resumes(sandbox)
pause()
with ThreadPoolExecutor(6) as pool:
    asked = [
        *(pool.submit(preview, host) for _ in range(3)),
        pool.submit(sandbox.files.read, "/home/user/www/new.html"),
        pool.submit(sandbox.commands.run, "echo one of many"),
        pool.submit(sandbox.is_running),
    ]
    told = [one.result() for one in asked]
assert [one.status for one in told[:3]] == [200, 200, 200]
assert told[3] == "new" and told[4].stdout == "one of many\n" and told[5] is True
assert resumes(sandbox) == before + 1, (before, resumes(sandbox))

# A port where nobody listens wakes it too, and says so.
pause()
answer = preview(sandbox.get_host(8123))
assert answer.status == 502 and "port is not open" in answer.json["message"], answer.text
assert state(sandbox.sandbox_id) == "running"
sandbox.kill()
answer = preview(host)
assert answer.status == 502 and "was not found" in answer.json["message"], answer.text
