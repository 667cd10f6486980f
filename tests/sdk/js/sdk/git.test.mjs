// The git helpers of the SDKs: they drive the git of the sandbox, here with repositories on the same disk only.

import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { law, laws } from '../support/laws.mjs'

laws('git', ($) => {
  /** Options that give the helpers a home of their own: no setting of the machine plays a part. */
  const own = (options) => ({ envs: { HOME: $.temp, GIT_CONFIG_NOSYSTEM: '1' }, ...options })

  /** A repository with one commit on main. */
  async function repository() {
    const path = `${$.temp}/repo`
    await $.sbx.git.init(path, own({ initialBranch: 'main' }))
    await $.sbx.git.configureUser('Ada', 'ada@example.org', own())
    writeFileSync(`${path}/README`, 'one\n')
    await $.sbx.git.add(path, own())
    await $.sbx.git.commit(path, 'first', own())
    return path
  }

  law('status follows a file from new to committed', async () => {
    const repo = await repository()
    writeFileSync(`${repo}/new.txt`, 'x')
    const fresh = await $.sbx.git.status(repo, own())
    assert.deepEqual([fresh.currentBranch, fresh.hasUntracked, fresh.hasStaged], ['main', true, false])
    assert.deepEqual(fresh.fileStatus.map(({ name }) => name), ['new.txt'])
    await $.sbx.git.add(repo, own({ files: ['new.txt'] }))
    assert.ok((await $.sbx.git.status(repo, own())).hasStaged)
    const author = { authorName: 'Grace', authorEmail: 'grace@example.org' }
    await $.sbx.git.commit(repo, 'it\'s "quoted" 漢字', own(author))
    assert.ok((await $.sbx.git.status(repo, own())).isClean)
    const log = await $.sbx.commands.run(`git -C ${repo} log -1 --format='%an|%ae|%s'`)
    assert.equal(log.stdout, 'Grace|grace@example.org|it\'s "quoted" 漢字\n')
  })

  law('branches are made, switched and deleted', async () => {
    const repo = await repository()
    await $.sbx.git.createBranch(repo, 'topic', own())
    const two = await $.sbx.git.branches(repo, own())
    assert.deepEqual([two.branches.sort(), two.currentBranch], [['main', 'topic'], 'topic'])
    await $.sbx.git.checkoutBranch(repo, 'main', own())
    await $.sbx.git.deleteBranch(repo, 'topic', own())
    const one = await $.sbx.git.branches(repo, own())
    assert.deepEqual([one.branches, one.currentBranch], [['main'], 'main'])
  })

  law('settings are kept per scope', async () => {
    const repo = await repository()
    await $.sbx.git.setConfig('pull.rebase', 'false', own({ scope: 'local', path: repo }))
    assert.equal(await $.sbx.git.getConfig('pull.rebase', own({ scope: 'local', path: repo })), 'false')
    assert.equal(await $.sbx.git.getConfig('user.name', own()), 'Ada')
    assert.equal(await $.sbx.git.getConfig('no.such', own()), undefined)
  })

  law('a local remote is pushed to, cloned and pulled', async () => {
    const repo = await repository()
    const bare = `${$.temp}/bare.git`
    await $.sbx.git.init(bare, own({ bare: true, initialBranch: 'main' }))
    assert.ok(existsSync(`${bare}/HEAD`))
    await $.sbx.git.remoteAdd(repo, 'origin', bare, own())
    assert.equal(await $.sbx.git.remoteGet(repo, 'origin', own()), bare)
    await $.sbx.git.push(repo, own({ remote: 'origin', branch: 'main' }))
    await $.sbx.git.clone(bare, own({ path: `${$.temp}/copy` }))
    writeFileSync(`${repo}/README`, 'two\n')
    await $.sbx.git.add(repo, own())
    await $.sbx.git.commit(repo, 'second', own())
    assert.equal((await $.sbx.git.status(repo, own())).ahead, 1)
    await $.sbx.git.push(repo, own())
    await $.sbx.git.pull(`${$.temp}/copy`, own())
    assert.equal(readFileSync(`${$.temp}/copy/README`, 'utf8'), 'two\n')
  })

  law('reset and restore undo', async () => {
    const repo = await repository()
    const readme = `${repo}/README`
    writeFileSync(readme, 'changed\n')
    await $.sbx.git.add(repo, own())
    await $.sbx.git.restore(repo, own({ paths: ['README'], staged: true }))
    assert.ok(!(await $.sbx.git.status(repo, own())).hasStaged)
    await $.sbx.git.restore(repo, own({ paths: ['README'] }))
    assert.equal(readFileSync(readme, 'utf8'), 'one\n')
    writeFileSync(readme, 'changed\n')
    await $.sbx.git.reset(repo, own({ mode: 'hard' }))
    assert.equal(readFileSync(readme, 'utf8'), 'one\n')
  })

  law('a failure of git is the exit of a command', async () => {
    const failure = await $.refused($.sbx.git.status($.temp, own()), 'exit')
    assert.equal(failure.exitCode, 128)
  })
})
