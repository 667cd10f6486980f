// Ports of a sandbox from outside: also of servers on its loopback, also over a pause.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

import { SCALE, Sandbox, ask, preview, until } from './sdk.mjs'

const code = readFileSync(new URL('../guest/server.py', import.meta.url), 'utf8')

/** A stream without end, after its first bytes. */
async function download() {
  const asked = ask(host, '/stream')
  asked.end()
  const [answer] = await once(asked, 'response')
  assert.equal(answer.statusCode, 200)
  await once(answer, 'data')
  return answer
}

/** An open web socket, after its handshake. */
async function webSocket() {
  const asked = ask(host, '/socket', {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
  })
  asked.end()
  const [answer, socket] = await once(asked, 'upgrade')
  assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  return socket
}

/** Sends a text frame, masked with zeroes, and returns the text that comes back. */
async function echo(socket, text) {
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]))
  let frame = Buffer.alloc(0)
  while (frame.length < 2 + text.length) frame = Buffer.concat([frame, (await once(socket, 'data'))[0]])
  assert.equal(frame[0], 0x81)
  return frame.subarray(2).toString()
}

/** Fails unless a stream ends by itself. */
function ends(stream, says) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(says)), 20_000 * SCALE)
    const over = () => resolve(clearTimeout(late))
    stream.on('error', over).on('close', over).resume()
  })
}

const sandbox = await Sandbox.create({ timeoutMs: 120_000 })
await sandbox.files.write('/home/user/server.py', code)
const server = await sandbox.commands.run('exec python3 server.py 127.0.0.1 3000', { background: true })
// Nobody waits for it; its stream ends with the pause.
server.wait().catch(() => {})
const host = sandbox.getHost(3000)
assert.ok(host.startsWith(`3000-${sandbox.sandboxId}.`), host)
assert.equal((await preview(sandbox.getHost(3999))).status, 502)

await until(async () => (await preview(host)).status === 200, "a server on the guest's loopback answers")
assert.equal((await preview(host)).text, 'hello from a sandbox\n')
const body = 'x'.repeat(200_000)
const headers = { 'x-mine': 'kept', 'content-length': `${body.length}` }
assert.equal((await preview(host, '/size', { method: 'POST', body, headers })).text, '200000 kept\n')
assert.equal((await preview(host, '/missing')).status, 404)

const stream = await download()
let chat = await webSocket()
assert.equal(await echo(chat, 'before'), 'before')
const ended = [ends(stream, 'a pause leaves a download hanging'), ends(chat, 'a pause leaves a web socket hanging')]
await sandbox.pause()
await Promise.all(ended)
assert.equal((await preview(host)).status, 502)

await sandbox.connect({ timeoutMs: 60_000 })
assert.equal((await preview(host)).text, 'hello from a sandbox\n')
const again = await download()
chat = await webSocket()
assert.equal(await echo(chat, 'after'), 'after')
const last = [ends(again, 'a kill leaves a download hanging'), ends(chat, 'a kill leaves a web socket hanging')]
await sandbox.kill()
await Promise.all(last)
