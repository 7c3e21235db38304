// andon topics against a real broker and registry.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { HEADER, openCodec, openKafkaLog } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { andon } from './command.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
after(async () => {
  await log.close()
  await registry.stop()
  await kafka.stop()
})
const environment = { ANDON_KAFKA_BROKERS: kafka.brokers.join(), ANDON_REGISTRY_URL: registry.url, ANDON_HOME: '/nonexistent-andon-home' }

// The records are old: retention by time would take them while the test runs.
await log.admin.ensureTopics([{ name: 'telemetry', partitions: 2, configs: { 'retention.ms': '-1' } }])
const codec = await openCodec({ registryUrl: registry.url })
const tick = (upToUs: number) => ({
  topic: 'telemetry',
  partition: 1,
  key: null,
  value: codec.encode('telemetry', { type: 'tick', assetId: '', block: null, tick: { instance: 'i-1', upToUs } }),
  headers: { [HEADER.type]: 'andon.telemetry.tick' },
  timestampMs: 1_700_000_000_000 + upToUs,
})
await log.append([
  tick(7),
  { topic: 'telemetry', partition: 0, key: 'press-1', value: Buffer.from('rubbish'), timestampMs: 1_700_000_000_008 },
  tick(9),
])

interface Shown {
  readonly partition: number
  readonly offset: number
  readonly hex?: string
  readonly value: { tick?: { upToUs: number }; undecodable?: string }
}

const tail = async (...words: string[]): Promise<Shown[]> => {
  const { code, out, err } = await andon(['topics', 'tail', 'telemetry', '--json', ...words], environment)
  assert.equal(code, 0, err)
  return out === ''
    ? []
    : out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Shown)
}

test('topics list counts records', async () => {
  const { code, out, err } = await andon(['topics', 'list', '--json'], environment)
  assert.equal(code, 0, err)
  const { topics } = JSON.parse(out) as { topics: { name: string; records: number }[] }
  assert.deepEqual(
    topics.find((each) => each.name === 'telemetry'),
    { name: 'telemetry', partitions: 2, records: 3 },
  )
})

test('topics tail shows all partitions by time, decoded, and says why it cannot decode a record', async () => {
  const [first, second, third] = await tail()
  assert.deepEqual([first?.value.tick?.upToUs, third?.value.tick?.upToUs], [7, 9])
  assert.equal(typeof second?.value.undecodable, 'string')
})

test('topics tail begins where it is told and ends after as many records as it is told', async () => {
  assert.equal((await tail('-o', 'start', '-n', '1'))[0]?.value.tick?.upToUs, 7)
  assert.equal((await tail('-n', '1'))[0]?.value.tick?.upToUs, 9)
  assert.equal((await tail('-p', '1', '-o', '1')).length, 1)
  assert.equal((await tail('-o', '@2023-11-14T22:13:20.008Z')).length, 2)
  assert.equal((await tail('-n', '0')).length, 0)
})

test('topics tail filters, and shows bytes when asked to', async () => {
  assert.deepEqual(
    (await tail('--filter', 'has(value.tick) && value.tick.upToUs > 8')).map(({ offset }) => offset),
    [1],
  )
  assert.equal((await tail('--key', 'press-1', '--raw'))[0]?.hex, Buffer.from('rubbish').toString('hex'))
})

test('a wrong word is a usage error that names the option', async () => {
  for (const [words, message] of [
    [['telemetry', '-o', 'yesterday'], /--offset: expected start, end.*ANDON_CLI_START/],
    [['telemetry', '-n', 'many'], /--lines: expected a whole number, found "many".*ANDON_CLI_NUMBER/],
    [['telemetry', '--filter', 'value.('], /--filter: .*\[ANDON_CLI_FILTER\]/s],
  ] as const) {
    const { code, err } = await andon(['topics', 'tail', ...words], environment)
    assert.equal(code, 2)
    assert.match(err, message)
  }
  const { code, err } = await andon(['topics', 'tail', 'nothing'], environment)
  assert.equal(code, 1)
  assert.match(err, /no topic nothing.*ANDON_CLI_TOPIC/)
})

test('topics tail -f goes on with what comes, and ends when it is told to', { timeout: 120_000 }, async () => {
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, [main, 'topics', 'tail', 'telemetry', '-f', '-n', '1', '--json'], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  after(() => child.kill('SIGKILL'))
  const seen: number[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    seen.push((JSON.parse(line) as Shown).value.tick?.upToUs ?? -1)
    if (seen.length === 1) await log.append([tick(11)])
    if (seen.length === 2) break
  }
  assert.deepEqual(seen, [9, 11])
  child.kill('SIGINT')
  const [code] = (await once(child, 'exit')) as [number]
  assert.equal(code, 0)
})
