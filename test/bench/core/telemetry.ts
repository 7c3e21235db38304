// Telemetry to read: blocks as ingest writes them, the same ones in every run, and what a reader must have found in them.

import type { Codec, Log } from '@andon/kit'
import type { BlockInput, TelemetryInput } from '@andon/schemas'
import { randomFrom } from '../../harness/bench-statistics.ts'

export interface BlockShape {
  readonly channels: number
  readonly rows: number
  /** Elements per channel and row: above 1, each row is a waveform. */
  readonly width: number
}

/** Sums over everything on a topic; equal sums of so many numbers mean equal numbers. */
export interface Check {
  readonly blocks: number
  readonly samples: number
  readonly sampleSum: number
  readonly seqSum: number
  readonly timeSum: number
}

export const PARTITIONS = 4
const ASSETS = 32
const START_US = 1_795_000_000_000_000
export const STEP_US = 1000
export const CHANNELS = ['vibrationX', 'vibrationY', 'temperatureC', 'currentA', 'speedRpm'] as const
export const UNITS = ['m/s2', 'm/s2', 'Cel', 'A', '/min'] as const

/** Block `index` of its source: slow waves with noise in it. Times and sequence numbers go on from block to block. */
export const telemetryBlock = (index: number, { channels, rows, width }: BlockShape, random: () => number): TelemetryInput => {
  const samples = Buffer.alloc(channels * rows * width * 4)
  for (let i = 0; i < channels * rows * width; i++)
    samples.writeFloatLE(20 + 3 * Math.sin((index * rows + i) / 50) + 0.05 * (random() - 0.5), i * 4)
  const timesUs = Buffer.alloc(rows * 8)
  const startUs = START_US + index * rows * STEP_US
  for (let row = 0; row < rows; row++) timesUs.writeBigInt64LE(BigInt(startUs + row * STEP_US), row * 8)
  return {
    type: 'block',
    assetId: assetOf(index),
    block: {
      sourceId: `${assetOf(index)}-plc`,
      epoch: 3,
      seqFrom: index * rows,
      seqTo: (index + 1) * rows - 1,
      rows,
      channels: CHANNELS.slice(0, channels),
      units: UNITS.slice(0, channels),
      dtype: 'f32',
      width,
      samples,
      timesUs,
      receivedUs: startUs + rows * STEP_US,
    },
  }
}

const assetOf = (index: number): string => `press-${index % ASSETS}`

const PER_APPEND = 2000

/** Appends `count` blocks, keyed by asset, without headers (which the peers would pay more for than we do). */
export const fillTelemetry = async (log: Log, codec: Codec, topic: string, count: number, shape: BlockShape): Promise<Check> => {
  const random = randomFrom(23)
  const check = { blocks: 0, samples: 0, sampleSum: 0, seqSum: 0, timeSum: 0 }
  for (let from = 0; from < count; from += PER_APPEND) {
    const blocks = Array.from({ length: Math.min(PER_APPEND, count - from) }, (_, i) => telemetryBlock(from + i, shape, random))
    const columns = packedColumns()
    for (const { block } of blocks) if (block) addDecoded(columns, block)
    columns.addTo(check)
    await log.append(blocks.map((block) => ({ topic, key: block.assetId ?? null, value: codec.encode('telemetry', block) })))
  }
  return check
}

/**
 * Columns of the blocks of one batch; what reading is for. Grown as needed, reused from batch to batch. Times are numbers, or
 * the packed integers as they came: whichever is cheaper for whom.
 */
export class Columns<T extends Float64Array | BigInt64Array> {
  blocks = 0
  /** Samples and times held. */
  used = 0
  times = 0
  seqFrom = new Float64Array(8192)
  samples = new Float32Array(1 << 20)
  timesUs: T
  /** The same memory as bytes. */
  sampleBytes = new Uint8Array(this.samples.buffer)
  timeBytes: Uint8Array

  constructor(timesUs: T) {
    this.timesUs = timesUs
    this.timeBytes = new Uint8Array(timesUs.buffer)
  }

  clear(): void {
    this.blocks = 0
    this.used = 0
    this.times = 0
  }

  /** Makes room for one more block. */
  reserve(samples: number, rows: number): void {
    if (this.blocks === this.seqFrom.length) this.seqFrom = longer(this.seqFrom, 1)
    if (this.used + samples > this.samples.length) {
      this.samples = longer(this.samples, samples)
      this.sampleBytes = new Uint8Array(this.samples.buffer)
    }
    if (this.times + rows > this.timesUs.length) {
      this.timesUs = longer(this.timesUs, rows)
      this.timeBytes = new Uint8Array(this.timesUs.buffer)
    }
  }

  /** Adds what the columns hold to a check. */
  addTo(check: { -readonly [field in keyof Check]: number }): void {
    check.blocks += this.blocks
    check.samples += this.used
    for (let i = 0; i < this.used; i++) check.sampleSum += this.samples[i] as number
    for (let i = 0; i < this.blocks; i++) check.seqSum += this.seqFrom[i] as number
    for (let i = 0; i < this.times; i++) check.timeSum += Number(this.timesUs[i]) - START_US
  }
}

const longer = <A extends Float64Array | Float32Array | BigInt64Array>(old: A, missing: number): A => {
  const grown = new (old.constructor as new (length: number) => A)(old.length * 2 + missing)
  grown.set(old as never)
  return grown
}

export type PackedColumns = Columns<BigInt64Array>

export const packedColumns = (): PackedColumns => new Columns(new BigInt64Array(1 << 16))

/** A decoded block into the columns, the cheapest way from `bytes` fields: two copies. */
export const addDecoded = (
  columns: PackedColumns,
  { seqFrom, samples, timesUs }: Pick<BlockInput, 'seqFrom' | 'samples' | 'timesUs'>,
): void => {
  columns.reserve(samples.length / 4, timesUs.length / 8)
  columns.seqFrom[columns.blocks++] = seqFrom
  columns.sampleBytes.set(samples, columns.used * 4)
  columns.used += samples.length / 4
  columns.timeBytes.set(timesUs, columns.times * 8)
  columns.times += timesUs.length / 8
}

export const START_OF_TIME_US = START_US

/** Sums of floats depend on the order of addition, and partitions come in any order. */
export const isSame = (a: Check, b: Check): boolean =>
  a.blocks === b.blocks &&
  a.samples === b.samples &&
  a.seqSum === b.seqSum &&
  a.timeSum === b.timeSum &&
  Math.abs(a.sampleSum - b.sampleSum) <= 1e-6 * Math.abs(a.sampleSum)
