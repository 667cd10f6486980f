// Laws that hold on each wire: `onEachWire(title, ($) => { law('…', async () => { … }) })`.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe } from 'node:test'

import { Code, ConnectError } from '@connectrpc/connect'

import { Daemon } from './daemon.mjs'
import { WIRES, clients } from './protocol.mjs'

const byPid = (pid) => ({ selector: { case: 'pid', value: pid } })

/** What the laws of one wire share: `process` and `files` (the clients), the `daemon`, `temp` (fresh for each). */
class Shared {
  selector = byPid

  constructor(wire) {
    this.wire = wire
  }

  clients(options) {
    return clients(this.wire, this.daemon.url, options)
  }

  /** Starts a shell command; answers with the events of its stream and its pid. */
  async start(script, { call = {}, ...request } = {}) {
    const stream = this.process.start(
      { process: { cmd: '/bin/sh', args: ['-c', script], envs: {} }, stdin: false, ...request },
      call,
    )
    const events = stream[Symbol.asyncIterator]()
    const first = (await events.next()).value.event.event
    assert.equal(first.case, 'start')
    return { pid: first.value.pid, rest: () => collect(events) }
  }

  /** Runs a shell command to its end. */
  async run(script, request) {
    const { pid, rest } = await this.start(script, request)
    return { pid, ...(await rest()) }
  }

  signal(pid, signal = 9) {
    return this.process.sendSignal({ process: byPid(pid), signal })
  }

  /** Asserts that a call fails with a code, and returns its error. */
  async refused(promise, code, says = '') {
    const failure = await promise.then(
      () => assert.fail(`not refused, but should be with ${Code[code]}`),
      (failure) => ConnectError.from(failure),
    )
    assert.equal(Code[failure.code], Code[code], failure.message)
    assert.ok(failure.rawMessage.includes(says), `${says} in ${failure.rawMessage}`)
    return failure
  }
}

/** Reads the events of a process to their end. */
async function collect(events) {
  const output = { stdout: [], stderr: [], pty: [] }
  let end
  for (let next = await events.next(); !next.done; next = await events.next()) {
    const { case: kind, value } = next.value.event.event
    assert.equal(end, undefined, 'nothing comes after the end')
    if (kind === 'data') output[value.output.case].push(value.output.value)
    else if (kind === 'end') end = value
    else assert.equal(kind, 'keepalive')
  }
  assert.ok(end, 'a stream has an end event')
  const joined = Object.entries(output).map(([name, chunks]) => [name, Buffer.concat(chunks)])
  return { end, ...Object.fromEntries(joined) }
}

export function onEachWire(title, define) {
  for (const wire of Object.keys(WIRES)) {
    const $ = new Shared(wire)
    describe(`${wire}: ${title}`, () => {
      before(async () => {
        $.daemon = await Daemon.start()
        Object.assign($, $.clients())
      })
      after(() => $.daemon.stop())
      beforeEach(() => {
        $.temp = mkdtempSync(join(tmpdir(), 'thawd-sdk-'))
      })
      afterEach(async (test) => {
        rmSync($.temp, { recursive: true })
        if (!test.passed) console.log(`--- ${test.name}: log of the daemon\n${$.daemon.tail()}`)
        assert.ok($.daemon.running(), 'the daemon ended')
        const { processes } = await $.process.list({})
        await Promise.all(processes.map(({ pid }) => $.signal(pid)))
        assert.deepEqual(processes.map(({ config }) => config.args), [], 'commands left behind')
      })
      define($)
    })
  }
}
