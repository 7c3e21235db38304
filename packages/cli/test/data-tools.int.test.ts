// The data tools on a real broker and registry, as a data engineer meets them: out to a file and back, an event's lineage,
// a run compared with the live log, promoted while a service reads, and taken back.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HEADER, type Log, type LogRecord, emitter, openCodec, openKafkaLog, runProcess } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import type { Features } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { parseTolerances } from '../src/replay/compare.ts'
import { applyPromotion, planPromotion, planUndo } from '../src/replay/promote.ts'
import { andon } from './command.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
const log: Log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
const home = mkdtempSync(join(tmpdir(), 'andon-data-tools-'))
after(async () => {
  await log.close()
  await registry.stop()
  await kafka.stop()
  rmSync(home, { recursive: true, force: true })
})
const environment = { ANDON_KAFKA_BROKERS: kafka.brokers.join(), ANDON_REGISTRY_URL: registry.url, ANDON_HOME: home }

const names = ['telemetry', 'features', 'predictions', 'anomalies', 'config', 'features.run.run-2']
await log.admin.ensureTopics(names.map((name) => ({ name, partitions: 1, configs: { 'retention.ms': '-1' } })))
const codec = await openCodec({ registryUrl: registry.url })
const nowMs = Date.now()
const fromMs = nowMs - 3_600_000
const windowUs = 10_000_000

const vector = (topic: string, start: number, value: number) => ({
  topic,
  partition: 0,
  key: 'press-1',
  value: codec.encode('features', {
    type: 'vector',
    assetId: 'press-1',
    vector: {
      vectorId: `v-${start}`,
      featureSet: 'press',
      featureSetDigest: 'd',
      windowStartUs: start * windowUs,
      windowEndUs: (start + 1) * windowUs,
      revision: 1,
      names: ['vibrationG.rms'],
      values: packDoubles(Float64Array.of(value)),
      ranges: [],
      complete: true,
    },
  }),
  timestampMs: fromMs + start,
  headers: {
    [HEADER.id]: `v-${start}`,
    [HEADER.type]: 'vector',
    [HEADER.lane]: 'live',
    [HEADER.cause]: `telemetry/0/0/${start}/0`,
    [HEADER.order]: `0.0.${start}.0`,
    ...(topic === 'features' ? {} : { [HEADER.run]: 'run-2' }),
  },
})

const featureSet = JSON.stringify({ name: 'press', latenessMs: 10_000 })
await log.append([
  ...Array.from({ length: 8 }, (_, offset) => ({
    topic: 'telemetry',
    partition: 0,
    key: 'press-1',
    value: codec.encode('telemetry', { type: 'tick', tick: { instance: 'i', upToUs: offset } }),
    timestampMs: fromMs + offset,
    headers: { [HEADER.id]: `block-${offset}`, [HEADER.type]: 'andon.telemetry.block' },
  })),
  {
    topic: 'config',
    partition: 0,
    key: 'features/press',
    value: codec.encode('config', {
      type: 'ConfigPublished',
      name: 'features/press',
      kind: 'feature-set',
      digest: 'd',
      body: featureSet,
      effectiveFromUs: 0,
      by: 'p',
      atUs: 0,
    }),
  },
  ...[1, 2, 6].map((start) => vector('features', start, start)),
  ...[1, 2, 3, 6].map((start) => vector('features.run.run-2', start, start === 1 ? 1 : start * 10)),
])

const recordsOf = async (topic: string): Promise<LogRecord[]> => {
  const found: LogRecord[] = []
  for await (const batch of log.read({ topic, partition: 0, from: 'earliest', to: 'latest' })) found.push(...batch.records)
  return found
}

const run = async <T>(...words: string[]): Promise<T> => {
  const { code, out, err } = await andon([...words, '--json'], environment)
  assert.equal(code, 0, err)
  return JSON.parse(out) as T
}

test('a topic goes to a file and comes back as a run, byte for byte', async () => {
  const file = join(home, 'features.parquet')
  assert.equal((await run<{ records: number }>('topics', 'export', 'features', '--out', file, '--from', '2h')).records, 3)
  assert.equal((await run<{ topic: string }>('topics', 'import', file, '--to', 'features', '--as-run', 'lab')).topic, 'features.run.lab')
  const [before, after_] = [await recordsOf('features'), await recordsOf('features.run.lab')]
  assert.equal(after_.length, 3)
  before.forEach((record, i) => {
    const copy = after_[i]!
    assert.ok(copy.value!.equals(record.value!))
    assert.deepEqual([copy.key, copy.timestampMs], [record.key, record.timestampMs])
    assert.deepEqual(copy.headers(), { ...record.headers(), [HEADER.run]: 'lab' })
  })
  const again = await andon(['topics', 'import', file, '--to', 'features', '--as-run', 'lab'], environment)
  assert.equal(again.code, 1)
  assert.match(again.err, /already holds 3 records/)
  const live = await andon(['topics', 'import', file, '--to', 'features'], environment)
  assert.equal(live.code, 2)
  assert.match(live.err, /ANDON_CLI_IMPORT_LIVE/)
})

test('an event is shown with its lineage both ways', async () => {
  const shown = await run<{ value: { vector: { values: object } } }>('events', 'show', 'v-2')
  assert.deepEqual(shown.value.vector.values, { 'vibrationG.rms': 2 })
  const up = await run<{ up: { id: string }[] }>('events', 'lineage', 'v-2', '--up')
  assert.deepEqual(
    up.up.map(({ id }) => id),
    ['block-2'],
  )
  const { out } = await andon(['events', 'lineage', 'block-2', '--down'], environment)
  assert.match(out, /^\* telemetry\/0@2[^\n]*\n└─ features\/0@1/)
})

const request = { run: 'run-2', topic: 'features', fromMs, toMs: nowMs, tolerances: parseTolerances([]) }

test('a run is compared with the live log, in words, JSON and a page', async () => {
  mkdirSync(join(home, 'replay'), { recursive: true })
  const hop = {
    service: 'features',
    code: null,
    input: 'telemetry',
    fromMs,
    toMs: nowMs,
    outputs: [{ topic: 'features', runTopic: 'features.run.run-2' }],
    plan: {},
    status: 'finished',
    pid: null,
    startedMs: null,
    endedMs: null,
    problem: null,
  }
  writeFileSync(join(home, 'replay/run-2.json'), JSON.stringify({ version: 1, id: 'run-2', createdMs: nowMs, hops: [hop] }))
  const page = join(home, 'report.html')
  const { topics } = await run<{ topics: { same: number; changed: number; missing: number; new: number }[] }>(
    'replay',
    'diff',
    'run-2',
    '--html',
    page,
  )
  assert.deepEqual([topics[0]?.same, topics[0]?.changed, topics[0]?.missing, topics[0]?.new], [1, 2, 0, 1])
  assert.match(readFileSync(page, 'utf8'), /run-2 differs from live in 3 of 4 records/)
  const { out } = await andon(['replay', 'promote', 'run-2'], environment)
  assert.match(out, /Would promote 2 windows of features in lane promote:run-2\./)
  assert.match(out, /1 windows may still be revised/)
})

test('a service that reads takes what was promoted once, and the undo after it', async () => {
  const seen: [string, string][] = []
  const counts = { repeats: 0 }
  const reader = await runProcess<Features>(
    log,
    codec,
    {
      service: 'reader',
      input: 'features',
      open: () => ({
        handle: (batch) => {
          for (const { value, lane } of batch.inputs) seen.push([value.vector!.vectorId, lane.split('.')[0]!])
          return emitter()
        },
      }),
    },
    {
      logger: { info: () => undefined, warn: () => undefined },
      metrics: {
        counter: (name) => ({ inc: (_labels, value = 1) => void (name === 'andon_kit_repeats_total' && (counts.repeats += value)) }),
      },
    },
  )
  const until = async (isSo: () => boolean): Promise<void> => {
    for (const endMs = Date.now() + 60_000; !isSo(); await sleep(20)) assert.ok(Date.now() < endMs, JSON.stringify({ seen, counts }))
  }
  await until(() => seen.length === 3)
  const settle = { settleMs: 50, wait: (ms: number) => sleep(ms) }
  const plan = await planPromotion(log, codec, request)
  assert.equal(await applyPromotion(log, plan, settle), 2)
  await applyPromotion(log, plan, settle)
  await until(() => counts.repeats === 2)
  assert.equal(await applyPromotion(log, await planUndo(log, codec, request), settle), 1)
  await until(() => seen.length === 6)
  await reader.stop()
  assert.deepEqual(seen.slice(3), [
    ['v-2', 'promote:run-2'],
    ['v-3', 'promote:run-2'],
    ['v-2', 'promote:undo-run-2'],
  ])
  assert.deepEqual(
    (await recordsOf('features')).slice(3).map((record) => record.header(HEADER.order)),
    ['1.0.2.0', '1.0.3.0', '1.0.2.0', '1.0.3.0', '2.0.2.0'],
  )
})
