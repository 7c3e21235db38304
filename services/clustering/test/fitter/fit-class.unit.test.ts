import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha256Hex } from '@andon/kit'
import { type ClassModel, readArtefact, toArtefact } from '../../src/class-model.ts'
import { loadedModel } from '../../src/class-models.ts'
import { ClassState, HOUR_US } from '../../src/class-summaries.ts'
import { type FitResult, type Taught, fitClass } from '../../src/fitter/fit-class.ts'
import { modeEvents } from '../../src/fitter/mode-events.ts'
import { dueHour } from '../../src/fitter/when.ts'
import { randomFrom } from '../../src/random.ts'
import { type Placed, absorbAll, middleOf, summaryOf, windowsOf } from '../class-windows.ts'

const none: Taught = { failures: [], interventions: [], verdicts: {} }
const DAY_US = 24 * HOUR_US

/** A class on one partition, fitted again and again. */
const line = () => {
  const state = new ClassState('pump')
  let inForce: { digest: string; model: ClassModel } | null = null
  let hours = 1
  const fit = (placed: readonly Placed[], windows = 200, taught = none): FitResult => {
    absorbAll(state, windowsOf(placed, windows, hours * HOUR_US, hours))
    hours += Math.ceil(windows / 60)
    const result = fitClass({ summaries: [summaryOf(state, 0, hours)], hourUs: hours * HOUR_US, inForce, taught })
    if (result.decision === 'activate') {
      inForce = { digest: sha256Hex(toArtefact(result.model)), model: readArtefact(toArtefact(result.model)) }
      const loaded = loadedModel(inForce.digest, inForce.model)
      state.regroup(loaded.digest, loaded.modeOf)
    }
    return result
  }
  return { state, fit }
}

const modelOf = (result: FitResult): ClassModel => {
  assert.equal(result.decision, 'activate', JSON.stringify(result).slice(0, 500))
  return (result as Extract<FitResult, { decision: 'activate' }>).model
}
const modeAt = (model: ClassModel, place: number) => loadedModel('x', model).modeOf(middleOf(place))

const normal: Placed = { assetId: 'pump-1', place: 0 }
const wear: Placed = { assetId: 'pump-1', place: 1, isAnomalous: true }
const leak: Placed = { assetId: 'pump-2', place: 2, isAnomalous: true }

test('a class that never had a fault has one way of running and nothing to tell', () => {
  const model = modelOf(line().fit([normal, { assetId: 'pump-2', place: 0 }]))
  assert.deepEqual([model.modes.length, model.modes[0]?.isFault, model.discovered], [1, false, []])
  assert.ok(modeAt(model, 0) !== undefined && modeAt(model, 1) === undefined)
  assert.deepEqual(
    modeEvents(model, 'digest', undefined, () => null),
    [],
  )
})

test('a fault that shows in episodes is discovered once, told where it is seen most, and keeps its id', () => {
  const { fit } = line()
  const first = modelOf(fit([normal, { ...normal, assetId: 'pump-2' }]))
  const second = modelOf(fit([normal, leak, { ...leak, assetId: 'pump-1' }, leak]))
  const modeId = modeAt(second, 2)
  assert.deepEqual(second.discovered, [modeId])
  assert.equal(modeAt(second, 0), modeAt(first, 0))
  const [event, ...others] = modeEvents(second, 'digest', first, () => 'leaking seal')
  assert.deepEqual([event?.type, event?.key, others.length], ['FaultModeDiscovered', 'pump-2', 0])
  assert.deepEqual([event?.value.faultMode?.modeId, event?.value.faultMode?.name], [modeId, 'leaking seal'])
  const third = modelOf(fit([normal, wear, leak]))
  assert.deepEqual([modeAt(third, 2), third.discovered], [modeId, [modeAt(third, 1)]])
  assert.deepEqual(
    third.history.map(({ type }) => type),
    ['emerged', 'emerged', 'emerged'],
  )
})

test('a fit that misses its gates is not activated and says which measure, against which bound', () => {
  const { state, fit } = line()
  modelOf(fit([normal, wear, leak], 300))
  const random = randomFrom(1)
  for (const window of windowsOf([normal], 500, 20 * HOUR_US, 2))
    state.absorb({ ...window, point: window.point.map(() => 40 * random.uniform() - 20), isAnomalous: true })
  const result = fit([normal], 30)
  assert.equal(result.decision, 'refuse')
  const { reasons } = result as Extract<FitResult, { decision: 'refuse' }>
  assert.ok(
    reasons.some(({ measure }) => measure === 'noiseShare'),
    JSON.stringify(reasons),
  )
  for (const { text } of reasons) assert.match(text, /is -?\d.*at (least|most) -?\d.* is required/)
})

test('modes of another feature set are over, and their ids are never used again', () => {
  const { state, fit } = line()
  const first = modelOf(fit([normal, wear, leak], 300))
  const ids = first.registry.modes.map(({ modeId }) => modeId)
  const other = { ...first.space, featureSetDigest: 'e'.repeat(64) }
  state.enter(other, 100 * HOUR_US)
  for (const window of windowsOf([normal, wear, leak], 300, 100 * HOUR_US, 9)) state.absorb(window)
  const inForce = { digest: 'first', model: first }
  const second = modelOf(fitClass({ summaries: [summaryOf(state, 0, 110)], hourUs: 110 * HOUR_US, inForce, taught: none }))
  assert.deepEqual(second.registry.retired.map(({ modeId }) => modeId).toSorted(), ids.toSorted())
  assert.ok(second.registry.modes.every(({ modeId }) => !ids.includes(modeId)))
  assert.ok(modeEvents(second, 'second', first, () => null).some(({ type }) => type === 'FaultModeDisappeared'))
})

test('a mode whose episodes failures followed says so, with its evidence', () => {
  const { state } = line()
  const days = [20, 60, 100, 140, 180, 220]
  // Watched for a year, an episode now and then, a failure four days after each.
  for (let day = 0; day < 365; day++) absorbAll(state, windowsOf([normal], 1, day * DAY_US, 1000 + day))
  for (const day of days)
    state.keepEpisode({
      episodeId: `e-${day}`,
      assetId: 'pump-1',
      openedUs: day * DAY_US,
      closedUs: (day + 1) * DAY_US,
      place: middleOf(1),
    })
  const failures = days.map((day) => ({ eventId: `f-${day}`, assetId: 'pump-1', atUs: (day + 4) * DAY_US }))
  absorbAll(state, windowsOf([normal, wear], 240, 365 * DAY_US, 5))
  const summaries = [summaryOf(state, 0, 366 * 24)]
  const taught = { failures, interventions: [], verdicts: { 'e-20': 'confirmed', 'e-60': 'confirmed' } }
  const model = modelOf(fitClass({ summaries, hourUs: 366 * DAY_US, inForce: null, taught }))
  const mode = model.modes.find(({ modeId }) => modeId === modeAt(model, 1))
  assert.deepEqual([mode?.failures?.episodes, mode?.failures?.failures, mode?.failures?.hasPrecededFailures], [6, 6, true])
  assert.equal(mode?.failures?.leadTimeUs, 4 * DAY_US)
  assert.deepEqual(mode?.failures?.failureIds.length, 6)
  assert.deepEqual(model.agreement, { episodes: 2, purity: 1, vMeasure: 1 })
})

test('a fit is due when every partition has reached the hour; one far behind is not waited for', () => {
  const head = (partition: number, hour: number, windows = 600, anomalous = 0) => ({
    partition,
    hourUs: hour * HOUR_US,
    windows,
    anomalous,
  })
  assert.equal(dueHour([], undefined, HOUR_US), undefined)
  assert.equal(dueHour([head(0, 5), head(1, 4)], undefined, HOUR_US), 4 * HOUR_US)
  assert.equal(dueHour([head(0, 9), head(1, 4)], undefined, HOUR_US), 9 * HOUR_US)
  assert.equal(dueHour([head(0, 5, 400)], undefined, HOUR_US), undefined)
  assert.equal(dueHour([head(0, 5, 400, 50)], undefined, HOUR_US), 5 * HOUR_US)
})

test('a class is fitted at most once per interval of event time, and only for something new', () => {
  const at = (hour: number, windows: number) => [{ partition: 0, hourUs: hour * HOUR_US, windows, anomalous: 0 }]
  const last = { hourUs: 5 * HOUR_US, windows: 600 }
  assert.equal(dueHour(at(6, 660), last, 2 * HOUR_US), undefined)
  assert.equal(dueHour(at(7, 660), last, 2 * HOUR_US), 7 * HOUR_US)
  assert.equal(dueHour(at(7, 600), last, 2 * HOUR_US), undefined)
})
