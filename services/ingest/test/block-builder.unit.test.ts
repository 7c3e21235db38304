// Blocks: packed as the schema says, of consecutive numbers and one layout, with the same id whoever cuts them the same way.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { uuid8 } from '@andon/kit'
import { BlockBuilder, withheldDigest } from '../src/block-builder.ts'
import type { Received } from '../src/block-builder.ts'
import { plantLookup } from '../src/plant-lookup.ts'
import type { Layout } from '../src/layout.ts'
import { checkReading, isRefusal, maxValues } from '../src/reading.ts'
import type { Reading } from '../src/reading.ts'
import { plant, reading, startUs } from './rig.ts'

const lookup = plantLookup(plant, new Map())
const limits = { maxRows: 100, maxBytes: 4096 }
const sender = { door: 'http', isAwaited: true, device: undefined, correction: undefined }
const origin = { sourceId: 'oven-plc', assetId: 'oven', epoch: 1, sender }
const received = { receivedUs: startUs, historical: false, sender }

const placed = (raw: unknown): [Layout, Reading, Float64Array] => {
  const checked = checkReading(raw)
  assert.ok(!isRefusal(checked))
  const row = new Float64Array(maxValues)
  const layout = lookup.place(checked, row)
  assert.ok(!isRefusal(layout), JSON.stringify(layout))
  return [layout, checked, row]
}

const fits = (builder: BlockBuilder, seq: number, epoch: number, raw: unknown, facts: Received = received, within = limits): boolean => {
  const [layout, checked] = placed(raw)
  return builder.fits(seq, epoch, layout, checked, facts, within)
}

const int64s = (bytes: Uint8Array) => [...new BigInt64Array(Uint8Array.from(bytes).buffer)].map(Number)
const float64s = (bytes: Uint8Array) => [...new Float64Array(Uint8Array.from(bytes).buffer)]

test('rows are packed channel-major with their times, units and qualities', () => {
  const builder = new BlockBuilder(origin, 5)
  builder.add(...placed(reading(5, { values: { pressureBar: 2, temperatureC: 20 } })), received)
  builder.add(...placed(reading(6, { values: { temperatureC: 21 }, timeUs: startUs + 10, quality: 2 })), received)
  const { block, id } = builder.close(5_000_000)
  assert.deepEqual(
    {
      channels: block.channels,
      units: block.units,
      dtype: block.dtype,
      width: block.width,
      rows: block.rows,
      from: block.seqFrom,
      to: block.seqTo,
    },
    { channels: ['pressureBar', 'temperatureC'], units: ['bar', 'Cel'], dtype: 'f64', width: 1, rows: 2, from: 5, to: 6 },
  )
  assert.deepEqual(float64s(block.samples), [2, Number.NaN, 20, 21])
  assert.deepEqual(int64s(block.timesUs), [startUs, startUs + 10])
  assert.deepEqual([...block.qualities!], [0, 2])
  assert.equal(block.recordedUs, null)
  assert.equal(id, uuid8('block', 'oven-plc', 1, 5, 6, ''))
})

test('any rows come back as they went in', () => {
  const row = fc.record({
    timeUs: fc.integer({ min: startUs - 1e12, max: startUs + 1e12 }),
    value: fc.double({ noNaN: true, min: -50, max: 900 }),
  })
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 60 }), (rows) => {
      const builder = new BlockBuilder(origin, 1)
      rows.forEach(({ timeUs, value }, at) =>
        builder.add(...placed(reading(at + 1, { timeUs, values: { temperatureC: value } })), received),
      )
      const { block } = builder.close(5_000_000)
      assert.deepEqual(
        int64s(block.timesUs),
        rows.map(({ timeUs }) => timeUs),
      )
      assert.deepEqual(
        float64s(block.samples),
        rows.map(({ value }) => value),
      )
    }),
  )
})

test('a waveform is one row of float32', () => {
  const f32 = Buffer.from(new Float32Array([0.5, -1, 2, 3]).buffer)
  const waveform = { channel: 'vibrationG', sampleRateHz: 1000, f32: f32.toString('base64'), sensitivity: 100 }
  const builder = new BlockBuilder({ sourceId: 'spindle-vib', assetId: 'spindle', epoch: 3, sender }, 1)
  builder.add(...placed({ source: 'spindle-vib', epoch: 3, seq: 1, timeUs: startUs, waveform }), received)
  const { block } = builder.close(5_000_000)
  assert.deepEqual([block.dtype, block.width, block.sampleRateHz, block.sensitivity, block.rows], ['f32', 4, 1000, 100, 1])
  assert.deepEqual(Buffer.from(block.samples), f32)
})

test('a number is withheld in place, also in front of every row', () => {
  const builder = new BlockBuilder(origin, 1)
  builder.withhold(startUs)
  builder.add(...placed(reading(2)), received)
  builder.withhold(startUs + 1)
  const { block, id } = builder.close(5_000_000)
  assert.deepEqual([block.seqFrom, block.seqTo, block.rows, block.withheld], [1, 3, 1, [1, 3]])
  assert.equal(id, uuid8('block', 'oven-plc', 1, 1, 3, withheldDigest([1, 3])))
})

test('a block of withheld numbers alone has no rows and no channels', () => {
  const builder = new BlockBuilder(origin, 1)
  builder.withhold(startUs)
  const { block } = builder.close(5_000_000)
  assert.deepEqual([block.rows, block.channels, block.samples.length, block.timesUs.length], [0, [], 0, 0])
})

for (const [what, seq, epoch, extra, facts] of [
  ['a gap', 3, 1, {}, received],
  ['a repeat', 1, 1, {}, received],
  ['another epoch', 2, 2, {}, received],
  ['a channel that the block lacks', 2, 1, { values: { pressureBar: 1 } }, received],
  ['a historical row', 2, 1, {}, { ...received, historical: true }],
  ['a replayed recording', 2, 1, { recordedUs: 5 }, received],
] as const) {
  test(`${what} starts the next block`, () => {
    const builder = new BlockBuilder(origin, 1)
    builder.add(...placed(reading(1)), received)
    assert.ok(fits(builder, 2, 1, reading(2)))
    assert.ok(!fits(builder, seq, epoch, reading(seq, extra), facts))
  })
}

test('a block ends at its row limit and at its byte limit', () => {
  const builder = new BlockBuilder(origin, 1)
  builder.add(...placed(reading(1)), received)
  assert.ok(!fits(builder, 2, 1, reading(2), received, { maxRows: 1, maxBytes: 4096 }))
  assert.ok(!fits(builder, 2, 1, reading(2), received, { maxRows: 9, maxBytes: 15 }))
})

test('skew is marked beyond the bound, with its sign, and the times stay', () => {
  for (const [behindUs, marked] of [
    [4_000_000, 0],
    [6_000_000, 6_000_000],
    [-6_000_000, -6_000_000],
  ] as const) {
    const builder = new BlockBuilder(origin, 1)
    builder.add(...placed(reading(1, { timeUs: startUs - behindUs })), received)
    assert.equal(builder.close(5_000_000).block.skewUs, marked)
  }
})
