import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { standingOf } from '../../src/drift/attribution.ts'
import { fitDrift } from '../../src/drift/calibration.ts'
import { DriftMonitor } from '../../src/drift/monitor.ts'
import type { DriftContext, DriftEvent, DriftState, DriftStep } from '../../src/drift/monitor.ts'
import { noRetraining, retrainingAfter } from '../../src/drift/retraining.ts'
import { rowOf } from '../../src/matrix.ts'
import type { Matrix } from '../../src/matrix.ts'
import { plant } from './plant.ts'

const NAMES = ['pump.flow.mean', 'pump.pressure.mean', 'pump.temperature.mean'].map((name) => name.replace('pump.', ''))
const MINUTE_US = 60e6

const learnt = plant(21, 3, 0)
const fitted = fitDrift(learnt.rows(1500), {})
const slow = plant(22, 3, 0)
const other = fitDrift(slow.rows(1000), { bootstraps: 200 })

const context = (index: number, more: Partial<DriftContext> = {}): DriftContext => ({
  type: 'verdicts',
  names: NAMES,
  quality: 'good',
  regime: 'run',
  machineOff: false,
  health: [],
  historical: false,
  atUs: index * MINUTE_US,
  isEpisodeOpen: false,
  ...more,
})

const feed = (monitor: DriftMonitor, rows: Matrix, from: number, more: Partial<DriftContext> = {}): DriftStep[] =>
  Array.from({ length: rows.rows }, (_, i) => monitor.push(rowOf(rows, i), context(from + i, more)))

const eventsOf = (steps: readonly DriftStep[]): DriftEvent[] => steps.flatMap(({ event }) => (event === null ? [] : [event]))

test('a mean that moves by 1 σ, a spread that doubles and a correlation that appears are found once, within a window and a half, at most two and a half for the spread', () => {
  for (const change of ['mean', 'variance', 'correlation'] as const) {
    const delays: number[] = []
    for (let seed = 1; seed <= 20; seed++) {
      const source = plant(100 + seed, 3, 0)
      const monitor = new DriftMonitor({ run: fitted })
      assert.deepEqual(eventsOf(feed(monitor, source.rows(300), 0)), [], 'nothing before')
      const steps = feed(monitor, source.rows(300, change), 300)
      const events = eventsOf(steps)
      assert.deepEqual(
        events.map(({ type }) => type),
        ['DriftDetected'],
        `${change} of ${seed}`,
      )
      const [event] = events
      delays.push(steps.findIndex(({ event: told }) => told !== null) + 1)
      assert.ok(event !== undefined && event.evidence > event.line)
      if (change === 'correlation') assert.deepEqual(event.relation?.features, [NAMES[0], NAMES[1]])
      else {
        assert.equal(event.features[0]?.name, NAMES[0])
        assert.ok(Math.abs(event.sinceUs / MINUTE_US - 300) <= 1.5 * fitted.windowRows, `since ${event.sinceUs / MINUTE_US}`)
      }
    }
    delays.sort((a, b) => a - b)
    const most = change === 'variance' ? 2.5 : 1.5
    assert.ok((delays.at(-1) as number) <= most * fitted.windowRows, `${change}: ${delays.join(' ')}`)
    assert.ok((delays[10] as number) <= fitted.windowRows, `${change}: ${delays.join(' ')}`)
  }
})

test('the event says what moved: ranges of the reference and now, distance and probabilities', () => {
  const source = plant(31, 3, 0)
  const monitor = new DriftMonitor({ run: fitted })
  feed(monitor, source.rows(200), 0)
  const [event] = eventsOf(feed(monitor, source.rows(200, 'mean'), 200))
  const feature = event?.features[0]
  assert.ok(feature !== undefined)
  assert.ok(Math.abs(feature.reference.mean) < 0.1 && feature.reference.low < -1.8 && feature.reference.high > 1.8)
  assert.ok(feature.current.mean > 0.3 && feature.distance > 0.3)
  assert.ok(feature.pValue <= feature.adjustedPValue && feature.adjustedPValue < 0.001)
  assert.equal(event?.regime, 'run')
  assert.equal(event.expectedRunRows, 100_000)
})

test('drift that goes away is ended once, after three quiet checks', () => {
  const source = plant(32, 3, 0)
  const monitor = new DriftMonitor({ run: fitted })
  feed(monitor, source.rows(100), 0)
  const opened = eventsOf(feed(monitor, source.rows(200, 'mean'), 100))
  const ended = eventsOf(feed(monitor, source.rows(600), 300))
  assert.deepEqual(
    [...opened, ...ended].map(({ type }) => type),
    ['DriftDetected', 'DriftEnded'],
  )
  assert.equal(ended[0]?.sinceUs, opened[0]?.sinceUs)
})

test('what an open episode, an unknown regime, a faulty sensor or a machine that is off shows is no drift', () => {
  for (const [more, because] of [
    [{ isEpisodeOpen: true }, 'frozen'],
    [{ regime: 'cleaning' }, 'regime-change'],
    [{ regime: null }, 'regime-change'],
    [{ quality: 'uncertain' }, 'sensor-fault'],
    [{ health: ['flow', 'pressure'].map((channel) => ({ channel, flags: ['stuck'], names: [] })), quality: 'uncertain' }, 'sensor-fault'],
    [{ machineOff: true }, 'not-judged'],
    [{ type: 'young' }, 'not-judged'],
    [{ type: 'unmonitored' }, 'not-judged'],
  ] as const) {
    const source = plant(33, 3, 0)
    const monitor = new DriftMonitor({ run: fitted })
    feed(monitor, source.rows(200), 0)
    const before = monitor.state().regimes
    const steps = feed(monitor, source.rows(400, 'mean'), 200, more as Partial<DriftContext>)
    assert.ok(
      steps.every(({ leftOut, event }) => leftOut === because && event === null),
      because,
    )
    // An episode that opens takes back the rows that opened it; else the window is as it was.
    if (because !== 'frozen') assert.deepEqual(monitor.state().regimes, before)
    else assert.equal(monitor.state().regimes['run']?.timesUs.length, fitted.windowRows - 3)
  }
})

test('numbers of a suspected sensor are left out, the others still show drift', () => {
  const health = [{ channel: 'flow', flags: ['stuck'], names: [] }]
  const source = plant(34, 3, 0)
  const monitor = new DriftMonitor({ run: fitted })
  assert.deepEqual(eventsOf(feed(monitor, source.rows(400, 'mean'), 0, { health, quality: 'uncertain' })), [], 'feature 0 is masked')
  const moved = source.rows(200)
  for (let i = 0; i < moved.rows; i++) moved.values[i * 3 + 2] = (moved.values[i * 3 + 2] as number) + 2
  const [event] = eventsOf(feed(monitor, moved, 400, { health, quality: 'uncertain' }))
  assert.deepEqual(
    event?.features.map(({ name }) => name),
    [NAMES[2]],
  )
})

test('every regime has its own reference: changing between known ones is no drift', () => {
  const monitor = new DriftMonitor({ run: fitted, idle: other })
  const source = plant(35, 3, 0)
  const idle = (count: number): Matrix => source.rows(count)
  for (let k = 0; k < 10; k++) {
    assert.deepEqual(eventsOf(feed(monitor, source.rows(50), k * 100)), [])
    assert.deepEqual(eventsOf(feed(monitor, idle(50), k * 100 + 50, { regime: 'idle' })), [])
  }
})

test('the monitor continues from its state, as JSON, with equal bits wherever it is cut', () => {
  const source = plant(36, 3, 0)
  const rows = [source.rows(150), source.rows(150, 'variance'), source.rows(300)]
  const inputs = rows.flatMap((part) => Array.from({ length: part.rows }, (_, i) => [...rowOf(part, i)]))
  const contexts = inputs.map((_, i) =>
    context(i, {
      isEpisodeOpen: i > 60 && i < 80,
      health: i % 40 === 0 ? [{ channel: 'pressure', flags: ['gap'], names: [] }] : [],
    }),
  )
  const whole = new DriftMonitor({ run: fitted })
  const states: string[] = []
  const steps = inputs.map((row, i) => {
    states.push(JSON.stringify(whole.state()))
    return whole.push(row, contexts[i] as DriftContext)
  })
  assert.ok(eventsOf(steps).length > 0)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: inputs.length - 1 }), (cut) => {
      const rest = new DriftMonitor({ run: fitted }, JSON.parse(states[cut] as string) as DriftState)
      assert.deepEqual(
        inputs.slice(cut).map((row, i) => rest.push(row, contexts[cut + i] as DriftContext)),
        steps.slice(cut),
      )
      assert.deepEqual(rest.state(), whole.state())
    }),
    { numRuns: 15, seed: 1 },
  )
})

test('the state of a monitor is as large after many rows as after a few', () => {
  const source = plant(37, 3, 0)
  const monitor = new DriftMonitor({ run: fitted })
  feed(monitor, source.rows(200), 0)
  const before = monitor.state().regimes['run']?.values.length
  feed(monitor, source.rows(5000), 200)
  assert.equal(monitor.state().regimes['run']?.values.length, before)
})

test('a row stands by the gravest reason: not judged, sensor, regime, episode', () => {
  const row = context(0)
  assert.deepEqual(standingOf({ ...row, machineOff: true, quality: 'uncertain' }, false, true), { leftOut: 'not-judged' })
  assert.deepEqual(standingOf({ ...row, quality: 'uncertain' }, false, true), { leftOut: 'sensor-fault' })
  assert.deepEqual(standingOf(row, false, true), { leftOut: 'regime-change' })
  assert.deepEqual(standingOf(row, true, true), { leftOut: 'frozen' })
  assert.equal(standingOf(row, true, false).leftOut, null)
})

const day = 86_400e6
const plain = { isPlain: true, isNovel: false }

test('three checks in a row with a third of the features drifted propose retraining, then the cooldown holds', () => {
  const step = { atUs: 0, learntWindows: 1000, isFrozen: false }
  let { state, proposal } = retrainingAfter(noRetraining, { ...step, driftedShare: 0.4 })
  ;({ state, proposal } = retrainingAfter(state, { ...step, driftedShare: 0.4 }))
  ;({ state, proposal } = retrainingAfter(state, { ...step, driftedShare: 0.1 }))
  assert.equal(proposal, null)
  for (let k = 0; k < 3; k++) ({ state, proposal } = retrainingAfter(state, { ...step, driftedShare: 0.3 }))
  assert.deepEqual(proposal, ['drift'])
  for (let k = 0; k < 5; k++) {
    ;({ state, proposal } = retrainingAfter(state, { ...step, atUs: 6 * day, driftedShare: 1 }))
    assert.equal(proposal, null, 'cooldown')
  }
  ;({ state, proposal } = retrainingAfter(state, { ...step, atUs: 7 * day, driftedShare: 1 }))
  assert.deepEqual(proposal, ['drift'])
})

test('new windows, novel windows and verdicts propose retraining at their numbers, not before, and nothing does while frozen', () => {
  const step = { atUs: 0, learntWindows: 8000, isFrozen: false }
  let state = noRetraining
  let proposal: readonly string[] | null = null
  for (let k = 1; k <= 2000; k++) {
    assert.equal(proposal, null)
    ;({ state, proposal } = retrainingAfter(state, { ...step, window: plain }))
  }
  assert.deepEqual(proposal, ['new-windows'])

  state = noRetraining
  for (let k = 1; k <= 500; k++) ({ state, proposal } = retrainingAfter(state, { ...step, window: { ...plain, isNovel: k <= 75 } }))
  assert.equal(proposal, null, '15 % are not more than 15 %')
  state = noRetraining
  for (let k = 1; k <= 500; k++) ({ state, proposal } = retrainingAfter(state, { ...step, window: { ...plain, isNovel: k <= 76 } }))
  assert.deepEqual(proposal, ['novel-share'])

  assert.equal(retrainingAfter(noRetraining, { ...step, verdicts: 19 }).proposal, null)
  assert.deepEqual(retrainingAfter(noRetraining, { ...step, verdicts: 20 }).proposal, ['verdicts'])
  const frozen = retrainingAfter(noRetraining, { ...step, isFrozen: true, verdicts: 25, window: plain })
  assert.equal(frozen.proposal, null)
  assert.equal(frozen.state.newWindows, 0)
  assert.deepEqual(retrainingAfter(frozen.state, step).proposal, ['verdicts'], 'counted meanwhile')
})
