// predictions → anomalies as a whole.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyedState, newMemory } from '../src/asset-state.ts'
import { Clustering, inputOf, modelFact, oneOnOne, predictionOf, valuesAt, verdictOf } from './predictions.ts'

const times = (n: number, ratio: number) => Array.from({ length: n }, () => ratio)
const order = (offset: number, promotion = 0) => ({ promotion, leaderEpoch: 0, offset, index: 0 })

test('an episode opens with contributing signals, their normal ranges and a plain sentence', async () => {
  const clustering = await new Clustering().ratios(times(3, 40), 0, { values: valuesAt(5, 1, 30) })
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
  const [finding] = clustering.findings()
  assert.equal(finding?.severity, 1)
  assert.equal(finding?.openingVectorId, 'vector-2')
  assert.equal(finding?.title, 'Press 1 main drive: vibration band 2000-3000 Hz 3.3 × its normal limit')
  assert.deepEqual(
    finding?.contributions.map(({ name, channel, share, unit }) => [name, channel, share, unit]),
    [
      ['vibrationG.bandRms2000to3000Hz', 'vibrationG', 0.7, 'g'],
      ['vibrationG.rms', 'vibrationG', 0.2, 'g'],
      ['vibrationG.kurtosis', 'vibrationG', 0.1, '1'],
    ],
  )
  assert.ok(Math.abs(finding!.contributions[0]!.normalHigh! - 0.24) < 1e-12)
  assert.deepEqual(finding?.doubts, [])
})

test('a whole episode: opened, updated, closed, one episode id, distinct finding ids', async () => {
  const clustering = await new Clustering().ratios([3, 3, 3, 7, ...times(10, 0.2)])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'EpisodeUpdated', 'EpisodeClosed'])
  const findings = clustering.findings()
  assert.equal(new Set(findings.map(({ episodeId }) => episodeId)).size, 1)
  assert.equal(new Set(findings.map(({ findingId }) => findingId)).size, 3)
  assert.match(findings[2]!.title, /back to normal after 12 windows, peak 2.6 × the line/)
})

test('the largest ratio of the models that may speak decides; shadows do not speak', async () => {
  const verdicts = [
    verdictOf(2, { model: 'a', role: 'advisory' }),
    verdictOf(9, { model: 'b', role: 'shadow' }),
    verdictOf(4, { model: 'c', role: 'advisory' }),
  ]
  const clustering = await new Clustering(oneOnOne).feed([inputOf(predictionOf(0, 0, { verdicts }), 0)])
  const [finding] = clustering.findings()
  assert.deepEqual([finding?.model, finding?.ratio, finding?.doubts], ['c', 4, ['non-champion']])
})

test('every doubt is named', async () => {
  const verdicts = [verdictOf(4, { role: 'advisory', inDomain: false }), verdictOf(0, { model: 'other', error: 'ANDON_INFERENCE_SESSION' })]
  const clustering = await new Clustering(oneOnOne).feed([
    inputOf(predictionOf(0, 0, { verdicts, complete: false, missing: ['other'] }), 0),
  ])
  assert.deepEqual(clustering.findings()[0]?.doubts, ['gate-error', 'missing-features', 'non-champion', 'out-of-domain'])
})

test('a window without a score neither opens nor closes anything', async () => {
  const blind = { verdicts: [verdictOf(0, { error: 'no session' })] }
  const clustering = new Clustering()
  await clustering.ratios(times(2, 3))
  await clustering.ratios(times(5, 0), 2, blind)
  await clustering.ratios([3], 7)
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
  assert.equal(clustering.findings()[0]?.openingVectorId, 'vector-7')
})

test('history is carried and says so', async () => {
  const clustering = await new Clustering(oneOnOne).ratios([3], 0, { historical: true, recordedStartUs: 77 })
  assert.deepEqual([clustering.findings()[0]?.historical, clustering.findings()[0]?.recordedUs], [true, 77])
})

test('learning predictions judge nothing', async () => {
  const clustering = await new Clustering(oneOnOne).ratios([3], 0, { type: 'learning', verdicts: [] })
  assert.deepEqual([clustering.types(), clustering.outcomes], [[], ['learning']])
})

test('an unscored window is neither normal nor abnormal: nothing opens, and what is open neither grows nor closes', async () => {
  const unscored = {
    type: 'unscored',
    verdicts: [verdictOf(0, { error: 'no server answers' })],
    missing: ['t2spe.press-1'],
    complete: false,
  }
  const clustering = new Clustering()
  await clustering.ratios(times(3, 3))
  await clustering.ratios(times(20, 0), 3, unscored)
  assert.deepEqual([clustering.types(), clustering.outcomes.at(-1)], [['EpisodeOpened'], 'unscored'])
  await clustering.ratios(times(10, 0.2), 23)
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'EpisodeClosed'])
})

test('a repeat and an older order of a window are dropped', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([
    inputOf(predictionOf(0, 3), 0, order(10)),
    inputOf(predictionOf(0, 3), 1, order(10)),
    inputOf(predictionOf(0, 0.1, { vectorId: 'older' }), 2, order(9)),
    inputOf(predictionOf(0, 3), 3, order(11)),
    inputOf(predictionOf(0, 0.1, { vectorId: 'older' }), 4, order(10)),
  ])
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
  assert.deepEqual(clustering.outcomes, ['judged', 'repeated', 'repeated', 'repeated', 'repeated'])
})

test('a promoted judgement of the same vector counts once, over later live revisions, until its undo', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([
    inputOf(predictionOf(0, 3), 0, order(10)),
    inputOf(predictionOf(0, 0.2), 1, order(10, 1)),
    inputOf(predictionOf(0, 0.2), 2, order(10, 1)),
    inputOf(predictionOf(0, 5, { vectorId: 'revised' }), 3, order(20)),
    inputOf(predictionOf(0, 3), 4, order(10, 2)),
    inputOf(predictionOf(0, 0.2), 5, order(10, 3)),
  ])
  assert.deepEqual(clustering.outcomes, ['judged', 'revised', 'repeated', 'repeated', 'revised', 'revised'])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'FindingCorrected', 'EpisodeOpened', 'FindingCorrected'])
  const findings = clustering.findings()
  assert.equal(new Set(findings.map(({ findingId }) => findingId)).size, 4) // each is told to whoever drops repeats
  assert.equal(new Set(findings.map(({ episodeId }) => episodeId)).size, 1)
})

test('a revision that leaves the decision as it was says nothing', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([
    inputOf(predictionOf(0, 3), 0),
    inputOf(predictionOf(0, 3.5, { vectorId: 'revised' }), 1),
    inputOf(predictionOf(1, 3), 2),
  ])
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
  assert.equal(clustering.memory.assets.get('press-1')?.machine.episode?.openingVectorId, 'vector-0')
})

test('a revision that would not have opened withdraws the episode', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([inputOf(predictionOf(0, 3), 0), inputOf(predictionOf(0, 0.2, { vectorId: 'revised' }), 1)])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'FindingCorrected'])
  const [opened, corrected] = clustering.findings()
  assert.equal(corrected?.episodeId, opened?.episodeId)
  assert.deepEqual([corrected?.severity, corrected?.transition], [4, 'corrected'])
  assert.equal(clustering.memory.assets.get('press-1')?.machine.episode, null)
})

test('a revision that opens what stayed closed opens it', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([inputOf(predictionOf(0, 0.9), 0), inputOf(predictionOf(0, 3, { vectorId: 'revised' }), 1)])
  assert.deepEqual(clustering.types(), ['EpisodeOpened'])
})

test('a revision that would not have closed reopens the same episode by a correction', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([
    inputOf(predictionOf(0, 3), 0),
    inputOf(predictionOf(1, 0.2), 1),
    inputOf(predictionOf(1, 3, { vectorId: 'revised' }), 2),
  ])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'EpisodeClosed', 'FindingCorrected'])
  const state = clustering.memory.assets.get('press-1')
  assert.equal(state?.machine.episode?.openingVectorId, 'vector-0')
  assert.equal(state?.closed.length, 0)
})

test('a revision of a window that others followed corrects what it said, once', async () => {
  const clustering = new Clustering(oneOnOne)
  await clustering.feed([
    inputOf(predictionOf(0, 3), 0),
    inputOf(predictionOf(1, 3), 1),
    inputOf(predictionOf(0, 40, { vectorId: 'graver' }), 2),
    inputOf(predictionOf(0, 40.1, { vectorId: 'graver-still' }), 3),
  ])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'FindingCorrected'])
  assert.equal(clustering.findings()[1]?.severity, 1)
})

test('a pattern that an earlier episode showed is known when it returns', async () => {
  const clustering = new Clustering()
  await clustering.near(20, 0.3, 0, [0.1, -0.2, 0.1])
  await clustering.near(12, 8, 20, [30, 50, 80])
  await clustering.near(15, 0.3, 32, [0.2, 0.1, -0.1])
  await clustering.near(12, 8, 47, [30, 50, 80])
  assert.deepEqual(clustering.types(), ['EpisodeOpened', 'EpisodeClosed', 'EpisodeOpened'])
  const [first, , second] = clustering.findings()
  assert.deepEqual([first?.clusterIsNovel, second?.clusterIsNovel], [true, false])
  assert.equal(second?.clusterId, first?.clusterId)
  assert.match(second!.title, /\(pattern seen before\)$/)
})

test('without a model card there is no pattern, and the finding stands', async () => {
  const clustering = await new Clustering(oneOnOne, []).ratios([3])
  assert.deepEqual([clustering.findings()[0]?.clusterId, clustering.findings()[0]?.contributions[0]?.normalHigh], [null, null])
  assert.equal(clustering.findings()[0]?.title, 'Press 1 main drive: vibration band 2000-3000 Hz stands out, evidence 1.7 × the line')
})

const names = ['temperatureC.mean', 'temperatureC.std', 'speedRpm.mean', 'speedRpm.std']
const stuckCard = modelFact({
  card: JSON.stringify({
    features: [
      { name: 'temperatureC.mean', mean: 40, std: 2, q01: 36, q99: 44, use: 'used' },
      { name: 'temperatureC.std', mean: 0.3, std: 0.05, q01: 0.1, q99: 0.5, use: 'used' },
      { name: 'speedRpm.mean', mean: 1500, std: 1, q01: 1498, q99: 1502, use: 'used' },
      { name: 'speedRpm.std', mean: 0.1, std: 0.1, q01: 0, q99: 0.5, use: 'used' },
    ],
  }),
})
const packed = (values: readonly number[]) => Buffer.from(Float64Array.from(values).buffer)
const quiet = (n: number, values: readonly number[]) => inputOf(predictionOf(n, 0.5, { names, values: packed(values) }), n)

test('a channel that stands still though it always moved is a sensor fault, told once and closed when it moves', async () => {
  const clustering = new Clustering({}, [stuckCard])
  await clustering.feed(Array.from({ length: 5 }, (_, n) => quiet(n, [40 + n, 0.3, 1500, 0])))
  await clustering.feed(Array.from({ length: 30 }, (_, n) => quiet(5 + n, [41, 0, 1500, 0])))
  await clustering.feed([quiet(35, [41.5, 0.2, 1500, 0])])
  assert.deepEqual(clustering.types(), ['SensorFault', 'SensorFault'])
  const [opened, closed] = clustering.findings()
  assert.deepEqual([opened?.severity, opened?.transition, opened?.openingVectorId], [3, 'opened', 'vector-14'])
  assert.equal(
    opened?.title,
    'Press 1 main drive: temperature sensor stands still: no movement in 10 windows; t2spe.press-1 still takes 2 of its 4 numbers from it',
  )
  assert.deepEqual([closed?.transition, closed?.episodeId], ['closed', opened?.episodeId])
})

test('a channel that was often still while learning is not called faulty', async () => {
  const clustering = new Clustering({}, [stuckCard])
  await clustering.feed(Array.from({ length: 60 }, (_, n) => quiet(n, [40 + Math.sin(n), 0.3 + 0.01 * (n % 7), 1500, 0])))
  assert.deepEqual(clustering.types(), [])
})

test('a repeated waveform buffer is a sensor that stands still', async () => {
  const clustering = new Clustering({}, [modelFact()])
  await clustering.ratios(times(12, 0.5), 0, { values: valuesAt(0.5, 0.5, 0.5) })
  assert.deepEqual(clustering.types(), ['SensorFault'])
})

const ratio = fc.oneof(fc.double({ min: 0, max: 1.2, noNaN: true }), fc.double({ min: 1, max: 12, noNaN: true }))
const sigma = fc.integer({ min: -60, max: 60 })
const windows = fc.array(fc.record({ ratio, values: fc.tuple(sigma, sigma, sigma), revise: fc.boolean() }), { minLength: 1, maxLength: 60 })
const inputsOf = (sequence: readonly { ratio: number; values: readonly number[]; revise: boolean }[]) => {
  let offset = 0
  return sequence.flatMap((window, n) => {
    const first = inputOf(predictionOf(n, window.ratio, { values: valuesAt(...window.values) }), offset++)
    return window.revise ? [first, inputOf(predictionOf(n, window.ratio * 1.5, { vectorId: `vector-${n}-r2` }), offset++)] : [first]
  })
}
const content = (clustering: Clustering) =>
  clustering.emitted.map(({ cause, output }) =>
    JSON.stringify([cause, output], (_, v: unknown) => (Buffer.isBuffer(v) ? v.toString('hex') : v)),
  )

test('replaying the same predictions, batched in any way, gives byte-equal findings', async () => {
  await fc.assert(
    fc.asyncProperty(windows, fc.integer({ min: 1, max: 9 }), async (sequence, batchSize) => {
      const inputs = inputsOf(sequence)
      assert.deepEqual(
        content(await new Clustering(oneOnOne).feed(inputs, batchSize)),
        content(await new Clustering(oneOnOne).feed(inputs)),
      )
    }),
  )
})

test('a restart from any snapshot gives the same findings', async () => {
  await fc.assert(
    fc.asyncProperty(windows, fc.nat(), async (sequence, at) => {
      const inputs = inputsOf(sequence)
      const cut = at % (inputs.length + 1)
      const whole = await new Clustering().feed(inputs, 1)
      const before = await new Clustering().feed(inputs.slice(0, cut), 1)
      const kept = keyedState(before.memory)
      const snapshots = [...kept.dirty()].map((key) => [key, Uint8Array.from(kept.snapshot(key))] as const)
      const after = new Clustering()
      after.memory = newMemory()
      for (const [key, state] of snapshots) keyedState(after.memory).restore(key, state, kept.version)
      await after.feed(inputs.slice(cut), 1)
      assert.deepEqual([...content(before), ...content(after)], content(whole))
    }),
  )
})
