// The ring's index: what is covered, what is missing, what may go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSegmentIndex } from '../src/segment-index.ts'

const s = (seconds: number) => seconds * 1e6
const closed = (run: string, endS: number, durationS = 2) => ({
  name: `${run}-${endS}`,
  run,
  endUs: s(endS),
  durationUs: s(durationS),
  bytes: 1,
  sha256: '',
  gops: [],
})

test('segments of one run join without a gap despite jitter of their ends', () => {
  const index = createSegmentIndex()
  for (const end of [2, 4.2, 5.9, 8.1]) index.add(closed('a', end))
  assert.deepEqual(index.gaps({ fromUs: 0, toUs: s(8.1) }), [])
  assert.deepEqual(
    index.all().map((segment) => segment.n),
    [0, 1, 2, 3],
  )
})

test('a lost recorder leaves a gap between the last whole segment and the first new one', () => {
  const index = createSegmentIndex()
  index.add(closed('a', 10))
  index.add(closed('b', 17))
  assert.deepEqual(index.gaps({ fromUs: s(9), toUs: s(16) }), [{ fromUs: s(10), toUs: s(15) }])
  assert.deepEqual(index.gaps({ fromUs: s(5), toUs: s(20) }), [
    { fromUs: s(5), toUs: s(8) },
    { fromUs: s(10), toUs: s(15) },
    { fromUs: s(17), toUs: s(20) },
  ])
})

test('a stall inside a run is a gap as well', () => {
  const index = createSegmentIndex()
  index.add(closed('a', 2))
  index.add(closed('a', 9))
  assert.deepEqual(index.gaps({ fromUs: 0, toUs: s(9) }), [{ fromUs: s(2), toUs: s(7) }])
})

test('a wall clock set back never makes two segments cover one time', () => {
  const index = createSegmentIndex()
  index.add(closed('a', 10))
  const second = index.add(closed('b', 6))
  assert.deepEqual([second.startUs, second.endUs], [s(10), s(10)])
})

test('what is held stays in the ring until it is released', () => {
  const index = createSegmentIndex()
  for (const end of [2, 4, 6, 8]) index.add(closed('a', end))
  const held = index.hold({ fromUs: s(3), toUs: s(5) })
  assert.deepEqual(
    index.evict(s(7)).map((segment) => segment.endUs),
    [s(2)],
  )
  held.release()
  assert.deepEqual(
    index.evict(s(7)).map((segment) => segment.endUs),
    [s(4), s(6)],
  )
})

test('covered parts and gaps of any range add up to the range and never overlap', () => {
  const segments = fc.array(
    fc.record({ run: fc.constantFrom('a', 'b'), stepS: fc.integer({ min: 1, max: 9 }), jitter: fc.integer({ min: -3, max: 3 }) }),
    {
      maxLength: 20,
    },
  )
  fc.assert(
    fc.property(segments, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 60 }), (steps, fromS, lengthS) => {
      const index = createSegmentIndex()
      let endS = 0
      for (const { run, stepS, jitter } of steps) index.add(closed(run, (endS += stepS) + jitter / 10))
      const range = { fromUs: s(fromS), toUs: s(fromS + lengthS) }
      const parts = [
        ...index.gaps(range),
        ...index.covering(range).map((each) => ({ fromUs: Math.max(each.startUs, range.fromUs), toUs: Math.min(each.endUs, range.toUs) })),
      ].toSorted((a, b) => a.fromUs - b.fromUs || a.toUs - b.toUs)
      assert.equal(parts[0]?.fromUs, range.fromUs)
      assert.equal(parts.at(-1)?.toUs, range.toUs)
      for (let i = 1; i < parts.length; i++) assert.equal(parts[i]!.fromUs, parts[i - 1]!.toUs)
    }),
  )
})
