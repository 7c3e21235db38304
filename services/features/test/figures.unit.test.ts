import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as statistics from '../src/statistics.ts'

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true })
const near = (actual: number, expected: number, scale = 1) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(scale, Math.abs(expected)), `${actual} is not ${expected}`)

test('statistics equal their textbook formulas', () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1, maxLength: 60 }), (values) => {
      const n = values.length
      const mean = values.reduce((a, b) => a + b, 0) / n
      near(statistics.mean(values), mean, 1e6)
      near(statistics.std(values) ** 2, values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n, 1e12)
      assert.equal(statistics.min(values), values.toSorted((a, b) => a - b)[0])
      assert.equal(statistics.max(values), values.toSorted((a, b) => b - a)[0])
    }),
  )
})

test('the slope of a line is its rise per second, however far from 1970', () => {
  fc.assert(
    fc.property(fc.double({ min: -100, max: 100, noNaN: true }), fc.integer({ min: 2, max: 40 }), (perSecond, n) => {
      const timesUs = Array.from({ length: n }, (_, i) => 1.8e15 + i * 37_000)
      const values = timesUs.map((timeUs) => 5 + (perSecond * (timeUs - 1.8e15)) / 1e6)
      near(statistics.slope(values, timesUs), perSecond, 100)
    }),
  )
  assert.equal(statistics.slope([3], [7]), 0)
  assert.equal(statistics.slope([3, 4], [7, 7]), 0)
})
