// A fetched batch of records as columns: where each record's parts lie in the fetched bytes. Nothing is decoded before
// somebody asks, and nothing is copied: a value is a view, a key that was seen before is the same string again.

import { headerMap } from '../encoded-headers.ts'
import type { LogRecord, RecordBatch } from '../port.ts'
import { TextCache } from '../text-cache.ts'
import { readVarint } from '../varint.ts'

/** Keys and header values of all logs of this process; assets, types and lanes are few. */
const texts = new TextCache()

/** Most headers whose places are remembered for the record that was looked at last; further ones are walked to. */
const MOST_HEADERS = 32

export class Columns implements RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly buffers: Buffer[] = []
  count = 0
  nextOffset: number
  readonly highWatermark: number
  readonly offset: Float64Array
  readonly timestampMs: Float64Array
  readonly leaderEpoch: Int32Array
  readonly keyAtByte: Int32Array
  readonly keyLength: Int32Array
  readonly valueAtByte: Int32Array
  readonly valueLength: Int32Array
  readonly headersAtByte: Int32Array
  /** Which of `buffers` holds the record. */
  readonly source: Int32Array
  private list: LogRecord[] | undefined
  /** Of the record `walked`: name and value of each header, as start and length. */
  private readonly places = new Int32Array(MOST_HEADERS * 4)
  private walked = -1
  private headers = 0

  constructor(topic: string, partition: number, capacity: number, from: { nextOffset: number; highWatermark: number }) {
    this.topic = topic
    this.partition = partition
    this.nextOffset = from.nextOffset
    this.highWatermark = from.highWatermark
    this.offset = new Float64Array(capacity)
    this.timestampMs = new Float64Array(capacity)
    const ints = new Int32Array(capacity * 7)
    const column = (i: number): Int32Array => ints.subarray(i * capacity, (i + 1) * capacity)
    this.leaderEpoch = column(0)
    this.keyAtByte = column(1)
    this.keyLength = column(2)
    this.valueAtByte = column(3)
    this.valueLength = column(4)
    this.headersAtByte = column(5)
    this.source = column(6)
  }

  get records(): readonly LogRecord[] {
    this.list ??= Array.from({ length: this.count }, (_, index) => new ColumnRecord(this, index))
    return this.list
  }

  /** Leaves out what lies at or above the offset. */
  endBefore(offset: number): void {
    while (this.count > 0 && this.offset[this.count - 1]! >= offset) this.count--
    this.nextOffset = Math.min(this.nextOffset, offset)
    this.list = undefined
  }

  offsetAt(index: number): number {
    return this.offset[index]!
  }

  leaderEpochAt(index: number): number {
    return this.leaderEpoch[index]!
  }

  timestampMsAt(index: number): number {
    return this.timestampMs[index]!
  }

  keyAt(index: number): string | null {
    const length = this.keyLength[index]!
    return length < 0 ? null : texts.text(this.sourceAt(index), this.keyAtByte[index]!, length)
  }

  valueAt(index: number): Buffer | null {
    const length = this.valueLength[index]!
    const at = this.valueAtByte[index]!
    return length < 0 ? null : this.sourceAt(index).subarray(at, at + length)
  }

  sourceAt(index: number): Buffer {
    return this.buffers[this.source[index]!]!
  }

  valueStartAt(index: number): number {
    return this.valueLength[index]! < 0 ? -1 : this.valueAtByte[index]!
  }

  valueEndAt(index: number): number {
    const length = this.valueLength[index]!
    return length < 0 ? -1 : this.valueAtByte[index]! + length
  }

  headerAt(index: number, name: string): string | undefined {
    if (this.walked !== index) this.walk(index)
    const buffer = this.sourceAt(index)
    const { places } = this
    if (this.headers <= MOST_HEADERS) {
      // From behind: of headers with one name the last one counts, as everywhere in Kafka.
      for (let at = (this.headers - 1) * 4; at >= 0; at -= 4) {
        if (places[at + 1] !== name.length || places[at + 3]! < 0 || !isText(buffer, places[at]!, name)) continue
        return texts.text(buffer, places[at + 2]!, places[at + 3]!)
      }
      return undefined
    }
    const all = this.headersAt(index)
    return Object.hasOwn(all, name) ? all[name] : undefined
  }

  headersAt(index: number): Record<string, string> {
    return headerMap(this.sourceAt(index), this.headersAtByte[index]!)
  }

  /** Finds the record's headers once for all names that will be asked for. */
  private walk(index: number): void {
    const buffer = this.sourceAt(index)
    const place = { at: this.headersAtByte[index]! }
    const count = readVarint(buffer, place)
    const { places } = this
    for (let i = 0; i < count && i < MOST_HEADERS; i++) {
      const nameLength = readVarint(buffer, place)
      places[i * 4] = place.at
      places[i * 4 + 1] = nameLength
      place.at += nameLength
      const valueLength = readVarint(buffer, place)
      places[i * 4 + 2] = place.at
      places[i * 4 + 3] = valueLength
      if (valueLength > 0) place.at += valueLength
    }
    this.headers = count
    this.walked = index
  }
}

/** A record as a view into its columns. */
class ColumnRecord implements LogRecord {
  private readonly columns: Columns
  private readonly index: number

  constructor(columns: Columns, index: number) {
    this.columns = columns
    this.index = index
  }

  get topic(): string {
    return this.columns.topic
  }

  get partition(): number {
    return this.columns.partition
  }

  get offset(): number {
    return this.columns.offset[this.index]!
  }

  get leaderEpoch(): number {
    return this.columns.leaderEpoch[this.index]!
  }

  get timestampMs(): number {
    return this.columns.timestampMs[this.index]!
  }

  get key(): string | null {
    return this.columns.keyAt(this.index)
  }

  get value(): Buffer | null {
    return this.columns.valueAt(this.index)
  }

  header(name: string): string | undefined {
    return this.columns.headerAt(this.index, name)
  }

  headers(): Record<string, string> {
    return this.columns.headersAt(this.index)
  }
}

/** Compares an ASCII name with bytes, without making a string of them. */
const isText = (buffer: Buffer, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (buffer[at + i] !== text.charCodeAt(i)) return false
  return true
}
