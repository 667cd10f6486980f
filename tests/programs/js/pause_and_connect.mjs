// A pause keeps everything: files, running processes, and what they have in memory.

import assert from 'node:assert/strict'

import { NotFoundError, Sandbox, near, pages, refused, secondsLeft, state, until } from './sdk.mjs'

async function listedAsPaused() {
  const [found] = await pages(Sandbox.list({ query: { state: ['paused'] }, limit: 2 }))
  return found.map(({ sandboxId }) => sandboxId)
}

let shown = ''
const onData = (data) => (shown += Buffer.from(data).toString())
const type = (terminal, text) => sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(text))

const sandbox = await Sandbox.create({ timeoutMs: 120_000 })
const { sandboxId } = sandbox
await sandbox.files.write('/home/user/notes.txt', 'kept')
const counting = 'n=0; while sleep 0.2; do n=$((n+1)); echo $n > /tmp/next; mv /tmp/next /tmp/count; done'
const counter = await sandbox.commands.run(counting, { background: true })
// Nobody waits for it; its stream ends with the pause.
counter.wait().catch(() => {})

// A Python session with a variable in it.
let terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData })
await type(terminal, "exec python3 -iqc 'answer = 41'\n")
await until(() => shown.includes('>>> '), 'the terminal shows a prompt')
await terminal.disconnect()

assert.equal(await sandbox.pause(), true)
assert.equal(await state(sandboxId), 'paused')
assert.ok((await listedAsPaused()).includes(sandboxId))
assert.equal(await sandbox.isRunning(), false)
assert.equal(await Sandbox.pause(sandboxId), false)
await refused(Sandbox.setTimeout(sandboxId, 60_000), NotFoundError)

const same = await Sandbox.connect(sandboxId, { timeoutMs: 77_000 })
assert.ok(near(secondsLeft(await same.getInfo()), 77))
assert.ok(!(await listedAsPaused()).includes(sandboxId))
assert.equal(await same.files.read('/home/user/notes.txt'), 'kept')
const pids = (await same.commands.list()).map(({ pid }) => pid)
assert.ok(pids.includes(counter.pid) && pids.includes(terminal.pid), `${pids}`)
const before = Number(await same.files.read('/tmp/count'))
await same.commands.run(`until [ $(cat /tmp/count) -gt ${before} ]; do sleep 0.1; done`, { timeoutMs: 30_000 })

shown = ''
terminal = await same.pty.connect(terminal.pid, { onData })
await type(terminal, "print('answer', answer + 1)\n")
await until(() => shown.includes('answer 42'), 'the variable is there')
await terminal.disconnect()

// The first object goes on working too, and so does the older name of the verb.
await sandbox.betaPause()
assert.equal(await state(sandboxId), 'paused')
await sandbox.connect({ timeoutMs: 60_000 })
assert.equal((await sandbox.commands.run('cat notes.txt')).stdout, 'kept')
await sandbox.pause()

// Paused sandboxes can be killed.
assert.equal(await Sandbox.kill(sandboxId), true)
assert.ok(!(await listedAsPaused()).includes(sandboxId))
await refused(Sandbox.getInfo(sandboxId), NotFoundError)
await refused(Sandbox.connect(sandboxId), NotFoundError)
await refused(Sandbox.pause(sandboxId), NotFoundError)
assert.equal(await Sandbox.kill(sandboxId), false)
