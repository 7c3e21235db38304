// A run against the live log: records meet by what they are about, whoever computed them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HEADER, type MemoryLog, localCodec, openMemoryLog } from '@andon/kit'
import { packDoubles } from '@andon/schemas/packed'
import { compareValues, parseTolerances } from '../src/replay/compare.ts'
import { diffRun } from '../src/replay/diff.ts'
import { identityOf } from '../src/replay/identity.ts'

const codec = localCodec()
const tolerances = parseTolerances([])
const windowUs = 10_000_000

interface Window {
  readonly start: number
  readonly ratio: number
  readonly assetId?: string
  readonly values?: readonly number[]
  readonly order?: string
  readonly version?: number
  readonly timestampMs?: number
}

const prediction = ({ start, ratio, assetId = 'press-1', values = [1, 2], version = 1 }: Window) =>
  codec.encode('predictions', {
    type: 'verdicts',
    assetId,
    predictionId: `p-${start}-${version}`,
    vectorId: `v-${start}`,
    featureSet: 'press',
    featureSetDigest: 'd',
    windowStartUs: start * windowUs,
    windowEndUs: (start + 1) * windowUs,
    revision: 1,
    names: ['vibrationG.rms', 'temperatureC.mean'],
    values: packDoubles(Float64Array.from(values)),
    verdicts: [
      {
        model: 't2spe',
        version,
        digest: `m-${version}`,
        role: 'champion',
        score: 1,
        ratio,
        contributionNames: [],
        contributions: Buffer.alloc(0),
      },
    ],
    complete: true,
  })

const append = async (log: MemoryLog, topic: string, ...windows: readonly Window[]): Promise<void> => {
  await log.append(
    windows.map((window) => ({
      topic,
      partition: 0,
      key: window.assetId ?? 'press-1',
      value: prediction(window),
      timestampMs: window.timestampMs ?? 1000 + window.start,
      headers: { [HEADER.id]: `${topic}-${window.start}-${window.order ?? ''}`, [HEADER.order]: window.order ?? `0.0.${window.start}.0` },
    })),
  )
}

const diff = (log: MemoryLog, options: { against?: string; topics?: string[]; tolerance?: string[]; toMs?: number } = {}) =>
  diffRun(log, codec, {
    run: 'run-2',
    against: options.against ?? 'live',
    fromMs: 1000,
    toMs: options.toMs ?? 2000,
    topics: options.topics ?? ['predictions'],
    tolerances: parseTolerances(options.tolerance ?? []),
  })

const openLog = () => openMemoryLog({ partitions: 1 })

test('same, changed, missing and new windows are told apart', async () => {
  const log = openLog()
  await append(log, 'predictions', { start: 1, ratio: 0.5 }, { start: 2, ratio: 0.5 }, { start: 3, ratio: 0.5 })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 0.5 }, { start: 2, ratio: 1.5 }, { start: 4, ratio: 0.5 })
  const [topic] = (await diff(log)).topics
  assert.deepEqual([topic?.same, topic?.changed, topic?.missing, topic?.new], [1, 1, 1, 1])
  assert.deepEqual(topic?.fields, [{ path: 'verdicts[].ratio', records: 1, largestDelta: 1 }])
  assert.deepEqual(topic?.examples.map(({ verdict }) => verdict).toSorted(), ['changed', 'missing', 'new'])
  const changed = topic?.examples.find(({ verdict }) => verdict === 'changed')
  assert.deepEqual(changed?.fields, [{ path: 'verdicts[].ratio', element: 't2spe', before: 0.5, after: 1.5, delta: 1 }])
})

test('another model version that says the same is the same: its ids and digest are no difference', async () => {
  const log = openLog()
  await append(log, 'predictions', { start: 1, ratio: 0.5 })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 0.5, version: 2 })
  assert.equal((await diff(log)).topics[0]?.same, 1)
})

test('of a window the highest order counts, promoted ones first, wherever it was appended', async () => {
  const log = openLog()
  await append(log, 'predictions', { start: 1, ratio: 9, order: '1.0.1.0' }, { start: 1, ratio: 0.5, order: '0.0.7.0' })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 3, order: '0.0.1.0' }, { start: 1, ratio: 9, order: '0.0.2.0' })
  assert.equal((await diff(log)).topics[0]?.same, 1)
})

test('records outside the range are not compared', async () => {
  const log = openLog()
  await append(
    log,
    'predictions',
    { start: 1, ratio: 1 },
    { start: 2, ratio: 1, timestampMs: 1500 },
    { start: 3, ratio: 1, timestampMs: 999 },
  )
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 1 })
  const [topic] = (await diff(log, { toMs: 1500 })).topics
  assert.deepEqual([topic?.same, topic?.missing], [1, 0])
})

test('a run is compared with another run', async () => {
  const log = openLog()
  await append(log, 'predictions.run.run-1', { start: 1, ratio: 1 })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 2 })
  assert.equal((await diff(log, { against: 'run-1' })).topics[0]?.changed, 1)
})

test('numbers within their tolerance are the same, by field', async () => {
  const log = openLog()
  await append(log, 'predictions', { start: 1, ratio: 1, values: [1, 1000] })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 1.005, values: [1 + 5e-6, 1000.005] })
  assert.deepEqual(
    (await diff(log)).topics[0]?.fields.map(({ path }) => path),
    ['verdicts[].ratio'],
  )
  assert.equal((await diff(log, { tolerance: ['ratio=0.01'] })).topics[0]?.same, 1)
})

test('differences are grouped by asset and by the fault mode of the time', async () => {
  const log = openLog()
  await append(log, 'predictions', { start: 1, ratio: 1 }, { start: 5, ratio: 1 }, { start: 1, ratio: 1, assetId: 'pump-2' })
  await append(log, 'predictions.run.run-2', { start: 1, ratio: 1 }, { start: 5, ratio: 2 }, { start: 1, ratio: 1, assetId: 'pump-2' })
  const finding = {
    findingId: 'f',
    episodeId: 'e',
    assetId: 'press-1',
    transition: 'opened',
    severity: 1,
    ratio: 2,
    peakRatio: 2,
    openedUs: 4 * windowUs,
    atUs: 4 * windowUs,
  }
  const rest = {
    openingVectorId: 'v-4',
    vectorId: 'v-4',
    predictionId: 'p',
    model: 't2spe',
    modelVersion: 1,
    modelDigest: 'm',
    modelRole: 'champion',
    detectorSet: 's',
    contributions: [],
    title: 't',
  }
  await log.append([
    {
      topic: 'anomalies',
      partition: 0,
      key: 'press-1',
      timestampMs: 1004,
      value: codec.encode('anomalies', {
        type: 'EpisodeOpened',
        assetId: 'press-1',
        finding: { ...finding, ...rest, faultMode: 'bearing wear' },
      }),
    },
  ])
  assert.deepEqual((await diff(log)).topics[0]?.groups, [
    { assetId: 'press-1', faultMode: 'bearing wear', same: 0, changed: 1, missing: 0, new: 0 },
    { assetId: 'press-1', faultMode: '-', same: 1, changed: 0, missing: 0, new: 0 },
    { assetId: 'pump-2', faultMode: '-', same: 1, changed: 0, missing: 0, new: 0 },
  ])
})

test('findings meet by episode and transition, actions by incident and step', () => {
  const at = (value: object) => ({
    topic: '',
    partition: 0,
    offset: 0,
    leaderEpoch: 0,
    timestampMs: 0,
    key: 'k',
    id: 'i',
    type: null,
    headers: {},
    value,
  })
  const finding = (detectorSet: string) =>
    at({
      type: 'EpisodeOpened',
      assetId: 'a',
      finding: { openingVectorId: 'v', transition: 'opened', vectorId: 'v', detectorSet, findingId: detectorSet },
    })
  assert.equal(identityOf('anomalies', finding('s1'))?.key, identityOf('anomalies', finding('s2'))?.key)
  const step = (id: string) => at({ type: 'StepProposed', incidentId: 'i', stepId: 's', id, execution: null, finding: null })
  assert.equal(identityOf('actions', step('1'))?.key, identityOf('actions', step('2'))?.key)
  assert.equal(identityOf('telemetry', at({ type: 'tick' })), undefined)
})

test('a value is the same as itself, and a comparison does not depend on its direction', () => {
  const value = fc.dictionary(
    fc.constantFrom('a', 'b', 'ratio'),
    fc.oneof(fc.double(), fc.string(), fc.constant(null), fc.array(fc.double(), { maxLength: 3 })),
  )
  fc.assert(
    fc.property(value, value, (a, b) => {
      assert.deepEqual(compareValues(a, a, tolerances, new Set()), [])
      const there = compareValues(a, b, tolerances, new Set()).map(({ path, element }) => `${path} ${element}`)
      const back = compareValues(b, a, tolerances, new Set()).map(({ path, element }) => `${path} ${element}`)
      assert.deepEqual(there.toSorted(), back.toSorted())
    }),
  )
})

test('a tolerance that is none is refused', () => {
  assert.throws(() => parseTolerances(['ratio']), { code: 'ANDON_CLI_TOLERANCE' })
  assert.throws(() => parseTolerances(['ratio=-1']), { code: 'ANDON_CLI_TOLERANCE' })
})
