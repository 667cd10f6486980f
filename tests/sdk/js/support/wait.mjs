// Waiting on a condition with a deadline; no test sleeps for any other reason.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

// The longest that anything local may take on a loaded two-core machine, in milliseconds.
export const DEADLINE = 20_000
// How long to wait between two looks, in milliseconds.
const PAUSE = 20

/** Returns the first true answer of `condition`, or fails with what it was `says` to be. */
export async function until(condition, says, deadline = DEADLINE) {
  const end = Date.now() + deadline
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    if (Date.now() > end) {
      assert.fail(`after ${deadline} ms still not: ${typeof says === 'function' ? says() : says}`)
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
}

/** Whether a process still runs; a zombie does not. */
export function alive(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0])
  } catch {
    return false
  }
}

/** Cleans up after a command that was meant to go on. */
export function end(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (gone) {
    if (gone.code !== 'ESRCH') throw gone
  }
}

/** Holds commands that run `: < path` until it is opened: opening a FIFO waits for its other end. */
export class Gate {
  #end

  constructor(directory) {
    this.path = join(directory, 'gate')
    execFileSync('mkfifo', ['-m', '666', this.path])
  }

  /** Lets everybody through, those who come later too. */
  open() {
    this.#end ??= openSync(this.path, constants.O_RDWR)
  }

  close() {
    if (this.#end !== undefined) closeSync(this.#end)
  }
}
