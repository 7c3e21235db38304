// What handlers see and give: decoded inputs of one partition, and outputs that name the one input that caused them.

import type { TransactionOptions } from './delivery.ts'
import type { Position } from './log/port.ts'
import type { SnapshotHistoryOptions } from './snapshot-history.ts'

/** Order of a feature vector among the revisions of its window; travels with everything derived from it. */
export interface Order extends Position {
  readonly promotion: number
  readonly index: number
}

/** `live`, `redrive:<id>` or `promote:<run>`. */
export type Lane = string

/** One decoded record. What a handler is given is its own while it works on the batch: of what is to last, it keeps the fields. */
export interface Input<T> {
  readonly topic: string
  readonly partition: number
  readonly position: Position
  readonly key: string | null
  readonly value: T
  /** ce_id, the logical identity. */
  readonly id: string
  readonly type: string
  /** Record timestamp, ms UTC. */
  readonly timestampMs: number
  readonly lane: Lane
  /** Order of the vector this derives from, if the record carries one. */
  readonly order: Order | undefined
  readonly traceparent: string | undefined
}

/** Decoded inputs of one partition, in offset order. Undecodable records have gone to the dead-letter topic already. */
export interface Batch<T> {
  readonly topic: string
  readonly partition: number
  readonly inputs: readonly Input<T>[]
}

/** One record to publish. The kit adds CloudEvents, trace and lineage headers and encodes the value for its topic. */
export interface Output<T = unknown> {
  readonly topic: string
  readonly key: string | null
  readonly value: T
  /** Logical identity (ids.ts); equal on every replay. */
  readonly id: string
  readonly type: string
  readonly subject?: string
  /** Event time, microseconds UTC. */
  readonly timeUs: number
  readonly partition?: number
  /** Set by features for a new vector ('own' = this record's lineage position); passed on by everyone after it. */
  readonly order?: Order | 'own'
}

/** Collects outputs of one batch in order, each with the single input that caused it. */
export interface Emitter {
  emit<T>(cause: Input<unknown>, output: Output<T>): void
  readonly outputs: readonly { readonly cause: Input<unknown>; readonly index: number; readonly output: Output }[]
}

/** Takes the batch of one partition and returns what to publish. The kit publishes, waits for the acknowledgement, then moves on. */
export type Handler<T> = (batch: Batch<T>) => Emitter | Promise<Emitter>

/**
 * State that survives a restart: one self-contained snapshot per key. The kit decides when to snapshot, writes
 * state with the last applied position to <service>.changelog, and restores before the first batch.
 */
export interface KeyedState {
  /** Keys whose state changed since they were last snapshotted; called at a record boundary. */
  dirty(): Iterable<string>
  /** The key's state, self-contained. The kit copies it; afterwards the key counts as clean. */
  snapshot(key: string): Uint8Array
  restore(key: string, state: Uint8Array, version: number): void
  /** Version of the encoding, ≥ 1. */
  readonly version: number
  /** The key's state in words a person understands, as JSON; undefined when there is none. For `andon state`. */
  describe?(key: string): unknown
}

/** What one partition runs: its handler and, if it has memory, its state. A fresh one is opened for every assignment. */
export interface PartitionProcess<T> {
  readonly handle: Handler<T>
  readonly state?: KeyedState
}

export interface ProcessOptions<T> {
  /** Service name: consumer group, changelog topic and ce_source derive from it. */
  readonly service: string
  readonly input: string
  /** Consumer group; a service with several processes names each. Default: the service. The changelog is `<group>.changelog`. */
  readonly group?: string
  /**
   * For a process without state: topics to which every input gives an output in its own partition number. After a loss
   * it starts behind its last surviving output there.
   */
  readonly outputs?: readonly string[]
  readonly open: (partition: number) => PartitionProcess<T> | Promise<PartitionProcess<T>>
  /** Most inputs that a handler gets at once; their outputs are acknowledged before the next ones. Default 500. */
  readonly maxBatchRecords?: number
  /**
   * Bytes in the values of inputs are views of what was fetched, and belong to the handler until it has answered: for one that copies
   * what it keeps. Default false: they are copies.
   */
  readonly lendsBytes?: boolean
  /** Records between two snapshot rounds of a partition. Default 5000. */
  readonly snapshotEveryRecords?: number
  /** Longest time between two rounds of a partition that changed, ms. Default 5000. */
  readonly snapshotEveryMs?: number
  /**
   * Keeps the state of all partitions warm, those of other members too, so that a takeover restores without reading the
   * changelog. Costs the memory of the whole group's state. Default false.
   */
  readonly standby?: boolean
  /** Retains snapshots for replays; without it only the newest state is kept. */
  readonly history?: SnapshotHistoryOptions
  /**
   * Outputs, dead letters, snapshots and the position of the input become visible together, in Kafka transactions: every reader sees each
   * output once. Without it they are appended at once, and readers drop repeats by their marks. A replay run ignores it.
   */
  readonly transactions?: TransactionOptions
  /** Called when an undecodable record was dead-lettered, so that the window can be marked incomplete. */
  readonly onDeadLetter?: (partition: number, key: string | null) => void
}
