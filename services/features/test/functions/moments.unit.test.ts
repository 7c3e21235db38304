import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statisticNames } from '@andon/schemas'
import type { Statistic } from '@andon/schemas'
import fc from 'fast-check'
import { kernels } from '../../src/functions/index.ts'
import type { Series } from '../../src/functions/kernel.ts'
import { moments } from '../../src/functions/moments.ts'
import { select } from '../../src/functions/order-statistics.ts'
import { close, golden, numberOf, numbersOf, rowsOf, signalOf } from './signals.ts'
import type { SignalRecipe } from './signals.ts'
import { noise, seriesOf, sine } from './waveforms.ts'

const all = moments.statistics
/** In the unit of the channel: they grow with the signal. */
const dimensional: readonly Statistic[] = ['mean', 'std', 'min', 'max', 'range', 'rms', 'peak']
const ratios: readonly Statistic[] = ['crest', 'kurtosis', 'skewness', 'shape', 'impulse', 'clearance']

test('every statistic of the catalogue has exactly one kernel', () => {
  const known = kernels.flatMap(({ statistics }) => statistics)
  assert.deepEqual(known.toSorted(), statisticNames.toSorted())
})

test('moments and quantiles equal those of numpy and scipy', () => {
  const quantiles = [0.005, 0.05, 0.25, 0.7, 0.95]
  for (const { signal, figures } of golden<{ signal: SignalRecipe; figures: Record<string, number> }[]>('moments')) {
    const found = numbersOf(rowsOf(signalOf(signal)), [...all, 'median', 'quantile'], { options: { quantiles } })
    assert.deepEqual(Object.keys(found).toSorted(), Object.keys(figures).toSorted())
    for (const [name, expected] of Object.entries(figures)) {
      // Below the floor there is no logarithm; a mean or skewness that happens to be near 0 has the digits of its terms.
      if (/^p\d/.test(name)) assert.equal(found[name], expected, `${JSON.stringify(signal)} ${name}`)
      else if (name === 'lnRms') close(found[name], Math.max(expected, Math.log(1e-12)), 1e-12, 1, JSON.stringify(signal))
      else
        close(
          found[name],
          expected,
          1e-12,
          name === 'skewness' ? 10 : name === 'mean' ? figures['max'] : 0,
          `${JSON.stringify(signal)} ${name}`,
        )
    }
  }
})

/** Textbook formulas, one term after the other. */
const naively = (x: readonly number[]): Record<string, number> => {
  const n = x.length
  const average = (of: (y: number) => number) => x.reduce((sum, value) => sum + of(value), 0) / n
  const mean = average((value) => value)
  const rms = Math.sqrt(average((value) => (value - mean) ** 2))
  const peak = Math.max(...x.map((value) => Math.abs(value - mean)))
  const absolute = average((value) => Math.abs(value - mean))
  return {
    count: n,
    mean,
    std: rms,
    rms,
    min: Math.min(...x),
    max: Math.max(...x),
    range: Math.max(...x) - Math.min(...x),
    peak,
    crest: peak / rms,
    kurtosis: average((value) => (value - mean) ** 4) / rms ** 4,
    skewness: average((value) => (value - mean) ** 3) / rms ** 3,
    shape: rms / absolute,
    impulse: peak / absolute,
    clearance: peak / average((value) => Math.sqrt(Math.abs(value - mean))) ** 2,
    lnRms: Math.log(rms),
  }
}

const element = fc.integer({ min: -2_000_000, max: 2_000_000 }).map((millionths) => millionths / 1e6)
const elements = fc.array(element, { minLength: 2, maxLength: 67 }).filter((x) => Math.max(...x) - Math.min(...x) > 0.1)

test('moments equal their textbook formulas', () => {
  fc.assert(
    fc.property(elements, (x) => {
      const found = numbersOf(rowsOf(x), all)
      for (const [name, expected] of Object.entries(naively(x))) close(found[name], expected, 1e-12, name === 'count' ? 0 : 10, name)
    }),
  )
})

test('windows of any length have moments, whatever was measured before', () => {
  const random = noise(11)
  for (const n of [1, 2, 3, 5, 4095, 4096, 4097, 100_003, 6, 4]) {
    const x = Float32Array.from({ length: n }, random)
    const found = numbersOf(rowsOf(x), n < 3 ? ['mean', 'min', 'max', 'rms'] : all)
    const expected = naively([...x])
    for (const [name, value] of Object.entries(found)) close(value, expected[name]!, 1e-11, name === 'count' ? 0 : 1, `${n} ${name}`)
    assert.deepEqual(numbersOf(rowsOf(Float64Array.from(x)), Object.keys(found) as Statistic[]), found)
  }
})

test('a shift moves the level and nothing else; a factor scales what has a unit and nothing else', () => {
  fc.assert(
    fc.property(elements, fc.integer({ min: -1000, max: 1000 }), fc.constantFrom(0.001, 0.5, 3, 1e6), (x, shift, factor) => {
      const found = numbersOf(rowsOf(x), all)
      const shifted = numbersOf(rowsOf(x.map((value) => value + shift)), all)
      const scaled = numbersOf(rowsOf(x.map((value) => value * factor)), all)
      for (const name of all) {
        const moved = ['mean', 'min', 'max'].includes(name) ? found[name]! + shift : found[name]!
        close(shifted[name], moved, 1e-9, 1, `${name} shifted`)
        const grown = dimensional.includes(name) ? found[name]! * factor : name === 'lnRms' ? found[name]! + Math.log(factor) : found[name]!
        close(scaled[name], grown, 1e-9, dimensional.includes(name) ? factor : 1, `${name} scaled`)
      }
    }),
  )
})

test('powers of four as a factor change no bit of the ratios', () => {
  fc.assert(
    fc.property(elements, fc.integer({ min: -480, max: 480 }), (x, exponent) => {
      const exact = x.map((value) => Math.round(value * 2 ** 20) / 2 ** 20)
      fc.pre(Math.max(...exact) > Math.min(...exact))
      assert.deepEqual(numbersOf(rowsOf(exact.map((value) => value * 4 ** exponent)), ratios), numbersOf(rowsOf(exact), ratios))
    }),
  )
})

test('floats and doubles of equal value give equal bits, wherever the window lies in memory', () => {
  const widest = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(widest, fc.integer({ min: 0, max: 5 }), (x, before) => {
      const found = numbersOf(rowsOf(x, undefined, true), [...all, 'median'])
      assert.deepEqual(numbersOf(rowsOf(x, undefined, false), [...all, 'median']), found)
      const room = new Float32Array(before + x.length + 3).fill(7)
      room.set(x, before)
      const view: Series = { ...rowsOf(x, undefined, true), elements: room.subarray(before) } // longer than its rows
      assert.deepEqual(numbersOf(view, [...all, 'median']), found)
    }),
  )
})

test('how elements are divided into rows changes no bit', () => {
  const x = signalOf({ kind: 'knocks', seed: 3, count: 96, scale: 1, offset: 1, floats: true })
  const found = numbersOf(rowsOf(x), [...all, 'median'])
  for (const cuts of [[96], [32, 64], [48], [1, 94, 1]]) {
    let at = 0
    const rows = Array.from({ length: cuts.length === 1 ? 96 / cuts[0]! : cuts.length }, (_, i) => x.slice(at, (at += cuts[i] ?? cuts[0]!)))
    assert.deepEqual(numbersOf(seriesOf(rows, 1000, true), [...all, 'median']), found)
  }
})

test('elements behind the rows of a series are not looked at', () => {
  for (const floats of [true, false]) {
    const long = rowsOf(
      Float64Array.from({ length: 300_000 }, (_, i) => (i < 6 ? i : Number.NaN)),
      undefined,
      floats,
    )
    const found = numbersOf({ ...long, rows: 6 }, [...all, 'median'])
    assert.deepEqual(found, numbersOf(rowsOf([0, 1, 2, 3, 4, 5]), [...all, 'median']))
  }
})

test('a statistic has the same bits whatever else is asked for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 30 }),
      fc.subarray([...all]),
      (x, some) => {
        const together = numbersOf(rowsOf(x), all)
        for (const name of some) assert.ok(Object.is(numberOf(rowsOf(x), name), together[name]), name)
        assert.deepEqual(numbersOf(rowsOf(x), some), Object.fromEntries(some.map((name) => [name, together[name]])))
      },
    ),
  )
})

test('a constant signal has no spread: ratios to it are 0, and its level on a logarithmic scale is the floor', () => {
  // 0.1 is no sum of powers of two: the mean of many is only nearly 0.1 by a plain sum.
  for (const level of [0, 0.1, -7.3, 1e300, 5e-324, 1e9 + 0.1])
    for (const n of [1, 3, 10, 257]) {
      const found = numbersOf(rowsOf(Array.from({ length: n }, () => level)), all)
      const expected = { count: n, mean: level, min: level, max: level, lnRms: Math.log(1e-12) }
      assert.deepEqual(found, { ...Object.fromEntries(all.map((name) => [name, 0])), ...expected }, `${n} x ${level}`)
    }
})

test('noise on a large offset keeps its digits', () => {
  const quiet = Array.from(
    signalOf({ kind: 'gaussian', seed: 17, count: 4096, scale: 1, offset: 0, floats: false }),
    (y) => Math.round(y * 1024) / 1024,
  )
  const plain = numbersOf(rowsOf(quiet), [...dimensional.filter((name) => !['mean', 'min', 'max'].includes(name)), ...ratios])
  for (const offset of [1e6, 1e9, -1e12]) {
    const found = numbersOf(rowsOf(quiet.map((y) => y + offset)), Object.keys(plain) as Statistic[])
    for (const [name, expected] of Object.entries(plain)) close(found[name], expected, 1e-12, 0, `${name} at ${offset}`)
  }
})

test('the largest and the smallest doubles have moments too', () => {
  const x = [3, -1, 4, 1, -5, 9, 2, 6]
  const expected = numbersOf(rowsOf(x), [...dimensional, ...ratios])
  for (const factor of [2 ** 1020, 1e300, 1e154, 1e-154, 1e-300]) {
    const found = numbersOf(rowsOf(x.map((value) => value * factor)), [...dimensional, ...ratios])
    for (const name of ratios) close(found[name], expected[name]!, 1e-12, 0, `${name} at ${factor}`)
    for (const name of dimensional) close(found[name]! / factor, expected[name]!, 1e-12, 0, `${name} at ${factor}`)
  }
  const least = numbersOf(rowsOf([0, 5e-324]), [...ratios, 'max'])
  close(least['crest'], 1)
  close(least['kurtosis'], 1)
  assert.equal(least['max'], 5e-324)
  close(numberOf(rowsOf([1e308, 1e308, -1e308]), 'mean'), 1e308 / 3)
  assert.ok(Number.isNaN(numberOf(rowsOf([1.7e308, -1.7e308]), 'range')), 'a range beyond the doubles cannot be told')
})

test('a sine has rms 1/√2, crest √2, kurtosis 1.5 and shape π/√8; its bias does not count', () => {
  const found = numbersOf(seriesOf([sine(4096, 4096, 64, 2).map((x) => x + 9.81)], 4096), all)
  close(found['rms'], Math.SQRT2, 1e-9)
  close(found['kurtosis'], 1.5, 1e-9)
  close(found['crest'], Math.SQRT2, 1e-3)
  close(found['shape'], Math.PI / Math.sqrt(8), 1e-3)
  close(found['skewness'], 0, 1e-9, 1)
})

test('quantiles are order statistics or lie between two of them, and are equal from both sides', () => {
  const shares = [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999]
  const values = fc.oneof(
    fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 40 }),
    fc.array(element, { minLength: 1, maxLength: 300 }),
  )
  fc.assert(
    fc.property(values, (x) => {
      const found = Object.values(numbersOf(rowsOf(x), ['quantile', 'median'], { options: { quantiles: shares } }))
      const mirrored = Object.values(numbersOf(rowsOf(x.map((value) => -value)), ['quantile'], { options: { quantiles: shares } }))
      const sorted = x.toSorted((a, b) => a - b)
      shares.forEach((share, i) => {
        const at = (x.length - 1) * share
        const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!]
        close(found[i], low + (high - low) * (at - Math.floor(at)), 1e-12, 1)
        assert.ok(found[i]! >= low && found[i]! <= high)
        close(-mirrored[shares.length - 1 - i]!, found[i]!, 1e-12, 1)
      })
      assert.equal(found.at(-1), found[3])
    }),
  )
})

test('a selection that runs out of rounds sorts what is left', () => {
  fc.assert(
    fc.property(fc.array(element, { minLength: 1, maxLength: 50 }), fc.nat({ max: 4 }), fc.nat({ max: 49 }), (values, rounds, at) => {
      const k = at % values.length
      const x = Float64Array.from(values)
      select(x, 0, x.length - 1, k, rounds)
      const sorted = Float64Array.from(values).sort()
      assert.equal(x[k], sorted[k])
      assert.ok(x.subarray(0, k).every((each) => each <= sorted[k]!) && x.subarray(k).every((each) => each >= sorted[k]!))
    }),
  )
})

test('quantiles of orders that mislead a choice of pivots are right, and need no square of the rows', () => {
  const n = 20_000
  const organPipe = Array.from({ length: n }, (_, i) => Math.min(i, n - i))
  // Each of these, sorted or not, keeps the elements that it was given.
  for (const x of [organPipe, Array.from({ length: n }, (_, i) => i), Array.from({ length: n }, (_, i) => (i % 2 === 0 ? i : n - i))]) {
    const sorted = Float64Array.from(x).sort()
    const series = rowsOf(x)
    const found = numbersOf(series, ['quantile'], { options: { quantiles: [0.25, 0.995] } })
    close(found['p25'], sorted[4999]! + (sorted[5000]! - sorted[4999]!) * 0.75)
    close(found['p99_5'], sorted[19_899]! + (sorted[19_900]! - sorted[19_899]!) * 0.005, 1e-9)
    assert.deepEqual(Array.from(series.elements), x)
  }
})
