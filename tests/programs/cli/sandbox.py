"""The life of a sandbox with the command line tool of E2B, without a terminal."""

import json
import os
import re
import subprocess
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent / "node_modules" / ".bin" / "e2b"
env = {**os.environ, "HOME": os.environ["PROGRAMS_FOLDER"], "NO_COLOR": "1", "CI": "1"}


def e2b(*words, code=0):
    """Run the tool; its standard output."""
    done = subprocess.run(
        ["node", TOOL, "sandbox", *words],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, f"{words}: ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def listed(*words):
    """The ids of a list."""
    return [one["sandboxId"] for one in json.loads(e2b("list", "--format", "json", *words))]


made = e2b("create", "--detach", "--timeout", "300", "--lifecycle.ontimeout", "pause", "base")
(sandbox,) = set(re.findall(r"\bi[a-z0-9]{19}\b", made))
assert sandbox in listed()
info = json.loads(e2b("info", "--format", "json", sandbox))
assert info["sandboxId"] == sandbox and info["state"] == "running", info
assert "State" in e2b("info", sandbox)

assert e2b("exec", sandbox, "echo", "hello from the tool") == "hello from the tool\n"
options = ("--user", "root", "--cwd", "/tmp", "--env", "A=b")
assert e2b("exec", *options, sandbox, "echo $(id -un) $PWD $A") == "root /tmp b\n"
e2b("exec", sandbox, "exit 3", code=3)
e2b("exec", sandbox, "echo kept > /tmp/kept")
assert "CPU" in e2b("metrics", sandbox)

e2b("pause", sandbox)
assert sandbox not in listed() and sandbox in listed("--state", "paused")
assert json.loads(e2b("info", "--format", "json", sandbox))["state"] == "paused"
e2b("resume", sandbox)
assert sandbox in listed()
assert e2b("exec", sandbox, "cat /tmp/kept") == "kept\n"
e2b("logs", sandbox)

e2b("kill", sandbox)
assert sandbox not in listed("--state", "running,paused")
gone = e2b("info", sandbox, code=1)
assert sandbox in gone and "found" in gone, gone
