// Writes and reads the parts of requests and answers: big-endian numbers, strings and arrays with their length in front.
// `compact*` and tags are those of flexible versions (KIP-482).

/** Key, version and name of a request. */
export type Api = readonly [key: number, version: number, name: string]

export class Out {
  private buffer: Buffer
  private at = 0

  /** Into a buffer of the caller's, or a new one of this size; when it is too small, into a larger one. */
  constructor(into: Buffer | number = 256) {
    this.buffer = typeof into === 'number' ? Buffer.allocUnsafe(into) : into
  }

  private need(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes))
    this.buffer.copy(larger, 0, 0, this.at)
    this.buffer = larger
  }

  int8(value: number): this {
    this.need(1)
    this.at = this.buffer.writeInt8(value, this.at)
    return this
  }

  int16(value: number): this {
    this.need(2)
    this.at = this.buffer.writeInt16BE(value, this.at)
    return this
  }

  int32(value: number): this {
    this.need(4)
    this.at = this.buffer.writeInt32BE(value, this.at)
    return this
  }

  int64(value: number | bigint): this {
    this.need(8)
    this.at = this.buffer.writeBigInt64BE(BigInt(value), this.at)
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const length = Buffer.byteLength(value)
    this.int16(length).need(length)
    this.at += this.buffer.write(value, this.at)
    return this
  }

  /** Bytes with their length in front. */
  bytes(value: Uint8Array): this {
    this.int32(value.length).need(value.length)
    this.buffer.set(value, this.at)
    this.at += value.length
    return this
  }

  array<T>(items: readonly T[], write: (out: Out, item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(this, item)
    return this
  }

  /** Length of a flexible string, bytes or array, plus one. */
  private compactLength(length: number): this {
    for (let rest = length + 1; ; rest >>>= 7) {
      this.need(1)
      this.buffer[this.at++] = rest > 0x7f ? (rest & 0x7f) | 0x80 : rest
      if (rest <= 0x7f) return this
    }
  }

  compactString(value: string | null): this {
    if (value === null) return this.compactLength(-1)
    const length = Buffer.byteLength(value)
    this.compactLength(length).need(length)
    this.at += this.buffer.write(value, this.at)
    return this
  }

  compactArray<T>(items: readonly T[], write: (out: Out, item: T) => void): this {
    this.compactLength(items.length)
    for (const item of items) write(this, item)
    return this
  }

  noTags(): this {
    return this.int8(0)
  }

  done(): Buffer {
    return this.buffer.subarray(0, this.at)
  }
}

export class In {
  private readonly buffer: Buffer
  private at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  int8(): number {
    return this.buffer.readInt8(this.at++)
  }

  int16(): number {
    this.at += 2
    return this.buffer.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.buffer.readInt32BE(this.at - 4)
  }

  int64(): number {
    return Number(this.bigint())
  }

  bigint(): bigint {
    this.at += 8
    return this.buffer.readBigInt64BE(this.at - 8)
  }

  string(): string | null {
    const length = this.int16()
    if (length < 0) return null
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  /** A view into the reply. */
  bytes(): Buffer | null {
    const length = this.int32()
    if (length < 0) return null
    this.at += length
    return this.buffer.subarray(this.at - length, this.at)
  }

  array<T>(read: () => T): T[] {
    const length = this.int32()
    const items: T[] = []
    for (let i = 0; i < length; i++) items.push(read())
    return items
  }

  private unsigned(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.buffer[this.at++]!
      value |= (byte & 0x7f) << shift
      if (byte <= 0x7f) return value
    }
  }

  compactString(): string | null {
    const length = this.unsigned() - 1
    if (length < 0) return null
    this.at += length
    return this.buffer.toString('utf8', this.at - length, this.at)
  }

  compactArray<T>(read: () => T): T[] {
    const items: T[] = []
    for (let left = this.unsigned() - 1; left > 0; left--) items.push(read())
    return items
  }

  skipTags(): void {
    for (let left = this.unsigned(); left > 0; left--) {
      this.unsigned()
      this.at += this.unsigned()
    }
  }
}
