// The SDK that PROGRAMS_SDK names, what its two packages call differently, and waiting with a deadline.

import assert from 'node:assert/strict'
import { request } from 'node:http'

export const NAME = process.env.PROGRAMS_SDK
const PREFIX = { e2b: 'E2B', novita: 'NOVITA' }[NAME]
export const API = process.env[`${PREFIX}_API_URL`]
export const PROXY = process.env[`${PREFIX}_SANDBOX_URL`]
// Deadlines are for emulated VMs on two cores; a slower machine says how much slower it is.
export const SCALE = Number(process.env.PROGRAMS_SCALE ?? 1)

const sdk = await import({ e2b: 'e2b', novita: 'novita-sandbox' }[NAME])
export const { Sandbox, InvalidArgumentError, SandboxError } = sdk
export const NotFoundError = NAME === 'e2b' ? sdk.SandboxNotFoundError : sdk.NotFoundError

/** Returns the first true answer of `condition`, or fails with what it was to be. */
export async function until(condition, says, deadline = 30_000) {
  const end = Date.now() + deadline * SCALE
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    assert.ok(Date.now() < end, `after ${deadline * SCALE} ms still not: ${says}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** The error, of this class, that a promise must be broken with. */
export async function refused(promise, kind = Error, says = '') {
  const error = await promise.then(
    (answer) => assert.fail(`not refused but answered with ${JSON.stringify(answer)}`),
    (error) => error,
  )
  if (!(error instanceof kind)) throw new Error(`refused with another error than ${kind.name}`, { cause: error })
  assert.ok(error.message.includes(says), `${says} in ${error.message}`)
  return error
}

/** Seconds until the end of a sandbox, as its info says. */
export const secondsLeft = ({ endAt }) => (endAt.getTime() - Date.now()) / 1000

/** Whether a timeout of so many seconds was set just now; calls before the look may have taken a while. */
export const near = (left, wanted) => left > wanted - 20 * SCALE && left <= wanted + 1

/** `running` or `paused`, or `gone`. */
export async function state(sandboxId) {
  try {
    return (await Sandbox.getInfo(sandboxId)).state
  } catch (error) {
    if (error instanceof NotFoundError) return 'gone'
    throw error
  }
}

/** All items of a paginator, and the number of pages. */
export async function pages(paginator) {
  const found = []
  let count = 0
  while (paginator.hasNext) {
    found.push(...(await paginator.nextItems()))
    count += 1
  }
  return [found, count]
}

/** How often the guest was woken, as its agent counts. */
export async function resumes(sandbox) {
  return Number(/^generation=(\d+)$/m.exec(await sandbox.files.read('/run/thawd/generation'))[1])
}

/** Opens a request to a port of a sandbox, by the host name that `getHost` gave, which need not resolve here. */
export function ask(host, path = '/', { method = 'GET', headers = {} } = {}) {
  const { hostname, port } = new URL(PROXY)
  return request({ hostname, port, path, method, headers: { host, ...headers }, agent: false, timeout: 60_000 * SCALE })
}

/** A request to a port of a sandbox: `status`, `headers`, `text`. */
export function preview(host, path = '/', options = {}) {
  return new Promise((resolve, reject) => {
    const asked = ask(host, path, options)
    asked.on('error', reject)
    asked.on('response', async (answer) => {
      try {
        let text = ''
        for await (const part of answer.setEncoding('utf8')) text += part
        resolve({ status: answer.statusCode, headers: answer.headers, text })
      } catch (error) {
        reject(error)
      }
    })
    asked.end(options.body)
  })
}

/** A request to the control plane without the SDK. */
export async function api(method, path, body) {
  const headers = { 'content-type': 'application/json', 'x-api-key': process.env[`${PREFIX}_API_KEY`] }
  const answer = await fetch(`${API}${path}`, { method, headers, body: body && JSON.stringify(body) })
  return { status: answer.status, json: await answer.json() }
}
