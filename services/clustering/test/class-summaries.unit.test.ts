import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClassState, HOUR_US, mergeSummaries } from '../src/class-summaries.ts'
import { fitClass } from '../src/fitter/fit-class.ts'
import { toPackedJson } from '../src/modes/packed.ts'
import { absorbAll, middleOf, space, summaryOf, windowsOf } from './class-windows.ts'

const none = { failures: [], interventions: [], verdicts: {} }

const threePartitions = () =>
  [0, 1, 2].map((partition) => {
    const placed = [
      { assetId: `pump-${partition}`, place: 0 },
      { assetId: `pump-${partition}`, place: partition + 1, isAnomalous: true },
    ]
    const state = absorbAll(new ClassState('pump'), windowsOf(placed, 120, HOUR_US, 7 + partition))
    state.keepEpisode({
      episodeId: `e-${partition}`,
      assetId: `pump-${partition}`,
      openedUs: HOUR_US,
      closedUs: 2 * HOUR_US,
      place: middleOf(1),
    })
    return summaryOf(state, partition, 3)
  })

test('summaries that arrive in any order are the same input of a fit, and the fit the same artefact', () => {
  const summaries = threePartitions()
  const inputs = toPackedJson(inputsOf(summaries))
  const artefact = toPackedJson(fitClass({ summaries, hourUs: 3 * HOUR_US, inForce: null, taught: none }))
  assert.match(artefact, /"decision":"activate"/)
  fc.assert(
    fc.property(fc.shuffledSubarray(summaries, { minLength: 3 }), (shuffled) => {
      assert.equal(toPackedJson(inputsOf(shuffled)), inputs)
    }),
  )
  assert.equal(toPackedJson(fitClass({ summaries: summaries.toReversed(), hourUs: 3 * HOUR_US, inForce: null, taught: none })), artefact)
})

const inputsOf = (summaries: ReturnType<typeof threePartitions>) => {
  const { sample, micro, anomalous, assets, ...merged } = mergeSummaries(summaries)
  return { ...merged, sample: sample.state(), micro: [...micro.toBytes()], anomalous: [...anomalous.toBytes()], assets: [...assets] }
}

test('a summary has what ended up to the hour, and an hour is summarised once', () => {
  const state = new ClassState('pump')
  const told: number[] = []
  for (const window of windowsOf([{ assetId: 'pump-1', place: 0 }], 200, 30 * 60_000_000, 1)) {
    const hourUs = state.hourBefore(window.windowEndUs)
    if (hourUs !== undefined) {
      told.push(hourUs / HOUR_US, state.windows)
      state.hourUs = hourUs
    }
    state.enter(space, window.windowEndUs)
    state.absorb(window)
  }
  // From 00:30, one a minute: 31 end up to 01:00 (its own end included), 60 more up to each later hour.
  assert.deepEqual(told, [1, 31, 2, 91, 3, 151])
})

test('a class goes on from its stored state to the same bits, and its rows may be a little older', () => {
  const windows = windowsOf(
    [
      { assetId: 'pump-1', place: 0 },
      { assetId: 'pump-1', place: 2, isAnomalous: true },
    ],
    200,
    HOUR_US,
    3,
  )
  const whole = absorbAll(new ClassState('pump'), windows)
  const half = absorbAll(new ClassState('pump'), windows.slice(0, 100))
  const restored = ClassState.restore('pump', half.state())
  restored.restoreRows(half.rows())
  absorbAll(restored, windows.slice(100))
  assert.equal(restored.state(), whole.state())
  assert.equal(restored.rows(), whole.rows())
})

test('another feature set begins a class anew; what is left of the old one is passed over', () => {
  const state = absorbAll(new ClassState('pump'), windowsOf([{ assetId: 'pump-1', place: 0 }], 20, HOUR_US, 1))
  const other = { ...space, featureSetDigest: 'e'.repeat(64), names: ['channel.0'] }
  assert.equal(state.enter(other, 2 * HOUR_US), true)
  assert.equal(state.micro?.count, 0)
  state.absorb({
    assetId: 'pump-1',
    vectorId: 'v',
    windowEndUs: 2 * HOUR_US,
    point: Float64Array.of(1),
    isAnomalous: false,
    modeId: undefined,
  })
  assert.equal(state.enter(space, 2 * HOUR_US - 1), false)
})

test('what is kept of a class is bounded for any number of windows, assets, places and episodes', () => {
  const state = new ClassState('pump')
  const sizes: number[] = []
  for (let round = 0; round < 8; round++) {
    const placed = Array.from({ length: 40 }, (_, i) => ({
      assetId: `pump-${round}-${i}`,
      place: (round * 40 + i) % 50,
      isAnomalous: i % 2 === 0,
    }))
    absorbAll(state, windowsOf(placed, 2000, (1 + 40 * round) * HOUR_US, round))
    for (let i = 0; i < 100; i++) {
      state.keepEpisode({ episodeId: `e-${round}-${i}`, assetId: 'pump-1', openedUs: round, closedUs: round, place: middleOf(1) })
    }
    sizes.push(state.summary(0, HOUR_US).length)
  }
  assert.equal(state.windows, 16_000)
  assert.ok(state.assets.size <= 200 && state.episodes.length <= 200 && (state.micro?.count ?? 0) <= 64)
  assert.ok((sizes.at(-1) as number) < 1.1 * (sizes[4] as number), `sizes of the summary: ${sizes.join(', ')}`)
})
