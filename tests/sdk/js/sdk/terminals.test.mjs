// Terminals: what a person or an agent sees that works in one.

import assert from 'node:assert/strict'

import { law, laws } from '../support/laws.mjs'
import { until } from '../support/wait.mjs'

laws('terminals', ($) => {
  /** A terminal whose output collects in `text`. */
  async function open(options = {}) {
    const decoder = new TextDecoder()
    const terminal = { text: '' }
    const onData = (data) => void (terminal.text += decoder.decode(data, { stream: true }))
    const handle = options.pid
      ? await $.sbx.pty.connect(options.pid, { onData })
      : await $.sbx.pty.create({ cols: 80, rows: 24, ...options, onData })
    const { pid } = handle
    return Object.assign(terminal, {
      pid,
      type: (text) => $.sbx.pty.sendInput(pid, new TextEncoder().encode(text)),
      resize: (cols, rows) => $.sbx.pty.resize(pid, { cols, rows }),
      kill: () => $.sbx.pty.kill(pid),
      wait: () => $.told(handle.wait()),
      /** Waits until the parts were shown, in this order. */
      shows: (...parts) =>
        until(
          () => parts.reduce((at, part) => (at < 0 ? at : terminal.text.indexOf(part, at)), 0) >= 0,
          () => `${JSON.stringify(parts)} in ${JSON.stringify(terminal.text)}`,
        ),
    })
  }

  /** Runs `use` with a terminal that is closed afterwards. */
  async function within(options, use) {
    const terminal = await open(options)
    try {
      await use(terminal)
    } finally {
      await terminal.kill()
      await terminal.wait()
    }
  }

  law('the first prompt is shown without any input', () =>
    within({}, (one) => until(() => /[#$]\s*$/.test(one.text), () => `a prompt in ${one.text}`)))

  law('a terminal has the size that was asked for, and a resize is seen', () =>
    within({ cols: 132, rows: 43 }, async (one) => {
      await one.type('stty size\n')
      await one.shows('43 132')
      await one.resize(101, 51)
      await one.type('stty size\n')
      await one.shows('51 101')
    }))

  law('input is echoed and run', () =>
    within({}, async (one) => {
      await one.type('echo $((6*7)) 漢字\n')
      await one.shows('echo $((6*7)) 漢字', '42 漢字\r\n')
    }))

  law('a terminal belongs to its user', () =>
    within({ user: 'user' }, async (one) => {
      await one.type('echo owner-$(stat -c %U $(tty)); echo again$((1+2)) > $(tty)\n')
      await one.shows('owner-user', 'again3')
    }))

  law('the SDK sets the kind of terminal and the caller the rest', () =>
    within({ envs: { COLOR: 'green' }, user: 'user', cwd: '/usr' }, async (one) => {
      await one.type('echo $TERM-$COLOR-$(id -un)-$(pwd)-\n')
      await one.shows('xterm-256color-green-user-/usr-')
    }))

  law('ctrl-c interrupts what runs and not the shell', () =>
    within({}, async (one) => {
      await one.type('echo ready$((1+2)); sleep 100000\n')
      await one.shows('ready3')
      await one.type('\x03')
      await one.type('echo code-$?\n')
      await one.shows('code-130')
    }))

  law('the exit of the shell is the exit of the terminal', async () => {
    const one = await open()
    await one.type('exit 7\n')
    const told = await one.wait()
    assert.deepEqual([told.exitCode, told.error], [7, 'exit status 7'])
  })

  law('a killed terminal ends once', async () => {
    const one = await open()
    assert.equal(await one.kill(), true)
    const told = await one.wait()
    assert.deepEqual([told.exitCode, told.error], [-1, 'signal: killed'])
    assert.equal(await one.kill(), false)
  })

  law('a second listener sees a terminal too', () =>
    within({}, async (one) => {
      const two = await open({ pid: one.pid })
      await one.type('echo both$((1+2))\n')
      await Promise.all([one.shows('both3'), two.shows('both3')])
      await one.kill()
      assert.equal((await two.wait()).exitCode, -1)
    }))

  law('a megabyte through a terminal arrives whole', () =>
    within({ cols: 200 }, async (one) => {
      await one.type('stty -echo; seq -f %015.0f 1 65536; echo over$((1+2))\n')
      await one.shows('over3')
      const shown = one.text.split(/\r?\n/).filter((line) => /^\d{15}$/.test(line))
      assert.deepEqual(shown, Array.from({ length: 65536 }, (_, n) => `${n + 1}`.padStart(15, '0')))
    }))

  law('resizing what is no terminal is an error, typing into it too', async () => {
    const running = await $.sbx.commands.run('exec sleep 100000', { background: true })
    await $.refused($.sbx.pty.resize(running.pid, { cols: 10, rows: 10 }), 'any')
    await $.refused($.sbx.pty.sendInput(running.pid, new TextEncoder().encode('typed')), 'any')
    await running.kill()
    await $.told(running.wait())
  })
})
