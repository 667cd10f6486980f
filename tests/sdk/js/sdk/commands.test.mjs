// Commands: what a caller sees of a program that runs in the sandbox.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'

import { law, laws, scenarios } from '../support/laws.mjs'
import { Gate, alive, end, until } from '../support/wait.mjs'

// Milliseconds that stand for "at once" on a loaded machine; what it tells apart would take forever.
const AT_ONCE = 10_000
const FOREVER = 'sleep 100000'

const sha256 = (data) => createHash('sha256').update(data).digest('hex')
const seq = (count) => Array.from({ length: count }, (_, n) => `${n + 1}\n`).join('')

/** Pseudo-random picks from a list, the same in each run. */
function picks(list, count) {
  let state = 1
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return list[(state >> 8) % list.length]
  })
}

laws('outcomes', ($) => {
  for (const row of scenarios('outcomes')) {
    law(row.law, async () => {
      const { user, cwd, envs } = row
      const told = await $.outcome(row.cmd.replaceAll('TEMP', $.temp), { user, cwd, envs })
      const exit = row.exit ?? 0
      const seen = { exit: told.exitCode, error: told.error || undefined }
      const wanted = { exit, error: row.error ?? (exit ? `exit status ${exit}` : undefined) }
      for (const stream of ['stdout', 'stderr']) {
        if (row[stream] === null) continue
        seen[stream] = told[stream]
        wanted[stream] = row[stream] ?? ''
      }
      assert.deepEqual(seen, wanted)
      assert.ok(told.stderr.includes(row.stderr_has ?? ''))
    })
  }
})

laws('refusals', ($) => {
  for (const row of scenarios('refusals')) {
    law(row.law, async () => {
      const { user, cwd } = row
      await $.refused($.sbx.commands.run(row.cmd, { user, cwd }), row.kind, row.says)
    })
  }
})

laws('commands', ($) => {
  law('the sandbox says that it runs', async () => {
    assert.equal(await $.sbx.isRunning(), true)
  })

  law('an argument of 100 kB passes', async () => {
    const told = await $.sbx.commands.run(`echo -n '${'x'.repeat(100_000)}' | wc -c`)
    assert.equal(told.stdout.trim(), '100000')
  })

  law('an argument that the kernel refuses is an error at once', async () => {
    const start = Date.now()
    await $.refused($.sbx.commands.run(`echo '${'x'.repeat(200_000)}'`), 'any')
    assert.ok(Date.now() - start < AT_ONCE)
  })

  law('the pid of a command is the one of its shell', async () => {
    const running = await $.sbx.commands.run('echo $$', { background: true })
    assert.equal((await running.wait()).stdout, `${running.pid}\n`)
  })

  law('list shows a command as it was asked for until it ends', async () => {
    const running = await $.sbx.commands.run(`exec ${FOREVER}`, {
      background: true,
      envs: { COLOR: 'green' },
      cwd: '/usr',
    })
    const [listed] = (await $.sbx.commands.list()).filter(({ pid }) => pid === running.pid)
    await running.kill()
    await $.told(running.wait())
    assert.deepEqual([listed.cmd, listed.args], ['/bin/bash', ['-l', '-c', `exec ${FOREVER}`]])
    assert.deepEqual({ ...listed.envs }, { COLOR: 'green' })
    assert.equal(listed.cwd, '/usr')
    assert.deepEqual((await $.sbx.commands.list()).filter(({ pid }) => pid === running.pid), [])
  })

  law('a killed command ends with a signal and not an exit', async () => {
    const running = await $.sbx.commands.run(`exec ${FOREVER}`, { background: true })
    assert.equal(await running.kill(), true)
    const failure = await $.refused(running.wait(), 'exit')
    assert.deepEqual([failure.exitCode, failure.error], [-1, 'signal: killed'])
  })

  law('killing a finished command is false', async () => {
    const running = await $.sbx.commands.run('true', { background: true })
    await running.wait()
    assert.equal(await $.sbx.commands.kill(running.pid), false)
    assert.equal(await running.kill(), false)
  })

  law('killing what never was a command is false', async () => {
    assert.equal(await $.sbx.commands.kill(process.pid), false)
  })

  law('a killed command ends at once though a child holds its pipes', async () => {
    const running = await $.sbx.commands.run(`${FOREVER} & echo $!; wait`, { background: true })
    const child = Number(await until(() => running.stdout, 'the child runs'))
    try {
      const start = Date.now()
      await running.kill()
      assert.equal((await $.told(running.wait())).exitCode, -1)
      assert.ok(Date.now() - start < AT_ONCE)
    } finally {
      end(child)
    }
  })

  law('kill keeps all output before it', async () => {
    const running = await $.sbx.commands.run(
      `seq 1 20000; seq 1 20000 >&2; touch ${$.temp}/written; exec ${FOREVER}`,
      { background: true },
    )
    await until(() => existsSync(`${$.temp}/written`), 'all written')
    await running.kill()
    const told = await $.told(running.wait())
    assert.equal(told.stdout, seq(20000))
    assert.equal(told.stderr, seq(20000))
  })

  law('a timeout is an error and ends the command with its children', async () => {
    const start = Date.now()
    await $.refused(
      $.sbx.commands.run(`echo $$ >> ${$.temp}/pids; ${FOREVER} & echo $! >> ${$.temp}/pids; wait`, { timeoutMs: 1000 }),
      'timeout',
    )
    assert.ok(Date.now() - start < AT_ONCE)
    const pids = readFileSync(`${$.temp}/pids`, 'utf8').trim().split('\n').map(Number)
    assert.equal(pids.length, 2)
    try {
      await until(() => !pids.some(alive), `${pids} ended`)
    } finally {
      pids.forEach(end)
    }
  })

  law('a timeout of zero is none', async () => {
    assert.equal((await $.sbx.commands.run('echo here', { timeoutMs: 0 })).stdout, 'here\n')
  })

  law('a grandchild that holds stdout does not delay the end', async () => {
    const start = Date.now()
    const child = Number((await $.sbx.commands.run(`${FOREVER} & echo $!`)).stdout)
    try {
      assert.ok(Date.now() - start < AT_ONCE)
      assert.ok(alive(child), 'a daemonised program must go on')
    } finally {
      end(child)
    }
  })

  law('output is told while the command runs', async () => {
    const gate = new Gate($.temp)
    const chunks = []
    const told = await $.sbx.commands.run(`echo first; : < ${gate.path}; echo second`, {
      onStdout(chunk) {
        chunks.push(chunk)
        gate.open()
      },
    })
    gate.close()
    assert.equal(told.stdout, 'first\nsecond\n')
    assert.equal(chunks.join(''), told.stdout)
    assert.ok(chunks.length >= 2)
  })

  law('callbacks get all output in order, each stream its own', async () => {
    const out = []
    const err = []
    const told = await $.sbx.commands.run('seq 1 50000; seq 1 50000 >&2', {
      onStdout: (chunk) => void out.push(chunk),
      onStderr: (chunk) => void err.push(chunk),
    })
    const wanted = seq(50000)
    assert.ok(told.stdout === wanted && out.join('') === wanted)
    assert.ok(told.stderr === wanted && err.join('') === wanted)
  })

  law('both streams at full speed do not block each other', async () => {
    const told = await $.sbx.commands.run(
      "head -c 4194304 /dev/zero | tr '\\0' e >&2 & head -c 4194304 /dev/zero | tr '\\0' o; wait",
    )
    assert.ok(told.stdout === 'o'.repeat(4194304))
    assert.ok(told.stderr === 'e'.repeat(4194304))
  })

  law('a megabyte of multi-byte text arrives whole', async () => {
    const text = picks(['a', 'ž', 'č', '漢', '字', '🎈', '\n'], 500_000).join('')
    assert.ok(Buffer.byteLength(text) > 1 << 20)
    writeFileSync(`${$.temp}/text`, text)
    const told = await $.sbx.commands.run(`cat ${$.temp}/text; cat ${$.temp}/text >&2`)
    assert.ok(told.stdout === text)
    assert.ok(told.stderr === text)
  })

  law('64 MiB of output arrive unchanged', async () => {
    const line = picks([...'abcdefghijklmnopqrstuvwxyz0123456789'], 1015).join('')
    const lines = Array.from({ length: 64 << 10 }, (_, n) => `${`${n}`.padStart(8, '0')}${line}\n`)
    const text = lines.join('')
    writeFileSync(`${$.temp}/big`, text)
    const told = await $.sbx.commands.run(`cat ${$.temp}/big`, { timeoutMs: 80_000 })
    assert.equal(told.stdout.length, 64 << 20)
    assert.equal(sha256(told.stdout), sha256(text))
  })

  law('a second listener gets the output from its arrival and the exit', async () => {
    const gate = new Gate($.temp)
    const first = await $.sbx.commands.run(`echo early; : < ${gate.path}; echo late; exit 5`, { background: true })
    const second = await $.sbx.commands.connect(first.pid)
    assert.equal(second.pid, first.pid)
    gate.open()
    const [told, also] = await Promise.all([$.told(first.wait()), $.told(second.wait())])
    gate.close()
    assert.deepEqual([told.exitCode, told.stdout], [5, 'early\nlate\n'])
    assert.equal(also.exitCode, 5)
    assert.ok(also.stdout.endsWith('late\n'))
  })

  law('a listener that comes after the exit still gets it', async () => {
    const running = await $.sbx.commands.run('exit 9', { background: true })
    await $.told(running.wait())
    const late = await $.told((await $.sbx.commands.connect(running.pid)).wait())
    assert.deepEqual([late.exitCode, late.error], [9, 'exit status 9'])
  })

  law('listening to an unknown command is not found', async () => {
    await $.refused($.sbx.commands.connect(process.pid), 'not_found')
  })

  law('a command outlives its listener', async () => {
    const running = await $.sbx.commands.run(`exec ${FOREVER}`, { background: true })
    await running.disconnect()
    assert.ok((await $.sbx.commands.list()).some(({ pid }) => pid === running.pid))
    assert.ok(alive(running.pid))
    const again = await $.sbx.commands.connect(running.pid)
    assert.equal(await again.kill(), true)
    assert.equal((await $.told(again.wait())).exitCode, -1)
  })

  law('stdin reaches the command in order', async () => {
    const running = await $.sbx.commands.run('while read line; do echo "<$line>"; done', {
      background: true,
      stdin: true,
    })
    for (const text of ['one\n', 'two ', 'words\n', '漢字 🎈\n']) await $.sbx.commands.sendStdin(running.pid, text)
    await $.sbx.commands.closeStdin(running.pid)
    assert.equal((await running.wait()).stdout, '<one>\n<two words>\n<漢字 🎈>\n')
  })

  law('a megabyte of bytes through stdin arrives unchanged', async () => {
    const data = Buffer.from(picks(Array.from({ length: 256 }, (_, n) => n), 1 << 20))
    const running = await $.sbx.commands.run('sha256sum', { background: true, stdin: true })
    for (let at = 0; at < data.length; at += 100_000) {
      await $.sbx.commands.sendStdin(running.pid, data.subarray(at, at + 100_000))
    }
    await $.sbx.commands.closeStdin(running.pid)
    assert.equal((await running.wait()).stdout.split(' ')[0], sha256(data))
  })

  law('closing stdin is the end of file and may happen twice', async () => {
    const running = await $.sbx.commands.run(`cat; echo .; exec ${FOREVER}`, { background: true, stdin: true })
    await $.sbx.commands.sendStdin(running.pid, 'last words')
    await $.sbx.commands.closeStdin(running.pid)
    await $.sbx.commands.closeStdin(running.pid)
    await $.refused($.sbx.commands.sendStdin(running.pid, 'too late'), 'any')
    await until(() => running.stdout === 'last words.\n', () => `the end of file after ${running.stdout}`)
    await running.kill()
    await $.told(running.wait())
  })

  law('input for a command without stdin is an error', async () => {
    const running = await $.sbx.commands.run(`exec ${FOREVER}`, { background: true })
    await $.refused($.sbx.commands.sendStdin(running.pid, 'nobody reads this'), 'any')
    await running.kill()
    await $.told(running.wait())
  })

  law('input for a finished command is not found', async () => {
    const running = await $.sbx.commands.run('true', { background: true, stdin: true })
    await running.wait()
    await $.refused($.sbx.commands.sendStdin(running.pid, 'too late'), 'not_found')
  })

  law('200 commands run at once', async () => {
    const gate = new Gate($.temp)
    const meet = `touch ${$.temp}/$N; : < ${gate.path}; echo $N`
    const runs = Promise.all(
      Array.from({ length: 200 }, (_, n) => $.sbx.commands.run(meet, { envs: { N: `${n}` }, timeoutMs: 80_000 })),
    )
    const here = () => readdirSync($.temp).length - 1
    await Promise.race([runs, until(() => here() === 200, () => `200 at the gate, but ${here()}`, 60_000)])
    gate.open()
    const told = await runs
    gate.close()
    assert.deepEqual(told.map(({ stdout }) => stdout), Array.from({ length: 200 }, (_, n) => `${n}\n`))
  })
})
