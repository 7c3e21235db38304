// A start that cannot work ends at once with one message that names the thing, what was found, what is expected and what to do.
// How fast is measured by `npm run bench -- failing-starts`; here only a start that waits for something is a failure.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Result, andon, freeOffset } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'andon-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Ports nobody else uses here, and a state folder of the test's own. */
const environment = { ANDON_HOME: join(folder, 'home'), ANDON_PORT_OFFSET: String(await freeOffset()) }

const failsAtOnce = (result: Result, code: number, ...says: RegExp[]): void => {
  assert.equal(result.code, code, result.out + result.err)
  assert.ok(result.tookMs < 20_000, `took ${result.tookMs} ms`)
  for (const each of says) assert.match(result.err, each)
  assert.doesNotMatch(result.err, /\n\s+at /, 'no stack trace')
}

test('a busy port is named with its setting and its holder', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  after(() => holder.close())
  const { port } = holder.address() as AddressInfo
  const result = await andon(['up'], { ...environment, INGEST_HTTP_PORT: String(port) })
  failsAtOnce(result, 1, new RegExp(`${port} \\(ingest http, INGEST_HTTP_PORT\\): in use`), /ANDON_PORT_OFFSET/)
  if (process.platform === 'linux') assert.match(result.err, new RegExp(`pid ${process.pid}`))
})

test('a setting that is no number is named', async () => {
  failsAtOnce(await andon(['up'], { ...environment, ANDON_PORT_OFFSET: 'ten' }), 2, /ANDON_PORT_OFFSET/, /expected an integer/, /"ten"/)
})

test('an offset beyond the ports is named', async () => {
  failsAtOnce(await andon(['up'], { ...environment, ANDON_PORT_OFFSET: '60000' }), 2, /ANDON_PORT_OFFSET: expected 0 to 56000, found 60000/)
})

test('too little disk is named with what is free', async () => {
  failsAtOnce(
    await andon(['up'], { ...environment, ANDON_MIN_FREE_DISK_MB: '999999999' }),
    1,
    /expected at least 999999999 MiB free/,
    /found \d+ MiB/,
  )
})

test('a state folder that cannot be one is named', async () => {
  const file = join(folder, 'a-file')
  writeFileSync(file, '')
  failsAtOnce(
    await andon(['up'], { ...environment, ANDON_HOME: join(file, 'home') }),
    1,
    /ANDON_HOME: expected a folder that can be written/,
  )
})

test('a wrong Java is named with its version', async () => {
  const home = join(folder, 'java-11')
  mkdirSync(join(home, 'bin'), { recursive: true })
  writeFileSync(join(home, 'bin', 'java'), '#!/bin/sh\n')
  chmodSync(join(home, 'bin', 'java'), 0o755)
  writeFileSync(join(home, 'release'), 'JAVA_VERSION="11.0.2"\n')
  failsAtOnce(await andon(['up'], { ...environment, JAVA_HOME: home }), 1, /found Java 11\.0\.2, expected Java 17/)
})

test('a missing Java is named with where JAVA_HOME points', async () => {
  failsAtOnce(await andon(['up'], { ...environment, JAVA_HOME: '/nowhere' }), 1, /JAVA_HOME is \/nowhere/, /Point JAVA_HOME/)
})

test('an unreachable broker is named', async () => {
  const result = await andon(['topics', 'list'], { ...environment, ANDON_KAFKA_BROKERS: '127.0.0.1:1' })
  failsAtOnce(result, 1, /ANDON_KAFKA_BROKERS: expected a server that answers, found none at 127\.0\.0\.1:1/)
})

test('a command without its mesh says so with exit code 3', async () => {
  for (const args of [['status'], ['demo', 'inject', 'broker-kill'], ['demo', 'state']]) {
    const result = await andon(args, environment)
    failsAtOnce(result, 3)
    assert.equal(result.err.trim().split('\n').length, 1, result.err)
  }
})

test('a wrong word is a usage error with exit code 2', async () => {
  assert.equal((await andon(['fly'], environment)).code, 2)
  assert.equal((await andon(['demo', 'inject', 'rain'], environment)).code, 2)
  assert.equal((await andon(['hold', 'place', 'press-line'], environment)).code, 2, 'a hold needs a reason')
})

test('ending what does not run is fine', async () => {
  const result = await andon(['down', '--json'], environment)
  assert.equal(result.code, 0)
  assert.deepEqual(JSON.parse(result.out), { wasRunning: false, leftovers: 0, wiped: false })
})
