"""A Flask application in a sandbox that sleeps between requests, and has its notes in memory only.

The guest has no network and no pip: Flask is fetched here, for the guest's Python, and sent in as a file.
"""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from sdk import Sandbox, preview, state, until

# compileall of another version would only be dead weight in the guest.
FLASK = "flask==3.1.3"
GUEST = Path(__file__).parent.parent / "guest"


def packages(version):
    """Flask and what it needs, for this version of Python, as a tar."""
    folder = Path(os.environ["PROGRAMS_CACHE"]) / f"{FLASK}-{version}-{os.environ['PROGRAMS_SDK']}"
    if not (folder / "whole").exists():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--upgrade"]
        wheels = ["--only-binary=:all:", "--python-version", version, "--implementation", "cp"]
        subprocess.run([*pip, *wheels, "--no-compile", "--target", folder, FLASK], check=True)
        if version == "%d.%d" % sys.version_info[:2]:
            subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
        (folder / "whole").touch()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder, "packages")
    return packed.getvalue()


sandbox = Sandbox.create(timeout=300, lifecycle={"on_timeout": "pause", "auto_resume": True})
version = sandbox.commands.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
sandbox.files.write("/home/user/packages.tar", packages(version))
sandbox.commands.run("python3 -m tarfile -e packages.tar && rm packages.tar")
sandbox.files.write("/home/user/app.py", (GUEST / "flask_app.py").read_text())
sandbox.commands.run("exec python3 app.py", background=True, envs={"PYTHONPATH": "/home/user/packages"})

host = sandbox.get_host(5000)
until(lambda: preview(host).status == 200, "Flask answers", deadline=90)


def note(text):
    """Post one note; the answer is all of them."""
    body = b'{"text": "%s"}' % text.encode()
    answer = preview(host, "/notes", "POST", body, {"Content-Type": "application/json"})
    assert answer.status == 201, answer.text
    return answer.json["notes"]


assert note("one") == ["one"]
sandbox.pause()
assert note("two") == ["one", "two"], "the request that wakes it is answered, with what was in memory"
assert state(sandbox.sandbox_id) == "running"
sandbox.pause()
assert preview(host).text == "<h1>2 notes</h1>"
sandbox.kill()
