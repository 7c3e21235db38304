// Columns of numbers as the bytes that stand in a block: little-endian, eight bytes each.

const slabBytes = 64 * 1024

/** Bytes for many columns, and what writes numbers into them: a view per column costs more than the few numbers in it. */
class Slab {
  readonly bytes: ArrayBuffer
  readonly doubles: Float64Array
  readonly words: Uint32Array
  used = 0

  constructor(bytes: number) {
    this.bytes = new ArrayBuffer(bytes)
    this.doubles = new Float64Array(this.bytes)
    this.words = new Uint32Array(this.bytes)
  }
}

let shared = new Slab(slabBytes)

/** A slab with room at `used`, aligned to 8 bytes: short columns share one. */
const slabFor = (bytes: number): Slab => {
  if (bytes > slabBytes / 8) return new Slab(bytes)
  if (shared.used + bytes > slabBytes) shared = new Slab(slabBytes)
  return shared
}

const taken = (slab: Slab, bytes: number): Uint8Array<ArrayBuffer> => {
  const column = new Uint8Array(slab.bytes, slab.used, bytes)
  slab.used += bytes
  return column
}

// From here on copying numbers as a whole is cheaper than one by one.
const manyRows = 32

/** The first `rows` of `room` doubles of columns that lie one behind the other; `values` holds nothing else. */
export const packDoubles = (values: Float64Array, columns: number, room: number, rows: number): Uint8Array => {
  const slab = slabFor(columns * rows * 8)
  const { doubles } = slab
  let at = slab.used / 8
  if (rows < manyRows) {
    for (let column = 0; column < columns; column++) for (let row = 0; row < rows; row++) doubles[at++] = values[column * room + row]!
  } else if (rows === room) doubles.set(values, at)
  else
    for (let column = 0; column < columns; column++) doubles.set(values.subarray(column * room, column * room + rows), at + column * rows)
  return taken(slab, columns * rows * 8)
}

/** Whole numbers as int64; they are safe integers, 0 or more. */
export const packInt64 = (values: ArrayLike<number>, rows: number): Uint8Array => {
  const slab = slabFor(rows * 8)
  let at = slab.used / 4
  for (let row = 0; row < rows; row++) {
    const value = values[row]!
    const high = Math.floor(value / 0x1_0000_0000)
    slab.words[at++] = value - high * 0x1_0000_0000
    slab.words[at++] = high
  }
  return taken(slab, rows * 8)
}
