"""Waiting on a condition with a deadline; no test sleeps for any other reason."""

import asyncio
import inspect
import os
import time

# The longest that anything local may take on a loaded two-core machine, in seconds.
DEADLINE = 20.0
# How long to wait between two looks, in seconds.
PAUSE = 0.02


async def until(condition, says, deadline=DEADLINE):
    """Return the first true answer of `condition` (plain or async), or fail with what it was `says` to be."""
    end = time.monotonic() + deadline
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline:g} s still not: {says() if callable(says) else says}")
        await asyncio.sleep(PAUSE)


def alive(pid):
    """Whether a process still runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self._start = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self._start


class Gate:
    """Holds commands that run `: < {path}` until it is opened: opening a FIFO waits for its other end."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "gate")
        self._end = None
        os.mkfifo(self.path, 0o666)
        os.chmod(self.path, 0o666)

    def open(self, *_):
        """Let everybody through, those who come later too. Takes and ignores what a callback is given."""
        if self._end is None:
            self._end = os.open(self.path, os.O_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._end is not None:
            os.close(self._end)
