// `andon features explain`: a vector that the service wrote comes out again from the log, and one that did not is shown for what it is.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Append, type Log, canonicalJson, localCodec, openMemoryLog, partitionOf, runProcess, sha256Hex } from '@andon/kit'
import { type Config, type Features, type FeaturesInput, type Telemetry, type TelemetryInput, parseNamed } from '@andon/schemas'
import type { FeatureSet, Plant } from '@andon/schemas'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import { compileFeatureSet } from '../src/feature-set.ts'
import { onTelemetry } from '../src/on-telemetry.ts'
import { keyedState, newMemory } from '../src/state.ts'
import { explainText, painted } from '../src/tools/explain-text.ts'
import { explain } from '../src/tools/explain.ts'

const codec = localCodec()
const PARTITIONS = 2
const assetId = 'press-1'
const partition = partitionOf(assetId, PARTITIONS)
const startMs = Date.parse('2026-11-23T08:00:00Z')

const plantText = {
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'UTC' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
  assetClasses: [{ id: 'press', featureSet: 'features/press' }],
  assets: [
    {
      id: assetId,
      name: 'Press 1',
      line: 'line-1',
      class: 'press',
      sources: ['press-1-plc', 'press-1-vib'],
      channels: [
        { id: 'temperatureC', unit: 'Cel', kind: 'scalar' },
        { id: 'speedRpm', unit: '/min', kind: 'scalar' },
        { id: 'vibrationG', unit: '[g]', kind: 'waveform', sampleRateHz: 1024, width: 256 },
      ],
    },
  ],
}
const setText = {
  version: 1,
  name: 'features/press',
  windowMs: 4000,
  scales: ['2s'],
  latenessMs: 3000,
  graceMs: 250,
  features: [
    { channel: 'temperatureC', statistics: ['mean', 'slope'] },
    { channel: 'speedRpm', statistics: ['last'], scales: ['2s'] },
    { channel: 'vibrationG', statistics: ['rms', 'bandRms'], bandsHz: [[50, 200]], scales: ['4s'] },
  ],
  regimes: [
    { id: 'off', off: true, when: { 'speedRpm.last@2s': { below: 50 } } },
    { id: 'running', when: { 'speedRpm.last@2s': { atLeast: 50 } } },
  ],
}

const document = (name: string, kind: string, text: unknown): Append & { digest: string; parsed: unknown } => {
  const parsed = parseNamed(name, text).value
  const body = canonicalJson(parsed)
  const digest = sha256Hex(body)
  const value: Config = { type: 'ConfigPublished', name, kind, digest, body, effectiveFromUs: 0, by: 'test', atUs: 0 }
  return { topic: 'config', key: name, partition: 0, value: codec.encode('config', value), timestampMs: startMs, digest, parsed }
}
const plant = document('plant', 'plant', plantText)
const set = document('features/press', 'feature-set', setText)
const hopping = document('features/press', 'feature-set', { ...setText, hopMs: 1000 })
const everyRow = document('features/press', 'feature-set', {
  version: 1,
  name: 'features/press',
  windowRows: 5,
  closes: 'every-row',
  scales: ['3rows'],
  latenessMs: 3000,
  graceMs: 250,
  features: [{ channel: '*', statistics: ['mean', 'max', 'difference'] }],
  health: { gapPeriods: 3 },
})

const int64s = (us: readonly number[]): Buffer => Buffer.from(BigInt64Array.from(us, BigInt).buffer)

interface Rows {
  readonly sourceId: string
  readonly seqFrom: number
  readonly timesS: readonly number[]
  readonly channels: readonly string[]
  readonly width?: number
  readonly receivedS?: number
  readonly correction?: { readonly fromS: number; readonly toS: number; readonly channels: readonly string[] }
  readonly sampleOf: (channel: string, timeS: number, element: number) => number
}

const us = (seconds: number): number => startMs * 1000 + Math.round(seconds * 1e6)

const block = ({ sourceId, seqFrom, timesS, channels, width = 1, receivedS, correction, sampleOf }: Rows): Append => {
  const samples = Float64Array.from(
    channels.flatMap((channel) => timesS.flatMap((timeS) => Array.from({ length: width }, (_, i) => sampleOf(channel, timeS, i)))),
  )
  const receivedUs = us(receivedS ?? Math.max(0, ...timesS))
  const value: TelemetryInput = {
    type: 'block',
    assetId,
    block: {
      sourceId,
      epoch: 1,
      seqFrom,
      seqTo: seqFrom + Math.max(1, timesS.length) - 1,
      withheld: timesS.length === 0 ? [seqFrom] : [],
      rows: timesS.length,
      channels: [...channels],
      units: channels.map(() => '1'),
      dtype: 'f64',
      width,
      samples: Buffer.from(samples.buffer),
      timesUs: int64s(timesS.map(us)),
      qualities: Buffer.alloc(0),
      sampleRateHz: width === 1 ? null : 1024,
      sensitivity: null,
      recordedUs: null,
      receivedUs,
      historical: false,
      skewUs: 0,
      door: 'mqtt',
      deviceId: 'gateway-7',
      correction:
        correction === undefined
          ? null
          : {
              id: 'c-1',
              fromUs: us(correction.fromS),
              toUs: us(correction.toS),
              channels: [...correction.channels],
              reason: 'probe',
              by: 'p-1',
            },
    },
  }
  const id = `${sourceId}/1/${seqFrom}`
  return {
    topic: 'telemetry',
    key: assetId,
    partition,
    value: Buffer.from(codec.encode('telemetry', value)),
    timestampMs: Math.floor(receivedUs / 1000),
    headers: { ce_id: id, ce_type: 'block', 'andon-lane': 'live' },
  }
}

const tick = (seconds: number): Append => ({
  topic: 'telemetry',
  key: null,
  partition,
  value: Buffer.from(codec.encode('telemetry', { type: 'tick', assetId: '', block: null, tick: { instance: 'i-1', upToUs: us(seconds) } })),
  timestampMs: Math.floor(us(seconds) / 1000),
  headers: { ce_id: `tick/${seconds}`, ce_type: 'tick', 'andon-lane': 'live' },
})

const process = (channel: string, timeS: number): number => (channel === 'speedRpm' ? 1500 : 20 + Math.sin(timeS * 3) / 3)
const plc = (seqFrom: number, timesS: readonly number[], receivedS?: number): Append =>
  block({
    sourceId: 'press-1-plc',
    seqFrom,
    timesS,
    channels: ['temperatureC', 'speedRpm'],
    sampleOf: process,
    ...(receivedS === undefined ? {} : { receivedS }),
  })
const vib = (seqFrom: number, timeS: number): Append =>
  block({
    sourceId: 'press-1-vib',
    seqFrom,
    timesS: [timeS],
    channels: ['vibrationG'],
    width: 256,
    sampleOf: (_, t, i) => Math.sin(i / 2 + t),
  })

/** 12 s: blocks across window borders, one row late within the lateness, a correction of the first window. */
const telemetry: readonly Append[] = [
  plc(0, [0, 0.5, 1, 1.5, 2, 2.5]),
  vib(0, 1),
  plc(7, [3.5, 4, 4.5]), // number 6 is still under way
  vib(1, 3),
  tick(5),
  plc(6, [3], 5.5),
  block({
    sourceId: 'correction:c-1',
    seqFrom: 0,
    timesS: [1.1],
    channels: ['temperatureC'],
    receivedS: 6,
    correction: { fromS: 0.9, toS: 1.6, channels: ['temperatureC'] },
    sampleOf: () => 21,
  }),
  tick(6),
  plc(10, [5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5], 8.5),
  vib(2, 6),
  tick(9),
  vib(3, 9),
  plc(18, [9, 10, 12.5], 12.5),
  plc(21, [11], 12.6), // its clock stepped back
  tick(14),
  tick(16),
  tick(40),
]

/** A log on which the service has run over the records. */
const mesh = async (
  records: readonly Append[] = telemetry,
  applied: typeof set = set,
): Promise<{ log: Log; vectors: Features['vector'][]; records: Append[] }> => {
  const log = openMemoryLog({ partitions: PARTITIONS })
  await log.admin.ensureTopics(
    ['telemetry', 'features', 'config', 'predictions', 'anomalies', 'features.changelog'].map((name) => ({ name, partitions: PARTITIONS })),
  )
  await log.append([plant, applied].map(({ digest: _digest, parsed: _parsed, ...record }) => record))
  await log.append(records)
  const plan = compileFeatureSet(applied.parsed as FeatureSet, applied.digest, (plant.parsed as Plant).assets[0]!, plant.digest)
  const none = () => undefined
  const handled = Promise.withResolvers<void>()
  let left = records.length
  if (left === 0) handled.resolve()
  const run = await runProcess<Telemetry>(
    log,
    codec,
    {
      service: 'features',
      input: 'telemetry',
      open: () => {
        const memory = newMemory()
        const handle = onTelemetry({
          memory,
          planAt: () => plan,
          servicedAt: () => null,
          settled: () => Promise.resolve(),
          gapBound: 64,
          counts: { windowsClosed: none, unmonitored: none, rows: none, malformed: none },
        })
        return {
          state: keyedState(memory),
          handle: async (batch) => {
            const out = await handle(batch)
            left -= batch.inputs.length
            if (left === 0) handled.resolve()
            return out
          },
        }
      },
    },
    { logger: { info: none, warn: none }, metrics: { counter: () => ({ inc: none }) } },
  )
  await handled.promise
  await run.stop()
  const written: Append[] = []
  const vectors: Features['vector'][] = []
  for await (const batch of log.read({ topic: 'features', partition, from: 'earliest', to: 'latest' }))
    for (const record of batch.records) {
      const { vector } = codec.decode<Features>('features', record.value!)
      if (vector !== null) vectors.push(vector) // the others report what came too late
      written.push({
        topic: 'features',
        key: record.key,
        partition,
        value: Buffer.from(record.value!),
        timestampMs: record.timestampMs,
        headers: record.headers(),
      })
    }
  return { log, vectors, records: written }
}

for (const [kind, applied, least] of [
  ['windows that follow each other', set, 5],
  ['windows that overlap', hopping, 15],
  ['windows that end at every row', everyRow, 20],
] as const)
  test(`${kind}: every vector comes out again, bit by bit, across blocks, revisions, corrections and silence`, async () => {
    const { log, vectors } = await mesh(telemetry, applied)
    assert.ok(vectors.length >= least, `${vectors.length} vectors`)
    assert.ok(
      vectors.some((vector) => vector?.supersedes !== null),
      'one of them is a revision',
    )
    assert.ok(
      vectors.some((vector) => vector?.quality === 'unmonitored'),
      'one tells of silence',
    )
    for (const vector of vectors) {
      const { isEqual, numbers, fields, problems, missing } = await explain(log, codec, vector!.vectorId)
      const differ = [...numbers, ...fields].filter((each) => !each.isEqual)
      assert.deepEqual({ problems, missing, differ, isEqual }, { problems: [], missing: [], differ: [], isEqual: true })
    }
  })

test('an explanation names the revisions, the samples with their places, and the rule of the regime, in 100 columns', async () => {
  const { log, vectors } = await mesh()
  const first = vectors[0]!
  const explanation = await explain(log, codec, first.vectorId, { asset: assetId, around: '2026-11-23T08:00:05Z' })
  assert.deepEqual(
    explanation.revisions.map(({ supersedes }) => supersedes),
    [null, ...explanation.revisions.slice(0, -1).map(({ vectorId }) => vectorId)],
  )
  const origin = explanation.samples.find(({ sourceId }) => sourceId === 'press-1-plc')
  assert.deepEqual(
    [origin?.topic, origin?.partition, origin?.offsetFrom, origin?.doors, origin?.devices],
    ['telemetry', partition, 0, ['mqtt'], ['gateway-7']],
  )
  const text = explainText(explanation, painted(false))
  assert.match(text, /^✔ Computed again from the log: all 7 numbers are equal/m)
  assert.match(text, /running: the first that holds, when speedRpm\.last@2s ≥ 50/)
  assert.match(text, /sqrt\(sum y\^2 \/ n\)/)
  assert.match(text, /vibrationG {2}last 4 s of event time, 2 rows with 512 elements/)
  const tooLong = text.split('\n').filter((line) => line.length > 100)
  assert.deepEqual(tooLong, [])
})

test('a value that was changed is shown beside the one that the samples give', async () => {
  const { log, vectors, records } = await mesh()
  const [original] = vectors
  const values = readDoubles(original!.values)
  const at = original!.names.indexOf('temperatureC.mean@4s')
  values[at] = (values[at] as number) + 0.5
  const forged: FeaturesInput = { type: 'vector', assetId, vector: { ...original!, values: packDoubles(values) } }
  const { log: other } = await mesh()
  await other.append([{ ...records[0]!, value: Buffer.from(codec.encode('features', forged)) }])
  const explanation = await explain(other, codec, original!.vectorId)
  assert.equal(explanation.isEqual, false)
  assert.deepEqual(
    explanation.numbers.filter((each) => !each.isEqual).map(({ name, inVector, again }) => [name, inVector, again]),
    [['temperatureC.mean@4s', values[at], readDoubles(original!.values)[at]]],
  )
  assert.match(explainText(explanation, painted(false)), /^ {2}≠ mean @ 4s/m)
  assert.equal((await explain(log, codec, original!.vectorId)).isEqual, true)
})

test('a block that is gone is named, and the vector is not confirmed', async () => {
  const { vectors, records } = await mesh()
  const { log: other } = await mesh([])
  // The same places, another record where the block with numbers 0 to 5 was.
  await other.append([tick(0), ...telemetry.slice(1), ...records])
  const explanation = await explain(other, codec, vectors[0]!.vectorId)
  assert.equal(explanation.isEqual, false)
  assert.deepEqual(explanation.missing, [{ sourceId: 'press-1-plc', epoch: 1, seqFrom: 0, seqTo: 5 }])
  const text = explainText(explanation, painted(false))
  assert.match(text, /6 of its samples are no longer on the log/)
  assert.match(text, /✘ press-1-plc, epoch 1, 0-5: no block on the log has these numbers any more/)
})

test('documents that config does not have, and an id that nobody wrote, are said so', async () => {
  const { vectors, records } = await mesh()
  const log = openMemoryLog({ partitions: PARTITIONS })
  await log.admin.ensureTopics(
    ['telemetry', 'features', 'config', 'predictions', 'anomalies'].map((name) => ({ name, partitions: PARTITIONS })),
  )
  await log.append([...telemetry, ...records])
  const { isEqual, problems } = await explain(log, codec, vectors[0]!.vectorId)
  assert.equal(isEqual, false)
  assert.match(problems[0] ?? '', /no document with the digest of the feature set/)
  await assert.rejects(explain(log, codec, 'nothing'), { code: 'ANDON_FEATURES_VECTOR_UNKNOWN' })
})
