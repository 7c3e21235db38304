// A fetched batch of records as columns: where each record's parts lie in the fetched bytes. Nothing is decoded before
// somebody asks, and nothing is copied: a value is a view, a key that was seen before is the same string again.

import { headerMap } from '../encoded-headers.ts'
import type { LogRecord, RecordBatch } from '../port.ts'
import { TextCache } from '../text-cache.ts'
import { readVarint } from '../varint.ts'
import type { Slabs } from './slabs.ts'

/** Keys and header values of all logs of this process; assets, types and lanes are few. */
const texts = new TextCache()

/** Most headers whose places are remembered for the record that was looked at last; further ones are walked to. */
const MOST_HEADERS = 32

/** What is noted of each record, in this order; lengths are -1 where there is nothing. */
export const CELL = { key: 0, keyLength: 1, value: 2, valueLength: 3, headers: 4, offsetDelta: 5, section: 6 } as const
export const CELLS = 7

/** What the records of one stored batch have in common. */
export interface SectionFacts {
  readonly bytes: Buffer
  readonly baseOffset: number
  readonly leaderEpoch: number
}

export class Columns implements RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly sections: SectionFacts[] = []
  count = 0
  nextOffset: number
  readonly highWatermark: number
  readonly cells: Int32Array
  readonly timestampMs: Float64Array
  private list: LogRecord[] | undefined
  /** Of the record `walked`: name and value of each header, as start and length. */
  private readonly places = new Int32Array(MOST_HEADERS * 4)
  private walked = -1
  private headers = 0
  private readonly place = { at: 0 }

  /** `tables` lends the memory of the columns, to be given back when nobody looks at them any more. */
  constructor(topic: string, partition: number, capacity: number, from: { nextOffset: number; highWatermark: number }, tables?: Slabs) {
    this.topic = topic
    this.partition = partition
    this.nextOffset = from.nextOffset
    this.highWatermark = from.highWatermark
    const bytes = capacity * (Float64Array.BYTES_PER_ELEMENT + CELLS * Int32Array.BYTES_PER_ELEMENT)
    const memory = tables ? tables.take(bytes).buffer : new ArrayBuffer(bytes)
    this.timestampMs = new Float64Array(memory, 0, capacity)
    this.cells = new Int32Array(memory, this.timestampMs.byteLength, capacity * CELLS)
  }

  get records(): readonly LogRecord[] {
    this.list ??= Array.from({ length: this.count }, (_, index) => new ColumnRecord(this, index))
    return this.list
  }

  /** Leaves out what lies at or above the offset. */
  endBefore(offset: number): void {
    while (this.count > 0 && this.offsetAt(this.count - 1) >= offset) this.count--
    this.nextOffset = Math.min(this.nextOffset, offset)
    this.list = undefined
  }

  offsetAt(index: number): number {
    return this.sectionOf(index).baseOffset + this.cells[index * CELLS + CELL.offsetDelta]!
  }

  leaderEpochAt(index: number): number {
    return this.sectionOf(index).leaderEpoch
  }

  timestampMsAt(index: number): number {
    return this.timestampMs[index]!
  }

  keyAt(index: number): string | null {
    const length = this.cells[index * CELLS + CELL.keyLength]!
    return length < 0 ? null : texts.text(this.sourceAt(index), this.cells[index * CELLS + CELL.key]!, length)
  }

  valueAt(index: number): Buffer | null {
    const at = this.valueStartAt(index)
    return at < 0 ? null : this.sourceAt(index).subarray(at, this.valueEndAt(index))
  }

  sourceAt(index: number): Buffer {
    return this.sectionOf(index).bytes
  }

  valueStartAt(index: number): number {
    return this.cells[index * CELLS + CELL.valueLength]! < 0 ? -1 : this.cells[index * CELLS + CELL.value]!
  }

  valueEndAt(index: number): number {
    const length = this.cells[index * CELLS + CELL.valueLength]!
    return length < 0 ? -1 : this.cells[index * CELLS + CELL.value]! + length
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
    return headerMap(this.sourceAt(index), this.cells[index * CELLS + CELL.headers]!)
  }

  private sectionOf(index: number): SectionFacts {
    return this.sections[this.cells[index * CELLS + CELL.section]!]!
  }

  /** Finds the record's headers once for all names that will be asked for. Lengths of one byte are read in line: nearly all are. */
  private walk(index: number): void {
    const buffer = this.sourceAt(index)
    const { places, place } = this
    place.at = this.cells[index * CELLS + CELL.headers]!
    const count = readVarint(buffer, place)
    const noted = count < MOST_HEADERS ? count : MOST_HEADERS
    let { at } = place
    for (let i = 0; i < noted; i++) {
      for (let part = i * 4; part < i * 4 + 4; part += 2) {
        let length = buffer[at]!
        if (length < 128) {
          length = (length >>> 1) ^ -(length & 1)
          at++
        } else {
          place.at = at
          length = readVarint(buffer, place)
          at = place.at
        }
        places[part] = at
        places[part + 1] = length
        if (length > 0) at += length
      }
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
    return this.columns.offsetAt(this.index)
  }

  get leaderEpoch(): number {
    return this.columns.leaderEpochAt(this.index)
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
