// Moves queued records into one batch per partition, in order, as far as they fit into the next request.

import { logError } from '../log-error.ts'
import type { AppendedRun } from '../appended.ts'
import { murmur2 } from '../murmur2.ts'
import { sizeOf } from './append-queue.ts'
import type { Call } from './append-queue.ts'
import { BatchWriter, HeaderWriter } from './batch-writer.ts'

/** What the broker acknowledged last on a partition, and the next sequence number. */
export interface Lane {
  /** Name at the broker. */
  readonly topic: string
  readonly plainName: string
  readonly partition: number
  readonly writer: BatchWriter
  sequence: number
  last: { leaderEpoch: number; offset: number } | undefined
  connection: object | undefined
  /** The batch that is being filled. */
  batch: Batch | undefined
}

/** Consecutive records of one call in one batch, and the number of that run within its call. */
export interface Part {
  readonly call: Call
  readonly run: AppendedRun
  readonly number: number
}

/** The records of one partition in a request. */
export interface Batch {
  readonly lane: Lane
  readonly parts: Part[]
  /** The last of the parts. */
  part: Part | undefined
  /** Until they are acknowledged or refused. */
  bytes: Buffer | undefined
}

export interface RoundLimits {
  readonly maxRequestRecords: number
  readonly maxRequestBytes: number
  readonly maxBatchBytes: number
}

const ATOMIC_BATCH_BYTES = 64 * 1024 * 1024

/** Keys are few compared with records: their bytes and hashes are kept. */
interface Key {
  readonly bytes: Buffer
  readonly hash: number
}

const MOST_KEYS = 10_000

/** The lanes of one producer identity, and what is needed to fill their batches. */
export class Lanes {
  private readonly prefix: string
  private readonly limits: RoundLimits
  private readonly byTopic = new Map<string, Lane[]>()
  private readonly keys = new Map<string, Key>()
  private readonly headers = new HeaderWriter()
  private roundRobin = 0

  constructor(prefix: string, limits: RoundLimits) {
    this.prefix = prefix
    this.limits = limits
  }

  /** A new producer identity: sequences start again. */
  clear(): void {
    this.byTopic.clear()
  }

  /**
   * Adds records of the call to the round; `partitions` says how many its topics have. False when the round is full: the
   * call, or the rest of it, goes into the next one.
   */
  take(call: Call, round: Round, partitions: ReadonlyMap<string, number>): boolean {
    const { records } = call
    const limit = call.atomic ? ATOMIC_BATCH_BYTES : this.limits.maxBatchBytes
    const nowMs = Date.now()
    let topic: string | undefined
    let lanes: Lane[] = []
    let count = 0
    // Most calls fit as a whole: then no record has to be measured.
    const fits =
      round.bytes + call.bytes <= Math.min(limit, this.limits.maxRequestBytes) &&
      round.records + records.length - call.taken <= this.limits.maxRequestRecords
    while (call.taken < records.length) {
      const record = records[call.taken]!
      if (record.topic !== topic) {
        topic = record.topic
        lanes = this.lanesOf(topic)
        count = partitions.get(topic)!
      }
      if (typeof record.value === 'string') throw new TypeError('the value is a text') // it would be stored as zeros
      const key = record.key === null ? null : this.key(record.key)
      const partition = record.partition ?? (key === null ? this.roundRobin++ : key.hash) % count
      const lane = (lanes[partition] ??= this.lane(record.topic, partition))
      let { batch } = lane
      if (!fits) {
        const size = sizeOf(record)
        const isFull = batch !== undefined && lane.writer.size + size > limit
        if (isFull && call.atomic)
          throw logError('fatal', 'ANDON_LOG_TOO_LARGE', `An atomic append to ${record.topic}/${partition} exceeds ${limit} bytes`)
        if (isFull || (!call.atomic && round.isFull(this.limits))) return false
        round.bytes += size
      }
      if (!batch) {
        batch = round.begin(lane)
        lane.batch = batch
      }
      let { part } = batch
      if (part?.call !== call) {
        part = { call, ...call.beginRun(record.topic, partition) }
        batch.part = part
        batch.parts.push(part)
      }
      call.take(part.run, part.number)
      const timestampMs = record.timestampMs
      this.headers.write(record.headers)
      lane.writer.append(
        key === null ? null : key.bytes,
        record.value,
        timestampMs === undefined ? nowMs : Math.trunc(timestampMs),
        this.headers,
      )
      round.records++
    }
    if (fits) round.bytes += call.bytes
    return true
  }

  private lanesOf(topic: string): Lane[] {
    let lanes = this.byTopic.get(topic)
    if (!lanes) this.byTopic.set(topic, (lanes = []))
    return lanes
  }

  private lane(topic: string, partition: number): Lane {
    return {
      topic: this.prefix + topic,
      plainName: topic,
      partition,
      writer: new BatchWriter(),
      sequence: 0,
      last: undefined,
      connection: undefined,
      batch: undefined,
    }
  }

  private key(text: string): Key {
    let key = this.keys.get(text)
    if (!key) {
      const bytes = Buffer.from(text)
      key = { bytes, hash: murmur2(bytes) & 0x7fffffff }
      if (this.keys.size >= MOST_KEYS) this.keys.clear()
      this.keys.set(text, key)
    }
    return key
  }
}

/** What goes into the next request of each broker. */
export class Round {
  readonly batches: Batch[] = []
  records = 0
  bytes = 0

  isFull({ maxRequestRecords, maxRequestBytes }: RoundLimits): boolean {
    return this.records >= maxRequestRecords || this.bytes > maxRequestBytes
  }

  begin(lane: Lane): Batch {
    lane.writer.begin()
    const batch: Batch = { lane, parts: [], part: undefined, bytes: undefined }
    this.batches.push(batch)
    return batch
  }

  /** No more records go in. */
  close(): void {
    for (const { lane } of this.batches) lane.batch = undefined
  }
}
