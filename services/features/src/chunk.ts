// A chunk: rows of one block that lie in one window, unpacked. Windows are lists of chunks; what is computed of them
// depends on the rows alone, not on how blocks cut them or in which order they came.

import type { Block } from '@andon/schemas'

/** Rows of one source, ascending by sequence number; samples channel-major: [channel][row][width]. */
export interface Chunk {
  readonly sourceId: string
  readonly epoch: number
  readonly channels: readonly string[]
  readonly width: number
  readonly sampleRateHz: number | null
  readonly historical: boolean
  readonly seqs: Float64Array
  readonly timesUs: Float64Array
  /** Time of the original recording per row; empty when the block carries none. */
  readonly recordedUs: Float64Array
  /** 0 good, 1 uncertain, 2 bad; empty = all good. */
  readonly qualities: Uint8Array
  readonly samples: Float32Array | Float64Array
}

/** A block's rows as numbers. */
export interface Rows {
  readonly seqs: readonly number[]
  readonly timesUs: Float64Array
}

/** Sequence number and event time of every row, in block order; throws a BlockError when the block contradicts itself. */
export const rowsOf = (block: Block): Rows => {
  const numbers = block.seqTo - block.seqFrom + 1
  const timesUs = int64s(block.timesUs)
  const sampleBytes = block.rows * block.width * block.channels.length * (block.dtype === 'f32' ? 4 : 8)
  expect(block, 'numbers', numbers, block.rows + block.withheld.length)
  expect(block, 'times', timesUs.length, block.rows)
  expect(block, 'sample bytes', block.samples.byteLength, sampleBytes)
  expect(block, 'qualities', block.qualities.length || block.rows, block.rows)
  expect(block, 'recorded times', (block.recordedUs?.byteLength ?? block.rows * 8) >> 3, block.rows)
  const withheld = new Set(block.withheld)
  const seqs: number[] = []
  for (let seq = block.seqFrom; seq <= block.seqTo; seq++) if (!withheld.has(seq)) seqs.push(seq)
  expect(block, 'numbers that are not withheld', seqs.length, block.rows)
  return { seqs, timesUs }
}

/** A block that contradicts itself. */
export class BlockError extends Error {
  override readonly name = 'BlockError'
}

const expect = (block: Block, what: string, found: number, expected: number): void => {
  if (found === expected) return
  throw new BlockError(`${block.sourceId}/${block.epoch} ${block.seqFrom}-${block.seqTo}: found ${found} ${what}, expected ${expected}`)
}

/** Copies some rows of a block, and of its channels those wanted. */
export const chunkOf = (block: Block, rows: Rows, picked: readonly number[], wanted: readonly string[]): Chunk => {
  const channels = block.channels.filter((channel) => wanted.includes(channel))
  const length = channels.length * picked.length * block.width
  const samples = block.dtype === 'f32' ? new Float32Array(length) : new Float64Array(length)
  const view = viewOf(block.samples)
  const read = block.dtype === 'f32' ? (at: number) => view.getFloat32(at * 4, true) : (at: number) => view.getFloat64(at * 8, true)
  let to = 0
  for (const channel of channels) {
    const channelStart = block.channels.indexOf(channel) * block.rows
    for (const row of picked) {
      const from = (channelStart + row) * block.width
      for (let i = 0; i < block.width; i++) samples[to++] = read(from + i)
    }
  }
  const recorded = block.recordedUs === null ? undefined : int64s(block.recordedUs)
  return {
    sourceId: block.sourceId,
    epoch: block.epoch,
    channels,
    width: block.width,
    sampleRateHz: block.sampleRateHz,
    historical: block.historical,
    seqs: Float64Array.from(picked, (row) => rows.seqs[row] as number),
    timesUs: Float64Array.from(picked, (row) => rows.timesUs[row] as number),
    recordedUs: recorded === undefined ? new Float64Array() : Float64Array.from(picked, (row) => recorded[row] as number),
    qualities: block.qualities.length === 0 ? new Uint8Array() : Uint8Array.from(picked, (row) => block.qualities[row] as number),
    samples,
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Packed little-endian int64 as numbers: exact below 2^53. */
const int64s = (bytes: Uint8Array): Float64Array => {
  const view = viewOf(bytes)
  return Float64Array.from(
    { length: bytes.byteLength >> 3 },
    (_, i) => view.getInt32(i * 8 + 4, true) * 2 ** 32 + view.getUint32(i * 8, true),
  )
}

/** Numbers of one source, inclusive: the sample identities of a window in canonical form. */
export interface Range {
  readonly sourceId: string
  readonly epoch: number
  readonly seqFrom: number
  readonly seqTo: number
}

const byIdentity = (a: Range, b: Range): number =>
  (a.sourceId < b.sourceId ? -1 : a.sourceId > b.sourceId ? 1 : 0) || a.epoch - b.epoch || a.seqFrom - b.seqFrom

/** Sorted, neighbours merged: equal for equal sets of samples. */
export const mergeRanges = (ranges: readonly Range[]): Range[] => {
  const merged: Range[] = []
  for (const range of ranges.toSorted(byIdentity)) {
    const last = merged.at(-1)
    if (last !== undefined && last.sourceId === range.sourceId && last.epoch === range.epoch && range.seqFrom <= last.seqTo + 1) {
      merged[merged.length - 1] = { ...last, seqTo: Math.max(last.seqTo, range.seqTo) }
    } else merged.push(range)
  }
  return merged
}

/** Ranges of ascending numbers of one source. */
export const rangesOf = (sourceId: string, epoch: number, seqs: ArrayLike<number>): Range[] => {
  const ranges: Range[] = []
  for (let i = 0; i < seqs.length;) {
    const from = i
    while (i + 1 < seqs.length && seqs[i + 1] === (seqs[i] as number) + 1) i++
    ranges.push({ sourceId, epoch, seqFrom: seqs[from] as number, seqTo: seqs[i] as number })
    i++
  }
  return ranges
}
