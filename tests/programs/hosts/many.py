"""Twenty paused sandboxes and four that run, all at once."""

from concurrent.futures import ThreadPoolExecutor

from damage import own_icebox, point
from e2b import Sandbox, SandboxQuery, SandboxState

PAUSED, RUNNING = 20, 4


def make(number):
    """One sandbox that knows its number; the first ones are paused."""
    sandbox = Sandbox.create(timeout=600, metadata={"number": str(number)})
    sandbox.files.write("/tmp/number", str(number))
    if number < PAUSED:
        sandbox.pause()
    return sandbox


def ids(*states):
    """Of all with these states, by pages."""
    paginator = Sandbox.list(query=SandboxQuery(state=list(states)), limit=7)
    found = []
    while paginator.has_next:
        found += [one.sandbox_id for one in paginator.next_items()]
    assert len(found) == len(set(found))
    return set(found)


with own_icebox("--memory", "256") as icebox:
    point(icebox)
    # Two at a time: each boots or pauses on a core of its own.
    with ThreadPoolExecutor(2) as pool:
        sandboxes = list(pool.map(make, range(PAUSED + RUNNING)))
    assert ids(SandboxState.PAUSED) == {one.sandbox_id for one in sandboxes[:PAUSED]}
    assert ids(SandboxState.RUNNING) == {one.sandbox_id for one in sandboxes[PAUSED:]}
    assert len(ids(SandboxState.RUNNING, SandboxState.PAUSED)) == PAUSED + RUNNING
    assert len(icebox.machines()) == RUNNING
    for number in (0, 7, PAUSED - 1):
        sandboxes[number].connect(timeout=600)
    for number in (0, 7, *range(PAUSED - 1, PAUSED + RUNNING)):
        assert sandboxes[number].files.read("/tmp/number") == str(number)
    for one in sandboxes:
        assert one.kill()
    assert not icebox.machines() and not ids(SandboxState.RUNNING, SandboxState.PAUSED)
