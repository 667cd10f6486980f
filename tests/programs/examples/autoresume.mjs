import { Sandbox } from 'e2b'

const sandbox = await Sandbox.create({
  timeoutMs: 60_000,
  lifecycle: { onTimeout: 'pause', autoResume: true },
})
await sandbox.files.write('/tmp/counter', '41')
await sandbox.pause()

// Nobody resumes it: the next command does.
const { stdout } = await sandbox.commands.run('echo $(($(cat /tmp/counter) + 1))')
console.log(stdout.trim(), (await sandbox.getInfo()).state)
await sandbox.kill()
