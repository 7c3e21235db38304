import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NEVER_US, dropOverBound, nothingSeen, take, takeAbove } from '../src/intervals.ts'

test('every number is new exactly once, in whatever order numbers come', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 120 }), (numbers) => {
      const seen = nothingSeen()
      const known = new Set<number>()
      for (const number of numbers) {
        assert.equal(take(seen, number, number), !known.has(number))
        known.add(number)
      }
      const missing = Array.from({ length: seen.mark }, (_, i) => i + 1).filter((number) => !known.has(number))
      const listed = seen.gaps.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
      assert.deepEqual(listed, missing)
    }),
  )
})

test('numbers below the first one seen are missing, not repeats', () => {
  const seen = nothingSeen()
  assert.ok(take(seen, 2, 20))
  assert.deepEqual(seen.gaps, [{ from: 1, to: 1, belowUs: NEVER_US, aboveUs: 20 }])
  assert.ok(take(seen, 1, 10))
  assert.deepEqual(seen.gaps, [])
})

test('a counter that starts at 0 leaves no gap, and 0 is taken once', () => {
  const seen = nothingSeen()
  assert.ok(take(seen, 0, 5))
  assert.ok(!take(seen, 0, 5))
  assert.ok(take(seen, 1, 6))
  assert.deepEqual(seen.gaps, [])
})

test('over the bound the lowest ranges fall out and count as seen', () => {
  const seen = nothingSeen()
  for (const number of [1, 3, 5, 7]) take(seen, number, number)
  const lost = dropOverBound(seen, 1)
  assert.deepEqual(
    lost.map(({ from, to }) => [from, to]),
    [
      [2, 2],
      [4, 4],
    ],
  )
  assert.ok(!take(seen, 2, 2))
  assert.ok(take(seen, 6, 6))
})

test('a gap knows the event times around it, also when its neighbours come late or are withheld', () => {
  const seen = nothingSeen()
  take(seen, 1, 10)
  take(seen, 5, null)
  take(seen, 6, 60)
  assert.deepEqual(seen.gaps, [{ from: 2, to: 4, belowUs: 10, aboveUs: 60 }])
  take(seen, 3, 30)
  assert.deepEqual(seen.gaps, [
    { from: 2, to: 2, belowUs: 10, aboveUs: 30 },
    { from: 4, to: 4, belowUs: 30, aboveUs: 60 },
  ])
})

test('numbers taken as a run leave the same memory as taken one by one', () => {
  const blocks = fc.array(
    fc.record({ from: fc.integer({ min: 0, max: 40 }), timesUs: fc.array(fc.nat(99), { minLength: 1, maxLength: 5 }) }),
  )
  fc.assert(
    fc.property(blocks, fc.array(fc.nat(40)), (given, withheld) => {
      const [single, runs] = [nothingSeen(), nothingSeen()]
      for (const seen of [single, runs]) for (const number of withheld) take(seen, number, null)
      for (const { from, timesUs } of given) {
        const oneByOne = (seen: typeof single) => timesUs.forEach((timeUs, i) => take(seen, from + i, timeUs))
        oneByOne(single)
        if (!takeAbove(runs, from, from + timesUs.length - 1, timesUs[0]!, Math.max(...timesUs))) oneByOne(runs)
      }
      assert.deepEqual(runs, single)
    }),
  )
})
