// Writes record batches (magic 2, KIP-98) into one growing buffer, header maps included. What `take` gives is complete:
// the same bytes can be sent again when an answer stays out.

import { constants, zstdCompressSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { HEAD, ZSTD } from './batch-format.ts'

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

interface Encoded {
  value: string | undefined
  buffer: Buffer
  /** Name and newest value as they lie in a record. */
  bytes: Buffer
  valueAt: number
}

/** Encodes header maps. Names are few and most values repeat from record to record: those are copied, not encoded again. */
export class HeaderWriter {
  private buffer = Buffer.allocUnsafeSlow(4096)
  private readonly names = new Map<string, Encoded>()

  /** The header block of a record, valid until the next call. */
  write(headers: Readonly<Record<string, string>> | undefined): Uint8Array {
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
    return this.buffer.subarray(0, at)
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
    const body =
      1 +
      longSize(delta) +
      varintSize(index) +
      varintSize(keyLength) +
      Math.max(keyLength, 0) +
      varintSize(valueLength) +
      Math.max(valueLength, 0) +
      headers.length
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
