"""For programs that harm an icebox: one of their own, its QEMUs, and its plain answers."""

import http.client
import json
import os
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from e2b import FileNotFoundException
from icebox import KEY, SCALE, Icebox, wait_for

# What counts on in the guest, in a file that tells how far it is.
COUNT = "n=0; while sleep 0.1; do n=$((n+1)); echo $n > /tmp/next; mv /tmp/next /tmp/count; done"


def own_icebox(*flags, folder=None):
    """An icebox of this program. It gets the booted template of the common one, unless flags ask for another."""
    icebox = Icebox(folder or Path(os.environ["PROGRAMS_FOLDER"]) / "icebox", *flags)
    if not flags:
        icebox.data.mkdir()
        templates = Path(os.environ["PROGRAMS_DATA"]) / "templates"
        subprocess.run(["cp", "-a", "--sparse=always", templates, icebox.data], check=True)
    return icebox


def point(icebox):
    """Lead the SDK of this process to an icebox, also one that was started again."""
    for name in list(os.environ):
        if name.startswith(("E2B_", "NOVITA_")):
            del os.environ[name]
    os.environ.update({name: value for name, value in icebox.env().items() if name.startswith(("E2B_", "NOVITA_"))})


class Answer:
    """A status and the JSON body, `None` without one."""

    def __init__(self, response):
        self.status = response.status
        body = response.read()
        self.json = json.loads(body) if body else None
        if self.status >= 400:
            # What the SDKs need to understand a refusal.
            assert response.headers["Content-Type"].startswith("application/json"), response.headers
            assert self.json["code"] == self.status and self.json["message"], self.json

    def __repr__(self):
        return f"{self.status} {self.json}"


def api(icebox, method, path, body=None, timeout=60.0):
    """A plain request to the control plane; each refusal is checked to be one."""
    to = http.client.HTTPConnection(urlsplit(icebox.api).netloc, timeout=timeout * SCALE)
    try:
        sent = None if body is None else json.dumps(body)
        to.request(method, path, sent, {"X-API-KEY": KEY, "Content-Type": "application/json"})
        return Answer(to.getresponse())
    finally:
        to.close()


def machine_of(icebox, make):
    """Run what makes one VM; give its result and the process id of its QEMU."""
    before = set(icebox.machines())
    made = make()
    (new,) = set(icebox.machines()) - before
    return made, new


def counts_on(sandbox):
    """Check that the counter in a sandbox goes on."""

    def count():
        try:
            return int(sandbox.files.read("/tmp/count"))
        except FileNotFoundException:
            return 0

    before = count()
    wait_for(lambda: count() > before, f"the counter goes on from {before}", 20)


def end(pid):
    """Kill a process that this test caused to be."""
    os.kill(pid, signal.SIGKILL)


def gone(pid):
    """Wait until a process is no more."""
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} is gone", 20)
