// The profile for a single series: golden numbers of the design, and what a stream promises whatever comes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { packed, unpacked } from '../../src/detectors/packed.ts'
import { fitUnivariate, openUnivariate, slotsPerDay, statisticNames } from '../../src/detectors/univariate.ts'
import type { UnivariateState, UnivariateStream } from '../../src/detectors/univariate.ts'
import { congruential } from './golden-input.ts'

const rows = 900
const learned = 135
const slots = 37
const series = ((): Float64Array => {
  const u = congruential(rows * 4)
  const held = u[760 * 4] as number
  return Float64Array.from({ length: rows }, (_, t) => {
    const noise = t >= 760 && t < 800 ? held : (u[t * 4] as number)
    const fault = (t === 650 ? 6 : 0) + (t >= 800 ? 3 : 0)
    return 10 + (u[t * 4 + 2] as number) + Math.sin((2 * Math.PI * t) / 37) + 0.2 * noise + fault
  })
})()
const fitted = fitUnivariate(series.subarray(0, learned), slots)

const isNear = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected), `${actual}, expected ${expected}`)
const said = (stream: UnivariateStream, values: Iterable<number>): number[] => {
  const out: number[] = []
  for (const value of values) {
    const { score, report, isEpisodeOpen, statistic } = stream.push(value)
    out.push(score, report, isEpisodeOpen ? 1 : 0, statistic)
  }
  return out
}

test('the stream gives the golden scores and reports', () => {
  const stream = openUnivariate(fitted)
  const golden: Record<number, number> = {
    200: 2.686480090404983,
    649: 2.8240403557785823,
    650: 9.361761353042352,
    651: 7.003276575198015,
    800: 5.260403039824437,
    801: 3.800403180905664,
    820: 5.719745161237025,
  }
  const reports: number[] = []
  for (let t = learned; t < rows; t++) {
    const { score, flag, report } = stream.push(series[t] as number)
    const expected = golden[t]
    if (expected !== undefined) isNear(score, expected)
    if (flag) reports.push(t)
    if (t === 243) assert.equal(report.toFixed(6), '4.650473')
  }
  assert.deepEqual(reports, [243, 246, 650])
})

test('an episode is over when the score has been low for some rows, and above the line are only rows that say something new', () => {
  const stream = openUnivariate(fitted)
  const open: number[] = []
  for (let t = learned; t < 800; t++) {
    const { flag, ratio, isEpisodeOpen } = stream.push(series[t] as number)
    assert.equal(ratio > 1, flag)
    if (isEpisodeOpen && t >= 650) open.push(t)
  }
  assert.equal(open[0], 650)
  assert.ok(open.length < 60, `a spike of one row, and an episode of ${open.length}`)
})

test('what comes later changes nothing that was said, and a state saved anywhere, packed and restored goes on with the same bits', () => {
  const long = Float64Array.from(congruential(3000, 4), (u, t) => u + Math.sin(t / 30) + (t > 2500 ? 2 : 0) + 1e4)
  const learnt = fitUnivariate(long.subarray(0, 450), 96)
  const stream = long.subarray(450)
  const whole = said(openUnivariate(learnt), stream)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: stream.length }), (cut) => {
      const first = openUnivariate(learnt)
      const before = said(first, stream.subarray(0, cut))
      const state = unpacked(packed(first.state())) as UnivariateState
      assert.deepEqual([...before, ...said(openUnivariate(learnt, state), stream.subarray(cut))], whole)
    }),
    { numRuns: 25 },
  )
})

test('a level far from zero gives the scores of the same series near zero: sums do not drift', () => {
  const near = Float64Array.from(congruential(5000, 8), (u, t) => u + Math.sin(t / 30))
  const shift = 2 ** 20
  const scores = (values: Float64Array): number[] => {
    const stream = openUnivariate(fitUnivariate(values.subarray(0, 750), 0))
    return Array.from(values.subarray(750), (value) => stream.push(value).score)
  }
  const far = scores(near.map((value) => value + shift))
  scores(near).forEach((score, i) => assert.ok(Math.abs(score - (far[i] as number)) < 1e-4 * (1 + score), `row ${i}`))
})

test('a constant series is silent, and its first change is a finding', () => {
  const stream = openUnivariate(fitUnivariate(new Float64Array(200).fill(7)))
  assert.ok(said(stream, new Float64Array(300).fill(7)).every((value) => value === 0))
  assert.equal(stream.push(8).flag, true)
})

test('rows of one episode are one report, until it gets worse or the hold is over', () => {
  const values = Float64Array.from(congruential(2000, 2), (u, t) => u + (t >= 1000 && t < 1010 ? 30 : 0))
  const stream = openUnivariate(fitUnivariate(values.subarray(0, 300)))
  const reports: number[] = []
  for (let t = 300; t < 1200; t++) if (stream.push(values[t] as number).flag) reports.push(t)
  assert.equal(
    reports.find((t) => t >= 1000),
    1000,
  )
  assert.ok(reports.filter((t) => t >= 1000 && t < 1200).length <= 5, String(reports))
})

test('missing values score nothing and leave every statistic as it was', () => {
  const [one, other] = [openUnivariate(fitted), openUnivariate({ ...fitted, slots: 0 })]
  for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.equal(one.push(odd).score, 0)
    assert.equal(other.push(odd).score, 0)
  }
  assert.deepEqual(one.state().tail, fitted.state.tail)
  assert.deepEqual(one.state().values, fitted.state.values)
})

test('no input gives anything but numbers', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.double({ min: -1e9, max: 1e9 }), fc.constant(Number.NaN), fc.constant(0)), { maxLength: 200 }),
      (odd) => {
        const stream = openUnivariate(fitted)
        for (const value of odd) {
          const { score, pValue, statistic } = stream.push(value)
          assert.ok(Number.isFinite(score) && score >= 0 && pValue >= 0 && pValue <= 1 && statistic < statisticNames.length)
        }
      },
    ),
    { numRuns: 50 },
  )
})

test('a day has its rows when the step is between 43 s and 6 h', () => {
  assert.deepEqual([300, 900, 3600, 21_600, 30, 86_400, 0].map(slotsPerDay), [288, 96, 24, 4, 0, 0, 0])
})
