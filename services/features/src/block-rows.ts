// A block's rows as numbers. Blocks are unpacked one after the other into the same memory, so what is kept must be copied.

import type { Block } from '@andon/schemas'

export type Samples = Float32Array | Float64Array

/** A block's rows in block order. The columns are longer than the block, and written over by the next one. */
export interface Rows {
  readonly numbers: Float64Array
  readonly timesUs: Float64Array
  readonly recordedUs: Float64Array
  /** As in the block: [channel][row][width]. */
  readonly samples: Samples
  readonly oldestUs: number
  readonly newestUs: number
  /** Times rise, or stay, from row to row. */
  readonly isAscending: boolean
}

/** Rows `from` to `to` - 1 of a block. */
export interface Run {
  readonly from: number
  to: number
}

/** Packed numbers have any alignment, and memory of one's own per block is dear. */
const unpacked = {
  numbers: new Float64Array(0),
  timesUs: new Float64Array(0),
  recordedUs: new Float64Array(0),
  samples: new Float32Array(0) as Samples,
  oldestUs: 0,
  newestUs: 0,
  isAscending: true,
}
let packed = new Uint8Array(0)
let views = { f32: new Float32Array(0), f64: new Float64Array(0), low: new Uint32Array(0), high: new Int32Array(0) }

const reserve = (rows: number, bytes: number): void => {
  if (unpacked.numbers.length < rows) {
    const room = rows * 2
    Object.assign(unpacked, { numbers: new Float64Array(room), timesUs: new Float64Array(room), recordedUs: new Float64Array(room) })
  }
  if (packed.length >= bytes) return
  const { buffer } = (packed = new Uint8Array(Math.ceil(bytes / 4) * 8))
  views = { f32: new Float32Array(buffer), f64: new Float64Array(buffer), low: new Uint32Array(buffer), high: new Int32Array(buffer) }
}

/** Unpacks a block; throws a BlockError when it contradicts itself. Valid until the next block is unpacked. */
export const rowsOf = (block: Block): Rows => {
  const { rows, seqFrom, seqTo, withheld, qualities, samples, timesUs, recordedUs } = block
  const sampleBytes = rows * block.width * block.channels.length * (block.dtype === 'f32' ? 4 : 8)
  expect(block, 'numbers', seqTo - seqFrom + 1, rows + withheld.length)
  expect(block, 'times', timesUs.byteLength >> 3, rows)
  expect(block, 'sample bytes', samples.byteLength, sampleBytes)
  expect(block, 'qualities', qualities.length || rows, rows)
  expect(block, 'recorded times', (recordedUs?.byteLength ?? rows * 8) >> 3, rows)
  reserve(rows, Math.max(sampleBytes, timesUs.byteLength, recordedUs?.byteLength ?? 0))
  expect(block, 'numbers that are not withheld', numberRows(block, unpacked.numbers), rows)
  readInt64s(timesUs, unpacked.timesUs)
  if (recordedUs !== null) readInt64s(recordedUs, unpacked.recordedUs)
  packed.set(samples)
  unpacked.samples = block.dtype === 'f32' ? views.f32 : views.f64
  lookAtTimes(block)
  return unpacked
}

/** A block that contradicts itself. */
export class BlockError extends Error {
  override readonly name = 'BlockError'
}

const expect = (block: Block, what: string, found: number, expected: number): void => {
  if (found === expected) return
  throw new BlockError(`${block.sourceId}/${block.epoch} ${block.seqFrom}-${block.seqTo}: found ${found} ${what}, expected ${expected}`)
}

/** Numbers that are not withheld go to their rows; returns how many there are. */
const numberRows = ({ seqFrom, seqTo, withheld }: Block, numbers: Float64Array): number => {
  let row = 0
  if (withheld.length === 0) for (let number = seqFrom; number <= seqTo; number++) numbers[row++] = number
  else {
    const left = new Set(withheld)
    for (let number = seqFrom; number <= seqTo; number++) if (!left.has(number)) numbers[row++] = number
  }
  return row
}

/** Packed little-endian int64 as numbers: exact below 2^53. */
const readInt64s = (bytes: Uint8Array, to: Float64Array): void => {
  packed.set(bytes)
  const { low, high } = views
  const count = bytes.byteLength >> 3
  for (let i = 0; i < count; i++) to[i] = (high[2 * i + 1] as number) * 2 ** 32 + (low[2 * i] as number)
}

/** Oldest and newest event time; of an empty block the time it was received. */
const lookAtTimes = ({ rows, receivedUs }: Block): void => {
  const { timesUs } = unpacked
  unpacked.isAscending = true
  unpacked.oldestUs = rows === 0 ? receivedUs : (timesUs[0] as number)
  unpacked.newestUs = unpacked.oldestUs
  for (let row = 1; row < rows; row++) {
    const timeUs = timesUs[row] as number
    if (timeUs >= unpacked.newestUs) unpacked.newestUs = timeUs
    else {
      unpacked.isAscending = false
      if (timeUs < unpacked.oldestUs) unpacked.oldestUs = timeUs
    }
  }
}
