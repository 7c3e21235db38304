// Avro bodies → columns: batches as docs/telemetry-batch.avsc describes them. An object container file brings the schema it was written
// with, which is resolved to ours; a raw body is one batch written with ours. Both may come from anybody: schemas, counts and sizes are
// bounded before anything is made of them.

import { readFileSync } from 'node:fs'
import { inflateRawSync, zstdDecompressSync } from 'node:zlib'
import { AndonError, AvroError, codeOf, compileDecoder, compileResolver, messageOf } from '@andon/kit'
import type { Decoder } from '@andon/kit'
import type { ReadingColumns } from '../columns.ts'
import { maxReadings } from './http-content.ts'
import type { Content } from './http-content.ts'
import { scanJson } from './http-json-scan.ts'

export const batchSchemaText = readFileSync(new URL('../../docs/telemetry-batch.avsc', import.meta.url), 'utf8')
const batchSchema: unknown = JSON.parse(batchSchemaText)

/** A decoded batch, fields of the schema. */
interface Batch {
  readonly source: string
  readonly asset: string | null
  readonly epoch: number | null
  readonly seqFrom: number | null
  readonly channels: readonly string[]
  readonly units: readonly string[]
  readonly timesUs: Buffer
  readonly values: Buffer
  readonly qualities: Buffer
}

const maxSchemaBytes = 64 * 1024
const maxSchemaDepth = 64
const maxKnownSchemas = 32
const maxMetadataEntries = 64
// Blocks of a container are decompressed in one go.
const maxBlockBytes = 8 * 1024 * 1024
const magic = Buffer.from('Obj\u0001', 'latin1')
const syncBytes = 16

/** One batch, written with our schema. */
export const rawAvroContent = (body: Buffer): Content => {
  const batch = guarded('Body', () => decodeRaw(body, 0, body.length) as Batch)
  return { columns: [columnsOf(batch, 'Batch 1', 0)], bytes: body.length }
}
const decodeRaw = compileDecoder(batchSchema)

/** An object container file (null, deflate or zstandard) of batches. */
export const avroFileContent = (body: Buffer): Content => {
  const reader = new Bytes(body)
  if (!reader.take(magic.length, 'magic').equals(magic)) throw badAvro('Body', 'something else', 'an object container file: Obj, 1, …')
  const { schema, codec } = metadataOf(reader)
  const decode = resolverOf(schema)
  const sync = reader.take(syncBytes, 'sync marker')
  const columns: ReadingColumns[] = []
  let rows = 0
  for (let block = 1; !reader.isAtEnd; block++) {
    const where = `Block ${block}`
    const count = reader.long(`${where}: number of batches`)
    const data = unpacked(codec, reader.take(reader.long(`${where}: size`), where), where)
    if (!reader.take(syncBytes, `${where}: sync marker`).equals(sync)) throw badAvro(where, 'another sync marker', 'that of the header')
    if (count < 0 || count > maxReadings || count > data.length)
      throw badAvro(where, `${count} batches in ${data.length} bytes`, 'what the bytes can hold')
    // As the items of an array, so that the decoder bounds and counts them.
    const items = Buffer.concat([varint(count), data, count === 0 ? Buffer.alloc(0) : varint(0)])
    const batches = guarded(where, () => decode(items, 0, items.length) as Batch[])
    for (const batch of batches) {
      const one = columnsOf(batch, `${where}: batch ${columns.length + 1}`, rows)
      rows += one.rows
      columns.push(one)
    }
  }
  return { columns, bytes: body.length }
}

const metadataOf = (reader: Bytes): { schema: string; codec: string } => {
  let schema: string | undefined
  let codec = 'null'
  let entries = 0
  for (let count = reader.long('metadata'); count !== 0; count = reader.long('metadata')) {
    if (count < 0) reader.long('metadata: size') // of the block, for those who skip it
    entries += Math.abs(count)
    if (entries > maxMetadataEntries) throw badAvro('Metadata', `${entries} entries`, `at most ${maxMetadataEntries}`)
    for (let left = Math.abs(count); left > 0; left--) {
      const key = reader.take(reader.long('metadata: key'), 'metadata: key').toString('utf8')
      const value = reader.take(reader.long(`metadata: ${key.slice(0, 40)}`), 'metadata: value')
      if (key === 'avro.codec') codec = value.toString('utf8')
      if (key !== 'avro.schema') continue
      if (value.length > maxSchemaBytes) throw badAvro('avro.schema', `${value.length} bytes`, `at most ${maxSchemaBytes}`)
      if (scanJson(value).depth > maxSchemaDepth) throw badAvro('avro.schema', 'deeper nesting', `at most ${maxSchemaDepth} levels`)
      schema = value.toString('utf8')
    }
  }
  if (schema === undefined) throw badAvro('Metadata', 'no avro.schema', 'the schema that the file was written with')
  return { schema, codec }
}

const resolvers = new Map<string, Decoder>()

const resolverOf = (schemaText: string): Decoder => {
  const known = resolvers.get(schemaText)
  if (known !== undefined) return known
  const made = guarded('avro.schema', () =>
    compileResolver({ type: 'array', items: JSON.parse(schemaText) as unknown }, { type: 'array', items: batchSchema }),
  )
  const [oldest] = resolvers.keys()
  if (resolvers.size >= maxKnownSchemas && oldest !== undefined) resolvers.delete(oldest)
  resolvers.set(schemaText, made)
  return made
}

const unpacked = (codec: string, data: Buffer, where: string): Buffer => {
  if (codec === 'null') return data
  const unpack = codec === 'deflate' ? inflateRawSync : codec === 'zstandard' ? zstdDecompressSync : undefined
  if (unpack === undefined) throw badAvro('avro.codec', JSON.stringify(codec.slice(0, 40)), 'null, deflate or zstandard')
  try {
    return unpack(data, { maxOutputLength: maxBlockBytes })
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw badAvro(where, 'more', `at most ${maxBlockBytes} bytes decompressed`)
    throw badAvro(where, messageOf(error), `${codec} data`)
  }
}

const columnsOf = (batch: Batch, where: string, rowsBefore: number): ReadingColumns => {
  const { source, asset, epoch, seqFrom, channels, units, timesUs, values, qualities } = batch
  const rows = timesUs.length / 8
  if (!Number.isInteger(rows)) throw badAvro(`${where}: timesUs`, `${timesUs.length} bytes`, '8 per row')
  if (rowsBefore + rows > maxReadings) {
    throw new AndonError(
      'ANDON_INGEST_TOO_MANY',
      `Body: found ${rowsBefore + rows} rows, expected at most ${maxReadings}. Send smaller batches.`,
      { status: 413 },
    )
  }
  if (values.length !== rows * channels.length * 8) {
    throw badAvro(`${where}: values`, `${values.length} bytes`, `8 for each of ${rows} rows of ${channels.length} channels`)
  }
  if (qualities.length !== 0 && qualities.length !== rows)
    throw badAvro(`${where}: qualities`, `${qualities.length} bytes`, `${rows}, or none`)
  if (units.length !== 0 && units.length !== channels.length) throw badAvro(`${where}: units`, units.length, `${channels.length}, or none`)
  if (epoch !== null && seqFrom === null) throw badAvro(`${where}: seqFrom`, 'null', 'the number of the first row, since an epoch is given')
  const columns = {
    source,
    ...(asset === null ? {} : { asset }),
    ...(epoch === null ? {} : { epoch }),
    ...(seqFrom === null ? {} : { seqFrom }),
    rows,
    channels,
    ...(units.length === 0 ? {} : { units: units.map((unit) => (unit === '' ? undefined : unit)) }),
    timesUs: int64s(timesUs),
    values: float64s(values),
    ...(qualities.length === 0 ? {} : { qualities }),
  }
  return { ...columns, bytesOf: (row) => rowBytes(columns, row) }
}

const float64s = (bytes: Buffer): Float64Array => {
  const values = new Float64Array(bytes.length / 8)
  bytes.copy(new Uint8Array(values.buffer))
  return values
}

const int64s = (bytes: Buffer): Float64Array => {
  const values = new Float64Array(bytes.length / 8)
  const words = new Int32Array(bytes.length / 4)
  bytes.copy(new Uint8Array(words.buffer))
  for (let row = 0; row < values.length; row++) values[row] = words[row * 2 + 1]! * 2 ** 32 + (words[row * 2]! >>> 0)
  return values
}

// A row for quarantine, as a reading in JSON; what JSON has no number for is a text there.
const rowBytes = (columns: Omit<ReadingColumns, 'bytesOf'>, row: number): Buffer => {
  const { source, asset, epoch, seqFrom, channels, timesUs, values, qualities, rows } = columns
  const seq = seqFrom === undefined ? {} : { epoch, seq: seqFrom + row }
  const cells = channels.map((id, channel) => {
    const value = values[channel * rows + row]!
    return [id, Number.isNaN(value) ? null : Number.isFinite(value) ? value : String(value)]
  })
  const quality = qualities === undefined ? {} : { quality: qualities[row] }
  return Buffer.from(JSON.stringify({ source, asset, ...seq, timeUs: timesUs[row], ...quality, values: Object.fromEntries(cells) }))
}

/** Reads a container's own fields; every length is compared with the bytes that are left. */
class Bytes {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  take(length: number, what: string): Buffer {
    const left = this.#bytes.length - this.#at
    if (length < 0 || length > left) throw badAvro(what, `${length} bytes`, `at most the ${left} that are left`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  long(what: string): number {
    let value = 0
    for (let unit = 1; unit < 2 ** 50; unit *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw badAvro(what, 'the end of the body', 'a long')
      value += (byte & 127) * unit
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw badAvro(what, 'a long of more than 49 bits', 'a number of bytes or items')
  }
}

const varint = (value: number): Buffer => {
  const bytes: number[] = []
  let left = value * 2
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) + 128)
  return Buffer.from([...bytes, left])
}

const guarded = <T>(where: string, decode: () => T): T => {
  try {
    return decode()
  } catch (error) {
    if (error instanceof AvroError || error instanceof SyntaxError)
      throw badAvro(where, error.message, 'what docs/telemetry-batch.avsc describes')
    throw error
  }
}

const badAvro = (where: string, found: unknown, expected: string) =>
  new AndonError('ANDON_INGEST_BAD_AVRO', `${where}: found ${String(found)}, expected ${expected}`, { status: 400 })
