// A lane against a sorted list: whatever comes, leaves and moves, every row keeps its time, number, quality and samples.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rowsOf } from '../src/block-rows.ts'
import { Lane } from '../src/lanes.ts'
import { mergeRanges } from '../src/ranges.ts'
import type { Range } from '../src/ranges.ts'
import { SECOND_US, blockOf, modelPlan } from './blocks.ts'

interface Kept {
  readonly timeUs: number
  readonly epoch: number
  readonly number: number
  readonly quality: number
  readonly recordedUs: number
  readonly values: readonly [number, number]
}

const plan = modelPlan({ statistics: { y: ['mean'], x: ['mean'] } })
const channels = ['x', 'unread', 'y']

const step = fc.record({
  rows: fc.integer({ min: 1, max: 40 }),
  /** How far the block lies before the newest row, in rows. */
  back: fc.constantFrom(0, 0, 0, 0, 0, 1, 3, 30),
  skipped: fc.constantFrom(0, 0, 0, 0, 2),
  newEpoch: fc.constantFrom(false, false, false, false, false, false, true),
  isBad: fc.constantFrom(false, false, false, true),
  /** Rows that leave afterwards, as a share of those there are. */
  leaves: fc.constantFrom(0, 0.1, 0.5, 1),
})

test('rows keep what they have, in the order of time, epoch and number, however the lane moves them', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), fc.boolean(), fc.boolean(), (steps, isRecorded, isStored) => {
      const kind = { sourceId: 'a', channels, width: 1, dtype: 'f64', sampleRateHz: null, historical: false, isRecorded }
      let lane = new Lane(kind, 0, plan)
      let kept: Kept[] = []
      let number = 1
      let epoch = 1
      let atS = 100
      for (const { rows, back, skipped, newEpoch, isBad, leaves } of steps) {
        if (newEpoch) epoch++
        number += skipped
        const added = Array.from({ length: rows }, (_, i): Kept => {
          const timeUs = (atS - back + i) * SECOND_US
          const at = number + i
          return {
            timeUs,
            epoch,
            number: at,
            quality: isBad && i % 3 === 1 ? 2 : 0,
            recordedUs: isRecorded ? at * 7 : 0,
            values: [at + 0.5, -at],
          }
        })
        const recordedUs = Buffer.alloc(rows * 8)
        added.forEach((row, i) => recordedUs.writeBigInt64LE(BigInt(row.recordedUs), i * 8))
        const block = blockOf(
          added.map((row) => ({ seq: row.number, timeS: row.timeUs / SECOND_US, values: [row.values[0], 9, row.values[1]] })),
          {
            sourceId: 'a',
            epoch,
            channels,
            qualities: isBad ? Buffer.from(added.map(({ quality }) => quality)) : Buffer.alloc(0),
            recordedUs: isRecorded ? recordedUs : null,
          },
        )
        lane.add(block, rowsOf(block), 0, rows)
        number += rows
        atS = Math.max(atS, atS - back + rows)
        kept = [...kept, ...added].toSorted((a, b) => a.timeUs - b.timeUs || a.epoch - b.epoch || a.number - b.number)
        assert.deepEqual(contentOf(lane), kept)
        const gone = Math.floor(kept.length * leaves)
        lane.leave(lane.from + gone)
        kept = kept.slice(gone)
        if (isStored) lane = storedAndRestored(lane)
        assert.deepEqual(contentOf(lane), kept)
        assert.deepEqual(rangesOf(lane), expectedRanges(kept))
        for (const timeUs of [0, kept[0]?.timeUs ?? 0, (kept.at(-1)?.timeUs ?? 0) + 1, kept[kept.length >> 1]?.timeUs ?? 0])
          assert.equal(lane.at(timeUs) - lane.from, kept.filter((row) => row.timeUs < timeUs).length)
      }
    }),
    { numRuns: 150 },
  )
})

const contentOf = (lane: Lane): Kept[] => {
  const [y, x] = lane.layout.places as [number, number]
  return Array.from({ length: lane.rows }, (_, i) => {
    const row = lane.from + i
    return {
      timeUs: lane.timesUs[row]!,
      epoch: lane.epochAt(row),
      number: lane.numberAt(row),
      quality: lane.qualities?.[row] ?? 0,
      recordedUs: lane.recordedUs?.[row] ?? 0,
      values: [lane.elements(x, row, row + 1)[0]!, lane.elements(y, row, row + 1)[0]!],
    }
  })
}

const storedAndRestored = (lane: Lane): Lane => {
  const restored = new Lane(lane, 0, plan)
  restored.restore(lane.columns(), lane.base + lane.from, lane.epoch, lane.oddUs)
  return restored
}

const rangesOf = (lane: Lane): Range[] => {
  const ranges: Range[] = []
  lane.identify(lane.from, lane.to, ranges)
  return mergeRanges(ranges)
}

const expectedRanges = (kept: readonly Kept[]): Range[] =>
  mergeRanges(kept.map(({ epoch, number }) => ({ sourceId: 'a', epoch, seqFrom: number, seqTo: number })))

test('a lane that has emptied gives its memory back with the next rows', () => {
  const lane = new Lane(
    { sourceId: 'a', channels: ['x'], width: 1, dtype: 'f32', sampleRateHz: null, historical: false, isRecorded: false },
    0,
    plan,
  )
  const send = (from: number, count: number) => {
    const block = blockOf(
      Array.from({ length: count }, (_, i) => ({ seq: from + i, timeS: from + i, values: [1] })),
      { sourceId: 'a', channels: ['x'], dtype: 'f32', samples: Buffer.alloc(count * 4) },
    )
    lane.add(block, rowsOf(block), 0, count)
  }
  send(1, 10_000)
  lane.leave(lane.to)
  send(10_001, 1)
  for (let seq = 10_002; lane.room >= 10_000; seq++) send(seq, 1)
  assert.ok(lane.room < 6000)
})
