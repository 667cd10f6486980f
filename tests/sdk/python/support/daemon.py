"""One daemon of a suite: started on a free port, ready when /health says so, and its log kept for failures."""

import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# Seconds until a started daemon must answer.
READY = 20.0
# Lines of the log that a failing test shows.
TAIL = 60


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def default_signals():
    """Let the daemon start as an init system would start it, whatever shell runs the suite."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Cgroups:
    """A root for the cgroups of one daemon; without cgroup2 on this machine it has none."""

    def __init__(self, name):
        mount = os.environ.get("THAWD_CGROUPS")
        self._root = mount and pathlib.Path(mount, name)
        self.flags = ["-no-cgroups"]
        if self._root:
            self._root.mkdir()
            self.flags = ["-cgroup-root", str(self._root)]

    def remove(self):
        """End what still runs below it, and remove it once that is gone."""
        if not self._root:
            return
        (self._root / "cgroup.kill").write_text("1")
        end = time.monotonic() + READY
        while self._root.exists():
            try:
                for path in sorted(self._root.rglob("*/"), reverse=True):
                    path.rmdir()
                self._root.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


class Daemon:
    """A running daemon. `url` is where clients go."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile(prefix="thawd-sdk-", suffix=".log")
        self._cgroups = Cgroups(f"thawd-sdk-{os.getpid()}-{self.port}")
        self._process = subprocess.Popen(
            [os.environ["THAWD_BIN"], "-port", str(self.port), "-isnotfc", "-verbose"]
            + self._cgroups.flags
            + shlex.split(os.environ.get("THAWD_FLAGS", "")),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "THAWD_SECRET_OF_THE_HARNESS": "leaked"},
            preexec_fn=default_signals,
        )
        self._await_ready()

    def _await_ready(self):
        end = time.monotonic() + READY
        while True:
            if self._process.poll() is not None:
                self.stop()
                raise RuntimeError(f"the daemon ended with {self._process.returncode} before it was ready:\n{self.tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                    if answer.status == 204:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the daemon was not ready after {READY:g} s:\n{self.tail()}")
            time.sleep(0.02)

    def init(self, **body):
        """Tell it what a host tells it; the status of its answer."""
        request = urllib.request.Request(
            f"{self.url}/init", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def running(self):
        """Whether it lives, which it must at every moment."""
        return self._process.poll() is None

    def tail(self, lines=TAIL):
        """The end of its log."""
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def stop(self):
        """End it, gently first."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._cgroups.remove()
