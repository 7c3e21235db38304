// Beside the machine's episodes: sensors at fault, assets without telemetry, absolute limits, machines that are off, services.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChannelHealth, Predictions } from '@andon/schemas'
import { packDoubles } from '@andon/schemas/packed'
import { keyedState, newMemory } from '../src/asset-state.ts'
import { judgeLimit, quietLimit } from '../src/limit.ts'
import type { LimitTransition, LimitWatch } from '../src/limit.ts'
import { Clustering, SECOND_US, inputOf, modelFact, oneOnOne, predictionOf, valuesAt, verdictOf } from './predictions.ts'

const times = (n: number, ratio: number) => Array.from({ length: n }, () => ratio)
const suspected = (...flags: string[]): { health: ChannelHealth[] } => ({ health: [{ channel: 'vibrationG', flags, names: [] }] })
const order = (offset: number, promotion = 0) => ({ promotion, leaderEpoch: 0, offset, index: 0 })
const silentAt = (n: number, overrides: Partial<Predictions> = {}): Predictions =>
  predictionOf(n, 0, {
    type: 'unmonitored',
    quality: 'unmonitored',
    names: [],
    values: Buffer.alloc(0),
    verdicts: [],
    complete: false,
    revision: 0,
    vectorId: `silent-${n}`,
    ...overrides,
  })
const feed = (clustering: Clustering, ...predictions: readonly Predictions[]) => {
  const from = clustering.outcomes.length
  return clustering.feed(predictions.map((prediction, i) => inputOf(prediction, from + i)))
}

test('an asset without telemetry is told once, and once more when it speaks again', async () => {
  const clustering = await new Clustering().ratios(times(3, 0.5))
  await feed(clustering, silentAt(6), silentAt(60), predictionOf(400, 0.5), predictionOf(401, 0.5))
  assert.deepEqual(clustering.types(), ['AssetUnmonitored', 'AssetUnmonitored'])
  const [opened, closed] = clustering.findings()
  assert.deepEqual([opened?.transition, opened?.severity, opened?.about, opened?.model, opened?.doubts], ['opened', 3, 'telemetry', '', []])
  assert.equal(opened?.title, 'Press 1 main drive: unmonitored, no telemetry from press-1-vib since 1970-01-01 00:00:06 UTC')
  assert.equal(closed?.episodeId, opened?.episodeId)
  assert.equal(closed?.title, 'Press 1 main drive: monitored again after 7 min without telemetry')
  assert.deepEqual(clustering.outcomes.slice(3), ['unmonitored', 'repeated', 'judged', 'judged'])
})

test('an asset that decides about stops is graver when it is unmonitored, and one without a model is told as well', async () => {
  const clustering = new Clustering({}, [])
  clustering.words = { ...clustering.words, isControl: true, sources: [] }
  await feed(clustering, predictionOf(0, 0, { type: 'learning', verdicts: [] }), silentAt(6))
  assert.equal(clustering.findings()[0]?.severity, 2)
  assert.equal(clustering.findings()[0]?.title, 'Press 1 main drive: unmonitored, no telemetry since 1970-01-01 00:00:06 UTC')
})

test('an open episode stays open through a silence and takes no part', async () => {
  const clustering = await new Clustering().ratios(times(3, 3))
  const before = clustering.memory.assets.get('press-1')?.machine
  await feed(clustering, silentAt(6))
  assert.deepEqual(clustering.memory.assets.get('press-1')?.machine, before)
  assert.match(clustering.findings()[1]!.title, /; its open finding stays open, unjudged$/)
  await clustering.ratios(times(10, 0.2), 100)
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'AssetUnmonitored', 'AssetUnmonitored', 'EpisodeClosed'])
})

test('windows that were under way when the silence began are judged when they come, and old data ends no silence', async () => {
  const clustering = await new Clustering(oneOnOne).ratios([0.5], 10)
  await feed(clustering, silentAt(20), predictionOf(3, 0.5), predictionOf(15, 3))
  assert.deepEqual(clustering.types(), ['AssetUnmonitored', 'AssetUnmonitored', 'EpisodeOpened'])
  assert.equal(clustering.findings()[1]?.vectorId, 'vector-15')
  assert.deepEqual(clustering.outcomes, ['judged', 'unmonitored', 'out-of-order', 'judged'])
})

test('a vector without telemetry that is read again after its end begins nothing', async () => {
  const clustering = await new Clustering().ratios([0.5])
  await clustering.feed([
    inputOf(silentAt(60), 1, order(5)),
    inputOf(predictionOf(20, 0.5), 2, order(6)),
    inputOf(silentAt(60), 3, order(5)),
    inputOf(silentAt(6), 4, order(5, 1)),
  ])
  assert.deepEqual(clustering.types(), ['AssetUnmonitored', 'AssetUnmonitored'])
})

test('a suspected sensor is a fault after as many windows as an episode needs, and well after as many', async () => {
  const clustering = new Clustering()
  await clustering.near(2, 0.5, 0, [1, 1, 1])
  await feed(clustering, ...[2, 3].map((n) => predictionOf(n, 0.5, suspected('saturated'))), predictionOf(4, 0.5))
  assert.deepEqual(clustering.types(), [])
  await feed(clustering, ...[5, 6, 7, 8].map((n) => predictionOf(n, 0.5, suspected('saturated', 'drop-outs'))))
  assert.deepEqual(clustering.types(), ['SensorFault'])
  await feed(clustering, predictionOf(9, 0.5), predictionOf(10, 0.5), predictionOf(11, 0.5, suspected('gap')))
  await feed(clustering, ...[12, 13, 14].map((n) => predictionOf(n, 0.5)))
  assert.deepEqual(clustering.types(), ['SensorFault', 'SensorFault'])
  const [opened, closed] = clustering.findings()
  assert.deepEqual([opened?.openingVectorId, opened?.about, opened?.severity, opened?.model], ['vector-7', 'sensor', 3, ''])
  assert.equal(
    opened?.title,
    'Press 1 main drive: vibration sensor is at the end of its range and drops out, 3 windows in a row; t2spe.press-1 is blind',
  )
  assert.deepEqual([closed?.vectorId, closed?.episodeId], ['vector-14', opened?.episodeId])
  assert.equal(closed?.title, 'Press 1 main drive: vibration sensor is well again')
})

test('one fault is open per channel: standing still and a flag are the same sensor', async () => {
  const clustering = await new Clustering().ratios(times(12, 0.5), 0, { ...suspected('stuck'), values: valuesAt(0.5, 0.5, 0.5) })
  assert.deepEqual(clustering.types(), ['SensorFault'])
  assert.equal(clustering.findings()[0]?.openingVectorId, 'vector-2')
})

test('sensors are watched while an asset is learnt, and a channel without numbers as well', async () => {
  const health = [{ channel: 'soundPa', flags: ['drop-outs'], names: [] }]
  const clustering = await new Clustering({}, []).ratios(times(3, 0), 0, { type: 'learning', verdicts: [], health })
  assert.deepEqual(clustering.types(), ['SensorFault'])
  assert.equal(clustering.findings()[0]?.title, 'Press 1 main drive: sound sensor drops out, 3 windows in a row')
})

test('a fault of which a model does without says how much is left', async () => {
  const names = ['vibrationG.rms', 'speedRpm.mean', 'vibrationG+speedRpm.correlation']
  const card = JSON.stringify({ features: names.map((name) => ({ name, mean: 1, std: 1, q01: 0, q99: 2, use: 'used' })) })
  const clustering = new Clustering({}, [modelFact({ card, features: names })])
  const values = packDoubles(Float64Array.of(1, 1, 1))
  await clustering.ratios(times(3, 0.5), 0, { names, values, health: [{ channel: 'speedRpm', flags: ['noise'], names: [] }] })
  assert.match(clustering.findings()[0]!.title, /; t2spe\.press-1 goes without 2 of its 3 numbers$/)
})

test('what is left of a vector with a suspected sensor may open an episode, but does not say that one is over', async () => {
  const opening = await new Clustering().ratios(times(3, 3), 0, suspected('stuck'))
  assert.ok(opening.types().includes('EpisodeOpened'))

  const clustering = await new Clustering().ratios(times(3, 3))
  await clustering.ratios(times(40, 0.1), 3, suspected('stuck'))
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'SensorFault'])
  await clustering.ratios(times(10, 0.1), 43)
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'SensorFault', 'SensorFault', 'EpisodeClosed'])
})

test('a sensor that had no part in an episode does not keep it open', async () => {
  const clustering = await new Clustering().ratios(times(3, 3))
  await clustering.ratios(times(10, 0.1), 3, { health: [{ channel: 'soundPa', flags: ['drop-outs'], names: [] }] })
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'SensorFault', 'EpisodeClosed'])
})

test('numbers of a suspected sensor form no pattern', async () => {
  const clustering = await new Clustering().near(20, 0.3, 0, [0.1, -0.2, 0.1])
  const count = clustering.memory.classes.get('press-1')?.micro?.count
  await clustering.ratios(times(8, 0.3), 20, { ...suspected('stuck'), values: valuesAt(500, 900, 700) })
  assert.equal(clustering.memory.classes.get('press-1')?.micro?.count, count)
})

test('a machine that is off opens nothing, and what is open neither grows nor closes', async () => {
  const off = { type: 'machine-off', machineOff: true, regime: 'off', verdicts: [] }
  const quiet = await new Clustering(oneOnOne).ratios(times(3, 90), 0, { ...off, type: 'verdicts', verdicts: [verdictOf(90)] })
  assert.deepEqual([quiet.types(), quiet.outcomes], [[], times(3, 0).map(() => 'machine-off')])

  const clustering = await new Clustering().ratios(times(3, 3))
  const before = clustering.memory.assets.get('press-1')?.machine
  await clustering.ratios(times(40, 0), 3, off)
  assert.deepEqual(clustering.memory.assets.get('press-1')?.machine, before)
  await clustering.ratios(times(10, 0.2), 43)
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'EpisodeClosed'])
})

test('a young window is not judged: nothing opens by it, no sensor is suspected, and an absolute limit holds all the same', async () => {
  const young = { type: 'young', verdicts: [], complete: false }
  const clustering = await new Clustering(oneOnOne).ratios(times(30, 90), 0, { ...young, ...suspected('flat') })
  assert.deepEqual([clustering.types(), clustering.outcomes], [[], times(30, 0).map(() => 'young')])
  await feed(clustering, ...[30, 31, 32].map((n) => zoned(n, 4, 9, young)))
  assert.deepEqual(clustering.types(), ['LimitExceeded'])

  const open = await new Clustering().ratios(times(3, 3))
  const before = open.memory.assets.get('press-1')?.machine
  await open.ratios(times(40, 0), 3, young)
  assert.deepEqual(open.memory.assets.get('press-1')?.machine, before, 'what is open neither grows nor closes')
})

test('a sensor of a machine that is off may be flat and quiet; one that drops out is at fault', async () => {
  const off = { type: 'machine-off', machineOff: true, verdicts: [] }
  const clustering = await new Clustering().ratios(times(30, 0), 0, { ...off, ...suspected('flat', 'stuck', 'noise') })
  assert.deepEqual(clustering.types(), [])
  await clustering.ratios(times(3, 0), 30, { ...off, ...suspected('flat', 'drop-outs') })
  assert.match(clustering.findings()[0]!.title, /vibration sensor drops out, 3 windows/)
})

test('after a service a model that learnt before it is in doubt, and patterns and runs begin anew', async () => {
  const learnt = (toUs: number) => modelFact({ card: JSON.stringify({ ...JSON.parse(modelFact().card), training: { toUs } }) })
  const serviced = { baselineEpochUs: 50 * SECOND_US }
  const clustering = new Clustering({}, [learnt(20 * SECOND_US)])
  await clustering.near(20, 0.5, 20, [1, 1, 1])
  await clustering.ratios(times(2, 3), 48)
  await clustering.ratios(times(2, 3), 50, serviced)
  assert.deepEqual([clustering.types(), clustering.memory.assets.get('press-1')?.modes.earlier], [[], []])
  await clustering.ratios([3], 52, serviced)
  assert.deepEqual(clustering.findings()[0]?.doubts, ['stale-calibration'])

  const fresh = await new Clustering(oneOnOne, [learnt(60 * SECOND_US)]).ratios([3], 70, serviced)
  assert.deepEqual(fresh.findings()[0]?.doubts, [])
})

test('samples of uncertain quality are a doubt', async () => {
  const clustering = await new Clustering(oneOnOne).ratios([3], 0, { quality: 'uncertain' })
  assert.deepEqual(clustering.findings()[0]?.doubts, ['uncertain-samples'])
})

const zoneNames = ['vibrationG.velocityRmsMmS', 'vibrationG.isoZone']
const zoned = (n: number, zone: number, velocity: number, overrides: Partial<Predictions> = {}): Predictions =>
  predictionOf(n, 0.1, { names: zoneNames, values: packDoubles(Float64Array.of(velocity, zone)), ...overrides })

test('a limit counts in a feature set of several scales as well', async () => {
  const clustering = new Clustering()
  const names = zoneNames.map((name) => `${name}@60s`)
  await feed(clustering, ...[1, 3, 3, 3].map((zone, n) => zoned(n, zone, 3.1, { names: [...names] })))
  assert.deepEqual(clustering.types(), ['LimitExceeded'])
  assert.equal(clustering.findings()[0]?.contributions[0]?.name, 'vibrationG.velocityRmsMmS@60s')
})

test('a velocity in zone C is a warning and in zone D grave, whatever a model says or whether there is one', async () => {
  for (const facts of [[modelFact()], []]) {
    const clustering = new Clustering({}, facts)
    clustering.words = { ...clustering.words, zoneLimitsMmS: [1.4, 2.8, 4.5] }
    const type = facts.length === 0 ? { type: 'learning', verdicts: [] } : {}
    const zones = [2, 3, 3, 2, 3, 3, 3, 3, 4, 4, 4, ...times(10, 1)]
    await feed(clustering, ...zones.map((zone, n) => zoned(n, zone, [0, 1, 2, 3.12, 5][zone]!, type)))
    assert.deepEqual(clustering.types(), ['LimitExceeded', 'LimitExceeded', 'LimitExceeded'])
    const findings = clustering.findings()
    assert.deepEqual(
      findings.map(({ transition, severity, openingVectorId, about, model }) => [transition, severity, openingVectorId, about, model]),
      ['opened', 'updated', 'closed'].map((kind) => [kind, kind === 'opened' ? 3 : 2, 'vector-6', 'machine', '']),
    )
    assert.equal(new Set(findings.map(({ episodeId }) => episodeId)).size, 1)
    assert.deepEqual(
      findings.map(({ title }) => title),
      [
        'Press 1 main drive: vibration velocity 3.1 mm/s RMS in zone C of ISO 20816 (limits of A, B, C: 1.4, 2.8, 4.5 mm/s): unsatisfactory for long-term running',
        'Press 1 main drive: vibration velocity 5 mm/s RMS in zone D of ISO 20816 (limits of A, B, C: 1.4, 2.8, 4.5 mm/s): severe enough to cause damage',
        'Press 1 main drive: vibration velocity 1 mm/s RMS below zone C of ISO 20816 again after 15 windows, at most 5 mm/s RMS',
      ],
    )
    const [{ name, value, unit, normalHigh }] = findings[0]!.contributions as [(typeof findings)[0]['contributions'][0]]
    assert.deepEqual([name, value, unit, normalHigh], ['vibrationG.velocityRmsMmS', 3.12, 'mm/s', 2.8])
    assert.ok(Math.abs(findings[1]!.ratio - 5 / 2.8) < 1e-9)
  }
})

test('a zone by a suspected sensor, of a machine that is off, or that cannot be computed, changes nothing', async () => {
  const clustering = new Clustering()
  await feed(clustering, zoned(0, 4, 9), zoned(1, 4, 9))
  const off = { type: 'machine-off', machineOff: true, verdicts: [] }
  await feed(clustering, zoned(2, 4, 9, suspected('saturated')), zoned(3, 1, 0, off), zoned(4, Number.NaN, Number.NaN))
  assert.deepEqual(clustering.types(), [])
  await feed(clustering, zoned(5, 4, 9))
  assert.deepEqual(clustering.types(), ['LimitExceeded'])
  assert.equal(clustering.findings()[0]?.severity, 2)
})

test('transitions of a limit alternate, and the zone never falls while it is open', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(1, 2, 3, 4, Number.NaN), { maxLength: 120 }), (zones) => {
      let watch: LimitWatch = quietLimit
      let open: LimitTransition | undefined
      zones.forEach((zone, at) => {
        const step = judgeLimit(watch, { zone, velocityMmS: zone, vectorId: `v${at}`, atUs: at }, { on: 3, off: 10 })
        watch = step.watch
        const { transition } = step
        if (transition === undefined) return
        assert.equal(transition.kind === 'opened', open === undefined)
        if (transition.kind === 'updated') assert.deepEqual([open?.limit.zone, transition.limit.zone], ['C', 'D'])
        open = transition.kind === 'closed' ? undefined : transition
      })
      assert.equal(watch.open === null, open === undefined)
    }),
  )
})

test('windows that begin together are told apart by their end, and one whose beginning moved is the same', async () => {
  const clustering = new Clustering(oneOnOne)
  await feed(
    clustering,
    predictionOf(5, 0.5, { windowStartUs: 0 }),
    predictionOf(6, 0.5, { windowStartUs: 0 }),
    predictionOf(6, 3, { windowStartUs: SECOND_US, vectorId: 'revised' }),
  )
  assert.deepEqual(clustering.outcomes, ['judged', 'judged', 'revised'])
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
})

test('a snapshot of state that knew windows by their start is refused', () => {
  assert.throws(() => keyedState(newMemory()).restore('press-1', Buffer.from('{}'), 1), /version 1, expected 3/)
})

const happening = fc.constantFrom('good', 'stuck', 'gap', 'off', 'silent', 'zone')
const happenings = fc.array(fc.record({ what: happening, ratio: fc.double({ min: 0, max: 6, noNaN: true }) }), {
  minLength: 1,
  maxLength: 60,
})
const predictionsOf = (all: readonly { what: string; ratio: number }[]): Predictions[] =>
  all.map(({ what, ratio }, n) => {
    if (what === 'silent') return silentAt(n)
    if (what === 'zone') return zoned(n, 3, 3)
    if (what === 'off') return predictionOf(n, ratio, { type: 'machine-off', machineOff: true, verdicts: [] })
    return predictionOf(n, ratio, what === 'good' ? {} : suspected(what))
  })
const told = (clustering: Clustering) =>
  clustering.emitted.map(({ cause, output }) =>
    JSON.stringify([cause, output], (_, v: unknown) => (Buffer.isBuffer(v) ? v.toString('hex') : v)),
  )

test('a restart from any snapshot tells the same of sensors, silences and limits', async () => {
  await fc.assert(
    fc.asyncProperty(happenings, fc.nat(), async (all, at) => {
      const inputs = predictionsOf(all).map((prediction, i) => inputOf(prediction, i))
      const cut = at % (inputs.length + 1)
      const whole = await new Clustering().feed(inputs)
      const before = await new Clustering().feed(inputs.slice(0, cut), 1)
      const kept = keyedState(before.memory)
      const snapshots = [...kept.dirty()].map((key) => [key, Uint8Array.from(kept.snapshot(key))] as const)
      const after = new Clustering()
      after.memory = newMemory()
      for (const [key, state] of snapshots) keyedState(after.memory).restore(key, state, kept.version)
      await after.feed(inputs.slice(cut), 2)
      assert.deepEqual([...told(before), ...told(after)], told(whole))
      assert.equal(new Set(whole.findings().map(({ findingId }) => findingId)).size, whole.findings().length)
    }),
  )
})
