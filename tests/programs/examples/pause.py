from e2b import Sandbox

sandbox = Sandbox.create(timeout=60, lifecycle={"on_timeout": "pause", "auto_resume": True})
counter = sandbox.commands.run("i=0; while sleep 1; do i=$((i+1)); echo $i > /tmp/count; done", background=True)
sandbox.commands.run("sleep 3")
print("paused:", sandbox.pause(), sandbox.get_info().state)

print("it counted to", sandbox.files.read("/tmp/count").strip())  # the request resumes it
print("the same process:", [p.pid for p in sandbox.commands.list()] == [counter.pid])
print("killed:", sandbox.kill())
