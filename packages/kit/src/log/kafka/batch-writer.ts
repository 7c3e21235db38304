// Writes record batches (magic 2, KIP-98) into one growing buffer, header maps included. What `take` gives is complete:
// the same bytes can be sent again when an answer stays out.

import { crc32c } from '@node-rs/crc32'
import { EncodedHeaders } from '../encoded-headers.ts'
import type { Append } from '../port.ts'
import { longSize, putLong, putVarint, varintSize } from '../varint.ts'
import { HEAD, TRANSACTIONAL } from './batch-format.ts'
import { pack, packAside } from './compression.ts'

const COMPRESS_ASIDE_BYTES = 256 * 1024
/** Up to here a loop is quicker than `set`. */
const SHORT_BYTES = 24

interface Encoded {
  value: string | undefined
  buffer: Buffer
  /** Name and newest value as they lie in a record. */
  bytes: Buffer
  valueAt: number
}

const NO_HEADERS = Uint8Array.of(0)

/** Encodes header maps. Names are few and most values repeat from record to record: those are copied, not encoded again. */
export class HeaderWriter {
  private buffer = Buffer.allocUnsafeSlow(4096)
  private readonly names = new Map<string, Encoded>()

  /** The header block lies in [from, to) of `bytes`, valid until the next call. */
  bytes: Uint8Array = NO_HEADERS
  from = 0
  to = 1

  write(headers: Append['headers']): void {
    if (headers === undefined) {
      if (this.bytes === NO_HEADERS) return
      this.bytes = NO_HEADERS
      this.from = 0
      this.to = 1
    } else if (headers instanceof EncodedHeaders) {
      this.bytes = headers.bytes
      this.from = headers.from
      this.to = headers.to
    } else {
      this.from = 0
      this.to = this.writeMap(headers)
      this.bytes = this.buffer
    }
  }

  private writeMap(headers: Readonly<Record<string, string>>): number {
    let at = 0
    let count = 0
    for (const name in headers) if (headers[name] !== undefined) count++
    at = putVarint(this.buffer, at, count)
    for (const name in headers) {
      const value = headers[name]
      if (value === undefined) continue
      const known = this.name(name)
      if (known.value !== value) this.encode(known, name, value)
      if (at + known.bytes.length > this.buffer.length) this.grow(at + known.bytes.length)
      this.buffer.set(known.bytes, at)
      at += known.bytes.length
    }
    return at
  }

  private name(name: string): Encoded {
    let known = this.names.get(name)
    if (!known) {
      known = { value: undefined, buffer: Buffer.alloc(0), bytes: Buffer.alloc(0), valueAt: 0 }
      if (this.names.size < 256) this.names.set(name, known)
    }
    return known
  }

  private encode(known: Encoded, name: string, value: string): void {
    const most = name.length * 3 + value.length * 3 + 10
    if (known.buffer.length < most) {
      known.buffer = Buffer.allocUnsafeSlow(most * 2)
      const nameLength = Buffer.byteLength(name)
      known.valueAt = putVarint(known.buffer, 0, nameLength) + nameLength
      known.buffer.write(name, known.valueAt - nameLength)
    }
    const length = Buffer.byteLength(value)
    const at = putVarint(known.buffer, known.valueAt, length)
    known.bytes = known.buffer.subarray(0, at + known.buffer.write(value, at))
    known.value = value
  }

  private grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, bytes))
    this.buffer.copy(larger)
    this.buffer = larger
  }
}

export interface ProducerState {
  readonly id: bigint
  readonly epoch: number
  /** Of the batch's first record. */
  readonly sequence: number
}

export interface TakeOptions {
  /** Number of the codec that packs the records, see compression.ts. Default 0: none. */
  readonly codec?: number
  readonly transactional?: boolean
}

const put = (into: Buffer, at: number, bytes: Uint8Array, length: number): number => {
  if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) into[at + i] = bytes[i]!
  else into.set(bytes, at)
  return at + length
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

  append(key: Uint8Array | null, value: Uint8Array | null, timestampMs: number, headers: HeaderWriter): void {
    if (this.count === 0) {
      this.firstMs = timestampMs
      this.maxMs = timestampMs
    } else if (timestampMs > this.maxMs) this.maxMs = timestampMs
    const delta = timestampMs - this.firstMs
    const index = this.count++
    const keyLength = key === null ? -1 : key.length
    const valueLength = value === null ? -1 : value.length
    const body =
      1 +
      longSize(delta) +
      varintSize(index) +
      varintSize(keyLength) +
      (keyLength > 0 ? keyLength : 0) +
      varintSize(valueLength) +
      (valueLength > 0 ? valueLength : 0) +
      headers.to -
      headers.from
    if (this.at + body + 5 > this.buffer.length) this.grow(body + 5)
    const into = this.buffer
    let at = putVarint(into, this.at, body)
    into[at++] = 0 // attributes
    at = putLong(into, at, delta)
    at = putVarint(into, at, index)
    at = putVarint(into, at, keyLength)
    if (key !== null) at = put(into, at, key, keyLength)
    at = putVarint(into, at, valueLength)
    if (value !== null) at = put(into, at, value, valueLength)
    if (headers.to - headers.from === 1) into[at++] = headers.bytes[headers.from]!
    else {
      const { bytes, from, to } = headers
      into.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), at)
      at += to - from
    }
    this.at = at
  }

  /** The complete batch. Its bytes are what must be sent again, unchanged, when the answer stays out. */
  take(producer: ProducerState, options: TakeOptions = {}): Buffer {
    const batch = this.buffer.subarray(0, this.at)
    if (!options.codec) return this.seal(batch, producer, options)
    return this.seal(Buffer.concat([batch.subarray(0, HEAD), pack(options.codec, batch.subarray(HEAD))]), producer, options)
  }

  /** As `take`; a large batch is compressed off this thread. */
  takeAside(producer: ProducerState, options: TakeOptions): Buffer | Promise<Buffer> {
    if (!options.codec || this.at <= COMPRESS_ASIDE_BYTES) return this.take(producer, options)
    const batch = this.buffer.subarray(0, this.at)
    return packAside(options.codec, batch.subarray(HEAD)).then((packed) =>
      this.seal(Buffer.concat([batch.subarray(0, HEAD), packed]), producer, options),
    )
  }

  private seal(batch: Buffer, producer: ProducerState, { codec = 0, transactional }: TakeOptions): Buffer {
    batch.writeBigInt64BE(0n, 0)
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeInt32BE(-1, 12) // leader epoch, set by the broker
    batch[16] = 2
    batch.writeInt16BE(codec | (transactional === true ? TRANSACTIONAL : 0), 21)
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
