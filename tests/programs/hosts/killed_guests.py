"""A QEMU that dies or hangs takes its own sandbox along and nothing else; an agent that dies is started again."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from damage import COUNT, api, counts_on, end, gone, machine_of, own_icebox, point
from e2b import NotFoundException, Sandbox, ServiceBusyException
from icebox import wait_for

with own_icebox() as icebox:
    point(icebox)

    def state(sandbox):
        try:
            return Sandbox.get_info(sandbox.sandbox_id).state.value
        except NotFoundException:
            return "gone"

    # The agent is started again by its init, and is who it was.
    sandbox, machine = machine_of(icebox, lambda: Sandbox.create(timeout=300))
    sandbox.files.write("/tmp/kept", "kept")
    sandbox.commands.run("pkill -9 -x thawd", user="root", background=True)
    said = []

    def works():
        try:
            said.append(sandbox.commands.run("echo $(id -un) $(cat /tmp/kept)", timeout=10).stdout)
        except Exception as broken:
            said.append(repr(broken))
        # Not only once: the old agent may still answer.
        return said[-3:] == ["user kept\n"] * 3

    wait_for(works, lambda: f"commands run again, as the same user: {said}", 40)
    print("after the agent was killed, commands said:", said)
    assert "root kept\n" not in said, "an agent that is started again lets anybody in as root at first"
    sandbox.pause()
    sandbox.connect(timeout=300)
    assert sandbox.files.read("/tmp/kept") == "kept"

    # While it runs, after a pause: it falls back to that pause, or is gone.
    sandbox.commands.run(COUNT, background=True)
    counts_on(sandbox)
    sandbox.pause()
    (_, machine) = machine_of(icebox, lambda: sandbox.connect(timeout=300))
    end(machine)
    wait_for(lambda: state(sandbox) in ("paused", "gone"), "the death is noticed", 20)
    print("killed while running:", state(sandbox))
    assert state(sandbox) == "paused", "what was acknowledged as paused is not lost"
    sandbox.connect(timeout=300)
    counts_on(sandbox)

    # While it pauses and while it resumes: the answer is one or the other, and the old snapshot is whole.
    for verb, delay in (("pause", 0.05), ("pause", 0.25), ("connect", 0.1), ("connect", 0.4)):
        if verb == "connect":
            sandbox.pause()
        body = {"timeout": 300} if verb == "connect" else {}
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(api, icebox, "POST", f"/sandboxes/{sandbox.sandbox_id}/{verb}", body)
            time.sleep(delay)
            for machine in icebox.machines():
                end(machine)
            print(f"killed {delay} s into {verb}: {asked.result()}")
        wait_for(lambda: state(sandbox) in ("paused", "running"), f"it is something after {verb}", 20)
        Sandbox.connect(sandbox.sandbox_id, timeout=300)
        assert sandbox.files.read("/tmp/kept") == "kept"
        counts_on(sandbox)

    # A guest that hangs: others go on, each question about the hanging one is answered, and it can be killed.
    other = Sandbox.create(timeout=300)
    hangs, machine = machine_of(icebox, lambda: Sandbox.create(timeout=300))
    os.kill(machine, signal.SIGSTOP)
    began = time.monotonic()
    try:
        answer = hangs.pause(strict=True, request_timeout=90)
        raise AssertionError(f"a strict pause of a guest that hangs was answered with {answer}")
    except ServiceBusyException as refused:
        print(f"strict pause of a guest that hangs: {refused} after {time.monotonic() - began:.1f} s")
    assert other.commands.run("echo fine").stdout == "fine\n"
    assert state(hangs) == "running"
    os.kill(machine, signal.SIGCONT)
    wait_for(lambda: hangs.is_running(request_timeout=5), "it goes on", 20)
    os.kill(machine, signal.SIGSTOP)
    began = time.monotonic()
    assert hangs.kill() is True
    print(f"kill of a guest that hangs: {time.monotonic() - began:.1f} s")
    gone(machine)
    assert state(hangs) == "gone"
    other.kill()
    sandbox.kill()
    assert not icebox.machines()
