// Reads fetched record batches (magic 2, KIP-98) as columns of positions over the bytes. Nothing is decoded before
// somebody asks; every record keeps its batch's leader epoch, because an offset alone does not tell a rewritten record
// from the original.

import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { logError } from '../log-error.ts'
import type { LogRecord } from '../port.ts'
import { APPEND_TIME, COMPRESSION_MASK, CONTROL, HEAD, TRANSACTIONAL, ZSTD } from './batch-format.ts'
import type { Aborted } from './protocol.ts'

/** Where the parts of each record lie in the fetched bytes. */
class Columns {
  readonly topic: string
  readonly partition: number
  readonly offset: Float64Array
  readonly timestampMs: Float64Array
  readonly leaderEpoch: Int32Array
  readonly keyAt: Int32Array
  readonly keyLength: Int32Array
  readonly valueAt: Int32Array
  readonly valueLength: Int32Array
  readonly headersAt: Int32Array
  readonly source: Int32Array
  readonly buffers: Buffer[]
  count = 0

  constructor(topic: string, partition: number, capacity: number, fetched: Buffer) {
    this.topic = topic
    this.partition = partition
    this.offset = new Float64Array(capacity)
    this.timestampMs = new Float64Array(capacity)
    const ints = new Int32Array(capacity * 7)
    const column = (i: number): Int32Array => ints.subarray(i * capacity, (i + 1) * capacity)
    this.leaderEpoch = column(0)
    this.keyAt = column(1)
    this.keyLength = column(2)
    this.valueAt = column(3)
    this.valueLength = column(4)
    this.headersAt = column(5)
    this.source = column(6)
    this.buffers = [fetched]
  }
}

/** A record as a view into the fetched bytes. */
class ColumnRecord implements LogRecord {
  private readonly columns: Columns
  private readonly index: number

  constructor(columns: Columns, index: number) {
    this.columns = columns
    this.index = index
  }

  get topic(): string {
    return this.columns.topic
  }

  get partition(): number {
    return this.columns.partition
  }

  get offset(): number {
    return this.columns.offset[this.index]!
  }

  get leaderEpoch(): number {
    return this.columns.leaderEpoch[this.index]!
  }

  get timestampMs(): number {
    return this.columns.timestampMs[this.index]!
  }

  get key(): string | null {
    const length = this.columns.keyLength[this.index]!
    const at = this.columns.keyAt[this.index]!
    return length < 0 ? null : this.buffer.toString('utf8', at, at + length)
  }

  get value(): Buffer | null {
    const length = this.columns.valueLength[this.index]!
    const at = this.columns.valueAt[this.index]!
    return length < 0 ? null : this.buffer.subarray(at, at + length)
  }

  header(name: string): string | undefined {
    const { buffer } = this
    const cursor = new Cursor(buffer, this.columns.headersAt[this.index]!)
    for (let left = cursor.varint(); left > 0; left--) {
      const nameLength = cursor.varint()
      const nameAt = cursor.at
      cursor.at += nameLength
      const valueLength = cursor.varint()
      const valueAt = cursor.at
      if (valueLength > 0) cursor.at += valueLength
      if (valueLength >= 0 && nameLength === name.length && isText(buffer, nameAt, name))
        return buffer.toString('utf8', valueAt, valueAt + valueLength)
    }
    return undefined
  }

  headers(): Record<string, string> {
    const { buffer } = this
    const all: [string, string][] = [] // by fromEntries, since a stranger's header may be called __proto__
    const cursor = new Cursor(buffer, this.columns.headersAt[this.index]!)
    for (let left = cursor.varint(); left > 0; left--) {
      const nameLength = cursor.varint()
      const name = buffer.toString('utf8', cursor.at, cursor.at + nameLength)
      cursor.at += nameLength
      const valueLength = cursor.varint()
      if (valueLength < 0) continue
      all.push([name, buffer.toString('utf8', cursor.at, cursor.at + valueLength)])
      cursor.at += valueLength
    }
    return Object.fromEntries(all)
  }

  private get buffer(): Buffer {
    return this.columns.buffers[this.columns.source[this.index]!]!
  }
}

/** Compares an ASCII name with bytes, without making a string of them. */
const isText = (buffer: Buffer, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (buffer[at + i] !== text.charCodeAt(i)) return false
  return true
}

class Cursor {
  at: number
  private readonly buffer: Buffer

  constructor(buffer: Buffer, at: number) {
    this.buffer = buffer
    this.at = at
  }

  varint(): number {
    let byte = this.buffer[this.at++]!
    let z = byte & 0x7f
    for (let shift = 7; byte > 0x7f; shift += 7) {
      byte = this.buffer[this.at++]!
      z |= (byte & 0x7f) << shift
    }
    return (z >>> 1) ^ -(z & 1)
  }

  long(): number {
    let byte = this.buffer[this.at++]!
    let z = byte & 0x7f
    for (let scale = 128; byte > 0x7f; scale *= 128) {
      byte = this.buffer[this.at++]!
      z += (byte & 0x7f) * scale
    }
    return z % 2 ? -(z + 1) / 2 : z / 2
  }
}

const inflate = (codec: number, bytes: Buffer, topic: string): Buffer => {
  if (codec === 1) return gunzipSync(bytes)
  if (codec === ZSTD) return zstdDecompressSync(bytes)
  throw logError(
    'fatal',
    'ANDON_LOG_COMPRESSION',
    `A producer wrote ${codec === 2 ? 'snappy' : 'lz4'} batches to ${topic}; this mesh reads zstd and gzip. Set compression.type=zstd on the topic or in that producer`,
  )
}

/** Producers whose transaction was aborted leave records behind; they are skipped up to their abort marker. */
class AbortedFilter {
  private readonly waiting: Aborted[]
  private readonly active = new Set<number>()

  constructor(aborted: readonly Aborted[]) {
    this.waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  hides(batch: Buffer, at: number, lastOffset: number, attributes: number): boolean {
    while (this.waiting.length > 0 && this.waiting[0]!.firstOffset <= lastOffset) this.active.add(this.waiting.shift()!.producerId)
    const producerId = Number(batch.readBigInt64BE(at + 43))
    if (attributes & CONTROL) {
      this.active.delete(producerId)
      return true
    }
    return (attributes & TRANSACTIONAL) !== 0 && this.active.has(producerId)
  }
}

export interface Decoded {
  readonly records: LogRecord[]
  readonly nextOffset: number
}

/**
 * Reads the complete batches of a fetched record set from `fromOffset` on; the broker may cut the last one. Checks each
 * batch's CRC. Control records and records of aborted transactions are left out, their offsets are passed.
 */
export const decodeRecords = (
  topic: string,
  partition: number,
  bytes: Buffer,
  fromOffset: number,
  aborted: readonly Aborted[],
): Decoded => {
  let capacity = 0
  for (let at = 0; at + HEAD <= bytes.length; at += 12 + bytes.readInt32BE(at + 8)) capacity += bytes.readInt32BE(at + 57)
  const columns = new Columns(topic, partition, capacity, bytes)
  const filter = new AbortedFilter(aborted)
  let nextOffset = fromOffset
  for (let at = 0; at + HEAD <= bytes.length;) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end > bytes.length) break
    if (bytes[at + 16] !== 2)
      throw logError(
        'fatal',
        'ANDON_LOG_FORMAT',
        `Batch of ${topic}/${partition} has message format ${bytes[at + 16]}; only format 2 (Kafka 0.11 and later) is read`,
      )
    const baseOffset = Number(bytes.readBigInt64BE(at))
    if (crc32c(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17))
      throw logError('retriable', 'ANDON_LOG_CORRUPT', `Batch at ${topic}/${partition}/${baseOffset} does not match its checksum`)
    const attributes = bytes.readInt16BE(at + 21)
    const lastOffset = baseOffset + bytes.readInt32BE(at + 23)
    if (!filter.hides(bytes, at, lastOffset, attributes)) readBatch(columns, bytes, at, end, baseOffset, attributes, fromOffset)
    nextOffset = Math.max(nextOffset, lastOffset + 1)
    at = end
  }
  return { records: Array.from({ length: columns.count }, (_, i) => new ColumnRecord(columns, i)), nextOffset }
}

const readBatch = (
  columns: Columns,
  bytes: Buffer,
  at: number,
  end: number,
  baseOffset: number,
  attributes: number,
  fromOffset: number,
): void => {
  const leaderEpoch = bytes.readInt32BE(at + 12)
  const firstMs = Number(bytes.readBigInt64BE(at + 27))
  const appendMs = attributes & APPEND_TIME ? Number(bytes.readBigInt64BE(at + 35)) : undefined
  const count = bytes.readInt32BE(at + 57)
  const codec = attributes & COMPRESSION_MASK
  let source = 0
  let records = bytes
  let from = at + HEAD
  if (codec !== 0) {
    records = inflate(codec, bytes.subarray(at + HEAD, end), columns.topic)
    source = columns.buffers.push(records) - 1
    from = 0
  }
  const cursor = new Cursor(records, from)
  for (let i = 0; i < count; i++) {
    const length = cursor.varint()
    const recordEnd = cursor.at + length
    cursor.at++ // attributes
    const deltaMs = cursor.long()
    const offset = baseOffset + cursor.varint()
    const keyLength = cursor.varint()
    const keyAt = cursor.at
    if (keyLength > 0) cursor.at += keyLength
    const valueLength = cursor.varint()
    const valueAt = cursor.at
    if (valueLength > 0) cursor.at += valueLength
    if (offset >= fromOffset) {
      const c = columns.count++
      columns.offset[c] = offset
      columns.timestampMs[c] = appendMs ?? firstMs + deltaMs
      columns.leaderEpoch[c] = leaderEpoch
      columns.keyAt[c] = keyAt
      columns.keyLength[c] = keyLength
      columns.valueAt[c] = valueAt
      columns.valueLength[c] = valueLength
      columns.headersAt[c] = cursor.at
      columns.source[c] = source
    }
    cursor.at = recordEnd
  }
}
