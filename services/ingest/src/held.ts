// Everything accepted that the log might still lose: one first-in-first-out lane per partition, and what the broker has answered about it.
// Pure bookkeeping behind the promises "nothing acknowledged is lost" and "a tick never passes a sample" (DESIGN §3.1, §3.3).
//
// A broker's answer is not yet durable on one node: it flushes within seconds. So an entry leaves only when the same leader epoch has
// answered something at least `holdMs` after the entry's own answer. Doubt (a failed append, another leader epoch, an offset that went
// back) clears the answers, and everything held is sent again, in order, before anything new.

import type { Position } from '@andon/kit'
import type { SpoolRef } from './adapters/spool.ts'
import type { Outgoing } from './outgoing.ts'

export interface HeldEntry {
  readonly lane: Lane
  readonly oldestReceivedUs: number
  readonly identities: readonly string[]
  /** Where it lies in the spool; undefined while it is being written. */
  ref: SpoolRef | undefined
  /** The record, while memory has room for it; else it is read back from the spool. */
  record: Outgoing | undefined
  /** When the broker last answered it, monotonic ms; counts while the entry is among the lane's answered ones. */
  answeredAtMs: number
  /** Resolves on the first answer. */
  readonly published: PromiseWithResolvers<void>
}

export interface Lane {
  readonly topic: string
  readonly partition: number
  readonly entries: HeldEntry[]
  /** How many of them, from the front, have an answer. */
  answeredCount: number
  /** Newest position the log has answered for this partition. */
  newest: Position | undefined
  answeredAtMs: number
}

/** How long an answered entry is held: three times the broker's flush interval of 5 s. */
export const holdMs = 15_000

export class Held {
  readonly #lanes = new Map<string, Lane>()
  readonly #maxCachedBytes: number
  #cachedBytes = 0

  /** @param maxCachedBytes records kept in memory while they wait for the broker; beyond it they are read back from the spool. */
  constructor(maxCachedBytes: number) {
    this.#maxCachedBytes = maxCachedBytes
  }

  lanes(): Iterable<Lane> {
    return this.#lanes.values()
  }

  lane(topic: string, partition: number): Lane {
    const name = `${topic}/${partition}`
    let lane = this.#lanes.get(name)
    if (lane === undefined)
      this.#lanes.set(name, (lane = { topic, partition, entries: [], answeredCount: 0, newest: undefined, answeredAtMs: 0 }))
    return lane
  }

  /** Takes a place in the lane, before the entry is on disk. */
  push(record: Outgoing): HeldEntry {
    const lane = this.lane(record.topic, record.partition)
    const published = Promise.withResolvers<void>()
    published.promise.catch(() => undefined) // whoever waits sees it; nobody has to wait
    const { oldestReceivedUs, identities } = record
    const entry: HeldEntry = { lane, oldestReceivedUs, identities, ref: undefined, record: undefined, answeredAtMs: 0, published }
    lane.entries.push(entry)
    return entry
  }

  /** The entry is on disk and may be sent. */
  stored(entry: HeldEntry, ref: SpoolRef, record: Outgoing): void {
    entry.ref = ref
    if (this.#cachedBytes + record.value.length > this.#maxCachedBytes) return
    entry.record = record
    this.#cachedBytes += record.value.length
  }

  /** The entry could not be written: nobody was told that it is safe. */
  abandon(entry: HeldEntry, error: unknown): void {
    entry.lane.entries.splice(entry.lane.entries.indexOf(entry), 1)
    entry.published.reject(error)
  }

  /**
   * The oldest entries without an answer, in order per lane, stopping in each lane at one that is still being written.
   * At most `maxLaneBytes` of one lane, so that one request stays below the broker's limit.
   */
  unanswered(maxEntries: number, maxLaneBytes: number): HeldEntry[] {
    const batch: HeldEntry[] = []
    for (const lane of this.#lanes.values()) {
      let bytes = 0
      for (let at = lane.answeredCount; at < lane.entries.length && batch.length < maxEntries; at++) {
        const entry = lane.entries[at]!
        if (entry.ref === undefined) break
        if (bytes > 0 && bytes + entry.ref.length > maxLaneBytes) break
        bytes += entry.ref.length
        batch.push(entry)
      }
    }
    return batch
  }

  /** The log answered these entries, the first unanswered ones of their lanes. Returns the lanes in which that answer raised doubt; their entries will be sent again. */
  answered(entries: readonly HeldEntry[], positions: readonly Position[], nowMs: number): Lane[] {
    const doubtful = new Set<Lane>()
    entries.forEach((entry, index) => {
      if (this.#note(entry.lane, positions[index]!, nowMs)) doubtful.add(entry.lane)
    })
    entries.forEach((entry) => {
      if (entry.record !== undefined) this.#cachedBytes -= entry.record.value.length
      entry.record = undefined
      entry.published.resolve()
      entry.answeredAtMs = nowMs
      entry.lane.answeredCount++
    })
    for (const lane of doubtful) lane.answeredCount = 0
    return [...doubtful]
  }

  /** The log answered something else about a partition: a tick's position. Returns true when that raised doubt. */
  heard(lane: Lane, position: Position, nowMs: number): boolean {
    const doubt = this.#note(lane, position, nowMs)
    if (doubt) lane.answeredCount = 0
    return doubt
  }

  /** The log answered with its end: `end.offset` is the next free offset. Returns true when that raised doubt. */
  heardEnd(lane: Lane, end: Position, nowMs: number): boolean {
    const { newest } = lane
    lane.answeredAtMs = nowMs
    if (newest === undefined || (end.leaderEpoch === newest.leaderEpoch && end.offset > newest.offset)) return false
    lane.newest = undefined
    lane.answeredCount = 0
    return true
  }

  /** An append failed: nothing is known about what the broker still has, nor under which leader epoch it will answer. */
  doubtAll(): void {
    for (const lane of this.#lanes.values()) {
      lane.answeredCount = 0
      lane.newest = undefined
    }
  }

  /** Removes and returns the entries that the broker has provably kept past its flush. */
  dropSafe(): HeldEntry[] {
    const safe: HeldEntry[] = []
    for (const lane of this.#lanes.values()) {
      let count = 0
      while (count < lane.answeredCount && lane.answeredAtMs - lane.entries[count]!.answeredAtMs >= holdMs) count++
      if (count === 0) continue
      lane.answeredCount -= count
      for (const entry of lane.entries.splice(0, count)) safe.push(entry)
    }
    return safe
  }

  /** Receive time below which this instance owes the lane nothing more; at most `nowUs`. */
  lowWaterUs(lane: Lane, nowUs: number): number {
    let lowUs = nowUs
    for (let at = lane.answeredCount; at < lane.entries.length; at++) lowUs = Math.min(lowUs, lane.entries[at]!.oldestReceivedUs)
    return lowUs
  }

  counts(): { held: number; unanswered: number } {
    let held = 0
    let unanswered = 0
    for (const lane of this.#lanes.values()) {
      held += lane.entries.length
      unanswered += lane.entries.length - lane.answeredCount
    }
    return { held, unanswered }
  }

  #note(lane: Lane, position: Position, nowMs: number): boolean {
    const { newest } = lane
    lane.newest = position
    lane.answeredAtMs = nowMs
    return newest !== undefined && (position.leaderEpoch !== newest.leaderEpoch || position.offset <= newest.offset)
  }
}
