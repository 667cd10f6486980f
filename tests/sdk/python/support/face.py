"""One async face over the sync and the async form of an SDK, so that each law is written once.

Calls of a sync SDK run in a thread of their own. What differs between the forms is only here: how the output of a
running command is followed, how a terminal hands out its bytes, how a watch tells its events.
"""

import asyncio
import threading

from support.wait import until


async def in_thread(function, *args, **kwargs):
    """Run a blocking call in a fresh daemon thread: no pool bounds how many run at once, none outlives a failure."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(setter, value):
        if not future.done():
            setter(value)

    def work():
        try:
            answer = function(*args, **kwargs)
        except BaseException as failure:
            # A future cannot carry StopIteration, and nothing here raises it on purpose.
            told = RuntimeError("StopIteration") if isinstance(failure, StopIteration) else failure
            loop.call_soon_threadsafe(settle, future.set_exception, told)
        else:
            loop.call_soon_threadsafe(settle, future.set_result, answer)

    threading.Thread(target=work, daemon=True).start()
    return await future


class Lifted:
    """A module of a sync SDK whose methods can be awaited."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        method = getattr(self._target, name)

        async def call(*args, **kwargs):
            return await in_thread(method, *args, **kwargs)

        return call


class Running:
    """A command in the background. Nothing reads its output before `follow` or `wait`."""

    def __init__(self, client, handle, on_stdout=None, on_stderr=None, on_pty=None):
        self._client = client
        self._handle = handle
        self._callbacks = {"on_stdout": on_stdout, "on_stderr": on_stderr, "on_pty": on_pty}
        self._end = None
        self.pid = handle.pid

    def follow(self):
        """Read its output from now on (an async SDK always does)."""
        if self._end is None:
            if self._client.asynchronous:
                self._end = asyncio.ensure_future(self._handle.wait())
            else:
                self._end = asyncio.ensure_future(in_thread(self._handle.wait, **self._callbacks))
        return self

    async def wait(self):
        """The result, or the SDK's exception for an exit code other than 0."""
        self.follow()
        return await asyncio.shield(self._end)

    async def outcome(self):
        """The result or the exception that stands for it."""
        try:
            return await self.wait()
        except self._client.error("exit") as told:
            return told

    async def kill(self):
        return await lifted(self._client, self._handle).kill()

    async def disconnect(self):
        """Stop listening and leave the command alone. Only before `follow` in a sync SDK."""
        await lifted(self._client, self._handle).disconnect()


class Terminal(Running):
    """A terminal whose output collects in `text`."""

    def __init__(self, client, pty, handle, shown):
        super().__init__(client, handle, on_pty=shown.extend)
        self._pty = pty
        self._shown = shown
        self.follow()

    @property
    def text(self):
        return bytes(self._shown).decode("utf-8", "replace")

    async def shows(self, *parts):
        """Wait until the parts were shown, in this order."""

        def found():
            at = 0
            for part in parts:
                at = self.text.find(part, at)
                if at < 0:
                    return False
                at += len(part)
            return True

        await until(found, lambda: f"{parts!r} in {self.text!r}")

    async def type(self, text):
        await self._pty.send_stdin(self.pid, text if isinstance(text, bytes) else text.encode())

    async def resize(self, cols, rows):
        await self._pty.resize(self.pid, self._client.module.PtySize(rows=rows, cols=cols))

    async def kill(self):
        return await self._pty.kill(self.pid)


class Watch:
    """A watch whose events collect in `events` as (type, name), and whole in `raw`."""

    def __init__(self, client, handle, raw, ends):
        self._client = client
        self._handle = handle
        self.raw = raw
        self.ends = ends

    @property
    def events(self):
        return [(event.type.value, event.name) for event in self.raw]

    async def poll(self):
        """Fetch what is new; an async SDK is told without asking."""
        if not self._client.asynchronous:
            self.raw.extend(await in_thread(self._handle.get_new_events))

    async def tells(self, *expected):
        """Wait until each expected (type, name) was told."""

        async def all_there():
            await self.poll()
            return all(one in self.events for one in expected)

        await until(all_there, lambda: f"{expected!r} in {self.events!r}")

    async def stop(self):
        await lifted(self._client, self._handle).stop()


def lifted(client, target):
    """The target itself if its methods are coroutines already."""
    return target if client.asynchronous else Lifted(target)


class Face:
    """A sandbox with the same async verbs whatever the client is."""

    def __init__(self, client, sandbox):
        self.client = client
        self.sandbox = sandbox
        self.commands = lifted(client, sandbox.commands)
        self.files = lifted(client, sandbox.files)
        self.pty = lifted(client, sandbox.pty)
        self.git = lifted(client, sandbox.git)

    def error(self, kind):
        return self.client.error(kind)

    async def is_running(self):
        return await lifted(self.client, self.sandbox).is_running()

    async def outcome(self, cmd, **options):
        """The result of a foreground command, or the exception that carries its exit code."""
        try:
            return await self.commands.run(cmd, **options)
        except self.error("exit") as told:
            return told

    async def start(self, cmd, on_stdout=None, on_stderr=None, **options):
        """A command in the background; with a callback its output is followed at once."""
        if self.client.asynchronous:
            options.update(on_stdout=on_stdout, on_stderr=on_stderr)
        handle = await self.commands.run(cmd, background=True, **options)
        running = Running(self.client, handle, on_stdout=on_stdout, on_stderr=on_stderr)
        return running.follow() if on_stdout or on_stderr else running

    async def attach(self, pid, on_stdout=None, **options):
        """Another pair of eyes on a running command."""
        if self.client.asynchronous:
            options.update(on_stdout=on_stdout)
        handle = await self.commands.connect(pid, **options)
        return Running(self.client, handle, on_stdout=on_stdout)

    async def terminal(self, cols=80, rows=24, **options):
        shown = bytearray()
        if self.client.asynchronous:
            options.update(on_data=shown.extend)
        handle = await self.pty.create(self.client.module.PtySize(rows=rows, cols=cols), **options)
        return Terminal(self.client, self.pty, handle, shown)

    async def attach_terminal(self, pid):
        shown = bytearray()
        options = {"on_data": shown.extend} if self.client.asynchronous else {}
        handle = await self.pty.connect(pid, **options)
        return Terminal(self.client, self.pty, handle, shown)

    async def watch(self, path, **options):
        raw, ends = [], []
        if self.client.asynchronous:
            options.update(on_event=raw.append, on_exit=ends.append)
        handle = await self.files.watch_dir(path, **options)
        return Watch(self.client, handle, raw, ends)

    async def read_stream(self, path, **options):
        """The chunks of a streamed download."""
        stream = await self.files.read(path, format="stream", **options)
        if self.client.asynchronous:
            return [chunk async for chunk in stream]
        return await in_thread(lambda: list(stream))
