// Files: reading, writing and looking around.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync, createReadStream, existsSync, mkdirSync, openSync, closeSync, readFileSync, readdirSync, readlinkSync,
  realpathSync, statSync, symlinkSync, writeFileSync, writeSync,
} from 'node:fs'
import { basename } from 'node:path'

import { law, laws, scenarios } from '../support/laws.mjs'

const BYTES = randomBytes(100_003)
// The ways an upload can travel.
const WAYS = { multipart: {}, octets: { useOctetStream: true }, gzip: { gzip: true } }
const CONTENTS = {
  'an empty file': '',
  'a text': 'Hello, world!',
  'unicode text': 'žluťoučký 漢字 🎈',
  'every byte': Buffer.from(Array.from({ length: 256 }, (_, n) => n)),
  'what is no text': BYTES,
  'a boundary': '--boundary\r\nContent-Disposition: form-data\r\n\r\n--boundary--',
}

const arrayBuffer = (data) =>
  typeof data === 'string' ? data : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength)
const ownerOf = (path) => execFileSync('stat', ['-c', '%U', path], { encoding: 'utf8' }).trim()

/** A stream of a buffer in pieces. */
function streamOf(data, size) {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) return controller.close()
      controller.enqueue(new Uint8Array(data.subarray(at, at + size)))
      at += size
    },
  })
}

/** Size and hash of a stream of bytes. */
async function digestOf(chunks) {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    hash.update(chunk)
  }
  return { size, digest: hash.digest('hex') }
}

/** a/{b/{c/file}, file}, link -> a */
function tree(temp) {
  mkdirSync(`${temp}/a/b/c`, { recursive: true })
  for (const path of ['a/b/c/file', 'a/file']) writeFileSync(`${temp}/${path}`, '')
  symlinkSync('a', `${temp}/link`)
}

laws('writing', ($) => {
  for (const [content, data] of Object.entries(CONTENTS)) {
    for (const [way, options] of Object.entries(WAYS)) {
      law(`${content} is written as ${way}`, async () => {
        const told = await $.sbx.files.write(`${$.temp}/file`, arrayBuffer(data), options)
        assert.deepEqual([told.name, told.path, told.type], ['file', `${$.temp}/file`, 'file'])
        assert.ok(readFileSync(`${$.temp}/file`).equals(Buffer.from(data)))
      })
    }
  }

  for (const [way, options] of Object.entries(WAYS)) {
    law(`several files are written in one call as ${way}`, async () => {
      const files = Array.from({ length: 20 }, (_, n) => ({ path: `${$.temp}/${n % 3}/file ${n}.txt`, data: `number ${n}` }))
      const told = await $.sbx.files.write(files, options)
      assert.deepEqual(told.map(({ path }) => path), files.map(({ path }) => path))
      for (const { path, data } of files) assert.equal(readFileSync(path, 'utf8'), data)
    })

    law(`writing a directory as ${way} is an invalid argument`, () =>
      $.refused($.sbx.files.write($.temp, 'text', options), 'invalid_argument'))

    law(`a full disk is not enough space as ${way}`, async () => {
      mkdirSync(`${$.temp}/disk`)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'thawd-sdk', `${$.temp}/disk`])
      try {
        const data = arrayBuffer(randomBytes(3 << 20))
        await $.refused($.sbx.files.write(`${$.temp}/disk/file`, data, options), 'not_enough_space')
      } finally {
        execFileSync('umount', [`${$.temp}/disk`])
      }
    })
  }

  law('a blob and a stream are written as their bytes', async () => {
    await $.sbx.files.write(`${$.temp}/blob`, new Blob([BYTES]))
    await $.sbx.files.write(`${$.temp}/stream`, streamOf(BYTES, 1000))
    await $.sbx.files.write(`${$.temp}/octets`, streamOf(BYTES, 1000), { useOctetStream: true })
    for (const name of ['blob', 'stream', 'octets']) assert.ok(readFileSync(`${$.temp}/${name}`).equals(BYTES), name)
  })

  law('missing directories are made for a write and belong to the user', async () => {
    await $.sbx.files.write(`${$.temp}/a/b c/ď/file`, 'deep', { user: 'user' })
    assert.equal(readFileSync(`${$.temp}/a/b c/ď/file`, 'utf8'), 'deep')
    for (const path of ['a', 'a/b c', 'a/b c/ď', 'a/b c/ď/file']) assert.equal(ownerOf(`${$.temp}/${path}`), 'user')
    assert.equal(statSync(`${$.temp}/a/b c/ď/file`).mode & 0o777, 0o644)
  })

  law('overwriting keeps the inode and the mode and truncates', async () => {
    const path = `${$.temp}/file`
    writeFileSync(path, 'a much longer text than the next one')
    chmodSync(path, 0o755)
    const before = statSync(path).ino
    await $.sbx.files.write(path, 'short')
    const { ino, mode } = statSync(path)
    assert.deepEqual([readFileSync(path, 'utf8'), ino, mode & 0o777], ['short', before, 0o755])
  })

  law('a user writes where only root may', async () => {
    mkdirSync(`${$.temp}/locked`, 0o700)
    await $.sbx.files.write(`${$.temp}/locked/file`, 'written', { user: 'user' })
    assert.equal(await $.sbx.files.read(`${$.temp}/locked/file`, { user: 'user' }), 'written')
    assert.equal(ownerOf(`${$.temp}/locked/file`), 'user')
  })

  law('an unknown user may not read or write', async () => {
    const user = 'nobody-by-this-name'
    await $.refused($.sbx.files.write(`${$.temp}/file`, 'x', { user }), 'unauthenticated')
    await $.refused($.sbx.files.read('/etc/passwd', { user }), 'unauthenticated')
    await $.refused($.sbx.files.list('/', { user }), 'unauthenticated')
  })
})

laws('reading', ($) => {
  for (const [content, data] of Object.entries(CONTENTS)) {
    for (const gzip of [false, true]) {
      law(`${content} is read${gzip ? ' with gzip' : ''}`, async () => {
        const path = `${$.temp}/file`
        writeFileSync(path, data)
        assert.ok(Buffer.from(await $.sbx.files.read(path, { format: 'bytes', gzip })).equals(Buffer.from(data)))
        const blob = await $.sbx.files.read(path, { format: 'blob', gzip })
        assert.ok(Buffer.from(await blob.arrayBuffer()).equals(Buffer.from(data)))
        const chunks = []
        for await (const chunk of await $.sbx.files.read(path, { format: 'stream', gzip })) chunks.push(chunk)
        assert.ok(Buffer.concat(chunks).equals(Buffer.from(data)))
        if (typeof data === 'string') assert.equal(await $.sbx.files.read(path, { gzip }), data)
      })
    }
  }

  for (const format of ['text', 'bytes', 'blob', 'stream']) {
    law(`reading what is missing as ${format} is not found`, () =>
      $.refused($.sbx.files.read(`${$.temp}/missing`, { format }), 'file_not_found', `${$.temp}/missing`))
  }

  law('reading a directory is an invalid argument', () => $.refused($.sbx.files.read($.temp), 'invalid_argument'))

  law('files without a size are read whole', async () => {
    assert.equal(await $.sbx.files.read('/proc/version'), readFileSync('/proc/version', 'utf8'))
  })
})

laws('names', ($) => {
  law('every name survives', async () => {
    const names = scenarios('names')
    for (const name of names) {
      const told = await $.sbx.files.write(`${$.temp}/${name}`, name)
      assert.deepEqual([told.name, told.path], [name, `${$.temp}/${name}`])
    }
    assert.deepEqual(readdirSync($.temp).sort(), [...names].sort())
    for (const name of names) {
      assert.equal(await $.sbx.files.read(`${$.temp}/${name}`), name)
      assert.equal((await $.sbx.files.getInfo(`${$.temp}/${name}`)).name, name)
    }
    assert.deepEqual((await $.sbx.files.list($.temp)).map(({ name }) => name).sort(), [...names].sort())
    for (const name of names) {
      await $.sbx.files.rename(`${$.temp}/${name}`, `${$.temp}/${name}~`)
      await $.sbx.files.remove(`${$.temp}/${name}~`)
    }
    assert.deepEqual(readdirSync($.temp), [])
  })

  law('a relative path and a tilde start at home', async () => {
    const name = `thawd-sdk-js-${process.pid}`
    for (const path of [`${name}/one`, `~/${name}/two`]) {
      const told = await $.sbx.files.write(path, 'here', { user: 'user' })
      assert.equal(told.path, `/home/user/${name}/${told.name}`)
    }
    const listed = await $.sbx.files.list(name, { user: 'user' })
    assert.deepEqual(listed.map(({ name }) => name), ['one', 'two'])
    await $.sbx.files.remove(`~/${name}`, { user: 'user' })
    assert.ok(!existsSync(`/home/user/${name}`))
  })
})

laws('entries', ($) => {
  law('exists is about the name', async () => {
    writeFileSync(`${$.temp}/file`, '')
    symlinkSync('nowhere', `${$.temp}/dangling`)
    assert.equal(await $.sbx.files.exists(`${$.temp}/file`), true)
    assert.equal(await $.sbx.files.exists(`${$.temp}/dangling`), true)
    assert.equal(await $.sbx.files.exists(`${$.temp}/missing`), false)
  })

  law('info of a file is complete', async () => {
    const path = `${$.temp}/file`
    writeFileSync(path, BYTES)
    chmodSync(path, 0o640)
    const info = await $.sbx.files.getInfo(path)
    assert.deepEqual([info.name, info.path, info.type, info.size], ['file', path, 'file', BYTES.length])
    assert.deepEqual([info.mode, info.permissions], [0o640, '-rw-r-----'])
    assert.deepEqual([info.owner, info.group, info.symlinkTarget], ['root', 'root', undefined])
    assert.ok(Math.abs(info.modifiedTime - statSync(path).mtimeMs) < 2)
  })

  law('info of a symlink names its target', async () => {
    writeFileSync(`${$.temp}/target`, '')
    symlinkSync('target', `${$.temp}/link`)
    const info = await $.sbx.files.getInfo(`${$.temp}/link`)
    assert.deepEqual([info.name, info.symlinkTarget], ['link', realpathSync(`${$.temp}/target`)])
  })

  const LISTINGS = {
    1: ['a', 'link'],
    2: ['a', 'a/b', 'a/file', 'link'],
    9: ['a', 'a/b', 'a/b/c', 'a/b/c/file', 'a/file', 'link'],
  }
  for (const [depth, paths] of Object.entries(LISTINGS)) {
    law(`a listing of depth ${depth} is sorted and complete`, async () => {
      tree($.temp)
      const listed = await $.sbx.files.list($.temp, { depth: Number(depth) })
      assert.deepEqual(listed.map(({ path }) => path), paths.map((path) => `${$.temp}/${path}`))
      assert.deepEqual(listed.map(({ name }) => name), paths.map((path) => basename(path)))
    })
  }

  law('listing what is no directory is an error', async () => {
    writeFileSync(`${$.temp}/file`, '')
    await $.refused($.sbx.files.list(`${$.temp}/missing`), 'file_not_found')
    await $.refused($.sbx.files.list(`${$.temp}/file`), 'invalid_argument')
  })

  law('a directory is made once with its parents', async () => {
    assert.equal(await $.sbx.files.makeDir(`${$.temp}/x/y/z`, { user: 'user' }), true)
    assert.equal(await $.sbx.files.makeDir(`${$.temp}/x/y/z`, { user: 'user' }), false)
    for (const path of ['x', 'x/y', 'x/y/z']) assert.equal(ownerOf(`${$.temp}/${path}`), 'user')
    writeFileSync(`${$.temp}/file`, '')
    await $.refused($.sbx.files.makeDir(`${$.temp}/file`), 'invalid_argument')
  })

  law('a rename moves, makes parents and tells the new entry', async () => {
    writeFileSync(`${$.temp}/old`, 'same')
    const info = await $.sbx.files.rename(`${$.temp}/old`, `${$.temp}/new/place/name`)
    assert.deepEqual([info.name, info.path], ['name', `${$.temp}/new/place/name`])
    assert.equal(readFileSync(`${$.temp}/new/place/name`, 'utf8'), 'same')
    symlinkSync('nowhere', `${$.temp}/link`)
    await $.sbx.files.rename(`${$.temp}/link`, `${$.temp}/moved`)
    assert.equal(readlinkSync(`${$.temp}/moved`), 'nowhere')
    await $.refused($.sbx.files.rename(`${$.temp}/missing`, `${$.temp}/other`), 'file_not_found')
  })

  law('a removal takes files, trees and links but not their targets', async () => {
    tree($.temp)
    await $.sbx.files.remove(`${$.temp}/link`)
    assert.ok(existsSync(`${$.temp}/a/file`))
    await $.sbx.files.remove(`${$.temp}/a`)
    await $.sbx.files.remove(`${$.temp}/missing`)
    assert.deepEqual(readdirSync($.temp), [])
  })
})

laws(
  'metadata',
  ($) => {
    for (const [way, options] of Object.entries(WAYS)) {
      law(`metadata is stored, told and replaced as ${way}`, async () => {
        const path = `${$.temp}/file`
        const wanted = { author: 'me', purpose: 'a test' }
        const told = await $.sbx.files.write(path, 'x', { metadata: { Author: 'me', purpose: 'a test' }, ...options })
        assert.deepEqual({ ...told.metadata }, wanted)
        assert.deepEqual({ ...(await $.sbx.files.getInfo(path)).metadata }, wanted)
        assert.deepEqual((await $.sbx.files.write(path, 'y', options)).metadata, undefined)
        assert.deepEqual((await $.sbx.files.getInfo(path)).metadata, undefined)
      })
    }
  },
  ({ metadata }) => metadata,
)

laws('a quarter of a gigabyte', ($) => {
  const SIZE = 256 << 20

  /** 256 MiB that no compressor can shrink, and their hash. */
  function bigFile(path) {
    const block = randomBytes(1 << 20)
    const hash = createHash('sha256')
    const file = openSync(path, 'w')
    for (let n = 0; n < SIZE >> 20; n++) {
      block.writeUInt32BE(n)
      hash.update(block)
      writeSync(file, block)
    }
    closeSync(file)
    return { size: SIZE, digest: hash.digest('hex') }
  }

  law('goes up unchanged as a stream', async () => {
    const wanted = bigFile(`${$.temp}/source`)
    const source = ReadableStream.from(createReadStream(`${$.temp}/source`, { highWaterMark: 1 << 18 }))
    await $.sbx.files.write(`${$.temp}/uploaded`, source, { useOctetStream: true, requestTimeoutMs: 80_000 })
    assert.deepEqual(await digestOf(createReadStream(`${$.temp}/uploaded`)), wanted)
  })

  law('goes up unchanged as a form', async () => {
    const wanted = bigFile(`${$.temp}/source`)
    const blob = new Blob([readFileSync(`${$.temp}/source`)])
    await $.sbx.files.write(`${$.temp}/uploaded`, blob, { requestTimeoutMs: 80_000 })
    assert.deepEqual(await digestOf(createReadStream(`${$.temp}/uploaded`)), wanted)
  })

  law('comes down unchanged as a stream', async () => {
    const wanted = bigFile(`${$.temp}/source`)
    const stream = await $.sbx.files.read(`${$.temp}/source`, { format: 'stream', requestTimeoutMs: 80_000 })
    assert.deepEqual(await digestOf(stream), wanted)
  })

  law('comes down unchanged in one piece', async () => {
    const wanted = bigFile(`${$.temp}/source`)
    const data = await $.sbx.files.read(`${$.temp}/source`, { format: 'bytes', requestTimeoutMs: 80_000 })
    assert.deepEqual(await digestOf([data]), wanted)
  })
})
