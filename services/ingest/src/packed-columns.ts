// Columns of numbers as the bytes that stand in a block: little-endian, eight bytes each.

const slabBytes = 64 * 1024
let slab = new ArrayBuffer(slabBytes)
let used = 0

/** Room for a column, aligned to 8 bytes. Short ones share a slab: a buffer of its own costs more than the numbers in it. */
export const columnBytes = (bytes: number): Uint8Array<ArrayBuffer> => {
  if (bytes > slabBytes / 8) return new Uint8Array(bytes)
  if (used + bytes > slabBytes) {
    slab = new ArrayBuffer(slabBytes)
    used = 0
  }
  const column = new Uint8Array(slab, used, bytes)
  used += (bytes + 7) & ~7
  return column
}

/** Whole numbers as int64; they are safe integers, 0 or more. */
export const packInt64 = (values: ArrayLike<number>, rows: number): Uint8Array => {
  const bytes = columnBytes(rows * 8)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, rows * 2)
  for (let row = 0; row < rows; row++) {
    const value = values[row]!
    const high = Math.floor(value / 0x1_0000_0000)
    words[row * 2] = value - high * 0x1_0000_0000
    words[row * 2 + 1] = high
  }
  return bytes
}
