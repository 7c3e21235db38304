// The log port: what services may ask of an event log. Adapters: memory.ts, simulation.ts and kafka/ (kafkajs underneath).
// Both pass test/log-conformance.ts. Offsets are plain numbers (exact below 2^53). Lists of records are columns with a
// lazily built list of objects beside them: whoever reads the columns pays for what it asks, and for nothing else.

import type { EncodedHeaders } from './encoded-headers.ts'

/** A place in one partition. The leader epoch tells a rewritten offset from the original one. */
export interface Position {
  readonly leaderEpoch: number
  readonly offset: number
}

/** One record to append. `partition` overrides the murmur2 hash of the key; a record without key needs it. */
export interface Append {
  readonly topic: string
  readonly key: string | null
  readonly value: Uint8Array | null
  readonly partition?: number
  /**
   * A map, or a header block made by a template. Its bytes, like those of `value`, belong to the log until the append has
   * resolved; after a rejection they are never to be written over, since the append may still be carried out.
   */
  readonly headers?: Readonly<Record<string, string>> | EncodedHeaders
  /** Record timestamp, ms UTC; receive time. Default: now. */
  readonly timestampMs?: number
}

export interface AppendOptions {
  /** The records of each partition are stored all or none; they must fit one batch (64 MiB and the topic's max.message.bytes). */
  readonly atomic?: boolean
  /**
   * Earlier records of the caller. Nothing is appended to one of their partitions when the log has lost the record there:
   * rejects with ANDON_LOG_TAIL_LOST (retriable), so that what was lost can be appended first.
   */
  readonly after?: readonly (Position & { readonly topic: string; readonly partition: number })[]
}

/** Where an appended record lies. */
export interface Appended extends Position {
  readonly topic: string
  readonly partition: number
}

/** Where the records of one append lie, in input order; places are worked out when asked for. */
export interface AppendedRecords extends Iterable<Appended> {
  readonly length: number
  at(index: number): Appended | undefined
  /** The newest record in each partition that was written to, with its index in the input. */
  newest(): { readonly index: number; readonly place: Appended }[]
}

/** A stored record. `value` is a view into a fetch buffer that is used again after the handler call: copy what must outlive it. */
export interface LogRecord extends Position {
  readonly topic: string
  readonly partition: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: Buffer | null
  /** Header value as UTF-8, undefined when absent. */
  header(name: string): string | undefined
  /** All headers as UTF-8 (decoded on call). */
  headers(): Record<string, string>
}

/**
 * Consecutive records of one partition, in offset order: columns by index 0 … count - 1. Values are views into a fetch
 * buffer. It and the columns are used again when the handler has settled: copy what must outlive its call. What `read`
 * yields is its reader's for good.
 */
export interface RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly count: number
  offsetAt(index: number): number
  leaderEpochAt(index: number): number
  /** Record timestamp, ms UTC. */
  timestampMsAt(index: number): number
  keyAt(index: number): string | null
  valueAt(index: number): Buffer | null
  /** For decoders that need no view: the value is the bytes [valueStartAt, valueEndAt) of `sourceAt`; no value: both are -1. */
  sourceAt(index: number): Buffer
  valueStartAt(index: number): number
  valueEndAt(index: number): number
  /** Header value as UTF-8, undefined when absent; no map is built. */
  headerAt(index: number, name: string): string | undefined
  /** The same as objects, made when first asked for. */
  readonly records: readonly LogRecord[]
  /** Offset the next record after this batch will have or has. */
  readonly nextOffset: number
  /** First offset that does not exist yet, as of the fetch. */
  readonly highWatermark: number
}

export type StartAt = 'earliest' | 'latest' | number

export interface RunOptions {
  readonly group: string
  readonly topics: readonly string[]
  /** Only who has which partition matters: nothing is fetched, handled or committed. */
  readonly assignmentOnly?: boolean
  /**
   * Where to start each newly assigned partition, given the group's committed offset (next to read; undefined = none).
   * Called before the first batch of the partition; may restore state. Default: committed, else earliest.
   */
  readonly onAssigned?: (
    topic: string,
    partition: number,
    committed: number | undefined,
  ) => Promise<StartAt | undefined> | StartAt | undefined
  /**
   * A rebalance begins: the partition may move afterwards, until this has resolved it is still ours. No work is in flight
   * on it. A rejection ends nothing; what is to be kept for the next owner is written here.
   */
  readonly onHold?: (topic: string, partition: number) => Promise<void> | void
  /**
   * The partition is no longer ours; work in flight on it has ended. `lost`: another member may own it already, so
   * nothing may be written on its behalf; otherwise nobody reads it before this has resolved.
   */
  readonly onRevoked?: (topic: string, partition: number, lost: boolean) => Promise<void> | void
  /**
   * Handles one batch. Batches of a partition never overlap; partitions may run concurrently. When it resolves,
   * the position moves to batch.nextOffset (or to the returned offset). When it rejects with a retriable error, the
   * partition is paused and the same batch is tried again with backoff; any other error stops the run (see `failed`).
   * Heartbeats go on while it works, however long it takes.
   */
  readonly onBatch: (batch: RecordBatch, context: RunContext) => Promise<void | number>
  /**
   * The connection or the leader epoch of an assigned partition changed since the last batch: marks may no longer hold.
   * Return the offset to go on from, or undefined to go on as before.
   */
  readonly onDoubt?: (topic: string, partition: number) => Promise<StartAt | undefined>
  /** Most bytes fetched ahead per partition (one batch is always taken). Default 1 MiB. */
  readonly maxBytesPerPartition?: number
  /** Most bytes in one answer of a broker, all partitions together. Default 16 MiB. */
  readonly maxBytes?: number
  /** Long poll, ms. Default 500. */
  readonly maxWaitMs?: number
  /** How often processed positions are committed, ms. Default 1000. */
  readonly commitEveryMs?: number
}

export interface RunContext {
  /** True once the run is stopping or the partition was lost: end early, the batch will be seen again by its next owner. */
  readonly signal: AbortSignal
}

export interface Run {
  /** Partitions assigned now. */
  assigned(): readonly { topic: string; partition: number }[]
  /** Resolves when the run has ended on request; rejects when a handler failed for good. */
  readonly ended: Promise<void>
  /** Finishes the batch in hand, commits, leaves the group. */
  stop(): Promise<void>
}

export interface FollowOptions {
  readonly topics: readonly string[]
  /** Where to start each partition. Default earliest. */
  readonly from?: (topic: string, partition: number) => StartAt
  readonly onBatch: (batch: RecordBatch) => Promise<void> | void
  /**
   * The log lost records of this partition that were handed out. What came of the partition is to be forgotten: it is
   * handed out again from its start. Without it the follow ends with ANDON_LOG_TAIL_LOST, for readers that are simply
   * built anew by a restart: they must heed `ended`.
   */
  readonly onReset?: (topic: string, partition: number) => Promise<void> | void
  /** As in RunOptions. */
  readonly maxBytesPerPartition?: number
  readonly maxBytes?: number
  readonly maxWaitMs?: number
}

/** A reader of whole topics, without a group: side inputs, read models, doors. */
export interface Follow {
  /** Resolves when everything that was in the log when it was called (its high watermark then) has been handled. */
  caughtUp(): Promise<void>
  readonly ended: Promise<void>
  stop(): Promise<void>
}

export interface ReadRange {
  readonly topic: string
  readonly partition: number
  /** First offset, inclusive; a number below the log start reads from the log start. */
  readonly from: number | 'earliest'
  /** End, exclusive; 'latest' = the high watermark at the call. */
  readonly to: number | 'latest'
}

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  readonly configs?: Readonly<Record<string, string>>
}

export interface LogAdmin {
  /** Creates missing topics; existing ones keep their partition count; configs of existing ones are brought to the spec. */
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>
  topics(): Promise<{ name: string; partitions: number }[]>
  partitions(topic: string): Promise<number>
  /** [log start, high watermark) of each partition. */
  watermarks(topic: string): Promise<{ partition: number; low: number; high: number }[]>
  /** First offset whose record timestamp is at or after the time, or the high watermark. */
  offsetAt(topic: string, partition: number, timestampMs: number): Promise<number>
  /**
   * First offset written under a later leader epoch than the given one, or the high watermark. A position of that epoch
   * at or above it was lost: its record is gone, whatever lies there now.
   */
  endOfEpoch(topic: string, partition: number, leaderEpoch: number): Promise<number>
  /** Committed offsets of a group; partitions without one are absent. */
  committed(group: string, topic: string): Promise<Map<number, number>>
  deleteTopics(names: readonly string[]): Promise<void>
  /** Cluster id and broker addresses. */
  describe(): Promise<{ clusterId: string; brokers: string[] }>
}

export type Appender = Pick<Log, 'append'>

export interface Log {
  /**
   * Appends records, waits for acks=all, keeps their order per partition (calls are serialised: one batch in flight).
   * Resolves in input order. Rejects with a LogError whose `kind` says what a caller may do:
   * retriable (nothing is known to be lost; state may be unknown), fenced, fatal.
   */
  append(records: readonly Append[], options?: AppendOptions): Promise<AppendedRecords>
  /**
   * A further way to append, with an order of its own: its calls do not wait for those of `append`, nor hold them up, so a
   * partition without leader stops only those who share a way with it. It ends with the log.
   */
  appender(): Appender
  /** How full the queue of appends is: 0 = nothing waits, 1 = further appends wait for room. A door answers 429 near 1. */
  pressure(): number
  run(options: RunOptions): Promise<Run>
  follow(options: FollowOptions): Promise<Follow>
  read(range: ReadRange): AsyncIterable<RecordBatch>
  /** Leader epoch and high watermark right now, asked from the leader (for read-back after an append). */
  latest(topic: string, partition: number): Promise<Position>
  readonly admin: LogAdmin
  close(): Promise<void>
}
