// Watches: what a caller is told, over one stream, of changes below a directory.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'

import { law, laws } from '../support/laws.mjs'
import { until } from '../support/wait.mjs'

/** Runs `use` with a watch whose events collect in `raw`, and stops it. */
async function watching($, path, options, use) {
  const raw = []
  const exits = []
  const handle = await $.sbx.files.watchDir(path, (event) => void raw.push(event), {
    onExit: (failure) => void exits.push(failure),
    ...options,
  })
  const events = () => raw.map(({ type, name }) => `${type} ${name}`)
  /** Waits until each expected event was told. */
  const tells = (...expected) =>
    until(
      () => expected.every((one) => events().includes(one)),
      () => `${JSON.stringify(expected)} in ${JSON.stringify(events())}`,
    )
  try {
    await use({ raw, events, tells })
    assert.deepEqual(exits, [], 'the watch ended by itself')
  } finally {
    await handle.stop()
  }
}

laws('watches', ($) => {
  law('a file is told from its making to its removal', () =>
    watching($, $.temp, {}, async (told) => {
      const path = `${$.temp}/file`
      writeFileSync(path, 'text')
      await told.tells('create file', 'write file')
      chmodSync(path, 0o600)
      await told.tells('chmod file')
      unlinkSync(path)
      await told.tells('remove file')
    }))

  law('a rename is told under both names', async () => {
    writeFileSync(`${$.temp}/old`, '')
    await watching($, $.temp, {}, async (told) => {
      renameSync(`${$.temp}/old`, `${$.temp}/new`)
      await told.tells('rename old', 'create new')
    })
  })

  law('what the SDK and what commands change is told', () =>
    watching($, $.temp, {}, async (told) => {
      await $.sbx.files.write(`${$.temp}/a b`, 'text')
      await $.sbx.commands.run(`mkdir ${$.temp}/dir`)
      await told.tells('create a b', 'write a b', 'create dir')
    }))

  law('nothing below a subdirectory is told without recursion', async () => {
    mkdirSync(`${$.temp}/sub`)
    await watching($, $.temp, {}, async (told) => {
      writeFileSync(`${$.temp}/sub/inner`, '')
      writeFileSync(`${$.temp}/last`, '')
      await told.tells('create last')
      assert.ok(!told.events().some((event) => event.includes('inner')))
    })
  })

  law('a recursive watch tells relative names and follows new directories', async () => {
    mkdirSync(`${$.temp}/a/b`, { recursive: true })
    await watching($, $.temp, { recursive: true }, async (told) => {
      writeFileSync(`${$.temp}/a/b/file`, 'x')
      await told.tells('create a/b/file', 'write a/b/file')
      mkdirSync(`${$.temp}/new/deep`, { recursive: true })
      writeFileSync(`${$.temp}/new/deep/file`, '')
      await told.tells('create new', 'create new/deep', 'create new/deep/file')
      renameSync(`${$.temp}/new`, `${$.temp}/moved`)
      await told.tells('rename new', 'create moved')
      writeFileSync(`${$.temp}/moved/deep/other`, '')
      await told.tells('create moved/deep/other')
    })
  })

  law('short-lived directories do not end a recursive watch', () =>
    watching($, $.temp, { recursive: true }, async (told) => {
      for (let n = 0; n < 200; n++) {
        mkdirSync(`${$.temp}/${n}/x`, { recursive: true })
        rmSync(`${$.temp}/${n}`, { recursive: true })
      }
      writeFileSync(`${$.temp}/still`, '')
      await told.tells('create still')
    }))

  law('a thousand events arrive in order', () =>
    watching($, $.temp, {}, async (told) => {
      const names = Array.from({ length: 1000 }, (_, n) => `${n}`)
      for (const name of names) mkdirSync(`${$.temp}/${name}`)
      await told.tells('create 999')
      assert.deepEqual(told.events(), names.map((name) => `create ${name}`))
    }))

  law('watching what is no directory is an error', async () => {
    writeFileSync(`${$.temp}/file`, '')
    await $.refused($.sbx.files.watchDir(`${$.temp}/file`, () => {}), 'invalid_argument')
    await $.refused($.sbx.files.watchDir(`${$.temp}/missing`, () => {}), 'not_found')
  })

  law('watching a symlink watches its target', async () => {
    mkdirSync(`${$.temp}/target`)
    symlinkSync('target', `${$.temp}/link`)
    await watching($, `${$.temp}/link`, {}, async (told) => {
      writeFileSync(`${$.temp}/target/file`, '')
      await told.tells('create file')
    })
  })

  law('a watch ends with an error after its time', async () => {
    const exits = []
    await $.sbx.files.watchDir($.temp, () => {}, { timeoutMs: 500, onExit: (failure) => void exits.push(failure) })
    await until(() => exits.length, 'the watch ended')
    assert.ok(exits[0] instanceof $.sdk.error('timeout'), `${exits[0]}`)
  })
})

laws(
  'entries in watches',
  ($) => {
    law('events carry the entry of what still exists', () =>
      watching($, $.temp, { includeEntry: true, recursive: true, allowNetworkMounts: true }, async (told) => {
        const path = `${$.temp}/file`
        writeFileSync(path, '12345')
        await told.tells('create file', 'write file')
        unlinkSync(path)
        await told.tells('remove file')
        const entries = told.raw.filter(({ entry }) => entry).map(({ entry }) => entry)
        assert.ok(entries.length > 0)
        for (const entry of entries) assert.deepEqual([entry.name, entry.path], ['file', path])
        for (const { type, entry } of told.raw) if (type === 'remove') assert.equal(entry, undefined)
      }))
  },
  ({ entries }) => entries,
)
