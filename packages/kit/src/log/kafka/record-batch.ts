// Record batches (magic 2, KIP-98): written into one growing buffer, read as columns of positions over the fetched bytes.
// Nothing is decoded before somebody asks; every batch keeps its leader epoch, because offsets alone do not tell a
// rewritten record from the original.

import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { logError } from '../log-error.ts'
import type { LogRecord } from '../port.ts'
import type { Aborted } from './protocol.ts'

/** Bytes of a batch before its records. */
const HEAD = 61
const ZSTD = 4
const COMPRESSION_MASK = 7
const APPEND_TIME = 8
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

const varintSize = (value: number): number => {
  const z = ((value << 1) ^ (value >> 31)) >>> 0
  return z < 0x80 ? 1 : z < 0x4000 ? 2 : z < 0x200000 ? 3 : z < 0x10000000 ? 4 : 5
}

const putVarint = (into: Buffer, at: number, value: number): number => {
  let z = ((value << 1) ^ (value >> 31)) >>> 0
  while (z > 0x7f) {
    into[at++] = (z & 0x7f) | 0x80
    z >>>= 7
  }
  into[at++] = z
  return at
}

/** 64-bit zig-zag for timestamp deltas, which may span years in one batch. */
const longSize = (value: number): number => {
  if (value >= -0x40000000 && value < 0x40000000) return varintSize(value)
  let z = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  let size = 1
  while (z > 0x7fn) {
    z >>= 7n
    size++
  }
  return size
}

const putLong = (into: Buffer, at: number, value: number): number => {
  if (value >= -0x40000000 && value < 0x40000000) return putVarint(into, at, value)
  let z = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  while (z > 0x7fn) {
    into[at++] = Number(z & 0x7fn) | 0x80
    z >>= 7n
  }
  into[at++] = Number(z)
  return at
}

/** Encodes header maps; names are few and their bytes are kept. */
export class HeaderWriter {
  private buffer = Buffer.allocUnsafeSlow(4096)
  private readonly names = new Map<string, Buffer>()

  /** The header block of a record, valid until the next call. */
  write(headers: Readonly<Record<string, string>> | undefined): Uint8Array {
    let at = 0
    let count = 0
    for (const name in headers) if (headers[name] !== undefined) count++
    at = putVarint(this.buffer, at, count)
    for (const name in headers) {
      const value = headers[name]
      if (value === undefined) continue
      const nameBytes = this.name(name)
      const most = at + nameBytes.length + 5 + value.length * 3
      if (most > this.buffer.length) this.grow(most)
      this.buffer.set(nameBytes, at)
      at += nameBytes.length
      const length = value.length < 20 ? undefined : Buffer.byteLength(value)
      if (length === undefined) {
        // Short values: one byte of length, whatever the characters.
        const written = this.buffer.write(value, at + 1)
        this.buffer[at] = written << 1
        at += 1 + written
      } else {
        at = putVarint(this.buffer, at, length)
        at += this.buffer.write(value, at)
      }
    }
    return this.buffer.subarray(0, at)
  }

  private name(name: string): Buffer {
    let bytes = this.names.get(name)
    if (!bytes) {
      const text = Buffer.from(name)
      bytes = Buffer.allocUnsafe(varintSize(text.length) + text.length)
      text.copy(bytes, putVarint(bytes, 0, text.length))
      if (this.names.size < 256) this.names.set(name, bytes)
    }
    return bytes
  }

  private grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, bytes))
    this.buffer.copy(larger)
    this.buffer = larger
  }
}

/** Builds one batch. `take` hands out its bytes, which stay valid until `begin`. */
export class BatchWriter {
  count = 0
  private buffer = Buffer.allocUnsafeSlow(1 << 14)
  private at = HEAD
  private firstMs = 0
  private maxMs = 0

  begin(): void {
    this.count = 0
    this.at = HEAD
  }

  /** Bytes of the batch so far. */
  get size(): number {
    return this.at
  }

  append(key: Uint8Array | null, value: Uint8Array | null, timestampMs: number, headers: Uint8Array): void {
    if (this.count === 0) {
      this.firstMs = timestampMs
      this.maxMs = timestampMs
    } else if (timestampMs > this.maxMs) this.maxMs = timestampMs
    const delta = timestampMs - this.firstMs
    const index = this.count++
    const keyLength = key === null ? -1 : key.length
    const valueLength = value === null ? -1 : value.length
    const body = 1 + longSize(delta) + varintSize(index) + varintSize(keyLength) + Math.max(keyLength, 0) + varintSize(valueLength) + Math.max(valueLength, 0) + headers.length
    if (this.at + body + 5 > this.buffer.length) this.grow(body + 5)
    const into = this.buffer
    let at = putVarint(into, this.at, body)
    into[at++] = 0 // attributes
    at = putLong(into, at, delta)
    at = putVarint(into, at, index)
    at = putVarint(into, at, keyLength)
    if (key !== null) {
      into.set(key, at)
      at += keyLength
    }
    at = putVarint(into, at, valueLength)
    if (value !== null) {
      into.set(value, at)
      at += valueLength
    }
    into.set(headers, at)
    this.at = at + headers.length
  }

  /** The complete batch. Its bytes are what must be sent again, unchanged, when the answer stays out. */
  take(producer: { id: bigint; epoch: number; sequence: number }, zstd = false): Buffer {
    let batch = this.buffer.subarray(0, this.at)
    if (zstd) {
      const packed = zstdCompressSync(batch.subarray(HEAD), { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
      batch = Buffer.concat([batch.subarray(0, HEAD), packed])
    }
    batch.writeBigInt64BE(0n, 0)
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeInt32BE(-1, 12) // leader epoch, set by the broker
    batch[16] = 2
    batch.writeInt16BE(zstd ? ZSTD : 0, 21)
    batch.writeInt32BE(this.count - 1, 23)
    batch.writeBigInt64BE(BigInt(this.firstMs), 27)
    batch.writeBigInt64BE(BigInt(this.maxMs), 35)
    batch.writeBigInt64BE(producer.id, 43)
    batch.writeInt16BE(producer.epoch, 51)
    batch.writeInt32BE(producer.sequence, 53)
    batch.writeInt32BE(this.count, 57)
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
    return batch
  }

  private grow(need: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.at + need))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }
}

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
    let found: string | undefined
    this.eachHeader((nameAt, nameLength, valueAt, valueLength) => {
      if (found !== undefined || nameLength !== name.length || valueLength < 0) return
      if (this.buffer.toString('latin1', nameAt, nameAt + nameLength) === name) found = this.buffer.toString('utf8', valueAt, valueAt + valueLength)
    })
    return found
  }

  headers(): Record<string, string> {
    const all: Record<string, string> = {}
    this.eachHeader((nameAt, nameLength, valueAt, valueLength) => {
      if (valueLength >= 0) all[this.buffer.toString('utf8', nameAt, nameAt + nameLength)] = this.buffer.toString('utf8', valueAt, valueAt + valueLength)
    })
    return all
  }

  private get buffer(): Buffer {
    return this.columns.buffers[this.columns.source[this.index]!]!
  }

  private eachHeader(see: (nameAt: number, nameLength: number, valueAt: number, valueLength: number) => void): void {
    const cursor = new Cursor(this.buffer, this.columns.headersAt[this.index]!)
    const count = cursor.varint()
    for (let i = 0; i < count; i++) {
      const nameLength = cursor.varint()
      const nameAt = cursor.at
      cursor.at += nameLength
      const valueLength = cursor.varint()
      const valueAt = cursor.at
      if (valueLength > 0) cursor.at += valueLength
      see(nameAt, nameLength, valueAt, valueLength)
    }
  }
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
  throw logError('fatal', 'ANDON_LOG_COMPRESSION', `A producer wrote ${codec === 2 ? 'snappy' : 'lz4'} batches to ${topic}; this mesh reads zstd and gzip. Set compression.type=zstd on the topic or in that producer`)
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
export const decodeRecords = (topic: string, partition: number, bytes: Buffer, fromOffset: number, aborted: readonly Aborted[]): Decoded => {
  let capacity = 0
  for (let at = 0; at + HEAD <= bytes.length; at += 12 + bytes.readInt32BE(at + 8)) capacity += bytes.readInt32BE(at + 57)
  const columns = new Columns(topic, partition, capacity, bytes)
  const filter = new AbortedFilter(aborted)
  let nextOffset = fromOffset
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end > bytes.length) break
    if (bytes[at + 16] !== 2) throw logError('fatal', 'ANDON_LOG_FORMAT', `Batch of ${topic}/${partition} has message format ${bytes[at + 16]}; only format 2 (Kafka 0.11 and later) is read`)
    const baseOffset = Number(bytes.readBigInt64BE(at))
    if (crc32c(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17)) throw logError('retriable', 'ANDON_LOG_CORRUPT', `Batch at ${topic}/${partition}/${baseOffset} does not match its checksum`)
    const attributes = bytes.readInt16BE(at + 21)
    const lastOffset = baseOffset + bytes.readInt32BE(at + 23)
    if (!filter.hides(bytes, at, lastOffset, attributes)) readBatch(columns, bytes, at, end, baseOffset, attributes, fromOffset)
    nextOffset = Math.max(nextOffset, lastOffset + 1)
    at = end
  }
  return { records: Array.from({ length: columns.count }, (_, i) => new ColumnRecord(columns, i)), nextOffset }
}

const readBatch = (columns: Columns, bytes: Buffer, at: number, end: number, baseOffset: number, attributes: number, fromOffset: number): void => {
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
