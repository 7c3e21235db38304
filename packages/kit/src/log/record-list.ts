// A batch over records that are objects already: what adapters without fetched bytes hand to handlers.

import type { LogRecord, RecordBatch } from './port.ts'

const NOTHING = Buffer.alloc(0)

export class RecordList implements RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly LogRecord[]
  readonly nextOffset: number
  readonly highWatermark: number

  constructor(topic: string, partition: number, records: readonly LogRecord[], nextOffset: number, highWatermark: number) {
    this.topic = topic
    this.partition = partition
    this.records = records
    this.nextOffset = nextOffset
    this.highWatermark = highWatermark
  }

  get count(): number {
    return this.records.length
  }

  offsetAt(index: number): number {
    return this.records[index]!.offset
  }

  leaderEpochAt(index: number): number {
    return this.records[index]!.leaderEpoch
  }

  timestampMsAt(index: number): number {
    return this.records[index]!.timestampMs
  }

  keyAt(index: number): string | null {
    return this.records[index]!.key
  }

  valueAt(index: number): Buffer | null {
    return this.records[index]!.value
  }

  sourceAt(index: number): Buffer {
    return this.records[index]!.value ?? NOTHING
  }

  valueStartAt(index: number): number {
    return this.records[index]!.value === null ? -1 : 0
  }

  valueEndAt(index: number): number {
    return this.records[index]!.value?.length ?? -1
  }

  headerAt(index: number, name: string): string | undefined {
    return this.records[index]!.header(name)
  }
}
