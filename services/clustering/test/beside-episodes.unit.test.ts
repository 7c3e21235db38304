import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Anomalies, Predictions } from '@andon/schemas'
import { fitDriftWatch } from '../src/drift-watch.ts'
import { randomFrom } from '../src/random.ts'
import { namesOf, Plant, shortSet, unscoredWindow } from './detector-stream.ts'
import { SECOND_US } from './predictions.ts'

const set = { ...shortSet, detector: { ...shortSet.detector, learningWindows: 400 } }
const more = { fitDrift: fitDriftWatch }

/** A slow creep of one number, too small for an episode. */
const stream = (count: number, creepFrom: number, seed = 3): Predictions[] => {
  const random = randomFrom(seed)
  return Array.from({ length: count }, (_, n) =>
    unscoredWindow(
      n,
      Float64Array.from({ length: 3 }, (__, j) => 10 + random.normal() + (j === 0 && n >= creepFrom ? 0.9 : 0)),
    ),
  )
}

const ofType = (plant: Plant, type: string): Anomalies[] =>
  plant.outputs.filter((one) => one.type === type).map(({ value }) => value as Anomalies)

test('drift is told with what moved and a complete finding about the machine, proposes retraining when it stays, and is a doubt meanwhile', async () => {
  const plant = await new Plant(set, more).feed(stream(800, 500))
  const told = ofType(plant, 'DriftDetected')
  assert.deepEqual(
    told.map(({ finding, drift }) => `${finding?.transition} ${finding?.about} ${finding?.severity} ${drift?.proposesRetraining}`),
    ['opened machine 4 false', 'updated machine 3 true'],
  )
  assert.equal(told[0]?.drift?.features[0]?.name, namesOf(3)[0])
  assert.equal(new Set(told.map(({ finding }) => finding?.episodeId)).size, 1)
  assert.ok(told[0]?.finding?.title.includes('drifted'))
  const before = plant.outputs.length
  const wild = stream(830, 500).slice(800)
  await plant.feed(
    wild.map((_, i) => unscoredWindow(800 + i, Float64Array.of(40, 40, 40))),
    800,
  )
  const episode = plant.outputs.slice(before).find(({ type }) => type === 'EpisodeOpened')?.value as Anomalies | undefined
  assert.ok(episode?.finding?.doubts.includes('drift'), JSON.stringify(episode?.finding?.doubts))
})

test('without a change nothing drifts', async () => {
  const plant = await new Plant(set, more).feed(stream(1500, Number.POSITIVE_INFINITY, 9))
  assert.deepEqual(ofType(plant, 'DriftDetected'), [])
})

test('a service ends a drift: its reference is learnt anew', async () => {
  const plant = await new Plant(set, more).feed(stream(700, 500))
  const opened = ofType(plant, 'DriftDetected')[0]
  const serviced = stream(710, 500)
    .slice(700)
    .map((window) => ({ ...window, baselineEpochUs: window.windowStartUs }))
  await plant.feed(serviced, 700)
  const last = ofType(plant, 'DriftDetected').at(-1)
  assert.equal(last?.finding?.transition, 'closed')
  assert.equal(last?.finding?.episodeId, opened?.finding?.episodeId)
})

test('a person who says that a drift is normal now ends it', async () => {
  const plant = new Plant(set, { ...more, verdictOf: () => 'normal-now' })
  await plant.feed(stream(800, 500))
  assert.deepEqual(
    ofType(plant, 'DriftDetected').map(({ finding }) => finding?.transition),
    ['opened', 'closed'],
  )
})

test('cut anywhere, the findings are the same', async () => {
  const windows = stream(800, 500)
  const whole = await new Plant(set, more).feed(windows)
  const cut = new Plant(set, more)
  for (let from = 0; from < windows.length; from += 90) {
    await cut.feed(windows.slice(from, from + 90), from)
    cut.restart()
  }
  assert.deepEqual(cut.outputs, whole.outputs)
  assert.ok(ofType(cut, 'DriftDetected').length > 0)
})

/** An episode: one number far out. */
const episodeAt = (from: number, at: number, length = 40): Predictions[] => {
  const random = randomFrom(from)
  return Array.from({ length: length + 60 }, (_, n) =>
    unscoredWindow(
      from + n,
      Float64Array.from({ length: 3 }, (__, j) => 10 + random.normal() + (j === at && n < length ? 25 : 0)),
    ),
  )
}

test('an episode names the past one that looked like it, and what a person said of it', async () => {
  const plant = new Plant(set, { ...more, verdictOf: () => 'fault' })
  await plant.feed(stream(450, Number.POSITIVE_INFINITY))
  await plant.feed(episodeAt(450, 0), 450)
  await plant.feed(episodeAt(600, 2), 600)
  await plant.feed(episodeAt(750, 0), 750)
  const opened = ofType(plant, 'EpisodeOpened')
  assert.ok(opened.length >= 3, `${opened.length}`)
  const [first, , third] = opened
  assert.deepEqual(first?.finding?.nearest, [])
  const [near] = third?.finding?.nearest ?? []
  assert.equal(near?.episodeId, first?.finding?.episodeId)
  assert.equal(near?.verdict, 'fault')
  assert.ok(near.closedUs !== null)
})

test('a velocity that creeps towards zone C has a prognosis; old data and data of a machine that is off have none', async () => {
  const asset = {
    name: 'Fan',
    classId: 'fan',
    unitOf: () => 'mm/s',
    sources: [],
    isControl: false,
    zoneLimitsMmS: [1.4, 2.8, 4.5] as const,
  }
  const windowsOf = (overrides: Partial<Predictions>): Predictions[] => {
    const random = randomFrom(4)
    return Array.from({ length: 120 }, (_, n) => {
      const velocity = 1 + 0.012 * n + 0.03 * random.normal()
      const window = unscoredWindow(n, Float64Array.of(velocity, velocity < 2.8 ? 2 : 3))
      return { ...window, names: ['vibrationG.velocityRmsMmS', 'vibrationG.isoZone'], ...overrides }
    })
  }
  const live = await new Plant(set, { wordsOf: () => asset }).feed(windowsOf({}))
  const told = ofType(live, 'PrognosisUpdated')
  assert.equal(told[0]?.finding?.transition, 'opened')
  assert.match(told[0]?.prognosis?.quantity ?? '', /zone C/)
  const { atUs = 0 } = told.at(-1)?.finding ?? {}
  const endUs = atUs + (told.at(-1)?.prognosis?.medianUs ?? 0)
  const trueUs = (live.judged[0]?.windowEndUs ?? 0) + 150 * ((live.judged[1]?.windowEndUs ?? 0) - (live.judged[0]?.windowEndUs ?? 0))
  assert.ok(Math.abs(endUs - trueUs) < 30 * SECOND_US * 60, `${(endUs - trueUs) / SECOND_US} s off`)
  for (const overrides of [{ historical: true }, { machineOff: true }]) {
    const other = await new Plant(set, { wordsOf: () => asset }).feed(windowsOf(overrides))
    assert.deepEqual(ofType(other, 'PrognosisUpdated'), [])
  }
})
