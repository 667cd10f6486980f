// How long a sandbox has: after an auto-resume, after setTimeout, after connect.

import assert from 'node:assert/strict'

import { Sandbox, near, secondsLeft } from './sdk.mjs'

const lifecycle = { onTimeout: 'pause', autoResume: true }
let sandbox = await Sandbox.create({ timeoutMs: 40_000, lifecycle })

async function has(seconds, why) {
  const left = secondsLeft(await sandbox.getInfo())
  assert.ok(near(left, seconds), `${why}: ${left} s and not ${seconds} s`)
}

await has(40, 'at the beginning')
await sandbox.pause()
await sandbox.commands.run('true')
await has(300, 'woken by a request, it gets at least five minutes')
await sandbox.setTimeout(60_000)
await has(60, 'setTimeout may make it shorter')
await Sandbox.setTimeout(sandbox.sandboxId, 600_000)
await has(600, 'setTimeout may make it longer')
await sandbox.connect({ timeoutMs: 30_000 })
await has(600, 'connect never makes it shorter')
await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 900_000 })
await has(900, 'but longer')
await sandbox.pause()
await sandbox.connect({ timeoutMs: 45_000 })
await has(45, 'one that was paused has what connect says')
await sandbox.kill()

sandbox = await Sandbox.create({ timeoutMs: 500_000, lifecycle })
await sandbox.pause()
await sandbox.commands.run('true')
await has(500, 'a longer timeout of its own is kept by an auto-resume')
await sandbox.kill()
