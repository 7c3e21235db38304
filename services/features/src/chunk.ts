// A chunk: rows of one source that lie in one window, unpacked. Blocks that continue each other share a chunk. What is
// computed of a window depends on its rows alone, not on how blocks cut them or in which order they came.

import type { Block } from '@andon/schemas'

/** Rows of one source, ascending by sequence number. The columns have room for more rows than there are. */
export interface Chunk {
  readonly sourceId: string
  readonly epoch: number
  readonly channels: readonly string[]
  readonly width: number
  readonly sampleRateHz: number | null
  readonly historical: boolean
  rows: number
  seqs: Float64Array
  timesUs: Float64Array
  /** Time of the original recording per row; empty when the rows have none. */
  recordedUs: Float64Array
  /** 0 good, 1 uncertain, 2 bad; empty = all good. */
  qualities: Uint8Array
  /** Channel-major: [channel][room][width]. */
  samples: Samples
}

export type Samples = Float32Array | Float64Array

/** Rows that a chunk has room for. */
export const roomOf = ({ seqs }: Pick<Chunk, 'seqs'>): number => seqs.length

/** A block's rows as numbers, in block order. The columns are longer than the block, and written over by the next one. */
export interface Rows {
  readonly seqs: Float64Array
  readonly timesUs: Float64Array
  readonly recordedUs: Float64Array
  /** As in the block: [channel][row][width]. */
  readonly samples: Samples
}

/** Rows `from` to `to` - 1 of a block. */
export interface Run {
  readonly from: number
  to: number
}

/** What blocks are unpacked into, one after the other: packed numbers have any alignment, and memory of one's own per block is dear. */
const unpacked = { seqs: new Float64Array(0), timesUs: new Float64Array(0), recordedUs: new Float64Array(0) }
let packed = new Uint8Array(0)
let views = { f32: new Float32Array(0), f64: new Float64Array(0), low: new Uint32Array(0), high: new Int32Array(0) }

const reserve = (rows: number, bytes: number): void => {
  if (unpacked.seqs.length < rows) {
    const room = rows * 2
    Object.assign(unpacked, { seqs: new Float64Array(room), timesUs: new Float64Array(room), recordedUs: new Float64Array(room) })
  }
  if (packed.length >= bytes) return
  const { buffer } = (packed = new Uint8Array(Math.ceil(bytes / 4) * 8))
  views = { f32: new Float32Array(buffer), f64: new Float64Array(buffer), low: new Uint32Array(buffer), high: new Int32Array(buffer) }
}

/** Unpacks a block; throws a BlockError when it contradicts itself. */
export const rowsOf = (block: Block): Rows => {
  const { rows, seqFrom, seqTo, withheld, qualities, samples, timesUs, recordedUs } = block
  const sampleBytes = rows * block.width * block.channels.length * (block.dtype === 'f32' ? 4 : 8)
  expect(block, 'numbers', seqTo - seqFrom + 1, rows + withheld.length)
  expect(block, 'times', timesUs.byteLength >> 3, rows)
  expect(block, 'sample bytes', samples.byteLength, sampleBytes)
  expect(block, 'qualities', qualities.length || rows, rows)
  expect(block, 'recorded times', (recordedUs?.byteLength ?? rows * 8) >> 3, rows)
  reserve(rows, Math.max(sampleBytes, timesUs.byteLength, recordedUs?.byteLength ?? 0))
  expect(block, 'numbers that are not withheld', numberRows(block, unpacked.seqs), rows)
  readInt64s(timesUs, unpacked.timesUs)
  if (recordedUs !== null) readInt64s(recordedUs, unpacked.recordedUs)
  packed.set(samples)
  return {
    seqs: unpacked.seqs,
    timesUs: unpacked.timesUs,
    recordedUs: unpacked.recordedUs,
    samples: block.dtype === 'f32' ? views.f32 : views.f64,
  }
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
const numberRows = ({ seqFrom, seqTo, withheld }: Block, seqs: Float64Array): number => {
  const left = withheld.length === 0 ? undefined : new Set(withheld)
  let row = 0
  for (let seq = seqFrom; seq <= seqTo; seq++) if (left?.has(seq) !== true) seqs[row++] = seq
  return row
}

/** Packed little-endian int64 as numbers: exact below 2^53. */
const readInt64s = (bytes: Uint8Array, to: Float64Array): void => {
  packed.set(bytes)
  const { low, high } = views
  const count = bytes.byteLength >> 3
  for (let i = 0; i < count; i++) to[i] = (high[2 * i + 1] as number) * 2 ** 32 + (low[2 * i] as number)
}

/** Room that a new chunk has for samples at least: blocks are short, and others mostly follow. */
const FIRST_ROOM_BYTES = 2048

/** Chunks that are looked at for one that a block continues: sources of an asset are few. */
const CHUNKS_LOOKED_AT = 8

/** Adds rows of an unpacked block to a window's chunks, and of its channels those wanted: to the chunk they continue, or as a new one. */
export const addRows = (chunks: Chunk[], block: Block, rows: Rows, run: Run, wanted: readonly string[]): void => {
  const channels = block.channels.filter((channel) => wanted.includes(channel))
  const count = run.to - run.from
  let chunk = continuedBy(chunks, block, channels, rows.seqs[run.from] as number)
  if (chunk === undefined) {
    const rowBytes = Math.max(1, channels.length) * block.width * rows.samples.BYTES_PER_ELEMENT
    chunk = newChunk(block, channels, Math.max(count, Math.floor(FIRST_ROOM_BYTES / rowBytes)))
    chunks.push(chunk)
  }
  if (chunk.rows + count > roomOf(chunk)) grow(chunk, Math.max(chunk.rows + count, chunk.rows * 2))
  if (block.qualities.length > 0 && chunk.qualities.length === 0) chunk.qualities = new Uint8Array(roomOf(chunk))
  for (let i = 0; i < count; i++) {
    const to = chunk.rows + i
    const row = run.from + i
    chunk.seqs[to] = rows.seqs[row] as number
    chunk.timesUs[to] = rows.timesUs[row] as number
    if (block.recordedUs !== null) chunk.recordedUs[to] = rows.recordedUs[row] as number
    if (block.qualities.length > 0) chunk.qualities[to] = block.qualities[row] as number
  }
  for (let channel = 0; channel < channels.length; channel++) {
    const from = (block.channels.indexOf(channels[channel] as string) * block.rows + run.from) * block.width
    copy(rows.samples, from, count * block.width, chunk.samples, (channel * roomOf(chunk) + chunk.rows) * block.width)
  }
  chunk.rows += count
}

const continuedBy = (chunks: readonly Chunk[], block: Block, channels: readonly string[], seq: number): Chunk | undefined => {
  for (let at = chunks.length - 1; at >= Math.max(0, chunks.length - CHUNKS_LOOKED_AT); at--) {
    const chunk = chunks[at] as Chunk
    const isIt =
      chunk.epoch === block.epoch &&
      chunk.sourceId === block.sourceId &&
      chunk.width === block.width &&
      chunk.sampleRateHz === block.sampleRateHz &&
      chunk.historical === block.historical &&
      chunk.samples instanceof Float32Array === (block.dtype === 'f32') &&
      chunk.recordedUs.length > 0 === (block.recordedUs !== null) &&
      (chunk.seqs[chunk.rows - 1] as number) < seq &&
      areSame(chunk.channels, channels)
    if (isIt) return chunk
    // The last chunk with a sample rate says the rate of the window: nothing is put before it that has another one.
    if (block.sampleRateHz !== null && chunk.sampleRateHz !== null && chunk.sampleRateHz !== block.sampleRateHz) return undefined
  }
  return undefined
}

const areSame = (a: readonly string[], b: readonly string[]): boolean => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return a.length === b.length
}

const newChunk = (block: Block, channels: readonly string[], room: number): Chunk => {
  const length = channels.length * room * block.width
  const { sourceId, epoch, width, sampleRateHz, historical } = block
  return {
    sourceId,
    epoch,
    channels,
    width,
    sampleRateHz,
    historical,
    rows: 0,
    seqs: new Float64Array(room),
    timesUs: new Float64Array(room),
    recordedUs: new Float64Array(block.recordedUs === null ? 0 : room),
    qualities: new Uint8Array(block.qualities.length === 0 ? 0 : room),
    samples: block.dtype === 'f32' ? new Float32Array(length) : new Float64Array(length),
  }
}

const grow = (chunk: Chunk, room: number): void => {
  const longer = <A extends Float64Array | Uint8Array>(column: A, grown: A): A => {
    grown.set(column)
    return grown
  }
  chunk.samples = samplesWithRoom(chunk, room)
  chunk.seqs = longer(chunk.seqs, new Float64Array(room))
  chunk.timesUs = longer(chunk.timesUs, new Float64Array(room))
  if (chunk.recordedUs.length > 0) chunk.recordedUs = longer(chunk.recordedUs, new Float64Array(room))
  if (chunk.qualities.length > 0) chunk.qualities = longer(chunk.qualities, new Uint8Array(room))
}

/** A chunk's samples in a column with room for so many rows: with as many as there are, nothing is left over. */
export const samplesWithRoom = ({ samples, channels, rows, width, seqs }: Chunk, room: number): Samples => {
  const length = channels.length * room * width
  const moved = samples instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)
  for (let channel = 0; channel < channels.length; channel++)
    copy(samples, channel * seqs.length * width, rows * width, moved, channel * room * width)
  return moved
}

/** From so many numbers on, a copy made by the engine is worth its call. */
const MANY = 64

const copy = (source: Samples, from: number, count: number, target: Samples, to: number): void => {
  if (count >= MANY) target.set(source.subarray(from, from + count), to)
  else for (let i = 0; i < count; i++) target[to + i] = source[from + i] as number
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

/** Ranges of the first `count` of ascending numbers of one source. */
export const rangesOf = (sourceId: string, epoch: number, seqs: ArrayLike<number>, count = seqs.length): Range[] => {
  const ranges: Range[] = []
  for (let i = 0; i < count;) {
    const from = i
    while (i + 1 < count && seqs[i + 1] === (seqs[i] as number) + 1) i++
    ranges.push({ sourceId, epoch, seqFrom: seqs[from] as number, seqTo: seqs[i] as number })
    i++
  }
  return ranges
}
