// Kafka's variable-length integers (zig-zag, as in Protocol Buffers), in the forms that record batches need.

/** Bytes that a 32-bit value takes. */
export const varintSize = (value: number): number => {
  const z = ((value << 1) ^ (value >> 31)) >>> 0
  return z < 0x80 ? 1 : z < 0x4000 ? 2 : z < 0x200000 ? 3 : z < 0x10000000 ? 4 : 5
}

/** Writes a 32-bit value; returns the end. */
export const putVarint = (into: Uint8Array, at: number, value: number): number => {
  let z = ((value << 1) ^ (value >> 31)) >>> 0
  while (z > 0x7f) {
    into[at++] = (z & 0x7f) | 0x80
    z >>>= 7
  }
  into[at++] = z
  return at
}

const FITS_32 = 0x40000000

/** Bytes of a 64-bit value: timestamp deltas may span years in one batch. */
export const longSize = (value: number): number => {
  if (value >= -FITS_32 && value < FITS_32) return varintSize(value)
  let z = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  let size = 1
  while (z > 0x7fn) {
    z >>= 7n
    size++
  }
  return size
}

/** Writes a 64-bit value; returns the end. */
export const putLong = (into: Uint8Array, at: number, value: number): number => {
  if (value >= -FITS_32 && value < FITS_32) return putVarint(into, at, value)
  let z = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  while (z > 0x7fn) {
    into[at++] = Number(z & 0x7fn) | 0x80
    z >>= 7n
  }
  into[at++] = Number(z)
  return at
}

/** Reads a 32-bit value and moves the place behind it. */
export const readVarint = (bytes: Uint8Array, place: { at: number }): number => {
  let byte = bytes[place.at++]!
  let z = byte & 0x7f
  for (let shift = 7; byte > 0x7f; shift += 7) {
    byte = bytes[place.at++]!
    z |= (byte & 0x7f) << shift
  }
  return (z >>> 1) ^ -(z & 1)
}
