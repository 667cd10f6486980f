// The first page of each documentation: a sandbox, a command, a file, what is known of it, and its end.

import assert from 'node:assert/strict'

import { NotFoundError, Sandbox, near, refused, secondsLeft } from './sdk.mjs'

const sandbox = await Sandbox.create({ timeoutMs: 120_000 })
assert.equal(await sandbox.isRunning(), true)

const result = await sandbox.commands.run('echo "Hello from $(id -un)"')
assert.equal(result.stdout, 'Hello from user\n')
assert.equal(result.exitCode, 0)

await sandbox.files.write('/home/user/hello.txt', 'Hello, file\n')
assert.equal(await sandbox.files.read('/home/user/hello.txt'), 'Hello, file\n')
assert.ok((await sandbox.files.list('/home/user')).some(({ name }) => name === 'hello.txt'))
assert.equal((await sandbox.commands.run('cat hello.txt')).stdout, 'Hello, file\n')

const info = await sandbox.getInfo()
assert.equal(info.sandboxId, sandbox.sandboxId)
assert.equal(info.name, 'base')
assert.equal(info.state, 'running')
assert.ok(near(secondsLeft(info), 120), JSON.stringify(info))
assert.ok(info.startedAt < info.endAt)
assert.ok(info.cpuCount >= 1 && info.memoryMB >= 64)
assert.deepEqual(info.metadata, {})
assert.ok((await Sandbox.list().nextItems()).some(({ sandboxId }) => sandboxId === sandbox.sandboxId))

await sandbox.kill()
assert.equal(await sandbox.isRunning(), false)
await refused(Sandbox.getInfo(sandbox.sandboxId), NotFoundError)
await refused(Sandbox.connect(sandbox.sandboxId), NotFoundError)
assert.equal(await Sandbox.kill(sandbox.sandboxId), false)
await refused(sandbox.commands.run('true'))
await refused(Sandbox.create('no-such-template'))
// Novita's SDK keeps the timer of a call that was refused, and with it the process, for a minute.
process.exit()
