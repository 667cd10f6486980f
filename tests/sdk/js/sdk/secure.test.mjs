// A daemon with an access token: who gets in, and what a signed URL opens.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { before } from 'node:test'

import { law, laws } from '../support/laws.mjs'

const TOKEN = '3f'.repeat(32)

/** An upload as a browser sends it; the status of the answer. */
async function upload(url, content) {
  const body = new FormData()
  body.append('file', new Blob([content]), 'ignored')
  return (await fetch(url, { method: 'POST', body })).status
}

/** A URL signed with the rule of the SDKs, whose end was a minute ago. */
function expired(url, path, operation) {
  const end = Math.floor(Date.now() / 1000) - 60
  const digest = createHash('sha256').update(`${path}:${operation}::${TOKEN}:${end}`).digest('base64').replace(/=+$/, '')
  const query = new URLSearchParams({ path, signature: `v1_${digest}`, signature_expiration: `${end}` })
  return `${url.split('?')[0]}?${query}`
}

laws('a token', ($) => {
  let secured, owner

  before(async () => {
    secured = await $.startDaemon()
    assert.equal(await secured.init({ accessToken: TOKEN, defaultUser: 'user' }), 204)
    owner = $.sdk.secured(secured.url, TOKEN)
  })

  law('opens everything', async () => {
    assert.equal((await owner.commands.run('echo in')).stdout, 'in\n')
    await owner.files.write(`${$.temp}/file`, 'text')
    assert.equal(await owner.files.read(`${$.temp}/file`), 'text')
  })

  for (const [who, token] of [['nobody', undefined], ['a wrong token', '0'.repeat(64)]]) {
    law(`${who} opens nothing but health`, async () => {
      const stranger = $.sdk.secured(secured.url, token)
      assert.equal(await stranger.isRunning(), true)
      writeFileSync(`${$.temp}/file`, 'secret')
      for (const call of [
        () => stranger.commands.run('echo in'),
        () => stranger.commands.list(),
        () => stranger.commands.kill(1),
        () => stranger.files.list($.temp),
        () => stranger.files.exists($.temp),
        () => stranger.files.remove(`${$.temp}/file`),
        () => stranger.files.watchDir($.temp, () => {}),
        () => stranger.files.read(`${$.temp}/file`),
        () => stranger.files.write(`${$.temp}/other`, 'x'),
      ]) {
        await $.refused(call(), 'unauthenticated')
      }
      assert.deepEqual(readdirSync($.temp), ['file'])
    })
  }

  law('signs downloads', async () => {
    writeFileSync(`${$.temp}/a file&more`, 'content')
    for (const options of [{}, { useSignatureExpiration: 60 }]) {
      const answer = await fetch(await owner.downloadUrl(`${$.temp}/a file&more`, options))
      assert.deepEqual([answer.status, await answer.text()], [200, 'content'])
    }
  })

  law('signs uploads', async () => {
    for (const options of [{}, { useSignatureExpiration: 60 }, { user: 'user' }]) {
      assert.equal(await upload(await owner.uploadUrl(`${$.temp}/file`, options), JSON.stringify(options)), 200)
      assert.equal(readFileSync(`${$.temp}/file`, 'utf8'), JSON.stringify(options))
    }
  })

  law('does not sign beyond the end', async () => {
    writeFileSync(`${$.temp}/file`, 'content')
    const answer = await fetch(expired(await owner.downloadUrl(`${$.temp}/file`), `${$.temp}/file`, 'read'))
    assert.equal(answer.status, 401)
    assert.deepEqual(await answer.json(), { code: 401, message: 'signature is already expired' })
    assert.equal(await upload(expired(await owner.uploadUrl(`${$.temp}/new`), `${$.temp}/new`, 'write'), 'x'), 401)
    assert.ok(!existsSync(`${$.temp}/new`))
  })

  law('signs only what it was asked to', async () => {
    for (const name of ['file', 'other']) writeFileSync(`${$.temp}/${name}`, 'content')
    const url = await owner.downloadUrl(`${$.temp}/file`)
    for (const wrong of [url.replace('file&', 'other&'), `${url}x`, `${url}&username=user`, url.split('&signature')[0]]) {
      assert.notEqual(wrong, url)
      assert.equal((await fetch(wrong)).status, 401, wrong)
    }
    assert.equal(await upload(url, 'x'), 401)
  })
})
