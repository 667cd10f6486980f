// A sandbox for each user: found again and resumed when there is one, made when there is none.

import assert from 'node:assert/strict'

import { NotFoundError, Sandbox, state } from './sdk.mjs'

const sandboxes = new Map()

/** That of a user, running. */
async function sandboxOf(user) {
  if (sandboxes.has(user)) {
    try {
      return await Sandbox.connect(sandboxes.get(user), { timeoutMs: 60_000 })
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error
    }
  }
  const lifecycle = { onTimeout: 'pause' }
  const sandbox = await Sandbox.create({ timeoutMs: 60_000, metadata: { userId: user }, lifecycle })
  sandboxes.set(user, sandbox.sandboxId)
  return sandbox
}

/** One request of a user; the sandbox sleeps until the next one. */
async function visit(user) {
  const sandbox = await sandboxOf(user)
  const { stdout } = await sandbox.commands.run('echo visit >> visits; wc -l < visits')
  await sandbox.pause()
  return Number(stdout)
}

const counts = []
for (const user of ['ann', 'ben', 'ann', 'ann', 'ben', 'ann', 'ben', 'ben', 'ann', 'ann']) counts.push(await visit(user))
assert.deepEqual(counts, [1, 1, 2, 3, 2, 4, 3, 4, 5, 6])
assert.equal(new Set(sandboxes.values()).size, 2)

// Who was removed meanwhile gets a new one.
const old = sandboxes.get('ben')
await Sandbox.kill(old)
assert.equal(await visit('ben'), 1)
assert.notEqual(sandboxes.get('ben'), old)
for (const sandboxId of sandboxes.values()) {
  assert.equal(await state(sandboxId), 'paused')
  assert.equal(await Sandbox.kill(sandboxId), true)
}
