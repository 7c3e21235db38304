import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packed, unpacked } from '../src/detectors/packed.ts'
import { DriftWatch, fitDriftWatch } from '../src/drift-watch.ts'
import type { DriftTold, DriftWindow, FittedDrift, SavedDrift } from '../src/drift-watch.ts'
import { rowOf } from '../src/matrix.ts'
import type { Matrix } from '../src/matrix.ts'
import { plant } from './drift/plant.ts'

const MINUTE_US = 60e6
const NAMES = ['flow.mean', 'pressure.mean', 'temperature.mean']

const prefixOf = (rows: Matrix, names = NAMES) => ({
  assetId: 'pump-1',
  featureSet: 'features/pump',
  featureSetDigest: 'd',
  names,
  rows,
  regimes: Array.from({ length: rows.rows }, () => null),
  windowEndsUs: Float64Array.from({ length: rows.rows }, (_, i) => i * MINUTE_US),
})

const source = plant(7, 3, 0)
const fitted = unpacked(packed(fitDriftWatch(prefixOf(source.rows(400))))) as FittedDrift

const windowOf = (values: ArrayLike<number>, index: number, more: Partial<DriftWindow> = {}): DriftWindow => ({
  type: 'verdicts',
  names: NAMES,
  quality: 'good',
  regime: null,
  machineOff: false,
  health: [],
  historical: false,
  atUs: index * MINUTE_US,
  isEpisodeOpen: false,
  vectorId: `v${index}`,
  values,
  faultyChannels: new Set<string>(),
  isNewRegime: false,
  ...more,
})

const feed = (watch: DriftWatch, rows: Matrix, from: number, more: Partial<DriftWindow> = {}): DriftTold[] =>
  Array.from({ length: rows.rows }, (_, i) => watch.take(fitted, 400, windowOf(rowOf(rows, i), from + i, more), false)).filter(
    (told) => told !== undefined,
  )

test('the prefix of a detector is a reference', () => {
  assert.deepEqual(Object.keys(fitted.references), [''])
  assert.equal(fitted.references['']?.windowRows, 40)
})

test('an asset too slow for its prefix has no reference, and the artefact says why', () => {
  const slow = fitDriftWatch(prefixOf(plant(8, 3, 0.98).rows(400)))
  assert.deepEqual(Object.keys(slow.references), [])
  assert.match(slow.refused[''] ?? '', /are needed/)
})

test('a drift is told once, proposes retraining when it stays, and is told over', () => {
  const data = plant(11, 3, 0)
  const watch = new DriftWatch('artefact')
  assert.deepEqual(feed(watch, data.rows(200), 400), [])
  const told = feed(watch, data.rows(300, 'mean'), 600)
  assert.deepEqual(
    told.map(({ kind, cause, proposesRetraining }) => `${kind} ${cause} ${proposesRetraining}`),
    ['opened drift false', 'updated drift true'],
  )
  assert.equal(told[0]?.standing.event.features[0]?.name, 'flow.mean')
  const over = feed(watch, data.rows(300), 900)
  assert.deepEqual(
    over.map(({ kind, reason }) => `${kind} ${reason}`),
    ['closed over'],
  )
})

test('what a faulty sensor or an unknown regime shows proposes no retraining', () => {
  for (const [cause, more] of [
    ['sensor', { faultyChannels: new Set(['flow']) }],
    ['regime', { isNewRegime: true }],
  ] as const) {
    const data = plant(12, 3, 0)
    const watch = new DriftWatch('artefact')
    feed(watch, data.rows(200), 400)
    const told = feed(watch, data.rows(300, 'mean'), 600, more)
    assert.deepEqual(
      told.map((each) => `${each.kind} ${each.cause} ${each.proposesRetraining}`),
      [`opened ${cause} false`],
    )
  }
})

test('nothing is learnt or told of windows of an open episode', () => {
  const data = plant(13, 3, 0)
  const watch = new DriftWatch('artefact')
  feed(watch, data.rows(200), 400)
  assert.deepEqual(feed(watch, data.rows(300, 'mean'), 600, { isEpisodeOpen: true }), [])
})

test('a new reference, or a person who says that this is normal now, ends a drift', () => {
  for (const how of ['renewed', 'accepted'] as const) {
    const data = plant(14, 3, 0)
    const watch = new DriftWatch('artefact')
    feed(watch, data.rows(200), 400)
    const rows = data.rows(200, 'mean')
    assert.equal(feed(watch, rows, 600)[0]?.kind, 'opened')
    const told = how === 'renewed' ? watch.end() : watch.take(fitted, 400, windowOf(rowOf(rows, 0), 800), true)
    assert.equal(told?.kind, 'closed')
    assert.equal(told.reason, how)
    if (how === 'accepted') assert.deepEqual(feed(watch, data.rows(300, 'mean'), 801), [])
  }
})

test('cut anywhere, the stream tells the same', () => {
  const stream = (isCut: boolean): string => {
    const data = plant(15, 3, 0)
    let watch = new DriftWatch('artefact')
    const told: DriftTold[] = []
    for (const [rows, from] of [
      [data.rows(150), 400],
      [data.rows(250, 'mean'), 550],
      [data.rows(250), 800],
    ] as const)
      for (let i = 0; i < rows.rows; i++) {
        if (isCut && i % 7 === 0) watch = DriftWatch.restored(JSON.parse(JSON.stringify(watch)) as SavedDrift)
        const step = watch.take(fitted, 400, windowOf(rowOf(rows, i), from + i), false)
        if (step !== undefined) told.push(step)
      }
    return JSON.stringify(told)
  }
  assert.equal(stream(true), stream(false))
  assert.notEqual(stream(false), '[]')
})
