"""A sandbox for each user: found again and resumed when there is one, made when there is none."""

from sdk import NotFoundException, Sandbox, state

sandboxes = {}


def sandbox_of(user):
    """That of a user, running."""
    if user in sandboxes:
        try:
            return Sandbox.connect(sandboxes[user], timeout=60)
        except NotFoundException:
            pass
    sandbox = Sandbox.create(timeout=60, metadata={"userId": user}, lifecycle={"on_timeout": "pause"})
    sandboxes[user] = sandbox.sandbox_id
    return sandbox


def visit(user):
    """One request of a user; the sandbox sleeps until the next one."""
    sandbox = sandbox_of(user)
    count = sandbox.commands.run("echo visit >> visits; wc -l < visits").stdout.strip()
    sandbox.pause()
    return int(count)


counts = [visit(user) for user in ("ann", "ben", "ann", "ann", "ben", "ann", "ben", "ben", "ann", "ann")]
assert counts == [1, 1, 2, 3, 2, 4, 3, 4, 5, 6], counts
assert len(set(sandboxes.values())) == 2

# Who was removed meanwhile gets a new one.
old = sandboxes["ben"]
Sandbox.kill(old)
assert visit("ben") == 1
assert sandboxes["ben"] != old
assert {state(one) for one in sandboxes.values()} == {"paused"}
for one in sandboxes.values():
    assert Sandbox.kill(one)
