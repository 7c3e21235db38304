// Everything accepted that the log might still lose: one first-in-first-out lane per partition, and what the broker has answered about it.
// Pure bookkeeping behind the promises "nothing acknowledged is lost" and "a tick never passes a sample" (DESIGN §3.1, §3.3).
//
// A broker's answer is not yet durable on one node: it flushes within seconds. So an entry leaves only when the same leader epoch has
// answered something at least `holdMs` after the entry's own answer. Doubt (a failed append, another leader epoch, an offset that went
// back) clears the answers of its lane, and everything held there is sent again, in order, before anything new.

import type { Position } from '@andon/kit'
import type { SpoolGroup, SpoolRef } from './adapters/spool.ts'
import type { Outgoing } from './outgoing.ts'

export interface HeldEntry {
  readonly lane: Lane
  readonly oldestReceivedUs: number
  readonly identities: readonly string[]
  readonly isControl: boolean
  readonly ref: SpoolRef
  /** The record, while memory has room for it; else it is read back from the spool. */
  record: Outgoing | undefined
  /** When the broker last answered it, monotonic ms; counts while the entry is among the lane's answered ones. */
  answeredAtMs: number
  /** Resolves on the first answer; only where somebody waits for that. */
  readonly published: PromiseWithResolvers<void> | undefined
}

export interface Lane {
  readonly topic: string
  readonly partition: number
  readonly entries: HeldEntry[]
  /** How many of them, from the front, have an answer. */
  answeredCount: number
  /** How many of the others are of control-class assets. */
  controlWaiting: number
  /** Newest position the log has answered for this partition. */
  newest: Position | undefined
  answeredAtMs: number
  /** When its last tick was tried, monotonic ms. */
  tickedAtMs: number
}

/** How long an answered entry is held: three times the broker's flush interval of 5 s. */
export const holdMs = 15_000

/** What a record takes in memory next to its value and its headers, roughly. */
const recordBytes = 400

const bytesOf = ({ value, headers }: Outgoing): number => value.length + headers.to - headers.from + recordBytes

export class Held {
  readonly #lanes = new Map<string, Lane[]>()
  readonly #all: Lane[] = []
  readonly #maxCachedBytes: number
  #cachedBytes = 0
  #size = 0

  /** @param maxCachedBytes records kept in memory while they wait for the broker; beyond it they are read back from the spool. */
  constructor(maxCachedBytes: number) {
    this.#maxCachedBytes = maxCachedBytes
  }

  lanes(): readonly Lane[] {
    return this.#all
  }

  lane(topic: string, partition: number): Lane {
    let lanes = this.#lanes.get(topic)
    if (lanes === undefined) this.#lanes.set(topic, (lanes = []))
    const known = lanes[partition]
    if (known !== undefined) return known
    const lane: Lane = {
      topic,
      partition,
      entries: [],
      answeredCount: 0,
      controlWaiting: 0,
      newest: undefined,
      answeredAtMs: 0,
      tickedAtMs: Number.NEGATIVE_INFINITY,
    }
    lanes[partition] = lane
    this.#all.push(lane)
    return lane
  }

  /** Takes the next place in the lane; the entry is sent once its group is safe. `isAwaited`: somebody waits for the broker's answer. */
  push(record: Outgoing, ref: SpoolRef, isAwaited = false): HeldEntry {
    const lane = this.lane(record.topic, record.partition)
    const published = isAwaited ? Promise.withResolvers<void>() : undefined
    const { oldestReceivedUs, identities, isControl } = record
    const entry: HeldEntry = { lane, oldestReceivedUs, identities, isControl, ref, record: undefined, answeredAtMs: 0, published }
    if (this.#cachedBytes + bytesOf(record) <= this.#maxCachedBytes) {
      entry.record = record
      this.#cachedBytes += bytesOf(record)
    }
    lane.entries.push(entry)
    this.#size++
    if (isControl) lane.controlWaiting++
    return entry
  }

  /** The group could not be written: nobody was told that its entries are safe. */
  abandon(group: SpoolGroup, error: unknown): void {
    for (const lane of this.#all) {
      const kept = lane.entries.filter((entry) => entry.ref.group !== group)
      if (kept.length === lane.entries.length) continue
      for (const entry of lane.entries) if (entry.ref.group === group) this.#forget(entry, error)
      lane.entries.splice(0, lane.entries.length, ...kept)
    }
  }

  /** Takes an unanswered entry out of its lane: it can never be sent. */
  remove(entry: HeldEntry, error: unknown): void {
    const { lane } = entry
    lane.entries.splice(lane.entries.indexOf(entry, lane.answeredCount), 1)
    this.#forget(entry, error)
  }

  /** The oldest entries of a lane without an answer, in order, stopping at one that is not on disk yet. At least one, if there is one. */
  unanswered(lane: Lane, maxEntries: number, maxBytes: number): HeldEntry[] {
    const batch: HeldEntry[] = []
    let bytes = 0
    for (let at = lane.answeredCount; at < lane.entries.length && batch.length < maxEntries; at++) {
      const entry = lane.entries[at]!
      if (!entry.ref.group.isSafe) break
      bytes += entry.ref.length
      if (bytes > maxBytes && batch.length > 0) break
      batch.push(entry)
    }
    return batch
  }

  /**
   * The log answered the first `count` unanswered entries of the lane; `positions` are those of the first and the last. Returns true
   * when that raised doubt: everything held in the lane will be sent again.
   */
  answered(lane: Lane, count: number, positions: readonly Position[], nowMs: number): boolean {
    let isDoubtful = false
    for (const position of positions) if (this.#note(lane, position, nowMs)) isDoubtful = true
    const end = lane.answeredCount + count
    for (let at = lane.answeredCount; at < end; at++) {
      const entry = lane.entries[at]!
      this.#uncache(entry)
      if (entry.isControl) lane.controlWaiting--
      entry.published?.resolve()
      entry.answeredAtMs = nowMs
    }
    lane.answeredCount = end
    if (isDoubtful) this.#sendAgain(lane)
    return isDoubtful
  }

  /** The log answered something else about a partition: a tick's position. Returns true when that raised doubt. */
  heard(lane: Lane, position: Position, nowMs: number): boolean {
    const isDoubtful = this.#note(lane, position, nowMs)
    if (isDoubtful) this.#sendAgain(lane)
    return isDoubtful
  }

  /** The log answered with its end: `end.offset` is the next free offset. Returns true when that raised doubt. */
  heardEnd(lane: Lane, end: Position, nowMs: number): boolean {
    const { newest } = lane
    lane.answeredAtMs = nowMs
    if (newest === undefined || (end.leaderEpoch === newest.leaderEpoch && end.offset > newest.offset)) return false
    this.doubt(lane)
    return true
  }

  /** An append failed: nothing is known about what the broker still has of the lane, nor under which leader epoch it will answer. */
  doubt(lane: Lane): void {
    lane.newest = undefined
    this.#sendAgain(lane)
  }

  /** Removes and returns the entries that the broker has provably kept past its flush. */
  dropSafe(): HeldEntry[] {
    const safe: HeldEntry[] = []
    for (const lane of this.#all) {
      let count = 0
      while (count < lane.answeredCount && lane.answeredAtMs - lane.entries[count]!.answeredAtMs >= holdMs) count++
      if (count === 0) continue
      lane.answeredCount -= count
      for (const entry of lane.entries.splice(0, count)) safe.push(entry)
    }
    this.#size -= safe.length
    return safe
  }

  /** Receive time below which this instance owes the lane nothing more; at most `nowUs`. */
  lowWaterUs(lane: Lane, nowUs: number): number {
    let lowUs = nowUs
    for (let at = lane.answeredCount; at < lane.entries.length; at++) lowUs = Math.min(lowUs, lane.entries[at]!.oldestReceivedUs)
    return lowUs
  }

  /** Entries in all lanes. Each takes some 200 bytes, however small its record is. */
  get size(): number {
    return this.#size
  }

  counts(): { held: number; unanswered: number } {
    let held = 0
    let unanswered = 0
    for (const lane of this.#all) {
      held += lane.entries.length
      unanswered += lane.entries.length - lane.answeredCount
    }
    return { held, unanswered }
  }

  #sendAgain(lane: Lane): void {
    for (let at = 0; at < lane.answeredCount; at++) if (lane.entries[at]!.isControl) lane.controlWaiting++
    lane.answeredCount = 0
  }

  #forget(entry: HeldEntry, error: unknown): void {
    this.#size--
    this.#uncache(entry)
    if (entry.isControl) entry.lane.controlWaiting--
    entry.published?.promise.catch(() => undefined) // whoever waits sees it; after a restart nobody does
    entry.published?.reject(error)
  }

  #uncache(entry: HeldEntry): void {
    if (entry.record !== undefined) this.#cachedBytes -= bytesOf(entry.record)
    entry.record = undefined
  }

  #note(lane: Lane, position: Position, nowMs: number): boolean {
    const { newest } = lane
    lane.newest = position
    lane.answeredAtMs = nowMs
    return newest !== undefined && (position.leaderEpoch !== newest.leaderEpoch || position.offset <= newest.offset)
  }
}
