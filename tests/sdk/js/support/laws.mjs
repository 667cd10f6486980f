// Laws are stated once and hold for each SDK: `laws(title, ($) => { law('…', async () => { … }) })`.

import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'

import { Daemon } from './daemon.mjs'
import { sdks } from './sdks.mjs'
import { until } from './wait.mjs'

// The longest that one test may take, in milliseconds.
const TIMEOUT = 90_000

/** The rows of a table that the Python suites walk too. */
export function scenarios(table) {
  return JSON.parse(readFileSync(new URL(`../../scenarios/${table}.json`, import.meta.url), 'utf8'))
}

export function law(claim, holds) {
  it(claim, { timeout: TIMEOUT }, holds)
}

/** What the laws of one SDK share: `sdk`, its sandbox `sbx`, the `daemon`, and `temp`, a directory fresh for each. */
class Shared {
  constructor(sdk) {
    this.sdk = sdk
    this.daemons = []
  }

  /** Starts a daemon that ends with these laws. */
  async startDaemon() {
    const daemon = await Daemon.start()
    this.daemons.push(daemon)
    return daemon
  }

  /** The result of a foreground command, or the error that carries its exit code. */
  outcome(cmd, options) {
    return this.told(this.sbx.commands.run(cmd, options))
  }

  /** What a promise of a result was kept with: the result or the error that stands for it. */
  async told(promise) {
    try {
      return await promise
    } catch (failure) {
      if (failure instanceof this.sdk.error('exit')) return failure
      throw failure
    }
  }

  /** Asserts that a promise is broken with a kind of failure, and returns that failure. */
  async refused(promise, kind, says = '') {
    const failure = await promise.then(
      () => assert.fail(`not refused, but should be as ${kind}`),
      (failure) => failure,
    )
    const type = this.sdk.error(kind)
    if (!(failure instanceof type)) throw new Error(`refused with another error than ${type.name}`, { cause: failure })
    assert.ok(failure.message.includes(says), `${says} in ${failure.message}`)
    return failure
  }
}

/** States laws for each SDK, or for those `where` a feature is there. */
export function laws(title, define, where = () => true) {
  for (const sdk of sdks.filter((sdk) => where(sdk.features))) {
    const $ = new Shared(sdk)
    describe(`${sdk.name}: ${title}`, () => {
      before(async () => {
        $.daemon = await $.startDaemon()
        assert.equal(await $.daemon.init({ defaultUser: 'user' }), 204)
        $.sbx = await sdk.sandbox($.daemon.url)
      })
      after(async () => {
        for (const daemon of $.daemons) await daemon.stop()
      })
      beforeEach(() => {
        $.temp = mkdtempSync(join(tmpdir(), 'thawd-sdk-'))
        chmodSync($.temp, 0o777)
      })
      afterEach(async (test) => {
        rmSync($.temp, { recursive: true })
        if (!test.passed) for (const { port, tail } of $.daemons.map((each) => ({ port: each.port, tail: each.tail() }))) {
          console.log(`--- ${test.name}: log of the daemon on port ${port}\n${tail}`)
        }
        assert.ok($.daemon.running(), 'the daemon ended')
        await nothingLeft($.sbx)
      })
      define($)
    })
  }
}

/** Asserts that a test left no command behind, and ends those it left. */
async function nothingLeft(sbx) {
  try {
    await until(async () => (await sbx.commands.list()).length === 0, 'no command left behind', 5000)
  } catch {
    const left = await sbx.commands.list()
    await Promise.all(left.map(({ pid }) => sbx.commands.kill(pid)))
    if (left.length) assert.fail(`commands left behind: ${JSON.stringify(left)}`)
  }
}
