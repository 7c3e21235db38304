// Rows in columns: what becomes of a row is what becomes of the same reading as JSON.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Delivery } from '../src/adapters/source.ts'
import type { ReadingColumns } from '../src/columns.ts'
import { quarantineTopic } from '../src/records.ts'
import { blocksOf, logged, openRig, rowsOf, startUs } from './rig.ts'
import type { Rig } from './rig.ts'

interface Row {
  readonly timeUs: number
  readonly temperatureC: number | null
  readonly pressureBar: number | null
  readonly quality: number
}

const columnsOf = (rows: readonly Row[], extra: Partial<ReadingColumns> = {}): ReadingColumns => ({
  source: 'oven-plc',
  rows: rows.length,
  channels: ['temperatureC', 'pressureBar'],
  timesUs: Float64Array.from(rows, ({ timeUs }) => timeUs),
  values: Float64Array.from([
    ...rows.map(({ temperatureC }) => temperatureC ?? Number.NaN),
    ...rows.map(({ pressureBar }) => pressureBar ?? Number.NaN),
  ]),
  qualities: Uint8Array.from(rows, ({ quality }) => quality),
  bytesOf: (row) => Buffer.from(`row ${row}`),
  ...extra,
})

const readingsOf = (rows: readonly Row[], numbers: { readonly epoch: number; readonly seqFrom: number } | undefined) =>
  rows.map(({ timeUs, temperatureC, pressureBar, quality }, at) => ({
    source: 'oven-plc',
    ...(numbers === undefined ? {} : { epoch: numbers.epoch, seq: numbers.seqFrom + at }),
    timeUs,
    values: { temperatureC, pressureBar },
    quality,
  }))

const deliver = async (rig: Rig, delivery: Delivery) => {
  const [receipt] = await Promise.all([rig.wiring.intake(delivery), rig.flush()])
  await rig.pump()
  return receipt
}

const joined = async (): Promise<Rig> => {
  const rig = await openRig({ settings: { blockMaxRows: 7 } })
  await rig.pump()
  return rig
}

const inColumns = (columns: ReadingColumns, extra: object = {}): Delivery => ({ door: 'http', columns: [columns], bytes: 100, ...extra })
const plainly = (rows: number): Row[] =>
  Array.from({ length: rows }, (_, at) => ({ timeUs: startUs + at, temperatureC: at, pressureBar: null, quality: 0 }))

// JSON has no -0.
const row = fc.record({
  timeUs: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: startUs - 5_000_000, max: startUs }) },
    { weight: 3, arbitrary: fc.integer({ min: startUs - 3, max: startUs }) },
    { weight: 1, arbitrary: fc.constantFrom(startUs - 700_000_000, startUs + 90_000_000_000, 12, startUs - 1e15, startUs - 0.5) },
  ),
  temperatureC: fc.oneof(fc.integer({ min: -50, max: 900 }), fc.constantFrom(null, 901, -51)),
  pressureBar: fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.constant(null),
  ),
  quality: fc.constantFrom(0, 0, 0, 1, 2, 3),
})
const numbers = fc.option(fc.record({ epoch: fc.nat(5), seqFrom: fc.nat(1000) }), { nil: undefined, freq: 1 })

test('rows in columns become the same blocks, receipts and refusals as the same readings in JSON', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), numbers, fc.boolean(), async (rows, of, hasKey) => {
      const key = hasKey ? { idempotencyKey: 'k' } : {}
      const [asColumns, asJson] = [await joined(), await joined()]
      for (const _ of [1, 2]) {
        const payload = Buffer.from(JSON.stringify(readingsOf(rows, of)))
        const one = await deliver(asColumns, inColumns(columnsOf(rows, of), key))
        const other = await deliver(asJson, { door: 'http', format: 'json', payload, ...key })
        assert.deepEqual(one, other)
      }
      const [left, right] = [await logged(asColumns.log), await logged(asJson.log)]
      assert.deepEqual(left, right)
      const codes = (rig: Rig) => logged(rig.log, quarantineTopic).then((records) => records.length)
      assert.equal(await codes(asColumns), await codes(asJson))
    }),
    { numRuns: 150 },
  )
})

test('a refused row goes to quarantine with its bytes, its number is withheld', async () => {
  const rig = await joined()
  const rows = plainly(3).map((each, at) => (at === 1 ? { ...each, temperatureC: 4000 } : each))
  const receipt = await deliver(rig, inColumns(columnsOf(rows, { epoch: 1, seqFrom: 5 })))
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => [index, code]),
    [[1, 'ANDON_INGEST_OUT_OF_RANGE']],
  )
  const [block] = blocksOf(await logged(rig.log))
  assert.deepEqual([block?.seqFrom, block?.seqTo, block?.withheld], [5, 7, [6]])
  const kept = await logged(rig.log, quarantineTopic)
  assert.deepEqual(
    kept.map(({ value }) => value.type),
    ['row 1'],
  )
})

test('an infinite value is refused, a missing one is kept as missing', async () => {
  const rig = await joined()
  const receipt = await deliver(rig, inColumns(columnsOf([{ ...plainly(1)[0]!, pressureBar: Number.POSITIVE_INFINITY }, ...plainly(1)])))
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => [index, code]),
    [[0, 'ANDON_INGEST_BAD_FIELD']],
  )
  assert.ok(Number.isNaN(Buffer.from(blocksOf(await logged(rig.log))[0]!.samples).readDoubleLE(8)))
})

test('rows of several columns are counted on, and a layout that the plant does not know refuses its rows alone', async () => {
  const rig = await joined()
  const strange = columnsOf(plainly(2), { channels: ['temperatureC', 'colour'] })
  const receipt = await deliver(rig, { door: 'http', bytes: 9, columns: [strange, columnsOf(plainly(3))] })
  assert.equal(receipt.accepted, 3)
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => [index, code]),
    [
      [0, 'ANDON_INGEST_UNKNOWN_CHANNEL'],
      [1, 'ANDON_INGEST_UNKNOWN_CHANNEL'],
    ],
  )
})

test('numbers of columns that are refused as a whole are withheld, those of another source are not', async () => {
  const rig = await joined()
  const strange = { channels: ['temperatureC', 'colour'], epoch: 1, seqFrom: 4 }
  await deliver(rig, inColumns(columnsOf(plainly(3), strange)))
  await deliver(rig, inColumns(columnsOf(plainly(3), { ...strange, seqFrom: 90 }), { source: 'spindle-vib' }))
  assert.deepEqual(
    blocksOf(await logged(rig.log)).map(({ seqFrom, seqTo, rows, withheld }) => [seqFrom, seqTo, rows, withheld]),
    [[4, 6, 0, [4, 5, 6]]],
  )
})

test('columns with fewer channels, in another order, join the block of a reading', async () => {
  const rig = await joined()
  const first = { source: 'oven-plc', epoch: 1, seq: 1, timeUs: startUs, values: { temperatureC: 20, pressureBar: 1 } }
  const columns = [
    columnsOf(plainly(2), { epoch: 1, seqFrom: 2, channels: ['pressureBar'], values: Float64Array.of(2, 3) }),
    columnsOf(plainly(1), { epoch: 1, seqFrom: 4, channels: ['pressureBar', 'temperatureC'], values: Float64Array.of(4, 40) }),
  ]
  const sent = [rig.send({ door: 'http', readings: first }), rig.wiring.intake({ door: 'http', columns, bytes: 1 })]
  await Promise.all([...sent, rig.flush()])
  await rig.pump()
  const [block, ...more] = blocksOf(await logged(rig.log))
  assert.deepEqual([block?.channels, block?.seqTo, more], [['temperatureC', 'pressureBar'], 4, []])
  assert.deepEqual([...new Float64Array(Uint8Array.from(block!.samples).buffer)], [20, Number.NaN, Number.NaN, 40, 1, 2, 3, 4])
})

test('a refused row keeps the reading it meant, in the units of its sender, for its way back', async () => {
  const rig = await joined()
  const rows = [{ timeUs: startUs, temperatureC: 5000, pressureBar: null, quality: 1 }]
  const kept = { units: ['[degF]', undefined], asset: 'oven', epoch: 1, seqFrom: 1 } as const
  assert.equal((await deliver(rig, inColumns(columnsOf(rows, kept)))).quarantined.length, 1)
  for await (const { records } of rig.log.read({ topic: quarantineTopic, partition: 0, from: 'earliest', to: 'latest' }))
    assert.deepEqual(
      records.map((record) => JSON.parse(record.header('andon-quarantine-reading') ?? '{}')),
      [
        {
          source: 'oven-plc',
          asset: 'oven',
          timeUs: startUs,
          values: { temperatureC: 5000, pressureBar: null },
          quality: 1,
          units: { temperatureC: '[degF]' },
        },
      ],
    )
})

test('no number crashes: every row is accepted, known or in quarantine', async () => {
  const number = fc.oneof(
    fc.double(),
    fc.integer({ min: startUs - 100, max: startUs }),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -0),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(number, number, number, fc.nat(255)), { minLength: 1, maxLength: 20 }), async (rows) => {
      const rig = await joined()
      const timesUs = Float64Array.from(rows, ([timeUs]) => timeUs)
      const values = Float64Array.from([...rows.map(([, one]) => one), ...rows.map(([, , other]) => other)])
      const qualities = Uint8Array.from(rows, ([, , , quality]) => quality)
      const plain = plainly(rows.length)
      const receipt = await deliver(rig, inColumns(columnsOf(plain, { timesUs, values, qualities, epoch: 1, seqFrom: 0 })))
      assert.equal(receipt.accepted + receipt.quarantined.length, rows.length)
      const blocks = blocksOf(await logged(rig.log))
      assert.equal(
        blocks.reduce((sum, block) => sum + block.rows + block.withheld.length, 0),
        rows.length,
      )
    }),
    { numRuns: 100 },
  )
})

test('a key knows the rows it brought, also when the delivery comes again with more of them', async () => {
  const rig = await joined()
  await deliver(rig, inColumns(columnsOf(plainly(10)), { idempotencyKey: 'file-1' }))
  const again = await deliver(rig, inColumns(columnsOf(plainly(14)), { idempotencyKey: 'file-1' }))
  assert.deepEqual([again.accepted, again.duplicates], [4, 10])
  assert.deepEqual(
    rowsOf(await logged(rig.log)),
    Array.from({ length: 14 }, (_, at) => at + 1),
  )
  const identities = rig.disk.seen.length
  assert.ok(identities <= 4, `${identities} texts for 14 rows`)
})

for (const [what, columns] of [
  ['an epoch without a number', { epoch: 1 }],
  ['a number that is none', { seqFrom: -1 }],
  ['numbers beyond those that can be told apart', { seqFrom: Number.MAX_SAFE_INTEGER }],
  ['a channel twice', { channels: ['temperatureC', 'temperatureC'] }],
  ['a source that is no id', { source: '../x' }],
] as const) {
  test(`columns with ${what} are refused whole`, async () => {
    const receipt = await deliver(await joined(), inColumns(columnsOf(plainly(2), columns)))
    assert.deepEqual(
      receipt.quarantined.map(({ code }) => code),
      ['ANDON_INGEST_BAD_FIELD', 'ANDON_INGEST_BAD_FIELD'],
    )
  })
}

test('rows in columns that do not fit their channels are a fault of the door, not of the sender', async () => {
  const rig = await joined()
  await assert.rejects(rig.wiring.intake(inColumns(columnsOf(plainly(2), { rows: 3 }))), RangeError)
})
