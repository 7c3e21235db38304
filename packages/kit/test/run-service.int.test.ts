// runService ends processes, so each of these runs one.

import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('fixtures/service-main.ts', import.meta.url))
const children: ChildProcess[] = []
after(() => children.forEach((child) => child.kill('SIGKILL')))

const run = (environment: Record<string, string>) => {
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env['PATH'] ?? '', FIXTURE_ADMIN_PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const exit = once(child, 'close').then(([code]) => code as number | null)
  const line = async (part: string): Promise<void> => {
    while (!output.stdout.includes(part))
      await Promise.race([once(child.stdout, 'data'), exit.then(() => assert.fail(`ended before "${part}": ${output.stderr}`))])
  }
  return { child, output, exit, line }
}

test('SIGTERM stops the parts in reverse and ends with 0', async () => {
  const { child, exit, line, output } = run({})
  await line('service started')
  child.kill('SIGTERM')
  assert.equal(await exit, 0)
  assert.match(output.stdout, /stopped door[\s\S]*stopped store/)
  assert.equal(output.stderr, '')
})

test('SIGTERM while it starts stops what had started', async () => {
  const { child, exit, line, output } = run({ FIXTURE_STARTS_SLOWLY: 'true' })
  await line('starting door')
  child.kill('SIGTERM')
  assert.equal(await exit, 0)
  assert.match(output.stdout, /stopped door[\s\S]*stopped store/)
  assert.doesNotMatch(output.stdout, /service started/)
  assert.equal(output.stderr, '')
})

test('a second signal ends at once', async () => {
  const { child, exit, line } = run({ FIXTURE_HANGS: 'true' })
  await line('service started')
  child.kill('SIGTERM')
  await line('service stops')
  child.kill('SIGTERM')
  assert.equal(await exit, 1)
})

test('a bad setting ends the start with one line and code 1', async () => {
  const { exit, output } = run({ ANDON_LOG_LEVEL: 'loud' })
  assert.equal(await exit, 1)
  assert.equal(output.stdout, '')
  assert.match(output.stderr, /^service did not start: ANDON_SETTING_INVALID: ANDON_LOG_LEVEL .*found "loud"\..*\n$/)
})

test('an unreachable broker ends the start at once with one line that names the setting', async () => {
  const from = performance.now()
  const { exit, output } = run({ ANDON_KAFKA_BROKERS: '127.0.0.1:1' })
  assert.equal(await exit, 1)
  assert.match(output.stderr, /^fixture did not start: ANDON_UNREACHABLE: ANDON_KAFKA_BROKERS: .*127\.0\.0\.1:1 \(ECONNREFUSED\).*\n$/)
  assert.ok(performance.now() - from < 20_000)
})

test('a part that fails for good ends the process with code 1', async () => {
  const { exit, output } = run({ FIXTURE_FAILS: 'true' })
  assert.equal(await exit, 1)
  assert.match(output.stdout, /unexpected failure[\s\S]*stopped store/)
})

test('a service ends when its supervisor is gone', async () => {
  const supervisor = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
  children.push(supervisor)
  const { exit, line, output } = run({ ANDON_PARENT_PID: String(supervisor.pid) })
  await line('service started')
  supervisor.kill('SIGKILL')
  assert.equal(await exit, 0)
  assert.match(output.stdout, /parent process is gone/)
})
