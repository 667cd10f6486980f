// Snapshots, forks and clones: many sandboxes from one, each somebody of its own.

import assert from 'node:assert/strict'

import { NAME, Sandbox, refused } from './sdk.mjs'

const WHO =
  'cat /proc/sys/kernel/hostname /etc/machine-id; od -An -N16 -tx1 /dev/urandom; cat /proc/sys/kernel/random/uuid;' +
  ' cat memory'

const source = await Sandbox.create({ timeoutMs: 300_000, metadata: { family: 'one' } })
await source.files.write('memory', 'remembered')
const worker = await source.commands.run('exec sleep 1000', { background: true })
// Nobody waits for it; its stream ends with the snapshot.
worker.wait().catch(() => {})
const { endAt } = await source.getInfo()

let copies
if (NAME === 'e2b') {
  copies = await source.fork({ count: 2, timeoutMs: 120_000 })
} else {
  const cloned = await Sandbox.clone(source.sandboxId, { count: 2, timeoutMs: 120_000 })
  assert.equal(cloned.count, 2)
  copies = cloned.sandboxes
}
const snapshot = await source.createSnapshot()
assert.ok((await source.listSnapshots().nextItems()).some(({ snapshotId }) => snapshotId === snapshot.snapshotId))
copies.push(await Sandbox.create(snapshot.snapshotId, { timeoutMs: 120_000 }))

const told = []
for (const one of [source, ...copies]) {
  assert.ok(one instanceof Sandbox, `${one}`)
  const said = (await one.commands.run(WHO)).stdout.trim().split('\n')
  assert.equal(said.pop(), 'remembered')
  const pids = (await one.commands.list()).map(({ pid }) => pid)
  assert.ok(pids.includes(worker.pid), 'programs go on in each copy')
  told.push([one.sandboxId, await one.downloadUrl('memory'), ...said])
}
for (const [at, what] of ['id', 'token', 'host name', 'machine-id', 'urandom', 'uuid'].entries()) {
  const values = told.map((each) => each[at])
  assert.equal(new Set(values).size, told.length, `${what}s are not all different: ${values}`)
}

// Each goes its own way, and the source stays as it was.
await copies[0].files.write('memory', 'changed')
assert.equal(await source.files.read('memory'), 'remembered')
assert.equal(await copies[2].files.read('memory'), 'remembered')
assert.deepEqual((await source.getInfo()).endAt, endAt)
for (const one of [source, ...copies]) await one.kill()

// A snapshot outlives all of them.
const late = await Sandbox.create(snapshot.snapshotId, { timeoutMs: 60_000 })
assert.equal(await late.files.read('memory'), 'remembered')
await late.kill()
assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), true)
assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), false)
await refused(Sandbox.create(snapshot.snapshotId))
