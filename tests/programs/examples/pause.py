from e2b import Sandbox

sandbox = Sandbox.create()
sandbox.files.write("/home/user/notes.txt", "written before the pause\n")
sandbox.commands.run("while sleep 1; do date >> ticks; done", background=True)

sandbox.pause()
print(Sandbox.get_info(sandbox.sandbox_id).state.value)

sandbox = Sandbox.connect(sandbox.sandbox_id)
print(sandbox.files.read("/home/user/notes.txt"), end="")
print([process.cmd for process in sandbox.commands.list()])
sandbox.kill()
