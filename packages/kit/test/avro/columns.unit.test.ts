// Columns and telemetry blocks against the decoder: the same numbers, the same bytes, without the objects.

import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { avroSchemas } from '@andon/schemas'
import type { Block, Telemetry, TelemetryInput } from '@andon/schemas'
import { BlockReader } from '../../src/avro/blocks.ts'
import { compileColumns } from '../../src/avro/columns.ts'
import { compileDecoder } from '../../src/avro/decoder.ts'
import { compileEncoder } from '../../src/avro/encoder.ts'
import { parseSchema } from '../../src/avro/schema.ts'
import type { AvroNode } from '../../src/avro/schema.ts'
import { localCodec } from '../../src/codec.ts'
import { recordSchemas, values } from './arbitraries.ts'

const slab = Buffer.alloc(1024 * 1024)

/** Paths to fields that can be columns: through records and nullable records, not through lists. */
const pathsOf = (node: AvroNode, path: string, found: { numbers: string[]; ranges: string[] }, open: readonly AvroNode[] = []): void => {
  if (node.kind !== 'record' || open.includes(node)) return
  for (const field of node.fields) {
    const here = path === '' ? field.name : `${path}.${field.name}`
    const branches = field.node.kind === 'union' ? field.node.branches.filter(({ kind }) => kind !== 'null') : [field.node]
    const [only] = branches
    if (only === undefined || branches.length > 1) continue
    if (['boolean', 'int', 'long', 'float', 'double', 'enum'].includes(only.kind)) found.numbers.push(here)
    else if (only.kind !== 'null') found.ranges.push(here)
    if (only.kind === 'record') pathsOf(only, here, found, [...open, node])
  }
}

const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((inner, name) => (inner as Record<string, unknown> | null)?.[name], value)

const enumAt = (node: AvroNode, path: string): readonly string[] | undefined => {
  let inner: AvroNode | undefined = node
  for (const name of path.split('.')) {
    const field: AvroNode | undefined = inner?.kind === 'record' ? inner.fields.find((each) => each.name === name)?.node : undefined
    inner = field?.kind === 'union' ? field.branches.find(({ kind }) => kind !== 'null') : field
  }
  return inner?.kind === 'enum' ? inner.symbols : undefined
}

const records = recordSchemas.chain((schema) =>
  fc.record({ schema: fc.constant(schema), list: fc.array(values(parseSchema(schema)), { minLength: 1, maxLength: 5 }) }),
)

test('columns hold what the decoder reads: numbers, contents of strings and bytes, encodings of the rest', () => {
  let compared = 0
  fc.assert(
    fc.property(records, ({ schema, list }) => {
      const node = parseSchema(schema)
      const fields = { numbers: [] as string[], ranges: [] as string[] }
      pathsOf(node, '', fields)
      const [columns, encode, decode] = [compileColumns(schema, fields), compileEncoder(schema), compileDecoder(schema)]
      const ends = list.reduce<number[]>((found, value) => [...found, encode(value, slab, found.at(-1) as number)], [3])
      list.forEach((_, row) => columns.add(slab, ends[row] as number, ends[row + 1] as number))
      assert.equal(columns.count, list.length)
      list.forEach((_, row) => {
        const value = decode(slab, ends[row] as number, ends[row + 1] as number)
        for (const path of fields.numbers) {
          const found = at(value, path) ?? Number.NaN
          const symbols = enumAt(node, path)
          const expected = typeof found === 'string' ? symbols?.indexOf(found) : Number(found)
          assert.ok(Object.is(columns.numbers(path)[row], expected), path)
          compared += 1
        }
        for (const path of fields.ranges) {
          const found = at(value, path)
          const range = columns.ranges(path)
          const bytes = slab.subarray(range.at[row], (range.at[row] as number) + (range.length[row] as number))
          if (found === undefined || found === null) assert.deepEqual([range.at[row], range.length[row]], [-1, -1])
          else if (typeof found === 'string') assert.equal(bytes.toString(), found)
          else if (found instanceof Uint8Array) assert.deepEqual(bytes, found)
          else assert.ok((range.length[row] as number) >= 0)
          compared += 1
        }
      })
    }),
    { numRuns: 300 },
  )
  assert.ok(compared > 500, String(compared))
})

test('columns grow with the rows and forget them when told; a damaged record adds none', () => {
  const schema = {
    type: 'record',
    name: 'R',
    fields: [
      { name: 'n', type: 'int' },
      { name: 's', type: 'string' },
    ],
  }
  const columns = compileColumns(schema, { numbers: ['n'], ranges: ['s', 'absent'] })
  const encode = compileEncoder(schema)
  for (let n = 0; n < 5000; n += 1) {
    columns.add(slab, 0, encode({ n, s: 'x' }, slab, 0))
    assert.throws(() => columns.add(slab, 0, 1), { name: 'AvroError' })
  }
  assert.equal(columns.count, 5000)
  assert.deepEqual(
    [...columns.numbers('n').subarray(0, 5000)],
    Array.from({ length: 5000 }, (_, n) => n),
  )
  assert.ok(
    columns
      .ranges('absent')
      .at.subarray(0, 5000)
      .every((each) => each === -1),
  )
  columns.clear()
  assert.equal(columns.count, 0)
  assert.throws(() => compileColumns(schema, { numbers: ['s'], ranges: [] }), { fault: 'schema', message: /^s is asked for as a number/ })
  assert.throws(() => compileColumns(schema, { numbers: [], ranges: ['n'] }), { fault: 'schema', message: /^n is asked for as a range/ })
})

const blocks = fc
  .record({
    assetId: fc.constantFrom('press-1', 'press-2', 'mill'),
    channels: fc.uniqueArray(fc.constantFrom('vibrationX', 'vibrationY', 'temperatureC', 'µ'), { minLength: 1 }),
    rows: fc.nat(20),
    width: fc.integer({ min: 1, max: 60 }),
    dtype: fc.constantFrom('f32' as const, 'f64' as const),
    seqFrom: fc.integer({ min: 0, max: 2 ** 50 }),
    startUs: fc.integer({ min: 0, max: 2 ** 51 }),
    seed: fc.float({ noNaN: true, noDefaultInfinity: true }),
  })
  .map(({ assetId, channels, rows, width, dtype, seqFrom, startUs, seed }): TelemetryInput => {
    const samples = Array.from({ length: channels.length * rows * width }, (_, i) => Math.fround(seed + i))
    const times = BigInt64Array.from({ length: rows }, (_, row) => BigInt(startUs + row * 1000))
    const packed = dtype === 'f32' ? Float32Array.from(samples) : Float64Array.from(samples)
    const units = channels.map(() => 'g')
    const range = { sourceId: `${assetId}-plc`, epoch: 3, seqFrom, seqTo: seqFrom + rows - 1, rows, channels, units, dtype, width }
    return {
      type: 'block',
      assetId,
      block: { ...range, samples: new Uint8Array(packed.buffer), timesUs: new Uint8Array(times.buffer), receivedUs: startUs + 1 },
    }
  })

const viewOf = ({ samples, dtype }: Block): number[] =>
  Array.from({ length: samples.length / (dtype === 'f32' ? 4 : 8) }, (_, i) =>
    dtype === 'f32' ? samples.readFloatLE(i * 4) : samples.readDoubleLE(i * 8),
  )

test('a block reader says what the codec decodes, block after block in one buffer', async () => {
  const codec = localCodec()
  const reader = new BlockReader(codec)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(blocks, fc.constant({ type: 'tick', tick: { instance: 'a', upToUs: 5 } })), { maxLength: 8 }),
      async (list) => {
        let end = 1
        for (const value of list) {
          const from = end
          end = codec.encodeInto('telemetry', value, slab, from)
          const { block, assetId } = codec.decode<Telemetry>('telemetry', slab.subarray(from, end))
          assert.equal(await reader.readAsync('telemetry', slab, from, end), block !== null)
          if (block === null) continue
          const { sourceId, epoch, seqFrom, seqTo, rows, width, receivedUs, layout } = reader
          assert.deepEqual({ sourceId, epoch, seqFrom, seqTo, rows, width, receivedUs }, pick(block))
          assert.equal(reader.assetId, assetId)
          assert.deepEqual(layout, { channels: block.channels, units: block.units, dtype: block.dtype })
          assert.deepEqual([...reader.samples()], viewOf(block))
          const samples = new Float64Array(reader.sampleCount + 2)
          assert.equal(reader.samplesInto(samples, 1), reader.sampleCount + 1)
          assert.deepEqual([...samples.subarray(1, -1)], viewOf(block))
          const times = new Float64Array(rows)
          assert.equal(reader.timesInto(times, 0), rows)
          assert.deepEqual(
            [...times],
            Array.from({ length: rows }, (_, row) => Number(block.timesUs.readBigInt64LE(row * 8))),
          )
          assert.throws(() => reader.samplesInto(new Float32Array(reader.sampleCount), 1), RangeError)
        }
      },
    ),
    { numRuns: 200 },
  )
})

const pick = ({ sourceId, epoch, seqFrom, seqTo, rows, width, receivedUs }: Block) => ({
  sourceId,
  epoch,
  seqFrom,
  seqTo,
  rows,
  width,
  receivedUs,
})

test('equal layouts are one object; layouts of equal length are told apart', async () => {
  const codec = localCodec()
  const reader = new BlockReader(codec)
  const layoutOf = async (channels: string[]) => {
    const [only] = fc.sample(blocks, 1) as [TelemetryInput]
    const samples = new Uint8Array(4 * channels.length)
    const block = { ...only.block, channels, units: channels, dtype: 'f32', rows: 1, width: 1, samples, timesUs: new Uint8Array(8) }
    const bytes = codec.encode('telemetry', { ...only, block } as TelemetryInput)
    await reader.readAsync('telemetry', bytes, 0, bytes.length)
    return reader.layout
  }
  const first = await layoutOf(['a', 'b'])
  const other = await layoutOf(['a', 'c'])
  assert.deepEqual(
    [first.channels, other.channels],
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
  )
  assert.equal(await layoutOf(['a', 'b']), first)
})

test('a block whose counts contradict each other, damaged bytes and unknown writers are errors of the codec', async () => {
  const older = { ...avroSchemas.telemetry, fields: avroSchemas.telemetry.fields.filter(({ name }) => name !== 'tick') }
  const codec = localCodec({ 77: older })
  const reader = new BlockReader(codec)
  const [value] = fc.sample(
    blocks.filter(({ block }) => (block?.rows ?? 0) > 0),
    1,
  ) as [TelemetryInput]
  const good = codec.encode('telemetry', value)
  assert.throws(() => reader.read('telemetry', good, 0, good.length), { code: 'ANDON_CODEC_UNKNOWN_SCHEMA' })
  assert.equal(await reader.readAsync('telemetry', good, 0, good.length), true)
  assert.throws(() => reader.read('telemetry', good, 0, good.length - 1), { code: 'ANDON_CODEC_TRUNCATED' })
  const other = Buffer.concat([Buffer.from([7]), good.subarray(1)])
  assert.throws(() => reader.read('telemetry', other, 0, other.length), { code: 'ANDON_CODEC_MAGIC' })
  assert.throws(() => reader.read('telemetry', good, 0, 4), { code: 'ANDON_CODEC_TRUNCATED' })
  const torn = codec.encode('telemetry', { ...value, block: { ...(value.block as Block), rows: 999 } })
  assert.throws(() => reader.read('telemetry', torn, 0, torn.length), { code: 'ANDON_CODEC_UNDECODABLE', message: /999 rows/ })
  const end = compileEncoder(older)(value, slab, 5)
  slab.writeUInt32BE(77, 1)
  slab[0] = 0
  assert.equal(await reader.readAsync('telemetry', slab, 0, end), true)
  assert.equal(reader.rows, value.block?.rows)
  slab.writeUInt32BE(78, 1)
  await assert.rejects(reader.readAsync('telemetry', slab, 0, end), { code: 'ANDON_CODEC_UNKNOWN_SCHEMA' })
})
