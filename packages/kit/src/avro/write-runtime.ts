// What compiled encoders call. Positions go on beyond the end of the slab, where a store has no effect: so an encoder
// that runs out of room still ends with the position it would have needed.

import { AvroError } from './errors.ts'
import { maxLong } from './read-runtime.ts'

const float32 = new Float32Array(1)
const float64 = new Float64Array(1)

/** ASCII up to here is written without calls into native code, which would cost more than the loop: ids and digests above all. */
const shortString = 191
/** Lengths up to here take one byte, the other short ones two. */
const shortLength = 63

/** A 32-bit int, or the length of something. */
const writeInt = (slab: Buffer, at: number, value: number): number => {
  let p = at
  let zigzag = (value << 1) ^ (value >> 31)
  while (zigzag >>> 0 > 127) {
    slab[p++] = (zigzag & 127) | 128
    zigzag >>>= 7
  }
  slab[p++] = zigzag
  return p
}

/** A long within ±maxLong: magnitude and sign apart, so that 54 bits of zigzag stay exact. */
const writeLong = (slab: Buffer, at: number, value: number): number => {
  if (value >= -0x40000000 && value < 0x40000000) return writeInt(slab, at, value)
  // Subtractions instead of remainders: of doubles these cost a call each.
  const magnitude = value < 0 ? -value - 1 : value
  let rest = Math.floor(magnitude / 64)
  const lowest = magnitude - rest * 64
  let high = Math.floor(rest / 0x10000000)
  rest -= high * 0x10000000
  let p = at
  slab[p++] = (lowest << 1) | (value < 0 ? 1 : 0) | 128
  if (high === 0) {
    while (rest > 127) {
      slab[p++] = (rest & 127) | 128
      rest >>>= 7
    }
    slab[p++] = rest
    return p
  }
  slab[p++] = (rest & 127) | 128
  slab[p++] = ((rest >>> 7) & 127) | 128
  slab[p++] = ((rest >>> 14) & 127) | 128
  slab[p++] = (rest >>> 21) | 128
  while (high > 127) {
    slab[p++] = (high & 127) | 128
    high >>>= 7
  }
  slab[p++] = high
  return p
}

const writeString = (slab: Buffer, at: number, text: string): number => {
  const characters = text.length
  if (characters <= shortString) {
    const from = characters <= shortLength ? at + 1 : at + 2
    let i = 0
    for (; i < characters; i += 1) {
      const code = text.charCodeAt(i)
      if (code > 127) break
      slab[from + i] = code
    }
    if (i === characters) {
      writeInt(slab, at, characters)
      return from + characters
    }
  }
  const length = Buffer.byteLength(text)
  const p = writeInt(slab, at, length)
  if (p + length <= slab.length) slab.write(text, p, length, 'utf8')
  return p + length
}

/** Bytes without a length before them. */
const writeFixed = (slab: Buffer, at: number, bytes: Uint8Array): number => {
  const length = bytes.length
  if (at + length > slab.length) return at + length
  if (length > 32) slab.set(bytes, at)
  else for (let i = 0; i < length; i += 1) slab[at + i] = bytes[i] as number
  return at + length
}

const writeBytes = (slab: Buffer, at: number, bytes: Uint8Array): number => writeFixed(slab, writeInt(slab, at, bytes.length), bytes)

/** Constant arrays of strings, as they are written. */
const constants = new WeakMap<readonly unknown[], Buffer>()

/** Freezes an array of strings that comes with value after value - the names of a vector's numbers - so that it is encoded once. */
export const constantStrings = (list: readonly string[]): readonly string[] => {
  if (!constants.has(list)) constants.set(Object.freeze(list), encodedStrings(list))
  return list
}

/** Negative when the array is no constant: then it is written like any other. */
const writeConstant = (slab: Buffer, at: number, list: readonly unknown[]): number => {
  const bytes = constants.get(list)
  return bytes === undefined ? -1 : writeFixed(slab, at, bytes)
}

const encodedStrings = (list: readonly string[]): Buffer => {
  if (list.length === 0) return Buffer.alloc(1)
  const bytes = Buffer.alloc(list.reduce((sum, text) => sum + 5 + Buffer.byteLength(text), 6))
  let p = writeInt(bytes, 0, list.length)
  for (const text of list) p = writeString(bytes, p, text)
  return bytes.subarray(0, p + 1)
}

const isLong = (value: unknown): boolean =>
  typeof value === 'number' && Math.floor(value) === value && value >= -maxLong && value <= maxLong

/** Neither array nor bytes: a record or a map. */
const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

/** The one key of a wrapped union's value; undefined when it is none. */
const wrapped = (value: unknown): string | undefined => {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  return keys.length === 1 ? keys[0] : undefined
}

const bad = (path: string): AvroError => new AvroError('value', `${path} does not fit its type`)

const copy = (bytes: Buffer): Buffer => bytes

/** By the names that compiled text uses. */
export const writeRuntime: Readonly<Record<string, unknown>> = {
  writeInt,
  writeLong,
  writeString,
  writeFixed,
  writeBytes,
  writeConstant,
  isLong,
  isObject,
  wrapped,
  bad,
  copy,
  Uint8Array,
  f32: float32,
  f4: new Uint8Array(float32.buffer),
  f64: float64,
  f8: new Uint8Array(float64.buffer),
}
