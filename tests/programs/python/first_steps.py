"""The first page of each documentation: a sandbox, a command, a file, what is known of it, and its end."""

from sdk import NotFoundException, Sandbox, near, refused, seconds_left

sandbox = Sandbox.create(timeout=120)
assert sandbox.is_running()

result = sandbox.commands.run('echo "Hello from $(id -un)"')
assert result.stdout == "Hello from user\n", result
assert result.exit_code == 0

sandbox.files.write("/home/user/hello.txt", "Hello, file\n")
assert sandbox.files.read("/home/user/hello.txt") == "Hello, file\n"
assert "hello.txt" in [entry.name for entry in sandbox.files.list("/home/user")]
assert sandbox.commands.run("cat hello.txt").stdout == "Hello, file\n"

info = sandbox.get_info()
assert info.sandbox_id == sandbox.sandbox_id
assert info.template_id and info.name == "base", info
assert info.state.value == "running"
assert near(seconds_left(info), 120), info
assert info.started_at < info.end_at
assert info.cpu_count >= 1 and info.memory_mb >= 64
assert info.metadata == {}
assert sandbox.sandbox_id in [one.sandbox_id for one in Sandbox.list().next_items()]

assert sandbox.kill() is True
assert not sandbox.is_running()
refused(lambda: Sandbox.get_info(sandbox.sandbox_id), NotFoundException)
refused(lambda: Sandbox.connect(sandbox.sandbox_id), NotFoundException)
assert Sandbox.kill(sandbox.sandbox_id) is False
refused(lambda: sandbox.commands.run("true"), Exception)
refused(lambda: Sandbox.create(template="no-such-template"), Exception)
