import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Statistic } from '@andon/schemas'
import fc from 'fast-check'
import { slow } from '../../src/functions/slow.ts'
import { states } from '../../src/functions/states.ts'
import { close, golden, numberOf, numbersOf, rowsOf, signalOf, timesOf } from './signals.ts'
import type { SlowCase } from './signals.ts'
import { noise } from './waveforms.ts'

const cases = golden<SlowCase[]>('slow')
const all = slow.statistics
const options = { halfLifeMs: 3000, limits: [-0.5, 0.5] as [number, number] }

test('statistics of slow signals equal those of numpy and scipy', () => {
  for (const { first, timesSeed, meanUs, endAfterUs, halfLifeMs, limits, figures } of cases) {
    const timesUs = timesOf(timesSeed, first.count, meanUs)
    const endUs = timesUs.at(-1)! + endAfterUs
    const found = numbersOf(rowsOf(signalOf(first), timesUs), all, { options: { halfLifeMs, limits }, endUs })
    assert.deepEqual(Object.keys(found).toSorted(), Object.keys(figures).toSorted())
    for (const [name, expected] of Object.entries(figures)) close(found[name], expected, 1e-10, 1e-3, `${first.kind} ${name}`)
  }
})

test('the time in states and their changes equal those of numpy', () => {
  for (const { first, timesSeed, meanUs, endAfterUs, states: expected } of cases) {
    const timesUs = timesOf(timesSeed, first.count, meanUs)
    const random = noise(timesSeed + 3)
    const values = Float64Array.from(timesUs, () => Math.floor((random() + 0.5) * 3))
    const found = numbersOf(rowsOf(values, timesUs), states.statistics, {
      options: { states: [0, 1, 2] },
      endUs: timesUs.at(-1)! + endAfterUs,
    })
    for (const [name, figure] of Object.entries(expected)) close(found[name], figure, 1e-12, 0, name)
  }
})

test('one row shows where the signal is, and no movement', () => {
  const found = numbersOf(rowsOf([0.25]), all, { options })
  const expected = { last: 0.25, ewma: 0.25, timeInBandPct: 100, lnDifferenceRms: Math.log(1e-12) }
  assert.deepEqual(found, { ...Object.fromEntries(all.map((name) => [name, 0])), ...expected })
})

test('rows of one and the same time have no slope and no crossings per second', () => {
  const found = numbersOf(rowsOf([3, -4, 5], [7, 7, 7]), all, { options, endUs: 8 })
  assert.deepEqual([found['slope'], found['zeroCrossingsHz']], [0, 0])
  close(found['ewma'], 4 / 3)
  assert.equal(found['largestDifference'], 9)
})

test('the slope of a line is its rise per second, however far from 1970 and from 0', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -100, max: 100 }),
      fc.integer({ min: 2, max: 40 }),
      fc.constantFrom(0, 1e6, -1e9),
      (perSecond, n, level) => {
        const timesUs = Array.from({ length: n }, (_, i) => 1.8e15 + i * 125_000)
        const values = timesUs.map((timeUs) => level + (perSecond * (timeUs - 1.8e15)) / 1e6)
        close(numberOf(rowsOf(values, timesUs), 'slope'), perSecond, 1e-12, 1)
      },
    ),
  )
})

const rows = fc.array(fc.tuple(fc.integer({ min: -4000, max: 4000 }), fc.integer({ min: 0, max: 3_000_000 })), {
  minLength: 1,
  maxLength: 40,
})
const seriesOfRows = (list: readonly (readonly [number, number])[], shift = 0, factor = 1, floats = false) => {
  let at = 1.8e15
  return rowsOf(
    list.map(([x]) => (x / 1024) * factor + shift),
    list.map(([, afterUs]) => (at += afterUs)),
    floats,
  )
}

test('a shift moves where the signal is, a factor scales every number with the unit of the channel', () => {
  const level: readonly Statistic[] = ['last', 'ewma']
  const scaling: readonly Statistic[] = ['last', 'ewma', 'slope', 'difference', 'differenceRms', 'largestDifference', 'step']
  fc.assert(
    fc.property(rows, fc.integer({ min: -1e6, max: 1e6 }), fc.constantFrom(-1, 0.25, 1024), (list, shift, factor) => {
      const found = numbersOf(seriesOfRows(list), all, { options })
      const shifted = numbersOf(seriesOfRows(list, shift), all, { options })
      const scaled = numbersOf(seriesOfRows(list, 0, factor), all, { options })
      for (const name of [...scaling, 'zeroCrossingsHz'] as const) {
        close(shifted[name], found[name]! + (level.includes(name) ? shift : 0), 1e-12, level.includes(name) ? 1 : 0, `${name} shifted`)
        if (name === 'zeroCrossingsHz') assert.equal(scaled[name], found[name])
        else close(scaled[name], found[name]! * (name === 'differenceRms' ? Math.abs(factor) : factor), 1e-12, 0, `${name} scaled`)
      }
    }),
  )
})

test('floats and doubles of equal value give equal bits', () => {
  fc.assert(
    fc.property(rows, (list) => {
      assert.deepEqual(numbersOf(seriesOfRows(list, 0, 1, true), all, { options }), numbersOf(seriesOfRows(list), all, { options }))
    }),
  )
})

test('the parts of time in bands that share their edges add up to the whole', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: -4, max: 4 }), fc.integer({ min: 1, max: 5_000_000 }), (list, edge, afterUs) => {
      const series = seriesOfRows(list)
      const endUs = series.timesUs.at(-1)! + afterUs
      const share = (limits: [number | null, number | null]) => numberOf(series, 'timeInBandPct', { options: { limits }, endUs })
      close(share([null, edge]) + share([edge, edge + 1]) + share([edge + 1, null]), 100)
    }),
  )
})

test('a band begins with its lower limit, and ends before its upper one', () => {
  const share = (limits: [number | null, number | null]) =>
    numberOf(rowsOf([1, 2, 3]), 'timeInBandPct', { options: { limits }, endUs: 1.8e15 + 3e6 })
  close(share([1, 3]), 200 / 3)
  close(share([2, null]), 200 / 3)
  close(share([null, 2]), 100 / 3)
})

test('of equal differences the earliest is the largest', () => {
  assert.equal(numberOf(rowsOf([0, 3, 0]), 'largestDifference'), 3)
  assert.equal(numberOf(rowsOf([3, 0, 3]), 'largestDifference'), -3)
})

test('the last value holds until the end of the window', () => {
  const series = rowsOf([1, 5, 1], [0, 2e6, 3e6])
  const asked = { endUs: 10e6 }
  close(numberOf(series, 'timeInBandPct', { ...asked, options: { limits: [0, 2] } }), 90)
  const found = numbersOf(series, ['stateDurationS'], { ...asked, options: { states: [1, 5, 7] } })
  assert.deepEqual(found, { state1S: 9, state5S: 1, state7S: 0 })
})

test('a state is recognised in a channel of floats', () => {
  assert.deepEqual(numbersOf(rowsOf([0.1, 0.2], [0, 4e6], true), ['stateDurationS'], { options: { states: [0.1] }, endUs: 5e6 }), {
    state0_1S: 4,
  })
})

test('a value on the mean is no crossing, and does not hide one', () => {
  assert.equal(numberOf(rowsOf([1, 0, 1, 0, -1, 0, -1]), 'zeroCrossingsHz'), 1 / 6)
})

test('step tells a change of level by its size, at the scale that the detector of slow signals uses', () => {
  const values = Array.from({ length: 20 }, (_, i) => (i < 10 ? 4 : 7) + (i % 2) / 8)
  assert.equal(numberOf(rowsOf(values), 'step'), 3)
  assert.equal(numberOf(rowsOf(values.toSpliced(10, 0, 99)), 'step'), 3, 'of an odd number of rows the one in the middle is left out')
})

test('ewma with a half life counts a value that is one half life older half as much', () => {
  close(numberOf(rowsOf([6, 0], [0, 5e6]), 'ewma', { options: { halfLifeMs: 5000 } }), 2)
  assert.equal(numberOf(rowsOf([1e300, 3], [0, 1e15]), 'ewma', { options: { halfLifeMs: 1 } }), 3)
})

test('a number beyond the doubles is not told', () => {
  const found = numbersOf(rowsOf([1e200, -1e200, 1e200]), ['differenceRms', 'lnDifferenceRms', 'last'])
  assert.deepEqual(found, { differenceRms: Number.NaN, lnDifferenceRms: Number.NaN, last: 1e200 })
})
