"""After kill -9 of icebox nothing is lost that was paused, and no QEMU lives on."""

from concurrent.futures import ThreadPoolExecutor, wait

from damage import COUNT, api, counts_on, own_icebox, point
from e2b import NotFoundException, Sandbox
from icebox import wait_for


def answer_of_a_pause(sandbox):
    """The status, or what became of the connection."""
    try:
        return api(icebox, "POST", f"/sandboxes/{sandbox.sandbox_id}/pause").status
    except OSError as broken:
        return type(broken).__name__


icebox = own_icebox().start()
point(icebox)

paused = Sandbox.create(timeout=300, metadata={"what": "paused"})
paused.files.write("/tmp/kept", "kept")
paused.commands.run(COUNT, background=True)
counts_on(paused)
paused.pause()
running = Sandbox.create(timeout=300)
fallen = Sandbox.create(timeout=300)
fallen.files.write("/tmp/kept", "first")
fallen.pause()
fallen.connect(timeout=300)
fallen.files.write("/tmp/kept", "second")

icebox.kill()
wait_for(lambda: not icebox.machines(), "the QEMUs end with their icebox", 10)
icebox.start()
point(icebox)

info = Sandbox.get_info(paused.sandbox_id)
assert info.state.value == "paused" and info.metadata == {"what": "paused"}, info
back = Sandbox.connect(paused.sandbox_id, timeout=300)
assert back.files.read("/tmp/kept") == "kept"
counts_on(back)

# What ran is gone with its VM, or as it was at its last pause.
try:
    Sandbox.connect(running.sandbox_id)
    raise AssertionError("a sandbox that ran and never paused cannot be there again")
except NotFoundException:
    pass
assert Sandbox.get_info(fallen.sandbox_id).state.value == "paused"
assert Sandbox.connect(fallen.sandbox_id, timeout=300).files.read("/tmp/kept") == "first"
Sandbox.kill(fallen.sandbox_id)

# Killed in the middle of a pause: paused if that was answered, and whole in any case.
for delay in (0.1, 0.5, None):
    back.files.write("/tmp/round", str(delay))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answer_of_a_pause, back)
        # Without a delay at the very moment that it is answered.
        wait([asked], delay)
        icebox.kill()
        answer = asked.result()
    icebox.start()
    point(icebox)
    info = Sandbox.get_info(back.sandbox_id)
    assert info.state.value == "paused", info
    back = Sandbox.connect(back.sandbox_id, timeout=300)
    assert back.files.read("/tmp/kept") == "kept"
    if answer == 204:
        assert back.files.read("/tmp/round") == str(delay), "a pause that was answered is kept"
    counts_on(back)
    print(f"killed {'when it was answered' if delay is None else f'{delay} s into a pause'}: {answer}")
    assert delay is not None or answer == 204, answer

back.kill()
icebox.stop()
icebox.nothing_left()
