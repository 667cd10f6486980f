"""Snapshots, forks and clones: many sandboxes from one, each somebody of its own."""

from sdk import NAME, Sandbox, refused

WHO = (
    "cat /proc/sys/kernel/hostname /etc/machine-id; od -An -N16 -tx1 /dev/urandom; cat /proc/sys/kernel/random/uuid;"
    " cat memory"
)

source = Sandbox.create(timeout=300, metadata={"family": "one"})
source.files.write("memory", "remembered")
worker = source.commands.run("exec sleep 1000", background=True)
ends = source.get_info().end_at

if NAME == "e2b":
    copies = source.fork(count=2, timeout=120)
else:
    cloned = Sandbox.clone(source.sandbox_id, count=2, timeout=120)
    assert cloned.count == 2
    copies = list(cloned)

snapshot = source.create_snapshot()
assert snapshot.snapshot_id in [one.snapshot_id for one in source.list_snapshots().next_items()]
copies.append(Sandbox.create(snapshot.snapshot_id, timeout=120))

told = []
for one in (source, *copies):
    assert isinstance(one, Sandbox), one
    said = one.commands.run(WHO).stdout.splitlines()
    assert said.pop() == "remembered"
    assert worker.pid in [process.pid for process in one.commands.list()], "programs go on in each copy"
    told.append([one.sandbox_id, one.download_url("memory"), *said])
for at, what in enumerate(("id", "token", "host name", "machine-id", "urandom", "uuid")):
    values = [each[at] for each in told]
    assert len(set(values)) == len(told), f"{what}s are not all different: {values}"

# Each goes its own way, and the source stays as it was.
copies[0].files.write("memory", "changed")
assert [one.files.read("memory") for one in (source, *copies)] == ["remembered", "changed", "remembered", "remembered"]
assert source.get_info().end_at == ends
for one in (source, *copies[1:]):
    one.kill()
assert copies[0].files.read("memory") == "changed"
copies[0].pause()
copies[0].connect(timeout=60)
assert copies[0].files.read("memory") == "changed"
copies[0].kill()

# A snapshot outlives all of them.
late = Sandbox.create(snapshot.snapshot_id, timeout=60)
assert late.files.read("memory") == "remembered"
late.kill()
assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True
assert Sandbox.delete_snapshot(snapshot.snapshot_id) is False
refused(lambda: Sandbox.create(snapshot.snapshot_id), Exception)
