// Calls to append, from when they are made until they settle. What is queued is bounded in bytes: a call over the bound
// waits outside, in order, and is told with a retriable error when its time is up before there was room for it.

import type { LogError } from '../../errors.ts'
import { AppendedInRuns } from '../appended.ts'
import type { AppendedRun } from '../appended.ts'
import { EncodedHeaders } from '../encoded-headers.ts'
import { logError } from '../log-error.ts'
import type { Append, AppendOptions, AppendedRecords } from '../port.ts'

/** Room for a record's own lengths, and for headers given as a map, whose size is not known before they are written. */
const RECORD_BYTES = 40
const HEADER_MAP_BYTES = 400

/** Bytes that a record will take at most, or nearly so. */
export const sizeOf = ({ key, value, headers }: Append): number =>
  RECORD_BYTES +
  (key === null ? 0 : key.length) +
  (value === null ? 0 : value.length) +
  (headers === undefined ? 0 : headers instanceof EncodedHeaders ? headers.to - headers.from : HEADER_MAP_BYTES)

/** The partitions of one topic that a call names itself. */
interface Named {
  readonly topic: string
  lowest: number
  highest: number
}

const namedIn = (topics: Named[], topic: string): Named => {
  let named = topics.find((each) => each.topic === topic)
  if (!named) topics.push((named = { topic, lowest: 0, highest: 0 }))
  return named
}

export class Call {
  readonly records: readonly Append[]
  readonly atomic: boolean
  readonly after: NonNullable<AppendOptions['after']>
  /** When it rejects instead of going on trying, ms UTC. */
  readonly endMs: number
  readonly bytes: number
  readonly topics: readonly Named[]
  /** Records that are in batches already. */
  taken = 0
  acknowledged = 0
  hasSettled = false
  readonly result: Promise<AppendedRecords>
  private readonly runs: AppendedRun[] = []
  private runOf: Uint32Array | undefined
  private readonly settle: PromiseWithResolvers<AppendedRecords>

  constructor(records: readonly Append[], options: AppendOptions, endMs: number) {
    this.records = records
    this.atomic = options.atomic === true
    this.after = options.after ?? []
    this.endMs = endMs
    let bytes = 0
    const topics: Named[] = []
    let named: Named | undefined
    // By index: an iterator costs more than the rest of the loop.
    for (let i = 0; i < records.length; i++) {
      const record = records[i]!
      bytes += sizeOf(record)
      if (named?.topic !== record.topic) named = namedIn(topics, record.topic)
      const { partition } = record
      if (partition === undefined) continue
      if (partition > named.highest) named.highest = partition
      if (partition < named.lowest) named.lowest = partition
    }
    this.bytes = bytes
    this.topics = topics
    this.settle = Promise.withResolvers()
    this.result = this.settle.promise
  }

  /** Begins a run: records taken from here on, as long as they go into the same batch. */
  beginRun(topic: string, partition: number): { run: AppendedRun; number: number } {
    const run = { topic, partition, leaderEpoch: -1, firstOffset: -1, count: 0, last: 0 }
    const number = this.runs.push(run) - 1
    if (number === 1) this.runOf = new Uint32Array(this.records.length)
    return { run, number }
  }

  /** The next record has gone into the run. */
  take(run: AppendedRun, number: number): void {
    run.count++
    run.last = this.taken
    if (this.runOf) this.runOf[this.taken] = number
    this.taken++
  }

  resolve(): void {
    this.hasSettled = true
    this.settle.resolve(new AppendedInRuns(this.records.length, this.runs, this.runOf))
  }

  reject(error: LogError): void {
    this.hasSettled = true
    this.settle.reject(error)
  }
}

export class AppendQueue {
  /** Calls that have records left to take, oldest first. */
  calls: Call[] = []
  private readonly maxBytes: number
  private readonly onRoom: () => void
  private readonly waiting: Call[] = []
  private bytes = 0
  private timer: NodeJS.Timeout | undefined

  /** `onRoom` is called when calls have come in from outside. */
  constructor(maxBytes: number, onRoom: () => void) {
    this.maxBytes = maxBytes
    this.onRoom = onRoom
  }

  /** True if the call is in the queue; otherwise it waits for room. */
  add(call: Call): boolean {
    const fits = this.waiting.length === 0 && this.hasRoom(call)
    if (fits) this.enter(call)
    else {
      this.waiting.push(call)
      this.watch()
    }
    return fits
  }

  /** A call that was let in has been answered. */
  left(call: Call): void {
    this.bytes -= call.bytes
    this.admit()
  }

  /** Forgets calls that need nothing more. */
  prune(): void {
    this.calls = this.calls.filter((call) => !call.hasSettled && call.taken < call.records.length)
  }

  get isEmpty(): boolean {
    return this.calls.length === 0 && this.waiting.length === 0
  }

  /** 0 … 1. */
  get pressure(): number {
    return this.waiting.length > 0 ? 1 : Math.min(1, this.bytes / this.maxBytes)
  }

  private enter(call: Call): void {
    this.bytes += call.bytes
    this.calls.push(call)
  }

  /** A call larger than the whole bound is let in alone. */
  private hasRoom(call: Call): boolean {
    return this.bytes === 0 || this.bytes + call.bytes <= this.maxBytes
  }

  private admit(): void {
    let hasEntered = false
    while (this.waiting.length > 0 && this.hasRoom(this.waiting[0]!)) {
      this.enter(this.waiting.shift()!)
      hasEntered = true
    }
    if (this.waiting.length === 0) {
      clearTimeout(this.timer)
      this.timer = undefined
    }
    if (hasEntered) this.onRoom()
  }

  /** All calls have the same time, so the first one's is up first. */
  private watch(): void {
    if (this.timer || this.waiting.length === 0) return
    this.timer = setTimeout(
      () => {
        this.timer = undefined
        while (this.waiting.length > 0 && this.waiting[0]!.endMs <= Date.now())
          this.waiting
            .shift()!
            .reject(
              logError('retriable', 'ANDON_LOG_QUEUE_FULL', `Nothing of this append was sent: ${this.bytes} bytes were queued before it`),
            )
        this.watch()
      },
      Math.max(1, this.waiting[0]!.endMs - Date.now()),
    )
  }
}
