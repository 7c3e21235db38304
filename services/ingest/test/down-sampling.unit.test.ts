// Down-sampling: whatever the rows, what the kept ones say of those left out is off by the stated bound at most.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parsePlant } from '@andon/schemas'
import type { Block } from '@andon/schemas'
import { DownSampler, samplingOf } from '../src/down-sampling.ts'
import { blocksOf, logged, openRig, plant, startUs } from './rig.ts'
import type { Rig } from './rig.ts'

type Method = 'dead-band' | 'swinging-door'
const downsample = (method: Method, bound = 0.5, maxGapS = 60) => ({ method, bound, maxGapS })

/** The plant of the rig, its oven's channels down-sampled as asked. */
const sampledPlant = (temperatureC: object | undefined, pressureBar: object | undefined) =>
  parsePlant({
    ...plant,
    assets: plant.assets.map((asset) => ({
      ...asset,
      channels: asset.channels.map((channel) => {
        const asked = channel.id === 'temperatureC' ? temperatureC : channel.id === 'pressureBar' ? pressureBar : undefined
        return asked === undefined ? channel : { ...channel, downsample: asked, retentionDays: 30 }
      }),
    })),
  })

const joined = async (...asked: Parameters<typeof sampledPlant>): Promise<Rig> => {
  const rig = await openRig()
  rig.wiring.usePlant(sampledPlant(...asked))
  await rig.pump()
  return rig
}

interface Row {
  readonly timeUs: number
  readonly values: readonly number[]
}

const channelNames = ['temperatureC', 'pressureBar']
const deliver = async (rig: Rig, rows: readonly Row[], from: number, inColumns: boolean) => {
  const values = Float64Array.from(channelNames.flatMap((_, channel) => rows.map((row) => row.values[channel]!)))
  const timesUs = Float64Array.from(rows, ({ timeUs }) => timeUs)
  const columns = { source: 'oven-plc', epoch: 1, seqFrom: from, rows: rows.length, channels: channelNames, timesUs, values }
  const readings = rows.map(({ timeUs, values: [temperatureC, pressureBar] }, at) => ({
    source: 'oven-plc',
    epoch: 1,
    seq: from + at,
    timeUs,
    values: { temperatureC, pressureBar },
  }))
  const sent = inColumns
    ? rig.wiring.intake({ door: 'http', bytes: 1, columns: [{ ...columns, bytesOf: () => Buffer.alloc(0) }] })
    : rig.send({ readings })
  const [receipt] = await Promise.all([sent, rig.flush()])
  await rig.pump()
  return receipt
}

/** Kept rows of all blocks by number. */
const keptRows = (blocks: readonly Block[]): Map<number, Row> => {
  const kept = new Map<number, Row>()
  for (const block of blocks) {
    const [samples, timesUs] = [Buffer.from(block.samples), Buffer.from(block.timesUs)]
    let row = 0
    for (let seq = block.seqFrom; seq <= block.seqTo; seq++) {
      if (block.withheld.includes(seq)) continue
      const at = row++
      const values = block.channels.map((_, channel) => samples.readDoubleLE((channel * block.rows + at) * 8))
      kept.set(seq, { timeUs: Number(timesUs.readBigInt64LE(at * 8)), values })
    }
  }
  return kept
}

const said = (method: Method, channel: number, before: Row, after: Row | undefined, timeUs: number): number => {
  const [from, to] = [before.values[channel]!, after?.values[channel]]
  if (method === 'dead-band') return from
  assert.ok(after !== undefined && to !== undefined, 'a row behind the last kept one was left out')
  return from + ((to - from) * (timeUs - before.timeUs)) / (after.timeUs - before.timeUs)
}

const stepUs = fc.integer({ min: 1, max: 3_000_000 })
const value = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: -40, max: 40, noNaN: true }) },
)
const series = fc.array(fc.tuple(stepUs, value, value), { minLength: 1, maxLength: 60 }).map((steps) => {
  const last = { timeUs: startUs - 300_000_000, a: 0, b: 0 }
  return steps.map(([us, a, b]): Row => {
    last.timeUs += us
    last.a += a
    last.b += b
    return { timeUs: last.timeUs, values: [Math.min(900, Math.max(-50, last.a)), last.b] }
  })
})
const method = fc.constantFrom<Method>('dead-band', 'swinging-door')

test('no row left out deviates by more than the bound, however rows are cut into deliveries and wherever ingest restarts', async () => {
  let leftOut = 0
  const property = fc.asyncProperty(
    series,
    method,
    method,
    fc.double({ min: 0.01, max: 3, noNaN: true }),
    fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 }),
    fc.boolean(),
    async (rows, one, other, bound, cuts, inColumns) => {
      const methods = [one, other]
      const asked = [downsample(one, bound, 20), downsample(other, bound, 20)] as const
      const rig = await joined(...asked)
      for (let from = 0, cut = 0; from < rows.length; cut++) {
        const to = from + cuts[cut % cuts.length]!
        await deliver(rig, rows.slice(from, to), from + 1, inColumns)
        if (cut % 3 === 2) rig.wiring.usePlant(sampledPlant(...asked)) // begins anew, as a restart does
        from = to
      }
      const blocks = blocksOf(await logged(rig.log))
      const kept = keptRows(blocks)
      for (const block of blocks) {
        assert.deepEqual(block.errorBounds, [bound, bound])
        assert.deepEqual(block.downsampling, methods)
      }
      const numbers = [...kept.keys()]
      for (const [at, row] of rows.entries()) {
        if (kept.has(at + 1)) continue
        leftOut++
        const before = kept.get(numbers.findLast((seq) => seq < at + 1)!)!
        const after = kept.get(numbers.find((seq) => seq > at + 1)!)
        for (const [channel, by] of methods.entries()) {
          const deviation = Math.abs(row.values[channel]! - said(by, channel, before, after, row.timeUs))
          assert.ok(deviation <= bound + 1e-9, `row ${at + 1}: ${by} is off by ${deviation}, the bound is ${bound}`)
        }
        assert.ok(row.timeUs - before.timeUs < 20_000_000, 'longer than maxGapS')
      }
      assert.equal(
        blocks.reduce((sum, block) => sum + block.rows + block.withheld.length, 0),
        rows.length,
        'a number is missing',
      )
    },
  )
  await fc.assert(property, { numRuns: 200 })
  assert.ok(leftOut > 100, `only ${leftOut} rows were left out at all`)
})

const flat = (rows: number, everyUs = 1000): Row[] =>
  Array.from({ length: rows }, (_, at) => ({ timeUs: startUs - 100_000_000 + at * everyUs, values: [20, 1] }))

test('a row is left out only when every channel of it allows that', async () => {
  const rig = await joined(downsample('dead-band'), undefined)
  await deliver(rig, flat(10), 1, false)
  const [block] = blocksOf(await logged(rig.log))
  assert.deepEqual([block?.rows, block?.withheld, block?.errorBounds], [10, [], []])
})

test('dead-band goes on over blocks, and a row is kept every maxGapS', async () => {
  const rig = await joined(downsample('dead-band', 0.5, 2), downsample('dead-band', 0.5, 30))
  for (const [at, row] of flat(10, 500_000).entries()) await deliver(rig, [row], at + 1, false)
  assert.deepEqual([...keptRows(blocksOf(await logged(rig.log))).keys()], [1, 5, 9])
})

test('swinging-door keeps both ends of a line and the last row of every block', async () => {
  const rig = await joined(downsample('swinging-door'), downsample('swinging-door'))
  const ramp = flat(20).map((row, at) => ({ ...row, values: [at < 10 ? at : 20 - at, 3 * at] }))
  await deliver(rig, ramp, 1, true)
  const numbers = [...keptRows(blocksOf(await logged(rig.log))).keys()]
  assert.deepEqual([numbers[0], numbers.at(-1)], [1, 20])
  assert.ok(numbers.length <= 4 && numbers.includes(11), `kept ${numbers.join(', ')}`)
})

test('a row that is missing, of other quality, or older than the one before is kept', async () => {
  const sampling = samplingOf(sampledPlant(downsample('dead-band'), downsample('dead-band')).assets[0]!.channels)!
  const sampler = new DownSampler(sampling)
  const isKept = (timeUs: number, values: readonly number[], quality = 0): boolean => {
    sampler.next(timeUs, Float64Array.from(values), quality)
    return !sampler.isOpen
  }
  assert.equal(isKept(1000, [1, 1]), true)
  assert.equal(isKept(2000, [1, 1]), false)
  assert.equal(isKept(3000, [1, Number.NaN]), true)
  assert.equal(isKept(4000, [1, Number.NaN]), false)
  assert.equal(isKept(5000, [1, Number.NaN], 1), true)
  assert.equal(isKept(5000, [1, Number.NaN], 1), true)
  assert.equal(isKept(4500, [1, Number.NaN], 1), true)
  assert.equal(isKept(6000, [1, Number.NaN], 1), false)
  assert.equal(isKept(5500, [1, Number.NaN], 1), true)
})

test('a kept row has its own quality, not that of the row left out in its place', async () => {
  const rig = await joined(downsample('dead-band'), downsample('dead-band'))
  const readings = [1, 1, 0].map((quality, at) => ({
    source: 'oven-plc',
    epoch: 1,
    seq: at + 1,
    timeUs: startUs + at,
    values: { temperatureC: 20, pressureBar: 1 },
    quality,
  }))
  await Promise.all([rig.send({ readings }), rig.flush()])
  await rig.pump()
  const [block] = blocksOf(await logged(rig.log))
  assert.deepEqual([block?.withheld, [...block!.qualities]], [[2], [1, 0]])
})

test('rows that are down-sampled share no block with rows that are not', async () => {
  const rig = await joined(downsample('dead-band'), undefined)
  const readings = [{ pressureBar: 1 }, {}, {}].map((more, at) => ({
    source: 'oven-plc',
    epoch: 1,
    seq: at + 1,
    timeUs: startUs + at,
    values: { temperatureC: 20, ...more },
  }))
  await Promise.all([rig.send({ readings }), rig.flush()])
  await rig.pump()
  assert.deepEqual(
    blocksOf(await logged(rig.log)).map(({ seqFrom, withheld, errorBounds }) => [seqFrom, withheld, errorBounds]),
    [
      [1, [], []],
      [2, [3], [0.5]],
    ],
  )
})

test('after rows that could not be kept, the next one is', async () => {
  const rig = await joined(downsample('dead-band'), downsample('dead-band'))
  const [first, ...others] = flat(3)
  await deliver(rig, [first!], 1, false)
  rig.disk.fault = new Error('no space left on device')
  const refused = assert.rejects(deliver(rig, [{ ...others[0]!, values: [30, 1] }], 2, false), { code: 'ANDON_INGEST_SPOOL_FAILED' })
  await rig.flush()
  await refused
  rig.disk.fault = undefined
  await rig.second()
  await rig.flush()
  await deliver(rig, [{ ...others[1]!, values: [30, 1] }], 3, false)
  assert.deepEqual([...keptRows(blocksOf(await logged(rig.log))).keys()], [1, 3])
})

test('a plant file with a bound of 0, an unknown method or a down-sampled waveform does not load', () => {
  const error = { code: 'ANDON_DOCUMENT_INVALID' }
  assert.throws(() => sampledPlant(downsample('dead-band', 0), undefined), error)
  assert.throws(() => sampledPlant({ ...downsample('dead-band'), method: 'boxcar' }, undefined), error)
  const channels = [{ ...plant.assets[1]!.channels[0]!, downsample: downsample('dead-band') }]
  assert.throws(() => parsePlant({ ...plant, assets: [{ ...plant.assets[1]!, channels }] }), error)
})

test('hints of the plant file about retention are in the block', async () => {
  const rig = await joined(undefined, downsample('dead-band'))
  await deliver(rig, flat(1), 1, false)
  assert.deepEqual(blocksOf(await logged(rig.log))[0]?.retentionDays, [0, 30])
})
