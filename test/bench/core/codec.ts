// P4e, P4d, P4r, P4j, P4w: what Avro costs per value, against the schema registry client's own encode and decode (its schema
// is in its cache: nobody waits for a network) and against JSON. One process, everything checked before it is timed.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import { compileColumns, compileDecoder, compileEncoder, compileResolver, frameBytes, writeFrame } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import { type Contender, type Race, inProcess, ratio, run } from '../../harness/bench.ts'
import { randomFrom } from '../../harness/bench-statistics.ts'
import type { Measurement } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { telemetryBlock } from './telemetry.ts'

const SAMPLES = 30
const SAMPLE_MS = 60
const VALUES = 1000
const SCHEMA_ID = 7
const SLAB_BYTES = 64 * 1024

interface Reading {
  readonly assetId: string
  readonly sensor: string
  readonly unit: string
  readonly timeUs: number
  readonly seq: number
  readonly value: number
  readonly quality: number
  readonly line: string
  readonly site: string
}

const field = (type: string) => (name: string) => ({ name, type })

/** Nine fields, 67 bytes; 152 as JSON. */
const readingSchema = {
  type: 'record',
  name: 'Reading',
  fields: [
    ...['assetId', 'sensor', 'unit'].map(field('string')),
    ...['timeUs', 'seq'].map(field('long')),
    field('double')('value'),
    field('int')('quality'),
    ...['line', 'site'].map(field('string')),
  ],
} as const

/** A later version, for resolution. */
const readerSchema = { ...readingSchema, fields: [...readingSchema.fields, { name: 'note', type: ['null', 'string'], default: null }] }

const readings: readonly Reading[] = Array.from({ length: VALUES }, (_, i) => ({
  assetId: `asset-${1000 + (i % 256)}`,
  sensor: 'vibration-x',
  unit: 'm/s2',
  timeUs: 1_795_405_000_000_000 + i * 1000,
  seq: i * 977,
  value: Math.sin(i) * 20,
  quality: 192,
  line: 'line-3',
  site: 'plant-a',
}))

export const codec: Benchmark = {
  name: 'codec',
  ids: ['P4e', 'P4j', 'P4d', 'P4d-columns', 'P4r', 'P4w'],
  run: async ({ samples = SAMPLES }) => {
    const registry = await primedRegistry()
    const race = (id: string, ours: () => Contender, peers: Readonly<Record<string, () => Contender>>): Promise<Race> =>
      run({ id, judge: 'cpu', sampleMs: SAMPLE_MS, samples, ours, peers })
    const framed = readings.map((reading) => Buffer.from(slab.subarray(0, frame(encodeReading, reading, 0))))
    await checkAgainst(registry, framed)
    const encoding = await race('P4e', encodeReadings, { registry: () => registryEncode(registry), json: () => jsonEncode(readings) })
    const objects = await race('P4d', () => decodeObjects('objects', compileDecoder(readingSchema), framed), {
      registry: () => registryDecode(registry, framed),
    })
    const columns = await race('P4d-columns', () => decodeColumns(framed), { registry: () => registryDecode(registry, framed) })
    const resolving = await race('P4r', () => decodeObjects('resolver', compileResolver(readingSchema, readerSchema), framed), {
      registry: () => registryDecode(registry, framed, { AVRO: { readerSchema: readerSchema as never } }),
    })
    const windows = await race('P4w', encodeWindows, { json: () => jsonEncode(jsonWindows()) })
    const client = "x less CPU/value than the registry client's"
    return [
      figure(encoding, 'P4e', 'registry', 6, `${client} encode`),
      figure(encoding, 'P4j', 'json', 4, 'x less CPU/value than JSON.stringify'),
      figure(objects, 'P4d', 'registry', 2.2, `${client} decode, to objects`),
      figure(columns, 'P4d-columns', 'registry', 8, `${client} decode, to columns`),
      figure(resolving, 'P4r', 'registry', 100, `${client} decode with a reader's schema`),
      figure(windows, 'P4w', 'json', 100, 'x less CPU/value than JSON.stringify'),
    ]
  },
}

const figure = (race: Race, id: string, peer: string, required: number, unit: string): Measurement =>
  ratio(race, { id, peer, required, unit, detail: { work: id === 'P4w' ? 'a telemetry block of 1 024 float32' : 'a record of 9 fields' } })

const slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
const encodeReading = compileEncoder(readingSchema)

/** Writes a framed value; returns the position after it. */
const frame = (encode: ReturnType<typeof compileEncoder>, value: unknown, at: number): number => {
  writeFrame(slab, at, SCHEMA_ID)
  return encode(value, slab, at + frameBytes)
}

const encodeReadings = (): Contender =>
  inProcess('compiled', (rounds) => {
    let [at, bytes] = [0, 0]
    for (let i = 0; i < rounds; i++) {
      const end = frame(encodeReading, readings[i % VALUES], at)
      bytes += end - at
      at = end > SLAB_BYTES - 1000 ? 0 : end
    }
    return bytes + (slab[0] as number)
  })

const decodeObjects = (name: string, decode: ReturnType<typeof compileDecoder>, framed: readonly Buffer[]): Contender =>
  inProcess(name, (rounds) => {
    let sum = 0
    for (let i = 0; i < rounds; i++) {
      const bytes = framed[i % VALUES] as Buffer
      const reading = decode(bytes, frameBytes, bytes.length) as Reading
      sum += reading.seq + reading.assetId.length + 1
    }
    return sum
  })

const decodeColumns = (framed: readonly Buffer[]): Contender => {
  const numbers = ['timeUs', 'seq', 'value', 'quality']
  const columns = compileColumns(readingSchema, { numbers, ranges: ['assetId', 'sensor', 'unit', 'line', 'site'] })
  // As they lie in a fetched batch: one after the other in one buffer.
  const all = Buffer.concat(framed)
  const starts = framed.reduce<number[]>((found, bytes) => [...found, (found.at(-1) as number) + bytes.length], [0])
  const fill = (from: number, to: number): void => {
    columns.clear()
    for (let i = from; i < to; i++) columns.add(all, (starts[i] as number) + frameBytes, starts[i + 1] as number)
  }
  fill(0, VALUES)
  readings.forEach((reading, row) => {
    const { at, length } = columns.ranges('assetId')
    assert.equal(all.toString('utf8', at[row], (at[row] as number) + (length[row] as number)), reading.assetId)
    assert.deepEqual(
      numbers.map((name) => columns.numbers(name)[row]),
      [reading.timeUs, reading.seq, reading.value, reading.quality],
    )
  })
  return inProcess('columns', (rounds) => {
    let sum = 0
    for (let done = 0; done < rounds; done += VALUES) {
      const count = Math.min(VALUES, rounds - done)
      fill(0, count)
      sum += (columns.numbers('seq')[count - 1] as number) + (columns.ranges('site').length[0] as number) + columns.count
    }
    return sum
  })
}

const WINDOWS = 50
const windows = (() => {
  const random = randomFrom(4)
  return Array.from({ length: WINDOWS }, (_, i) => telemetryBlock(i, { channels: 1, rows: 1, width: 1024 }, random))
})()

const jsonWindows = () =>
  windows.map((value) => {
    const bytes = value.block?.samples as Uint8Array
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const samples = Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true))
    return { ...value, block: { ...value.block, samples, timesUs: [value.block?.receivedUs] } }
  })

const encodeWindows = (): Contender => {
  const [encode, decode] = [compileEncoder(avroSchemas.telemetry), compileDecoder(avroSchemas.telemetry)]
  const first = decode(slab, frameBytes, frame(encode, windows[0], 0)) as { block: { samples: Buffer } }
  assert.ok(first.block.samples.equals(windows[0]?.block?.samples as Uint8Array))
  return inProcess('compiled', (rounds) => {
    let [at, bytes] = [0, 0]
    for (let i = 0; i < rounds; i++) {
      const end = frame(encode, windows[i % WINDOWS], at)
      bytes += end - at
      at = end > SLAB_BYTES - 8000 ? 0 : end
    }
    return bytes + (slab[0] as number)
  })
}

const jsonEncode = (values: readonly unknown[]): Contender =>
  inProcess('JSON', (rounds) => {
    let bytes = 0
    for (let i = 0; i < rounds; i++) bytes += Buffer.from(JSON.stringify(values[i % values.length])).length
    return bytes
  })

const registryEncode = (registry: SchemaRegistry): Contender =>
  inProcess('registry client', async (rounds) => {
    let bytes = 0
    for (let i = 0; i < rounds; i++) bytes += (await registry.encode(SCHEMA_ID, readings[i % VALUES])).length
    return bytes
  })

const registryDecode = (
  registry: SchemaRegistry,
  framed: readonly Buffer[],
  options?: Parameters<SchemaRegistry['decode']>[1],
): Contender =>
  inProcess('registry client', async (rounds) => {
    let sum = 0
    for (let i = 0; i < rounds; i++) {
      const reading = (await registry.decode(framed[i % VALUES] as Buffer, options)) as Reading
      sum += reading.seq + reading.assetId.length + 1
    }
    return sum
  })

/** The registry client with the schema in its cache; the server it came from is gone. */
const primedRegistry = async (): Promise<SchemaRegistry> => {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/vnd.schemaregistry.v1+json')
    response.setHeader('connection', 'close')
    response.end(JSON.stringify({ schema: JSON.stringify(readingSchema) }))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const registry = new SchemaRegistry({ host: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  await registry.encode(SCHEMA_ID, readings[0])
  server.closeAllConnections()
  server.close()
  return registry
}

/** Both write the same bytes and read the same values. */
const checkAgainst = async (registry: SchemaRegistry, framed: readonly Buffer[]): Promise<void> => {
  const [decode, resolve] = [compileDecoder(readingSchema), compileResolver(readingSchema, readerSchema)]
  for (const [i, bytes] of framed.entries()) {
    assert.ok(bytes.equals(await registry.encode(SCHEMA_ID, readings[i])))
    assert.deepEqual(decode(bytes, frameBytes, bytes.length), { ...((await registry.decode(bytes)) as object) })
    assert.deepEqual(resolve(bytes, frameBytes, bytes.length), { ...readings[i], note: null })
  }
}
