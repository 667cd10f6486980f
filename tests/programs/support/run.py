"""Runs the programs, two at a time, most of them against one `icebox serve`; see README.md."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from icebox import SCALE, Icebox

HERE = Path(__file__).resolve().parent.parent
# Each VM is emulated, and a machine of CI has two cores.
AT_ONCE = 2
# Seconds that one program may take; the slowest one takes a third of it.
LIMIT = 180.0


@dataclass(frozen=True)
class Program:
    """One file, run with one SDK."""

    path: Path
    sdk: str
    command: tuple

    @property
    def name(self):
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def title(self):
        return f"{self.name} ({self.sdk})"

    @property
    def weight(self):
        """Heavy ones first: those with a host of their own, then by what their first lines say."""
        return (self.path.parent.name != "hosts", self.name, self.sdk)


def programs():
    """All programs, each with all SDKs of its language."""
    pythons = {"e2b": os.environ["PROGRAMS_PYTHON_E2B"], "novita": os.environ["PROGRAMS_PYTHON_NOVITA"]}
    found = []
    for folder in ("hosts", "python", "js", "cli", "page", "examples"):
        sdks = pythons if folder in ("python", "js") else ["e2b"]
        for path in sorted((HERE / folder).iterdir()):
            if path.stem == "sdk" or path.suffix not in (".py", ".mjs"):
                continue
            for sdk in sdks:
                start = ("node", "--unhandled-rejections=strict") if path.suffix == ".mjs" else (pythons[sdk],)
                found.append(Program(path, sdk, (*start, str(path))))
    return sorted(found, key=lambda one: one.weight)


class Run:
    """The results so far."""

    def __init__(self, icebox, folder):
        self.icebox = icebox
        self.folder = folder
        self.failed = []
        self.passed = []
        self._speaks = threading.Lock()
        self._processes = set()

    def end(self):
        """End what still runs."""
        for process in list(self._processes):
            process.kill()

    def one(self, program):
        """Run one program; say how it went."""
        began = time.monotonic()
        log_began = self.icebox.log.stat().st_size
        env = {
            **self.icebox.env(),
            "PROGRAMS_SDK": program.sdk,
            "PROGRAMS_FOLDER": tempfile.mkdtemp(dir=self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(HERE / "support"),
        }
        with tempfile.TemporaryFile("w+", errors="replace", dir=self.folder) as output:
            process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=env["PROGRAMS_FOLDER"],
                start_new_session=True,
            )
            self._processes.add(process)
            try:
                code = process.wait(LIMIT * SCALE)
            except subprocess.TimeoutExpired:
                code = f"nothing within {LIMIT * SCALE:g} s"
            finally:
                # Also what it started itself.
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
                self._processes.discard(process)
            output.seek(0)
            said = output.read()
        took = time.monotonic() - began
        if code == 0 and program.path.parent.name == "examples":
            code = differs(program.path, said)
        shutil.rmtree(env["PROGRAMS_FOLDER"], ignore_errors=True)
        with self._speaks:
            if code == 0:
                self.passed.append(program)
                print(f"ok    {program.title}  {took:.1f} s", flush=True)
                print("".join(f"      {line}\n" for line in said.splitlines()), end="", flush=True)
            else:
                self.failed.append(program)
                print(f"FAIL  {program.title}  {took:.1f} s: ended with {code}\n{said.rstrip()}", flush=True)
                print(f"--- icebox's log meanwhile\n{self.icebox.tail(40, log_began)}", flush=True)


def differs(path, said):
    """What is wrong with an example: the README must show it, and it must print what the `.txt` beside it has.

    `<...>` there stands for what differs from run to run.
    """
    if path.read_text() not in (HERE.parent.parent / "README.md").read_text():
        return "another text than the README's"
    expected = path.with_suffix(".txt")
    pattern = ".+".join(re.escape(part) for part in expected.read_text().split("<...>"))
    return 0 if re.fullmatch(pattern, said) else f"another output than {expected.name}"


def stopped(*_):
    """Turn SIGTERM into an exception, so that nothing is left behind."""
    raise KeyboardInterrupt


def main(words):
    signal.signal(signal.SIGTERM, stopped)
    wanted = [one for one in programs() if not words or any(word in one.title for word in words)]
    if not wanted:
        print(f"no program is called {' or '.join(words)}")
        return 1
    folder = Path(tempfile.mkdtemp(prefix="programs-", dir=os.environ["PROGRAMS_CACHE"]))
    icebox = Icebox(folder / "icebox")
    os.environ["PROGRAMS_DATA"] = str(icebox.data)
    began = time.monotonic()
    try:
        icebox.start()
        print(f"icebox was ready in {time.monotonic() - began:.1f} s", flush=True)
        run = Run(icebox, folder)
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            list(pool.map(run.one, wanted))
        finally:
            run.end()
            pool.shutdown(cancel_futures=True)
        assert icebox.running(), f"icebox ended:\n{icebox.tail()}"
        icebox.stop()
        icebox.nothing_left()
    except AssertionError as failure:
        print(f"FAIL  icebox serve: {failure}", flush=True)
        return 1
    finally:
        if icebox.running():
            icebox.kill()
        shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"the programs took {time.monotonic() - began:.0f} s, and {used.ru_utime + used.ru_stime:.0f} s of processors"
    )
    for one in run.failed:
        print(f"failed: {one.title}")
    print(f"{len(run.passed)} passed, {len(run.failed)} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
