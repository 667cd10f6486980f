// One daemon of a test file: started on a free port, ready when /health says so, its log kept for failures.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { until } from './wait.mjs'

// Lines of the log that a failing test shows.
const TAIL = 60

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

export class Daemon {
  #process
  #directory
  #log

  static async start() {
    const daemon = new Daemon()
    daemon.port = await freePort()
    daemon.url = `http://127.0.0.1:${daemon.port}`
    daemon.#directory = mkdtempSync(join(tmpdir(), 'thawd-sdk-'))
    daemon.#log = join(daemon.#directory, 'log')
    const log = openSync(daemon.#log, 'a')
    const flags = (process.env.THAWD_FLAGS ?? '').split(' ').filter(Boolean)
    daemon.#process = spawn(
      process.env.THAWD_BIN,
      ['-port', `${daemon.port}`, '-isnotfc', '-verbose', ...flags],
      { stdio: ['ignore', log, log], env: { PATH: process.env.PATH, THAWD_SECRET_OF_THE_HARNESS: 'leaked' } },
    )
    try {
      await until(() => daemon.#ready(), 'the daemon is ready')
    } catch (failure) {
      failure.message += `\n${daemon.tail()}`
      await daemon.stop()
      throw failure
    }
    return daemon
  }

  async #ready() {
    if (!this.running()) throw new Error('the daemon ended before it was ready')
    try {
      return (await fetch(`${this.url}/health`)).status === 204
    } catch {
      return false
    }
  }

  /** Tells it what a host tells it; the status of its answer. */
  async init(body) {
    return (await fetch(`${this.url}/init`, { method: 'POST', body: JSON.stringify(body) })).status
  }

  /** Whether it lives, which it must at every moment. */
  running() {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** The end of its log. */
  tail() {
    return readFileSync(this.#log, 'utf8').split('\n').slice(-TAIL).join('\n')
  }

  /** Ends it, gently first. */
  async stop() {
    if (this.running()) {
      const gone = once(this.#process, 'exit')
      this.#process.kill('SIGTERM')
      const hurry = setTimeout(() => this.#process.kill('SIGKILL'), 10_000)
      await gone
      clearTimeout(hurry)
    }
    rmSync(this.#directory, { recursive: true })
  }
}
