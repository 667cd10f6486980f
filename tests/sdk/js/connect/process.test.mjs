// process.Process through connect-node: each protocol, codec and HTTP version that a client library may choose.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'

import { Code } from '@connectrpc/connect'
import { compressionGzip } from '@connectrpc/connect-node'

import { law } from '../support/laws.mjs'
import { alive, until } from '../support/wait.mjs'
import { onEachWire } from '../support/wires.mjs'

const sha256 = (data) => createHash('sha256').update(data).digest('hex')

onEachWire('Process', ($) => {
  law('a stream is start, data and one end', async () => {
    const { pid, stdout, stderr, end } = await $.run('echo $$; echo err >&2; exit 3')
    assert.equal(`${stdout}`, `${pid}\n`)
    assert.equal(`${stderr}`, 'err\n')
    assert.deepEqual([end.exitCode, end.exited, end.status, end.error], [3, true, 'exit status 3', 'exit status 3'])
  })

  law('success has no error', async () => {
    const { end } = await $.run('true')
    assert.deepEqual([end.exitCode, end.exited, end.status, end.error], [0, true, 'exit status 0', undefined])
  })

  law('8 MiB of bytes that are no text arrive unchanged', async () => {
    const data = randomBytes(8 << 20)
    writeFileSync(`${$.temp}/data`, data)
    const { stdout } = await $.run(`cat ${$.temp}/data`)
    assert.equal(sha256(stdout), sha256(data))
  })

  law('an unknown program is no error of the call', async () => {
    const stream = $.process.start({ process: { cmd: '/no/such/program' }, stdin: false })
    const events = []
    for await (const { event } of stream) events.push(event.event)
    assert.equal(events[0].case, 'start')
    assert.equal(events.at(-1).case, 'end')
    assert.equal(events.at(-1).value.exitCode, 127)
  })

  law('list tells what runs, select by pid and by tag', async () => {
    const { pid, rest } = await $.start('exec sleep 100000', { tag: 'mine' })
    const { processes } = await $.process.list({})
    const [listed] = processes.filter((each) => each.pid === pid)
    assert.deepEqual([listed.tag, listed.config.cmd, listed.config.args], ['mine', '/bin/sh', ['-c', 'exec sleep 100000']])
    await $.process.sendSignal({ process: { selector: { case: 'tag', value: 'mine' } }, signal: 15 })
    const { end } = await rest()
    assert.deepEqual([end.exitCode, end.exited, end.status], [-1, false, 'signal: terminated'])
    assert.equal(end.error, 'signal: terminated')
  })

  law('a second stream sees a process, a late one its end', async () => {
    const { pid, rest } = await $.start('read line; echo "got $line"', { stdin: true })
    const second = $.process.connect({ process: $.selector(pid) })[Symbol.asyncIterator]()
    assert.equal((await second.next()).value.event.event.case, 'start')
    await $.process.sendInput({ process: $.selector(pid), input: { input: { case: 'stdin', value: Buffer.from('it\n') } } })
    assert.equal(`${(await rest()).stdout}`, 'got it\n')
    const kinds = async (events) => {
      const seen = []
      for (let next = await events.next(); !next.done; next = await events.next()) seen.push(next.value.event.event.case)
      return seen
    }
    assert.deepEqual(await kinds(second), ['data', 'end'])
    const late = $.process.connect({ process: $.selector(pid) })[Symbol.asyncIterator]()
    const seen = await kinds(late)
    assert.deepEqual([seen[0], seen.at(-1)], ['start', 'end'])
  })

  law('streamed input arrives in order, and closing stdin ends it', async () => {
    const { pid, rest } = await $.start('sha256sum', { stdin: true })
    const chunks = Array.from({ length: 100 }, () => randomBytes(10_000))
    async function* requests() {
      yield { event: { case: 'start', value: { process: $.selector(pid) } } }
      yield { event: { case: 'keepalive', value: {} } }
      for (const value of chunks) yield { event: { case: 'data', value: { input: { input: { case: 'stdin', value } } } } }
    }
    await $.process.streamInput(requests())
    await $.process.closeStdin({ process: $.selector(pid) })
    await $.process.closeStdin({ process: $.selector(pid) })
    assert.equal(`${(await rest()).stdout}`.split(' ')[0], sha256(Buffer.concat(chunks)))
  })

  law('streamed input without a start is an error and no crash', async () => {
    async function* requests() {
      yield { event: { case: 'data', value: { input: { input: { case: 'stdin', value: Buffer.from('x') } } } } }
    }
    await assert.rejects($.process.streamInput(requests()))
    await $.run('true')
  })

  law('a terminal is made, resized and read', async () => {
    const { pid, rest } = await $.start('stty size; read x; stty size', { pty: { size: { cols: 90, rows: 30 } } })
    await $.process.update({ process: $.selector(pid), pty: { size: { cols: 91, rows: 31 } } })
    await $.process.sendInput({ process: $.selector(pid), input: { input: { case: 'pty', value: Buffer.from('\n') } } })
    const { pty, stdout, end } = await rest()
    assert.match(`${pty}`, /3[01] 9[01]\r\n[^]*31 91\r\n/)
    assert.equal(stdout.length, 0)
    assert.equal(end.exitCode, 0)
  })

  law('user, directory and variables are those of the request', async () => {
    const { stdout } = await $.run('', {
      process: { cmd: '/bin/sh', args: ['-c', 'id -un; pwd; echo $COLOR'], cwd: '/usr', envs: { COLOR: 'green' } },
      call: { headers: { Authorization: `Basic ${Buffer.from('user:').toString('base64')}` } },
    })
    assert.equal(`${stdout}`, 'user\n/usr\ngreen\n')
  })

  law('failures have their code', async () => {
    const nobody = { process: $.selector(process.pid) }
    const input = { input: { input: { case: 'stdin', value: Buffer.from('x') } } }
    await $.refused($.process.sendSignal({ ...nobody, signal: 9 }), Code.NotFound, 'not found')
    await $.refused($.process.sendInput({ ...nobody, ...input }), Code.NotFound)
    await $.refused($.process.closeStdin(nobody), Code.NotFound)
    await $.refused($.process.update(nobody), Code.NotFound)
    await $.refused($.run('', { process: { cmd: 'true', cwd: '/no/such' } }), Code.InvalidArgument, 'does not exist')
    const call = { headers: { Authorization: `Basic ${Buffer.from('unknown-user:').toString('base64')}` } }
    await $.refused($.run('true', { call }), Code.Unauthenticated, 'unknown-user')
    await $.refused($.process.list({}, call), Code.Unauthenticated, 'unknown-user')
  })

  law('misuse of a running process has its code', async () => {
    const { pid, rest } = await $.start('exec sleep 100000')
    const one = { process: $.selector(pid) }
    await $.refused($.process.sendSignal({ ...one, signal: 0 }), Code.Unimplemented)
    await $.refused($.process.update({ ...one, pty: { size: { cols: 1, rows: 1 } } }), Code.Internal)
    await $.refused($.process.sendInput({ ...one, input: { input: { case: 'pty', value: Buffer.from('x') } } }), Code.Internal)
    await $.refused($.process.sendInput({ ...one, input: { input: { case: 'stdin', value: Buffer.from('x') } } }), Code.Internal)
    await $.signal(pid)
    await rest()
  })

  law('a client that goes away leaves the process', async () => {
    const controller = new AbortController()
    const { pid, rest } = await $.start('exec sleep 100000', { call: { signal: controller.signal } })
    controller.abort()
    await $.refused(rest(), Code.Canceled)
    assert.ok((await $.process.list({})).processes.some((each) => each.pid === pid))
    assert.ok(alive(pid))
    await $.signal(pid)
    await until(() => !alive(pid), 'the process ended')
    await until(async () => !(await $.process.list({})).processes.length, 'the list is empty')
  })

  law('a deadline is one of the call', async () => {
    const { pid, rest } = await $.start('exec sleep 100000', { call: { timeoutMs: 700 } })
    await $.refused(rest(), Code.DeadlineExceeded)
    if ($.wire.startsWith('Connect')) await until(() => !alive(pid), 'Connect-Timeout-Ms ended the process')
    else {
      assert.ok(alive(pid), 'Grpc-Timeout must leave the process')
      await $.signal(pid)
    }
    await until(async () => !(await $.process.list({})).processes.length, 'the list is empty')
  })

  law('gzip is understood and spoken', async () => {
    const { process: zipped } = $.clients({
      acceptCompression: [compressionGzip],
      sendCompression: compressionGzip,
      compressMinBytes: 0,
    })
    const argument = 'again and again '.repeat(5000)
    const told = []
    for await (const { event } of zipped.start({ process: { cmd: 'printf', args: ['%s', argument] }, stdin: false })) {
      if (event.event.case === 'data') told.push(event.event.value.output.value)
    }
    assert.equal(`${Buffer.concat(told)}`, argument)
    await zipped.list({})
  })

  law('a hundred calls share one client', async () => {
    const told = await Promise.all(Array.from({ length: 100 }, (_, n) => $.run(`echo ${n}`)))
    assert.deepEqual(told.map(({ stdout }) => `${stdout}`), Array.from({ length: 100 }, (_, n) => `${n}\n`))
  })
})
