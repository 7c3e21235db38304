// A lane: rows of one source and layout, sorted by time, shared by all windows and scales of an asset. Rows are appended at
// one end and leave at the other; what is computed depends on the rows alone, not on how blocks cut them or in which order they came.

import type { Block } from '@andon/schemas'
import type { Rows, Samples } from './block-rows.ts'
import type { AssetPlan, PlanChannel } from './plan.ts'
import { rangesOf } from './ranges.ts'
import type { Range } from './ranges.ts'

/** Quality of a row: 0 good, 1 uncertain, from 2 on bad. */
export const UNCERTAIN = 1
export const BAD = 2

/** Which channels of a block a plan reads. Equal layouts of equal channels are one object. */
export interface Layout {
  /** As the block has them. */
  readonly channels: readonly string[]
  /** Positions in the block of the channels that are kept, in block order. */
  readonly kept: readonly number[]
  /** By channel of the plan: its place among those kept; -1 = the block has none of it. */
  readonly places: readonly number[]
}

const layouts = new WeakMap<readonly PlanChannel[], Layout[]>()

const layoutOf = ({ channels: wanted }: AssetPlan, channels: readonly string[]): Layout => {
  const known = layouts.get(wanted) ?? []
  for (const layout of known) if (areSame(layout.channels, channels)) return layout
  const kept = channels.flatMap((channel, at) => (wanted.some(({ id }) => id === channel) ? [at] : []))
  const layout = { channels: [...channels], kept, places: wanted.map(({ id }) => kept.findIndex((at) => channels[at] === id)) }
  layouts.set(wanted, [...known, layout])
  return layout
}

const areSame = (a: readonly string[], b: readonly string[]): boolean => {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** What the rows of a lane have in common. */
export interface LaneKind {
  readonly sourceId: string
  /** Channels of the blocks. */
  readonly channels: readonly string[]
  readonly width: number
  readonly dtype: string
  readonly sampleRateHz: number | null
  readonly historical: boolean
  /** The rows have the time of an original recording. */
  readonly isRecorded: boolean
}

/** Columns of a lane as they are stored, without room. */
export interface LaneColumns {
  readonly timesUs: Float64Array
  /** Empty = they count up from `firstNumber`. */
  readonly numbers: Float64Array
  /** Empty = all `epoch`. */
  readonly epochs: Float64Array
  readonly qualities: Uint8Array
  readonly recordedUs: Float64Array
  readonly samples: Samples
}

/** From so many rows on, a lane has room for a quarter more; a shorter one is kept tight: for a thirty-second, or a few bytes. */
const LONG_ROWS = 512
const SPARE_BYTES = 1536
const SPARE_ROWS = 128
/** From so many numbers on, a copy made by the engine is worth its call. */
const MANY = 64

export class Lane implements LaneKind {
  readonly sourceId: string
  readonly width: number
  readonly dtype: string
  readonly sampleRateHz: number | null
  readonly historical: boolean
  readonly isRecorded: boolean
  /** Index into the asset's plans: of the plan that held at the rows' times. */
  plan: number
  layout: Layout
  /** Rows lie at `from` to `to` - 1 of the columns. */
  from = 0
  to = 0
  timesUs: Float64Array = NOTHING
  /** Channel-major: [channel][room][width]. */
  samples: Samples
  /** Of row i the number is `base` + i, unless there is a column. */
  base = 0
  epoch = 0
  numbers: Float64Array | undefined
  epochs: Float64Array | undefined
  /** None = all good. */
  qualities: Uint8Array | undefined
  recordedUs: Float64Array | undefined
  /** Time of the newest row that is not good or has an element that is not a number. */
  oddUs = Number.NEGATIVE_INFINITY

  constructor(kind: LaneKind, planIndex: number, plan: AssetPlan) {
    this.sourceId = kind.sourceId
    this.width = kind.width
    this.dtype = kind.dtype
    this.sampleRateHz = kind.sampleRateHz
    this.historical = kind.historical
    this.isRecorded = kind.isRecorded
    this.plan = planIndex
    this.layout = layoutOf(plan, kind.channels)
    this.samples = kind.dtype === 'f32' ? NO_SINGLES : NOTHING
  }

  get channels(): readonly string[] {
    return this.layout.channels
  }

  get rows(): number {
    return this.to - this.from
  }

  /** Rows that the columns have room for. */
  get room(): number {
    return this.timesUs.length
  }

  /** Windows that close at every row end at those of single values that the plan reads. */
  get endsWindows(): boolean {
    return this.width === 1 && this.sampleRateHz === null && this.layout.kept.length > 0
  }

  isOf(block: Block, plan: number): boolean {
    return (
      this.plan === plan &&
      this.sourceId === block.sourceId &&
      this.width === block.width &&
      this.dtype === block.dtype &&
      this.sampleRateHz === block.sampleRateHz &&
      this.historical === block.historical &&
      this.isRecorded === (block.recordedUs !== null) &&
      areSame(this.layout.channels, block.channels)
    )
  }

  numberAt(row: number): number {
    return this.numbers === undefined ? this.base + row : (this.numbers[row] as number)
  }

  epochAt(row: number): number {
    return this.epochs === undefined ? this.epoch : (this.epochs[row] as number)
  }

  /** First row at or after a time; `to` when there is none. */
  at(timeUs: number): number {
    const { timesUs } = this
    let low = this.from
    let high = this.to
    if (low === high || (timesUs[high - 1] as number) < timeUs) return high
    const firstUs = timesUs[low] as number
    if (firstUs >= timeUs) return low
    // Rows mostly come in a rhythm, so the first guess is mostly right.
    const guess = low + Math.ceil(((timeUs - firstUs) / ((timesUs[high - 1] as number) - firstUs)) * (high - 1 - low))
    if ((timesUs[guess] as number) < timeUs) low = guess + 1
    else if ((timesUs[guess - 1] as number) < timeUs) return guess
    else high = guess
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((timesUs[middle] as number) < timeUs) low = middle + 1
      else high = middle
    }
    return low
  }

  /** True when there is no room for so many more rows. */
  isFullFor(count: number): boolean {
    return this.to + count > this.room
  }

  /** Rows before `row` are needed no more. */
  leave(row: number): void {
    if (row <= this.from) return
    this.from = row
    if (this.from === this.to) this.oddUs = Number.NEGATIVE_INFINITY
  }

  /** Adds rows `from` to `to` - 1 of a block. */
  add(block: Block, rows: Rows, from: number, to: number): void {
    const count = to - from
    this.reserve(count)
    if (block.qualities.length > 0 && this.qualities === undefined && isAnyOdd(block.qualities, from, to)) {
      this.qualities = new Uint8Array(this.room)
    }
    if (rows.isAscending && this.isBefore(rows.timesUs[from] as number, block.epoch, rows.numbers[from] as number)) {
      this.append(block, rows, from, count)
      return
    }
    for (let row = from; row < to; row++) {
      const at = this.placeOf(rows.timesUs[row] as number, block.epoch, rows.numbers[row] as number)
      if (at < this.to) this.insert(block, rows, row, at)
      else this.append(block, rows, row, 1)
    }
  }

  /** The elements of channel `place` of rows `from` to `to` - 1, as they lie there. */
  elements(place: number, from: number, to: number): Samples {
    const start = place * this.room
    return this.samples.subarray((start + from) * this.width, (start + to) * this.width)
  }

  /** Adds the identities of rows `from` to `to` - 1. */
  identify(from: number, to: number, ranges: Range[]): void {
    if (from === to) return
    const { sourceId, numbers } = this
    if (numbers === undefined) {
      ranges.push({ sourceId, epoch: this.epoch, seqFrom: this.base + from, seqTo: this.base + to - 1 })
      return
    }
    const byEpoch = new Map<number, number[]>()
    for (let row = from; row < to; row++) {
      const epoch = this.epochAt(row)
      const own = byEpoch.get(epoch)
      if (own === undefined) byEpoch.set(epoch, [numbers[row] as number])
      else own.push(numbers[row] as number)
    }
    for (const [epoch, own] of byEpoch)
      ranges.push(
        ...rangesOf(
          sourceId,
          epoch,
          own.sort((a, b) => a - b),
        ),
      )
  }

  /** As stored. */
  columns(): LaneColumns {
    const { from, to } = this
    const samples = samplesOf(this.dtype, this.rows * this.width * this.layout.kept.length)
    this.moveSamples(samples, this.rows, 0)
    return {
      timesUs: this.timesUs.slice(from, to),
      numbers: this.numbers?.slice(from, to) ?? NOTHING,
      epochs: this.epochs?.slice(from, to) ?? NOTHING,
      qualities: this.qualities?.slice(from, to) ?? NO_BYTES,
      recordedUs: this.recordedUs?.slice(from, to) ?? NOTHING,
      samples,
    }
  }

  /** Takes stored columns over. */
  restore(columns: LaneColumns, firstNumber: number, epoch: number, oddUs: number): void {
    this.timesUs = columns.timesUs
    this.samples = columns.samples
    this.from = 0
    this.to = columns.timesUs.length
    this.base = firstNumber
    this.epoch = epoch
    this.oddUs = oddUs
    if (columns.numbers.length > 0) this.numbers = columns.numbers
    if (columns.epochs.length > 0) this.epochs = columns.epochs
    if (columns.qualities.length > 0) this.qualities = columns.qualities
    if (this.isRecorded) this.recordedUs = columns.recordedUs
  }

  /** True when the last row comes before a row of this time, epoch and number. */
  private isBefore(timeUs: number, epoch: number, number: number): boolean {
    return this.from === this.to || this.compare(this.to - 1, timeUs, epoch, number) < 0
  }

  private compare(row: number, timeUs: number, epoch: number, number: number): number {
    return (this.timesUs[row] as number) - timeUs || this.epochAt(row) - epoch || this.numberAt(row) - number
  }

  private placeOf(timeUs: number, epoch: number, number: number): number {
    let low = this.from
    let high = this.to
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compare(middle, timeUs, epoch, number) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  private append(block: Block, rows: Rows, from: number, count: number): void {
    const { to, layout, width, room } = this
    const first = rows.numbers[from] as number
    this.number(block.epoch, first, count === 1 || (rows.numbers[from + count - 1] as number) - first === count - 1)
    for (let i = 0; i < count; i++) this.timesUs[to + i] = rows.timesUs[from + i] as number
    if (this.numbers !== undefined) for (let i = 0; i < count; i++) this.numbers[to + i] = rows.numbers[from + i] as number
    if (this.epochs !== undefined) this.epochs.fill(block.epoch, to, to + count)
    if (this.recordedUs !== undefined) for (let i = 0; i < count; i++) this.recordedUs[to + i] = rows.recordedUs[from + i] as number
    let odd = 0
    for (let place = 0; place < layout.kept.length; place++) {
      const source = ((layout.kept[place] as number) * block.rows + from) * width
      odd += copy(rows.samples, source, count * width, this.samples, (place * room + to) * width)
    }
    this.to += count
    if (odd !== 0) this.noteOdd(count, to)
    this.qualify(block.qualities, from, count, to)
  }

  /** An earlier row: those after it move up. */
  private insert(block: Block, rows: Rows, row: number, at: number): void {
    const { to, layout, width, room } = this
    this.giveNumbers()
    if (this.epochs === undefined && block.epoch !== this.epoch) this.giveEpochs()
    const columns = [this.timesUs, this.numbers, this.epochs, this.qualities, this.recordedUs]
    for (const column of columns) column?.copyWithin(at + 1, at, to)
    this.timesUs[at] = rows.timesUs[row] as number
    ;(this.numbers as Float64Array)[at] = rows.numbers[row] as number
    if (this.epochs !== undefined) this.epochs[at] = block.epoch
    if (this.recordedUs !== undefined) this.recordedUs[at] = rows.recordedUs[row] as number
    let odd = 0
    for (let place = 0; place < layout.kept.length; place++) {
      const start = place * room
      this.samples.copyWithin((start + at + 1) * width, (start + at) * width, (start + to) * width)
      odd += copy(rows.samples, ((layout.kept[place] as number) * block.rows + row) * width, width, this.samples, (start + at) * width)
    }
    this.to++
    if (odd !== 0) this.noteOdd(1, at)
    this.qualify(block.qualities, row, 1, at)
  }

  /** Some of the rows from `at` on have an element that is not a number. */
  private noteOdd(count: number, at: number): void {
    this.oddUs = Math.max(this.oddUs, this.timesUs[at + count - 1] as number)
  }

  private qualify(qualities: Uint8Array, from: number, count: number, at: number): void {
    if (this.qualities === undefined) return
    for (let i = 0; i < count; i++) {
      const quality = qualities[from + i] ?? 0 // a block without qualities is all good
      this.qualities[at + i] = quality
      if (quality !== 0) this.oddUs = Math.max(this.oddUs, this.timesUs[at + i] as number)
    }
  }

  /** Says what the numbers of rows are that are about to follow the last one. */
  private number(epoch: number, first: number, countUp: boolean): void {
    if (this.from === this.to) {
      this.numbers = undefined
      this.epochs = undefined
      this.epoch = epoch
      this.base = first - this.to
    }
    if (this.epochs === undefined && epoch !== this.epoch) this.giveEpochs()
    if (this.numbers === undefined && !(countUp && first === this.base + this.to && this.epochs === undefined)) this.giveNumbers()
  }

  private giveNumbers(): void {
    if (this.numbers !== undefined) return
    this.numbers = new Float64Array(this.room)
    for (let row = this.from; row < this.to; row++) this.numbers[row] = this.base + row
  }

  private giveEpochs(): void {
    this.giveNumbers()
    this.epochs = new Float64Array(this.room).fill(this.epoch, this.from, this.to)
  }

  /** Makes room behind the last row: by moving the rows to the front where that gives enough of it, else by growing. */
  private reserve(count: number): void {
    const { rows, room } = this
    if (this.to + count <= room) return
    const needed = rows + count
    const isFarTooLarge = needed * 3 < room
    const isLong = rows >= LONG_ROWS
    const rowBytes = 8 + this.width * this.layout.kept.length * this.samples.BYTES_PER_ELEMENT
    const spare = isLong ? rows >> 2 : Math.max(rows >> 5, Math.min(SPARE_ROWS, Math.ceil(SPARE_BYTES / rowBytes)))
    const isEnough = isLong ? needed + (spare >> 1) <= room : needed <= room && this.from * 4 >= rows
    if (isEnough && !isFarTooLarge) this.move(room)
    else this.move(isFarTooLarge ? needed + spare : Math.max(needed + spare, room + (spare >> 1)))
  }

  /** Moves the rows to the front of columns with room for so many. */
  private move(room: number): void {
    const { from, to, rows } = this
    const isSame = room === this.room
    const moved = <A extends Float64Array | Uint8Array>(column: A | undefined, longer: (length: number) => A): A | undefined => {
      if (column === undefined) return undefined
      if (isSame) return column.copyWithin(0, from, to) as A
      const grown = longer(room)
      grown.set(column.subarray(from, to))
      return grown
    }
    const doubles = (length: number) => new Float64Array(length)
    if (isSame) this.moveSamples(this.samples, room, 0)
    else {
      const { timesUs } = this
      const length = room * this.width * this.layout.kept.length
      // One piece of memory for both: a small lane is to be small.
      const memory = new ArrayBuffer(room * 8 + length * (this.dtype === 'f32' ? 4 : 8))
      const samples = this.dtype === 'f32' ? new Float32Array(memory, room * 8, length) : new Float64Array(memory, room * 8, length)
      this.moveSamples(samples, room, 0)
      this.timesUs = new Float64Array(memory, 0, room)
      this.timesUs.set(timesUs.subarray(from, to))
      this.samples = samples
    }
    if (isSame) this.timesUs.copyWithin(0, from, to)
    this.numbers = moved(this.numbers, doubles)
    this.epochs = moved(this.epochs, doubles)
    this.qualities = moved(this.qualities, (length) => new Uint8Array(length))
    this.recordedUs = this.isRecorded ? moved(this.recordedUs ?? NOTHING, doubles) : undefined
    this.base += from
    this.from = 0
    this.to = rows
    this.simplify()
  }

  /** Columns that say nothing any more go: numbers that count up, qualities that are all good. */
  private simplify(): void {
    if (this.numbers !== undefined && isCountingUp(this.numbers, this.to) && isOneValue(this.epochs, this.to)) {
      this.base = this.to === 0 ? 0 : (this.numbers[0] as number)
      this.epoch = this.epochs?.[0] ?? this.epoch
      this.numbers = undefined
      this.epochs = undefined
    }
    if (this.qualities !== undefined && !isAnyOdd(this.qualities, 0, this.to)) this.qualities = undefined
  }

  /** Copies the rows to columns with room for so many: from the first channel on, so that they may be the lane's own. */
  private moveSamples(target: Samples, room: number, at: number): void {
    const { from, to, width, layout, samples } = this
    for (let place = 0; place < layout.kept.length; place++) {
      const start = place * this.room
      if (target === samples) target.copyWithin((place * room + at) * width, (start + from) * width, (start + to) * width)
      else target.set(samples.subarray((start + from) * width, (start + to) * width), (place * room + at) * width)
    }
  }
}

const NOTHING = new Float64Array(0)
const NO_SINGLES = new Float32Array(0)
const NO_BYTES = new Uint8Array(0)

const samplesOf = (dtype: string, length: number): Samples => (dtype === 'f32' ? new Float32Array(length) : new Float64Array(length))

/** Copies numbers; not 0 when one of them is none. */
const copy = (source: Samples, from: number, count: number, target: Samples, to: number): number => {
  let odd = 0
  if (count < MANY) {
    for (let i = 0; i < count; i++) {
      const x = source[from + i] as number
      target[to + i] = x
      odd += x - x // NaN for infinities and NaN alike
    }
    return odd
  }
  target.set(source.subarray(from, from + count), to)
  for (let i = from; i < from + count; i++) odd += (source[i] as number) - (source[i] as number)
  return odd
}

const isAnyOdd = (qualities: Uint8Array, from: number, to: number): boolean => {
  for (let row = from; row < to; row++) if (qualities[row] !== 0) return true
  return false
}

const isCountingUp = (numbers: Float64Array, count: number): boolean => {
  for (let row = 1; row < count; row++) if (numbers[row] !== (numbers[row - 1] as number) + 1) return false
  return true
}

const isOneValue = (column: Float64Array | undefined, count: number): boolean => {
  if (column === undefined) return true
  for (let row = 1; row < count; row++) if (column[row] !== column[0]) return false
  return true
}
