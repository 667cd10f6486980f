"""A disk that is full while a sandbox is paused: the pause is refused in clear words, and the sandbox goes on."""

import os
import shutil
import subprocess
from pathlib import Path

from damage import COUNT, api, counts_on, own_icebox, point
from e2b import Sandbox
from icebox import wait_for

# MiB: a template of an emulated VM, a running sandbox and a paused one; all of them are full of holes.
SIZE = 900

# Not a tmpfs: that fills its holes when they are but read.
mount = Path(os.environ["PROGRAMS_FOLDER"]) / "small"
mount.mkdir()
disk = mount.with_suffix(".ext4")
subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk, f"{SIZE}M"], check=True)
subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
try:
    with own_icebox(folder=mount / "icebox") as icebox:
        point(icebox)
        sandbox = Sandbox.create(timeout=300)
        sandbox.files.write("/tmp/kept", "kept")
        sandbox.commands.run(COUNT, background=True)
        counts_on(sandbox)

        filler = mount / "filler"
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(mount).free - (8 << 20))
        for _ in range(2):
            answer = api(icebox, "POST", f"/sandboxes/{sandbox.sandbox_id}/pause", {})
            print("pause on a full disk:", answer)
            assert answer.status == 507 and "space" in answer.json["message"], answer
            assert Sandbox.get_info(sandbox.sandbox_id).state.value == "running"
            counts_on(sandbox)

        filler.unlink()
        free = shutil.disk_usage(mount).free
        sandbox.pause()
        sandbox.connect(timeout=300)
        assert sandbox.files.read("/tmp/kept") == "kept"
        counts_on(sandbox)
        sandbox.kill()

        def whole():
            os.sync()
            return shutil.disk_usage(mount).free >= free - (1 << 20)

        find = ["find", mount, "-type", "f", "-printf", "%k KiB %P\\n"]
        wait_for(whole, lambda: "nothing is left behind:\n" + subprocess.check_output(find, text=True), 10)
finally:
    subprocess.run(["umount", "--lazy", mount], check=True)
