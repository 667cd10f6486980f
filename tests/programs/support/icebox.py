"""One `icebox serve`: started, told where it is, ended, and looked after."""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

SCALE = float(os.environ.get("PROGRAMS_SCALE", "1"))
# Seconds until it is ready: it boots an emulated VM first, where its folder has no template yet.
READY = 120.0
# Seconds that its end may take: it pauses or removes what still runs.
END = 60.0
KEY = "e2b_" + "0" * 40


def processes():
    """All processes, as (pid, parent, state, command line)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append((int(folder.name), int(stat[1]), stat[0], command))
    return found


def wait_for(condition, says, deadline):
    """Wait until a condition is true; fail with `says`, which may be a function."""
    end = time.monotonic() + deadline * SCALE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {deadline * SCALE:g} s still not: {says() if callable(says) else says}")
        time.sleep(0.05)


def end_with_parent():
    """Die with the runner, however it dies (prctl 1 is PR_SET_PDEATHSIG); it takes its VMs along."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Icebox:
    """One data folder and the icebox that serves it, which may be killed and started again."""

    def __init__(self, folder, *flags):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._command = [
            os.environ["ICEBOX_BIN"],
            "serve",
            "--data",
            str(self.data),
            "--image",
            os.environ["PROGRAMS_IMAGE"],
        ]
        self._command += ["--verbose", *flags]
        self._process = None
        self.exports = {}

    def start(self):
        """Start it and wait until it is ready; `exports` is what it told to export."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NOVITA_"))}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=open(self.log, "a", encoding="utf-8"),
            env={**clean, "RUST_BACKTRACE": "1"},
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self.exports, ready = {}, threading.Event()
        reader = threading.Thread(target=self._read, args=(self._process.stdout, ready), daemon=True)
        reader.start()
        wait_for(
            lambda: ready.is_set() or self._process.poll() is not None,
            lambda: f"icebox is ready:\n{self.tail()}",
            READY,
        )
        if not ready.is_set():
            raise AssertionError(f"icebox ended with {self._process.wait()} before it was ready:\n{self.tail()}")
        return self

    def _read(self, lines, ready):
        with open(self.log, "a", encoding="utf-8") as log:
            for raw in lines:
                line = raw.decode(errors="replace")
                log.write(line)
                log.flush()
                if exported := re.match(r"\s*export (.*)", line):
                    self.exports.update(re.findall(r"(\w+)=[\"']?([^\"' ]*)[\"']?", exported[1]))
                if re.match(r"\s*ready\b", line):
                    ready.set()

    @property
    def pid(self):
        return self._process.pid

    @property
    def api(self):
        return self.exports["E2B_API_URL"]

    @property
    def proxy(self):
        return self.exports["E2B_SANDBOX_URL"]

    def env(self):
        """What a program needs to find it, and nothing else that leads an SDK anywhere."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NOVITA_"))}
        for proxy in ("http_proxy", "https_proxy", "all_proxy"):
            clean.pop(proxy, None)
            clean.pop(proxy.upper(), None)
        return {**clean, "E2B_API_KEY": KEY, "NOVITA_API_KEY": KEY, **self.exports}

    def running(self):
        return self._process is not None and self._process.poll() is None

    def tail(self, lines=60, since=0):
        """The end of what it said."""
        if not self.log.exists():
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(since)
            return "".join(log.readlines()[-lines:])

    def machines(self):
        """Process ids of the QEMUs that have to do with its folder."""
        mine = str(self.data.resolve())
        return sorted(
            pid
            for pid, _, state, command in processes()
            if state != "Z" and "qemu-system" in command.split(" ")[0] and mine in command
        )

    def stop(self):
        """End it as an init system would."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(END * SCALE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"icebox did not end on SIGTERM:\n{self.tail()}") from None
        assert code in (0, 128 + signal.SIGTERM), f"icebox ended with {code}:\n{self.tail()}"

    def kill(self):
        """End it as the kernel would; its VMs must go with it."""
        if self.running():
            self._process.kill()
        self._process.wait()

    def nothing_left(self):
        """Check that no QEMU lives on, nobody listens on its ports, and no folder of a VM lies around."""
        wait_for(lambda: not self.machines(), lambda: f"QEMUs are gone: {self.machines()}", 10)
        for url in {self.api, self.proxy}:
            at = urlsplit(url)
            with socket.socket() as probe:
                assert probe.connect_ex((at.hostname, at.port)) != 0, f"somebody listens on {url}"
        left = [str(one.relative_to(self.data)) for one in (self.data / "vms").glob("*")]
        assert not left, f"folders of VMs are left: {left}"

    def remove(self):
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, failure, trace):
        if self.running():
            try:
                self.stop()
            except AssertionError:
                if kind is None:
                    raise
        if kind is None:
            self.nothing_left()
        else:
            self.kill()
            print(f"--- the end of icebox's log\n{self.tail()}", flush=True)
