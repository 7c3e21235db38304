// What compiled decoders call. Nothing here allocates before it has compared a length with the bytes that are left.

import { AvroError } from './errors.ts'

/** avsc's bounds, kept: the largest long that no rounding can have produced. */
export const maxLong = 9_007_199_254_740_990

/** Scratch of the fixed-width types; platforms that Node runs on are little-endian, as Avro is. */
const float32 = new Float32Array(1)
const float64 = new Float64Array(1)

/**
 * The long at bytes[at]; a byte beyond the end reads as 0, so a truncated one ends as well. Exact in ±maxLong; throws
 * beyond.
 */
export const readLong = (bytes: Uint8Array, at: number): number => {
  let p = at
  let byte = bytes[p++] as number
  let low = byte & 127
  if (byte > 127) {
    byte = bytes[p++] as number
    low |= (byte & 127) << 7
    if (byte > 127) {
      byte = bytes[p++] as number
      low |= (byte & 127) << 14
      if (byte > 127) {
        byte = bytes[p++] as number
        low |= (byte & 127) << 21
        if (byte > 127) return readHigh(bytes, p, low)
      }
    }
  }
  return (low >>> 1) ^ -(low & 1)
}

/** The rest of a long of more than 28 bits. */
const readHigh = (bytes: Uint8Array, at: number, low: number): number => {
  let p = at
  let byte = bytes[p++] as number
  let high = byte & 127
  if (byte > 127) {
    byte = bytes[p++] as number
    high |= (byte & 127) << 7
    if (byte > 127) {
      byte = bytes[p++] as number
      high |= (byte & 127) << 14
      if (byte > 127) {
        byte = bytes[p++] as number
        high |= (byte & 127) << 21
        if (byte > 127) throw imprecise()
      }
    }
  }
  const magnitude = high * 2 ** 27 + (low >>> 1)
  const value = (low & 1) === 0 ? magnitude : -magnitude - 1
  if (value > maxLong || value < -maxLong) throw imprecise()
  return value
}

/** As readLong, for 32 bits. */
export const readInt = (bytes: Uint8Array, at: number): number => {
  const value = readLong(bytes, at)
  if (value !== (value | 0)) throw new AvroError('undecodable', `${value} is no int`)
  return value
}

/** A long that is read as float or double: rounded where it has more than 53 bits. */
export const readRounded = (bytes: Uint8Array, at: number): number => {
  let magnitude = ((bytes[at] as number) & 127) >>> 1
  let unit = 64
  for (let p = at; (bytes[p] as number) > 127; unit *= 128) {
    p += 1
    if (p - at > 9) throw new AvroError('undecodable', 'A long has more than 10 bytes')
    magnitude += ((bytes[p] as number) & 127) * unit
  }
  return ((bytes[at] as number) & 1) === 0 ? magnitude : -magnitude - 1
}

const NOTHING = Buffer.alloc(0)

/** Bytes of their own: what is decoded may outlive the buffer it came in. */
export const copyBytes = (bytes: Buffer, at: number, length: number): Buffer => {
  if (length === 0) return NOTHING
  const copied = Buffer.allocUnsafe(length)
  if (length > 32) bytes.copy(copied, 0, at, at + length)
  else for (let i = 0; i < length; i += 1) copied[i] = bytes[at + i] as number
  return copied
}

const lendBytes = (bytes: Buffer, at: number, length: number): Buffer => (length === 0 ? NOTHING : bytes.subarray(at, at + length))

/** Sets what a plain assignment would take for the object's prototype. */
const setOwn = (target: object, key: string, value: unknown): void => {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
}

const copy = (bytes: Buffer): Buffer => Buffer.from(bytes)

const imprecise = (): AvroError => new AvroError('undecodable', 'A long is beyond what a number holds exactly')

const badLength = (length: number, left: number): AvroError =>
  length < 0
    ? new AvroError('undecodable', `A length of ${length} bytes`)
    : new AvroError('truncated', `A value of ${length} bytes in the ${Math.max(0, left)} that are left`)

const badCount = (count: number, left: number): AvroError =>
  new AvroError('undecodable', `A block of ${count} items in the ${Math.max(0, left)} bytes that are left`)

const badBranch = (index: number): AvroError => new AvroError('undecodable', `Branch ${index} of a union that has none such`)

const badSymbol = (index: number): AvroError => new AvroError('undecodable', `Symbol ${index} of an enum that has none such`)

const tooDeep = (): AvroError => new AvroError('undecodable', 'Records are nested too deep')

const tooMany = (): AvroError => new AvroError('undecodable', 'More records than the bytes can hold')

const truncated = (): AvroError => new AvroError('truncated', 'The value goes on after its last byte')

const leftOver = (bytes: number): AvroError => new AvroError('undecodable', `${bytes} bytes are left over`)

/** By the names that compiled text uses. */
export const readRuntime: Readonly<Record<string, unknown>> = {
  readLong,
  readInt,
  readRounded,
  copyBytes,
  lendBytes,
  copy,
  setOwn,
  badLength,
  badCount,
  badBranch,
  badSymbol,
  tooDeep,
  tooMany,
  truncated,
  leftOver,
  f32: float32,
  f4: new Uint8Array(float32.buffer),
  f64: float64,
  f8: new Uint8Array(float64.buffer),
}
