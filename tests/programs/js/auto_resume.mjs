// With autoResume nobody needs to know that a sandbox is paused: what is asked of it wakes it, and is answered.

import assert from 'node:assert/strict'

import { Sandbox, preview, resumes, state, until } from './sdk.mjs'

const lifecycle = { onTimeout: 'pause', autoResume: true }
const sandbox = await Sandbox.create({ timeoutMs: 120_000, lifecycle })
assert.deepEqual((await sandbox.getInfo()).lifecycle, lifecycle)
await sandbox.files.write('/home/user/www/index.html', '<h1>still here</h1>')
const server = await sandbox.commands.run('exec python3 -m http.server 8000 --directory www', { background: true })
// Nobody waits for it; its stream ends with the pause.
server.wait().catch(() => {})
const host = sandbox.getHost(8000)
await until(async () => (await preview(host)).status === 200, 'the server answers')

async function pause() {
  await sandbox.pause()
  assert.equal(await state(sandbox.sandboxId), 'paused')
}

// The first request of each kind is answered, not refused.
await pause()
const answer = await preview(host)
assert.deepEqual([answer.status, answer.text], [200, '<h1>still here</h1>'])
assert.equal(await state(sandbox.sandboxId), 'running')
await pause()
assert.equal((await sandbox.commands.run('echo awake')).stdout, 'awake\n')
await pause()
assert.equal(await sandbox.files.read('/home/user/www/index.html'), '<h1>still here</h1>')
await pause()
await sandbox.files.write('/home/user/www/new.html', 'new')
assert.equal((await preview(host, '/new.html')).text, 'new')

// A process that was started before the pauses is the same one.
assert.ok((await sandbox.commands.list()).some(({ pid }) => pid === server.pid))

// Several at once wake it once.
const before = await resumes(sandbox)
await pause()
const told = await Promise.all([
  preview(host),
  preview(host),
  preview(host),
  sandbox.files.read('/home/user/www/new.html'),
  sandbox.commands.run('echo one of many'),
  sandbox.isRunning(),
])
assert.deepEqual(told.slice(0, 3).map(({ status }) => status), [200, 200, 200])
assert.deepEqual([told[3], told[4].stdout, told[5]], ['new', 'one of many\n', true])
assert.equal(await resumes(sandbox), before + 1)

// A port where nobody listens wakes it too, and says so.
await pause()
const closed = await preview(sandbox.getHost(8123))
assert.equal(closed.status, 502)
assert.match(closed.text, /port is not open/)
assert.equal(await state(sandbox.sandboxId), 'running')
await sandbox.kill()
const gone = await preview(host)
assert.equal(gone.status, 502)
assert.match(gone.text, /was not found/)
