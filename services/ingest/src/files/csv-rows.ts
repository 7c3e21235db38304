// CSV bytes → rows in columns, in one pass over the bytes: on the usual path no field becomes a string or an object. Pure.
// RFC 4180: quotes around a field, doubled inside one; lines end with LF, CRLF or CR LF; empty lines are no rows.

import { numberOf, timeOf } from './cell.ts'
import type { TimeOf } from './cell.ts'
import { shortened } from './column-plan.ts'
import type { ColumnPlan } from './column-plan.ts'
import type { FileAssets } from './file-assets.ts'
import type { RowBatch } from './row-batch.ts'
import { RowWords } from './row-words.ts'

export interface CsvForm {
  readonly separator: ',' | ';' | '\t' | '|'
  readonly decimal: '.' | ','
}

const LF = 0x0a
const CR = 0x0d
const QUOTE = 0x22
const ZERO = 0x30
const MINUS = 0x2d

const SKIP = 0
const VALUE = 1
const TIME = 2
const ASSET = 3
const QUALITY = 4
const CHANNEL = 5

const powersOf10 = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`))
/** Digits that a double keeps whatever they are. */
const exactDigits = 15
const dayUs = 86_400_000_000
const earliestUs = Date.UTC(2000, 0) * 1000
const latestUs = Date.UTC(2200, 0) * 1000

export class CsvRows {
  readonly #plan: ColumnPlan
  readonly #form: CsvForm
  readonly #words: RowWords
  readonly #timeOf: TimeOf
  readonly #kinds: Uint8Array
  /** Of a column of values: which of the batch's channels. */
  readonly #slots: Int32Array
  readonly #scales: Float64Array
  readonly #offsets: Float64Array
  readonly #constantAsset: number
  #timeUs = 0

  constructor(plan: ColumnPlan, form: CsvForm, assets: FileAssets) {
    this.#plan = plan
    this.#form = form
    this.#words = new RowWords(plan, assets)
    this.#timeOf = timeOf(plan.time.format, plan.time.timezone, form.decimal)
    const columns = plan.names.length
    this.#kinds = new Uint8Array(columns)
    this.#slots = new Int32Array(columns)
    this.#scales = new Float64Array(columns).fill(1)
    this.#offsets = new Float64Array(columns)
    const value = (column: number, slot: number, scale: number, offset: number) => {
      this.#kinds[column] = VALUE
      this.#slots[column] = slot
      this.#scales[column] = scale
      this.#offsets[column] = offset
    }
    plan.values.forEach(({ column, scale, offset }, slot) => value(column, slot, scale, offset))
    if (plan.long !== undefined) {
      value(plan.long.valueColumn, 0, plan.long.scale, plan.long.offset)
      this.#kinds[plan.long.channelColumn] = CHANNEL
    }
    this.#kinds[plan.time.column] = TIME
    if ('column' in plan.asset) this.#kinds[plan.asset.column] = ASSET
    if (plan.quality !== undefined) this.#kinds[plan.quality.column] = QUALITY
    this.#constantAsset = 'id' in plan.asset ? assets.indexOf(plan.asset.id) : -1
  }

  /** Channels of the long form so far, in the order of `longChannels`. */
  get longChannels(): readonly string[] {
    return this.#words.channels
  }

  /**
   * Reads rows from `batch.bytes[from..to)` until the batch is full or no whole row is left; returns where it stopped. At the end of the
   * file the last row needs no line end. `batch.bytes` has one more byte of room behind `to`.
   */
  fill(batch: RowBatch, from: number, to: number, isEnd: boolean): number {
    const { bytes } = batch
    bytes[to] = LF // a fence, so that the loops below look at one thing only
    let at = from
    while (at < to && batch.rows < batch.capacity) {
      if (bytes[at] === LF) at++
      else if (bytes[at] === CR && bytes[at + 1] === LF && at + 1 < to) at += 2
      else {
        const next = this.#row(batch, at, to, isEnd)
        if (next < 0) break
        at = next
      }
    }
    return at
  }

  /** One row; returns where the next one begins, or -1 when this one is not whole. */
  #row(batch: RowBatch, start: number, to: number, isEnd: boolean): number {
    const { bytes } = batch
    const { rows: row, capacity, values } = batch
    const kinds = this.#kinds
    const columns = kinds.length
    const separator = this.#form.separator.charCodeAt(0)
    const decimal = this.#form.decimal.charCodeAt(0)
    const faultsBefore = batch.faults.length
    batch.assets[row] = this.#constantAsset
    batch.qualities[row] = 0
    let quality = 0
    let at = start
    let column = 0
    for (; ; column++) {
      const kind = column < columns ? kinds[column]! : SKIP
      const first = bytes[at]!
      if (kind === VALUE && first !== QUOTE) {
        // Digits, a fraction, then the end of the field: exact as long as the digits are few.
        let here = first === MINUS ? at + 1 : at
        const digitsFrom = here
        let mantissa = 0
        let digit = bytes[here]! - ZERO
        while (digit >= 0 && digit <= 9) {
          mantissa = mantissa * 10 + digit
          digit = bytes[++here]! - ZERO
        }
        let digits = here - digitsFrom
        let fraction = 0
        if (bytes[here] === decimal && decimal !== separator) {
          const fractionFrom = here + 1
          digit = bytes[++here]! - ZERO
          while (digit >= 0 && digit <= 9) {
            mantissa = mantissa * 10 + digit
            digit = bytes[++here]! - ZERO
          }
          fraction = here - fractionFrom
          digits += fraction
        }
        const end = bytes[here]!
        if (digits > 0 && digits <= exactDigits && (end === separator || end === LF || (end === CR && bytes[here + 1] === LF))) {
          const magnitude = fraction === 0 ? mantissa : mantissa / powersOf10[fraction]!
          values[this.#slots[column]! * capacity + row] =
            (first === MINUS ? -magnitude : magnitude) * this.#scales[column]! + this.#offsets[column]!
          at = here
        } else at = this.#plainField(batch, row, column, at, separator)
      } else if (first === QUOTE) {
        const end = this.#quotedField(batch, row, column, at, to)
        if (end < 0) {
          if (!isEnd) {
            batch.faults.length = faultsBefore
            return -1
          }
          batch.fault(row, this.#nameOf(column), 'a quote that is never closed', 'a closing quote')
          at = to
        } else at = end
      } else at = this.#plainField(batch, row, column, at, separator)

      if (kind === QUALITY) quality = batch.qualities[row]!
      if (bytes[at] === separator && at < to) {
        at++
        continue
      }
      if (bytes[at] === CR && at < to) at++
      break
    }
    if (at >= to && !isEnd) {
      // The fence, not a line end: the row goes on behind what is here.
      batch.faults.length = faultsBefore
      return -1
    }
    batch.starts[row] = start
    batch.ends[row] = Math.min(at, to)
    batch.timesUs[row] = this.#timeUs
    if (column + 1 !== columns) {
      batch.faults.length = faultsBefore
      batch.fault(row, '', `${column + 1} fields`, `${columns}, as the header has`)
    }
    if (quality !== 0) batch.anyQuality = true
    batch.rows++
    return at >= to ? to : at + 1
  }

  /** A field without quotes; returns where it ends. */
  #plainField(batch: RowBatch, row: number, column: number, from: number, separator: number): number {
    const { bytes } = batch
    let at = from
    while (bytes[at] !== separator && bytes[at] !== LF) at++
    const to = bytes[at] === LF && at > from && bytes[at - 1] === CR ? at - 1 : at
    if (column < this.#kinds.length) this.#take(batch, row, column, bytes, from, to)
    return to
  }

  /** A field in quotes; returns where it ends, or -1 when its quote is not closed before `to`. */
  #quotedField(batch: RowBatch, row: number, column: number, from: number, to: number): number {
    const { bytes } = batch
    const separator = this.#form.separator.charCodeAt(0)
    let hasDoubled = false
    let at = from + 1
    for (; at < to; at++) {
      if (bytes[at] !== QUOTE) continue
      if (at + 1 < to && bytes[at + 1] === QUOTE) {
        hasDoubled = true
        at++
      } else break
    }
    if (at >= to) return -1
    const after = at + 1
    const next = bytes[after]!
    const isEnd = next === separator || next === LF || (next === CR && (bytes[after + 1] === LF || after + 1 >= to))
    if (!isEnd) {
      batch.fault(row, this.#nameOf(column), 'text behind a closing quote', 'a separator or the end of the line')
      let end = after
      while (bytes[end] !== separator && bytes[end] !== LF) end++
      return end
    }
    if (column < this.#kinds.length) {
      if (!hasDoubled) this.#take(batch, row, column, bytes, from + 1, at)
      else {
        const text = Buffer.from(bytes.toString('latin1', from + 1, at).replaceAll('""', '"'), 'latin1')
        this.#take(batch, row, column, text, 0, text.length)
      }
    }
    return after
  }

  #take(batch: RowBatch, row: number, column: number, bytes: Buffer, from: number, to: number): void {
    switch (this.#kinds[column]) {
      case TIME:
        this.#time(batch, row, column, bytes, from, to)
        break
      case VALUE: {
        const value = numberOf(bytes.toString('latin1', from, to), this.#form.decimal)
        if (value === undefined)
          this.#fault(batch, row, column, bytes, from, to, `a number with ${JSON.stringify(this.#form.decimal)} before its fraction`)
        batch.values[this.#slots[column]! * batch.capacity + row] = (value ?? Number.NaN) * this.#scales[column]! + this.#offsets[column]!
        break
      }
      case ASSET: {
        const asset = this.#words.asset.at(bytes, from, to)
        batch.assets[row] = asset
        if (asset < 0) this.#fault(batch, row, column, bytes, from, to, 'the id of an asset')
        break
      }
      case QUALITY: {
        const quality = this.#words.quality.at(bytes, from, to)
        if (quality < 0) this.#fault(batch, row, column, bytes, from, to, '0 (good), 1 (uncertain), 2 (bad) or nothing')
        else batch.qualities[row] = quality
        break
      }
      case CHANNEL: {
        const channel = this.#words.channel.at(bytes, from, to)
        batch.longChannels[row] = channel
        if (channel < 0) this.#fault(batch, row, column, bytes, from, to, 'a channel of the mapping')
        break
      }
    }
  }

  #time(batch: RowBatch, row: number, column: number, bytes: Buffer, from: number, to: number): void {
    const { format } = this.#plan.time
    let timeUs = Number.NaN
    if (format === 'iso8601') timeUs = isoUtc(bytes, from, to)
    else if (format !== 's') timeUs = wholeNumber(bytes, from, to) * (format === 'ms' ? 1000 : format === 'us' ? 1 : Number.NaN)
    if (timeUs >= earliestUs && timeUs < latestUs) {
      this.#timeUs = timeUs
      return
    }
    const read = this.#timeOf(bytes.toString('latin1', from, to))
    if (typeof read === 'string') this.#fault(batch, row, column, bytes, from, to, read)
    else this.#timeUs = read
  }

  #fault(batch: RowBatch, row: number, column: number, bytes: Buffer, from: number, to: number, expected: string): void {
    const text = bytes.toString('utf8', from, Math.min(to, from + 100))
    batch.fault(row, this.#nameOf(column), text === '' ? 'nothing' : JSON.stringify(shortened(text)), expected)
  }

  #nameOf(column: number): string {
    return this.#plan.names[column] ?? ''
  }
}

/** Up to 15 digits and nothing else; NaN otherwise. */
const wholeNumber = (bytes: Buffer, from: number, to: number): number => {
  // 16 digits below 2^53, as microseconds of this century are, are exact too.
  if (to - from > exactDigits + 1 || to === from) return Number.NaN
  let value = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - ZERO
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN
}

const twoDigits = (bytes: Buffer, at: number): number => {
  const tens = bytes[at]! - ZERO
  const ones = bytes[at + 1]! - ZERO
  return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? Number.NaN : tens * 10 + ones
}

const daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

/** `2026-11-23T08:15:00.25Z` exactly so, in UTC; NaN for every other form, valid or not. */
const isoUtc = (bytes: Buffer, from: number, to: number): number => {
  if (to - from < 20 || to - from > 27 || bytes[to - 1] !== 0x5a) return Number.NaN
  if (bytes[from + 4] !== MINUS || bytes[from + 7] !== MINUS || bytes[from + 13] !== 0x3a || bytes[from + 16] !== 0x3a) return Number.NaN
  if (bytes[from + 10] !== 0x54 && bytes[from + 10] !== 0x20) return Number.NaN
  const year = twoDigits(bytes, from) * 100 + twoDigits(bytes, from + 2)
  const month = twoDigits(bytes, from + 5)
  const day = twoDigits(bytes, from + 8)
  const hour = twoDigits(bytes, from + 11)
  const minute = twoDigits(bytes, from + 14)
  const second = twoDigits(bytes, from + 17)
  // Days up to 28 are in every month; the others and leap seconds take the long way.
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour <= 23 && minute <= 59 && second <= 59 && year >= 2000)) return Number.NaN
  let micros = 0
  if (to - from > 20) {
    if (bytes[from + 19] !== 0x2e || to - from === 21) return Number.NaN
    let unit = 100_000
    for (let at = from + 20; at < to - 1; at++) {
      const digit = bytes[at]! - ZERO
      if (digit < 0 || digit > 9) return Number.NaN
      micros += digit * unit
      unit /= 10
    }
  }
  const leapDays = Math.floor((year - 1969) / 4) - (year > 2100 ? 1 : 0)
  const hasLeapDay = month > 2 && year % 4 === 0 && year !== 2100
  const days = (year - 1970) * 365 + leapDays + daysBefore[month - 1]! + (hasLeapDay ? 1 : 0) + day - 1
  return days * dayUs + (hour * 3600 + minute * 60 + second) * 1e6 + micros
}
