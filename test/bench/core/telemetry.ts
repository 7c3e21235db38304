// Telemetry to read: blocks as ingest writes them, the same ones in every run, and what a reader must have found in them.

import type { Codec, Log } from '@andon/kit'
import type { TelemetryInput } from '@andon/schemas'
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
const STEP_US = 1000
const CHANNELS = ['vibrationX', 'vibrationY', 'temperatureC', 'currentA', 'speedRpm'] as const
const UNITS = ['m/s2', 'm/s2', 'Cel', 'A', '/min'] as const

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
    const columns = new Columns()
    for (const { block } of blocks) if (block) columns.add(block.seqFrom, block.samples, block.timesUs)
    columns.addTo(check)
    await log.append(blocks.map((block) => ({ topic, key: block.assetId ?? null, value: codec.encode('telemetry', block) })))
  }
  return check
}

/** Columns of the blocks of one batch; what reading is for. Grown as needed, reused from batch to batch. */
export class Columns {
  blocks = 0
  used = 0
  times = 0
  seqFrom = new Float64Array(8192)
  samples = new Float32Array(1 << 20)
  timesUs = new BigInt64Array(1 << 16)
  private sampleBytes = new Uint8Array(this.samples.buffer)
  private timeBytes = new Uint8Array(this.timesUs.buffer)

  clear(): void {
    this.blocks = 0
    this.used = 0
    this.times = 0
  }

  add(seqFrom: number, samples: Uint8Array, timesUs: Uint8Array): void {
    if (
      this.blocks === this.seqFrom.length ||
      this.used + samples.length / 4 > this.samples.length ||
      this.times + timesUs.length / 8 > this.timesUs.length
    )
      this.grow(samples.length)
    this.seqFrom[this.blocks++] = seqFrom
    this.sampleBytes.set(samples, this.used * 4)
    this.timeBytes.set(timesUs, this.times * 8)
    this.used += samples.length / 4
    this.times += timesUs.length / 8
  }

  private grow(bytes: number): void {
    const longer = <T extends Float64Array | Float32Array | BigInt64Array>(old: T, length: number): T => {
      const grown = new (old.constructor as new (length: number) => T)(length)
      grown.set(old as never)
      return grown
    }
    this.seqFrom = longer(this.seqFrom, this.seqFrom.length * 2)
    this.samples = longer(this.samples, this.samples.length * 2 + bytes)
    this.timesUs = longer(this.timesUs, this.timesUs.length * 2)
    this.sampleBytes = new Uint8Array(this.samples.buffer)
    this.timeBytes = new Uint8Array(this.timesUs.buffer)
  }

  /** Adds what the batch held to a check. */
  addTo(check: { -readonly [field in keyof Check]: number }): void {
    check.blocks += this.blocks
    check.samples += this.used
    for (let i = 0; i < this.used; i++) check.sampleSum += this.samples[i] as number
    for (let i = 0; i < this.blocks; i++) check.seqSum += this.seqFrom[i] as number
    for (let i = 0; i < this.times; i++) check.timeSum += Number(this.timesUs[i]) - START_US
  }
}

export const START_OF_TIME_US = START_US

/** Sums of floats depend on the order of addition, and partitions come in any order. */
export const isSame = (a: Check, b: Check): boolean =>
  a.blocks === b.blocks &&
  a.samples === b.samples &&
  a.seqSum === b.seqSum &&
  a.timeSum === b.timeSum &&
  Math.abs(a.sampleSum - b.sampleSum) <= 1e-6 * Math.abs(a.sampleSum)
