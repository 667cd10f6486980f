// What happens when the time is up: a pause, as often as it was resumed, or the end.

import assert from 'node:assert/strict'

import { InvalidArgumentError, NAME, Sandbox, api, refused, state, until } from './sdk.mjs'

/** Waits for the pause, which must not come early. */
async function pausesItself(sandbox) {
  const { endAt } = await sandbox.getInfo()
  await until(async () => (await state(sandbox.sandboxId)) === 'paused', 'paused at its timeout')
  assert.ok(Date.now() >= endAt.getTime(), 'paused before its time was up')
}

const killed = await Sandbox.create({ timeoutMs: 3_000 })
const sandbox = await Sandbox.create({ timeoutMs: 4_000, lifecycle: { onTimeout: 'pause' } })
assert.deepEqual((await sandbox.getInfo()).lifecycle, { onTimeout: 'pause', autoResume: false })
await sandbox.files.write('visits', '0')
await pausesItself(sandbox)

// Not only the first time: again after each resume.
for (const visit of ['1', '2']) {
  await sandbox.connect({ timeoutMs: 3_000 })
  await sandbox.files.write('visits', visit)
  await pausesItself(sandbox)
}

// Without autoResume a request wakes nobody.
await refused(sandbox.commands.run('true'))
assert.equal(await sandbox.isRunning(), false)
assert.equal(await state(sandbox.sandboxId), 'paused')

await sandbox.connect({ timeoutMs: 60_000 })
assert.equal(await sandbox.files.read('visits'), '2')
await sandbox.kill()

// The default is the end.
await until(async () => (await state(killed.sandboxId)) === 'gone', 'killed at its timeout')
await refused(killed.commands.run('true'))

// autoResume makes sense with a pause only.
const never = { onTimeout: 'kill', autoResume: true }
if (NAME === 'e2b') {
  await refused(Sandbox.create({ lifecycle: never }), InvalidArgumentError, 'autoResume')
} else {
  // This SDK leaves the word out of its request.
  const plain = await Sandbox.create({ timeoutMs: 60_000, lifecycle: never })
  assert.deepEqual((await plain.getInfo()).lifecycle, { onTimeout: 'kill', autoResume: false })
  await plain.kill()
  const paused = await Sandbox.betaCreate({ timeoutMs: 2_000, autoPause: true })
  await until(async () => (await state(paused.sandboxId)) === 'paused', 'autoPause paused it')
  await paused.kill()
}
for (const path of ['/sandboxes', '/v2/sandboxes']) {
  const body = { templateID: 'base', timeout: 60, autoPause: false, autoResume: { enabled: true } }
  const answer = await api('POST', path, body)
  assert.equal(answer.status, 400)
  assert.equal(answer.json.code, 400)
  assert.ok(answer.json.message)
}
// Novita's SDK keeps the timer of a call that was refused, and with it the process, for a minute.
process.exit()
