// Metadata and its filters, pages of a list, environment variables, metrics, tokens and signed addresses.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

import { API, NAME, PROXY, Sandbox, api, pages, until } from './sdk.mjs'

const run = randomUUID()
const hard = { run, 'sp ace': 'v/1 &=%+ü', role: 'first' }
const envs = { GREETING: 'good day', EMPTY: '' }
const first = await Sandbox.create({ timeoutMs: 300_000, metadata: hard, envs, secure: true })
const second = await Sandbox.create({ timeoutMs: 300_000, metadata: { run, role: 'second' } })
await second.pause()

/** The ids of a list and the number of pages. */
async function found(query, limit) {
  const [items, count] = await pages(Sandbox.list({ query: { metadata: { run }, ...query }, limit }))
  return [items.map(({ sandboxId }) => sandboxId), count]
}

assert.deepEqual(await found(), [[second.sandboxId, first.sandboxId], 1], 'the newest one is first')
assert.deepEqual(await found({}, 1), [[second.sandboxId, first.sandboxId], 2])
assert.deepEqual((await found({ state: ['paused'] }))[0], [second.sandboxId])
assert.deepEqual((await found({ state: ['running'] }))[0], [first.sandboxId])
assert.deepEqual((await found({ metadata: { run, role: 'first' } }))[0], [first.sandboxId])
assert.deepEqual((await found({ metadata: hard }))[0], [first.sandboxId])
assert.deepEqual((await found({ metadata: { run, role: 'third' } }))[0], [])
const info = await first.getInfo()
assert.deepEqual(info.metadata, hard)

// Environment variables of the sandbox, and of one command.
assert.equal((await first.commands.run('echo "$GREETING, [$EMPTY]"')).stdout, 'good day, []\n')
assert.equal((await first.commands.run('echo $GREETING', { envs: { GREETING: 'hi' } })).stdout, 'hi\n')

// Metrics are sampled; the first ones come after a while.
const metrics = await until(async () => {
  const all = await first.getMetrics()
  return all.length && all
}, 'there are metrics')
const last = metrics.at(-1)
assert.ok(last.cpuCount === info.cpuCount && last.cpuUsedPct >= 0)
assert.ok(last.memUsed > 0 && last.memUsed < last.memTotal && last.diskUsed > 0 && last.diskUsed < last.diskTotal)

// Nobody gets in without the token.
const prefix = { e2b: 'E2b', novita: 'Novita' }[NAME]
const headers = { [`${prefix}-Sandbox-Id`]: first.sandboxId, [`${prefix}-Sandbox-Port`]: '49983' }
assert.equal((await fetch(`${PROXY}/files?path=/etc/hostname`, { headers })).status, 401)
headers['X-Access-Token'] = 'wrong'
assert.equal((await fetch(`${PROXY}/files?path=/etc/hostname`, { headers })).status, 401)

// Signed addresses need none.
const form = new FormData()
form.append('file', new Blob(['by address']), 'signed.txt')
const sent = await fetch(await first.uploadUrl('/home/user/signed.txt'), { method: 'POST', body: form })
assert.equal(sent.status, 200)
assert.equal(await first.files.read('/home/user/signed.txt'), 'by address')
const download = await first.downloadUrl('/home/user/signed.txt', { useSignatureExpiration: 60_000 })
assert.equal(await (await fetch(download)).text(), 'by address')
const other = await fetch(download.replace('signed.txt', 'other.txt'))
assert.ok([401, 502].includes(other.status), `${other.status}`)

// Who does not say who he is is refused in words that a program understands.
const nobody = await fetch(`${API}/sandboxes/${first.sandboxId}`)
assert.equal(nobody.status, 401)
assert.equal((await nobody.json()).code, 401)
const lost = await api('GET', '/sandboxes/nosuchsandbox')
assert.deepEqual([lost.status, lost.json.code], [404, 404])
assert.ok(lost.json.message)

await first.kill()
await second.kill()
assert.deepEqual((await found())[0], [])
