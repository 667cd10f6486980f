// filesystem.Filesystem through connect-node: each protocol, codec and HTTP version that a client library may choose.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'

import { Code } from '@connectrpc/connect'

import { law } from '../support/laws.mjs'
import { EventType, FileType } from '../support/protocol.mjs'
import { until } from '../support/wait.mjs'
import { onEachWire } from '../support/wires.mjs'

const names = (entries) => entries.map(({ name }) => name)

onEachWire('Filesystem', ($) => {
  law('an entry is told completely', async () => {
    const path = `${$.temp}/žluťoučký 漢字`
    writeFileSync(path, '12345', { mode: 0o640 })
    const { entry } = await $.files.stat({ path })
    assert.deepEqual([entry.name, entry.path, entry.size], ['žluťoučký 漢字', path, 5n])
    assert.deepEqual([entry.type, entry.mode, entry.permissions], [FileType.FILE, 0o640, '-rw-r-----'])
    assert.deepEqual([entry.owner, entry.group, entry.symlinkTarget], ['root', 'root', undefined])
    assert.equal(Number(entry.modifiedTime.seconds), Math.floor(statSync(path).mtimeMs / 1000))
  })

  law('a symlink has the type of its target', async () => {
    symlinkSync('.', `${$.temp}/link`)
    symlinkSync('nowhere', `${$.temp}/dangling`)
    const { entry } = await $.files.stat({ path: `${$.temp}/link` })
    assert.deepEqual([entry.type, entry.symlinkTarget], [FileType.DIRECTORY, $.temp])
    const dangling = (await $.files.stat({ path: `${$.temp}/dangling` })).entry
    assert.equal(dangling.type, FileType.UNSPECIFIED)
  })

  law('directories are made, listed, moved and removed', async () => {
    const made = await $.files.makeDir({ path: `${$.temp}/a/b` })
    assert.deepEqual([made.entry.name, made.entry.type], ['b', FileType.DIRECTORY])
    await $.refused($.files.makeDir({ path: `${$.temp}/a` }), Code.AlreadyExists)
    writeFileSync(`${$.temp}/a/file`, '')
    assert.deepEqual(names((await $.files.listDir({ path: $.temp })).entries), ['a'])
    assert.deepEqual(names((await $.files.listDir({ path: $.temp, depth: 2 })).entries), ['a', 'b', 'file'])
    const { entry } = await $.files.move({ source: `${$.temp}/a`, destination: `${$.temp}/z/y` })
    assert.equal(entry.path, `${$.temp}/z/y`)
    await $.files.remove({ path: `${$.temp}/z` })
    assert.ok(!existsSync(`${$.temp}/z`))
    await $.files.remove({ path: `${$.temp}/z` })
  })

  law('failures have their code', async () => {
    writeFileSync(`${$.temp}/file`, '')
    symlinkSync('loop', `${$.temp}/loop`)
    await $.refused($.files.stat({ path: `${$.temp}/missing` }), Code.NotFound)
    await $.refused($.files.stat({ path: '~other/x' }), Code.InvalidArgument)
    await $.refused($.files.listDir({ path: `${$.temp}/missing` }), Code.NotFound)
    await $.refused($.files.listDir({ path: `${$.temp}/file` }), Code.InvalidArgument)
    await $.refused($.files.listDir({ path: `${$.temp}/loop` }), Code.FailedPrecondition)
    await $.refused($.files.makeDir({ path: `${$.temp}/file` }), Code.InvalidArgument)
    await $.refused($.files.move({ source: `${$.temp}/missing`, destination: `${$.temp}/x` }), Code.NotFound)
    await $.refused($.files.createWatcher({ path: `${$.temp}/missing` }), Code.NotFound)
    await $.refused($.files.createWatcher({ path: `${$.temp}/file` }), Code.InvalidArgument)
    await $.refused($.files.getWatcherEvents({ watcherId: 'none' }), Code.NotFound)
    await $.refused($.files.removeWatcher({ watcherId: 'none' }), Code.NotFound)
    const watch = $.files.watchDir({ path: `${$.temp}/missing` })[Symbol.asyncIterator]()
    await $.refused(watch.next(), Code.NotFound)
  })

  law('a watch is a start and then events', async () => {
    const controller = new AbortController()
    const stream = $.files.watchDir({ path: $.temp, includeEntry: true }, { signal: controller.signal })
    const events = stream[Symbol.asyncIterator]()
    assert.equal((await events.next()).value.event.case, 'start')
    mkdirSync(`${$.temp}/new`)
    const { case: kind, value } = (await events.next()).value.event
    assert.deepEqual([kind, value.name, value.type], ['filesystem', 'new', EventType.CREATE])
    assert.equal(value.entry.path, `${$.temp}/new`)
    controller.abort()
    await $.refused(events.next(), Code.Canceled)
  })

  law('a watch tells that it lives when asked to', async () => {
    const controller = new AbortController()
    const call = { headers: { 'Keepalive-Ping-Interval': '1' }, signal: controller.signal }
    const events = $.files.watchDir({ path: $.temp }, call)[Symbol.asyncIterator]()
    assert.equal((await events.next()).value.event.case, 'start')
    assert.equal((await events.next()).value.event.case, 'keepalive')
    controller.abort()
    await $.refused(events.next(), Code.Canceled)
  })

  law('a watcher is made, drained and removed', async () => {
    const { watcherId } = await $.files.createWatcher({ path: $.temp, recursive: true })
    mkdirSync(`${$.temp}/new`)
    const told = await until(async () => {
      const { events } = await $.files.getWatcherEvents({ watcherId })
      return events.length && events
    }, 'an event')
    assert.deepEqual([told[0].name, told[0].type, told[0].entry], ['new', EventType.CREATE, undefined])
    assert.deepEqual((await $.files.getWatcherEvents({ watcherId })).events, [])
    await $.files.removeWatcher({ watcherId })
    await $.refused($.files.getWatcherEvents({ watcherId }), Code.NotFound)
  })

  law('a listing of five thousand entries is one answer', async () => {
    for (let n = 0; n < 5000; n++) writeFileSync(`${$.temp}/${`${n}`.padStart(4, '0')}`, '')
    const { entries } = await $.files.listDir({ path: $.temp })
    assert.equal(entries.length, 5000)
    assert.deepEqual([entries[0].name, entries.at(-1).name], ['0000', '4999'])
  })
})
