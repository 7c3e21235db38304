import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { counters } from '../../src/functions/counters.ts'
import { close, golden, numberOf, numbersOf, rowsOf, timesOf } from './signals.ts'
import type { SlowCase } from './signals.ts'
import { noise } from './waveforms.ts'

const increase = (values: readonly number[], wrapsAt?: number) => numberOf(rowsOf(values), 'increase', { options: { wrapsAt } })

test('increases of a counter with resets equal those computed in Python', () => {
  for (const { first, timesSeed, meanUs, counter } of golden<SlowCase[]>('slow')) {
    const timesUs = timesOf(timesSeed, first.count, meanUs)
    const random = noise(timesSeed + 2)
    let at = 0
    const values = Float64Array.from(timesUs, () => Math.floor(Math.abs((at += random() + 0.5)) * 3) % 40)
    const found = numbersOf(rowsOf(values, timesUs), ['increase', 'increasePerS'])
    for (const [name, expected] of Object.entries(counter)) close(found[name], expected, 1e-12, 0, name)
  }
})

test('what a counter showed at first, and where it was reset, changes nothing of its increase', () => {
  const steps = fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.integer({ min: 200, max: 1e6 }), fc.nat({ max: 59 }), (each, startsAt, resetAt) => {
      const total = each.reduce((sum, step) => sum + step, 0)
      let at = startsAt
      assert.equal(increase([startsAt, ...each.map((step) => (at += step))]), total)
      at = startsAt
      const withReset = each.map((step, i) => (at = i === resetAt ? step : at + step))
      assert.equal(increase([startsAt, ...withReset]), total)
    }),
  )
})

test('a counter that runs over goes on from 0, where it is known to', () => {
  const steps = fc.array(fc.nat({ max: 30_000 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(steps, fc.nat({ max: 65_535 }), (each, startsAt) => {
      let at = startsAt
      const values = [startsAt, ...each.map((step) => (at = (at + step) % 65_536))]
      assert.equal(
        increase(values, 65_536),
        each.reduce((sum, step) => sum + step, 0),
      )
    }),
  )
  assert.equal(increase([65_530, 4]), 4, 'without wrapsAt it is a reset')
})

test('a small fall is a correction or a second gateway, and not a whole count more', () => {
  assert.equal(increase([1000, 999, 1001, 1000, 1002]), 2)
  assert.equal(increase([1000, 998]), -2)
  assert.equal(increase([1000, 3]), 3)
})

test('a rate needs time: 0 for rows of one time, the increase over it otherwise', () => {
  assert.equal(numberOf(rowsOf([1, 5], [7, 7]), 'increasePerS'), 0)
  assert.equal(numberOf(rowsOf([1, 5], [0, 8e6]), 'increasePerS'), 0.5)
  assert.deepEqual(numbersOf(rowsOf([5]), counters.statistics), { increase: 0, increasePerS: 0, cycleTimeS: Number.NaN })
})

test('the cycle time is the time per part between the first part and the last', () => {
  // A part every 4 s from 3 s on, looked at every second.
  const parts = Array.from({ length: 25 }, (_, s) => Math.floor((s + 1) / 4))
  assert.equal(numberOf(rowsOf(parts), 'cycleTimeS'), 4)
  // Looked at every 8 s: two parts at once are two cycles.
  assert.equal(numberOf(rowsOf([0, 2, 4, 6], [0, 8e6, 16e6, 24e6]), 'cycleTimeS'), 4)
  assert.ok(Number.isNaN(numberOf(rowsOf([1, 1, 2, 2]), 'cycleTimeS')), 'one part ends no cycle that began in the window')
})
