// The status page in a browser: what the SDK does shows at once, and nothing that a client says becomes code.

import assert from 'node:assert/strict'

import { Sandbox } from 'e2b'
import { chromium } from 'playwright-core'

const scale = Number(process.env.PROGRAMS_SCALE ?? 1)
const evil = '<script>window.broken = 1</script><img src=x onerror="window.broken = 2">'

const browser = await chromium.launch({
  executablePath: process.env.PROGRAMS_CHROMIUM ?? '/usr/bin/chromium-headless-shell',
  // Root has no sandbox of its own.
  args: ['--no-sandbox'],
})
try {
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000 * scale)
  const wrong = []
  page.on('pageerror', (error) => wrong.push(`${error}`))
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()))
  await page.goto(`${process.env.E2B_API_URL}/`)
  // Lost by a reload.
  await page.evaluate(() => (window.first = true))

  const sandbox = await Sandbox.create({ timeoutMs: 300_000, metadata: { title: evil } })
  const row = page.locator('tr', { hasText: sandbox.sandboxId })
  await row.waitFor()
  await row.locator('.running').waitFor()
  assert.ok((await page.locator('body').innerText()).includes(evil), 'metadata is shown as it is')

  await sandbox.pause()
  await row.locator('.paused').waitFor()
  await sandbox.connect()
  await row.locator('.running').waitFor()
  await page.screenshot({ path: `${process.env.PROGRAMS_SHOT ?? 'page.png'}`, fullPage: true })
  await sandbox.kill()
  await row.waitFor({ state: 'detached' })

  assert.equal(await page.evaluate(() => window.first), true, 'the page was not loaded again')
  assert.equal(await page.evaluate(() => window.broken), undefined, 'metadata became code')
  assert.deepEqual(wrong, [])
} finally {
  await browser.close()
}
