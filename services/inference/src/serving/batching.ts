// How the requests of one model wait, and which of them go together: Triton's dynamic batcher as a plain structure. Time comes in
// with every call, so the same calls give the same batches. Everything that waits is counted, and nothing waits for ever unseen.

import type { QueuePolicy, SchedulingPolicy } from './policy.ts'

/** What a request says about how it wants to wait. */
export interface Admission {
  /** Requests with the same key may share a batch. */
  readonly key: string
  readonly rows: number
  /** 1 is the highest; 0 or what is no level: the default. */
  readonly priority: number
  /** Longest time in the queue, microseconds; 0: as the policy says. */
  readonly timeoutUs: number
  /** Moment after which it is not run any more; Infinity: none. */
  readonly deadlineMs: number
}

/** A request that waits. Belongs to the queue that made it. */
export interface Entry<T> {
  readonly item: T
  readonly key: string
  readonly rows: number
  readonly enqueuedMs: number
  readonly deadlineMs: number
}

/** Left the queue without a run: its time in the queue was over, or nobody waits for it any more. */
export interface Expired<T> {
  readonly entry: Entry<T>
  readonly reason: 'timeout' | 'deadline'
}

export interface BatchDecision<T> {
  /** Empty: nothing to start now. */
  readonly batch: readonly Entry<T>[]
  /** With an empty batch: when to ask again although nothing came; Infinity when nothing waits. */
  readonly untilMs: number
}

interface Waiting<T> extends Entry<T> {
  readonly level: Level<T>
  /** When it is over; Infinity: never. */
  timeoutMs: number
  list: List<T> | undefined
  previous: Waiting<T> | undefined
  next: Waiting<T> | undefined
}

/** Requests in order of arrival; any of them leaves at once. */
class List<T> {
  first: Waiting<T> | undefined
  last: Waiting<T> | undefined
  length = 0

  push(entry: Waiting<T>): void {
    entry.list = this
    entry.previous = this.last
    entry.next = undefined
    if (this.last === undefined) this.first = entry
    else this.last.next = entry
    this.last = entry
    this.length++
  }

  remove(entry: Waiting<T>): void {
    if (entry.previous === undefined) this.first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.last = entry.previous
    else entry.next.previous = entry.previous
    entry.list = undefined
    entry.previous = undefined
    entry.next = undefined
    this.length--
  }
}

interface Level<T> {
  readonly policy: QueuePolicy
  readonly waiting: List<T>
  /** Whose time was over and who are to be run all the same, once no other of the level waits. */
  readonly delayed: List<T>
}

const US_PER_MS = 1000
/** Requests of another key that one look at the queue passes over at most, so that a look stays short. */
const MOST_PASSED = 1024

/** The queue of one model. */
export class BatchQueue<T> {
  /** Requests that wait, and their rows. */
  size = 0
  rows = 0
  readonly #policy: SchedulingPolicy
  readonly #levels: readonly Level<T>[]
  readonly #defaultLevel: Level<T>
  readonly #preferred: ReadonlySet<number>
  /** What a batch waits for; more than that it does not wait for. */
  readonly #enoughRows: number
  /** No timeout and no deadline is earlier; may be too early, never too late. */
  #earliestMs = Infinity

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
    const level = (number: number): Level<T> => ({
      policy: policy.priorityQueues.get(number) ?? policy.defaultQueue,
      waiting: new List(),
      delayed: new List(),
    })
    this.#levels = Array.from({ length: Math.max(1, policy.priorityLevels) }, (_, i) => level(policy.priorityLevels === 0 ? 0 : i + 1))
    this.#defaultLevel = this.#levels[policy.priorityLevels === 0 ? 0 : policy.defaultPriority - 1] ?? this.#levels.at(-1)!
    const preferred = policy.preferredBatchRows.filter((rows) => rows > 0 && rows <= policy.maxBatchRows)
    this.#preferred = new Set(preferred)
    this.#enoughRows = preferred.length > 0 ? Math.max(...preferred) : policy.maxBatchRows
  }

  /** Undefined: its level is full. */
  add(item: T, { key, rows, priority, timeoutUs, deadlineMs }: Admission, nowMs: number): Entry<T> | undefined {
    const level = (this.#policy.priorityLevels === 0 ? undefined : this.#levels[priority - 1]) ?? this.#defaultLevel
    const { policy, waiting, delayed } = level
    if (waiting.length + delayed.length >= policy.maxQueueSize) return undefined
    const longestUs = longestWaitUs(policy, timeoutUs)
    const timeoutMs = longestUs === 0 ? Infinity : nowMs + longestUs / US_PER_MS
    const entry: Waiting<T> = {
      item,
      key,
      rows,
      enqueuedMs: nowMs,
      deadlineMs,
      level,
      timeoutMs,
      list: undefined,
      previous: undefined,
      next: undefined,
    }
    waiting.push(entry)
    this.size++
    this.rows += rows
    this.#earliestMs = Math.min(this.#earliestMs, timeoutMs, deadlineMs)
    return entry
  }

  /** Takes a request out that nobody wants any more; false when it does not wait here. */
  remove(entry: Entry<T>): boolean {
    const waiting = entry as Waiting<T>
    if (waiting.list === undefined) return false
    this.#take(waiting)
    return true
  }

  /** Takes out everybody whose time is over; the delayed ones only change their place. */
  expire(nowMs: number): readonly Expired<T>[] {
    if (nowMs < this.#earliestMs) return []
    const expired: Expired<T>[] = []
    let earliestMs = Infinity
    for (const { policy, waiting, delayed } of this.#levels) {
      for (const list of [waiting, delayed]) {
        for (let entry = list.first, next; entry !== undefined; entry = next) {
          next = entry.next
          if (nowMs >= entry.deadlineMs) {
            this.#take(entry)
            expired.push({ entry, reason: 'deadline' })
          } else if (nowMs >= entry.timeoutMs && policy.timeoutAction === 'reject') {
            this.#take(entry)
            expired.push({ entry, reason: 'timeout' })
          } else {
            if (nowMs >= entry.timeoutMs) {
              list.remove(entry)
              entry.timeoutMs = Infinity
              delayed.push(entry)
            }
            earliestMs = Math.min(earliestMs, entry.timeoutMs, entry.deadlineMs)
          }
        }
      }
    }
    this.#earliestMs = earliestMs
    return expired
  }

  /** When `expire` may have something to do; Infinity when nothing can expire. */
  get expiresMs(): number {
    return this.size === 0 ? Infinity : this.#earliestMs
  }

  /**
   * What a free slot runs now. Call `expire` first. A batch holds requests of one key, higher levels first, in order of arrival.
   * Nothing waits while it could run, except for a preferred size (else the largest) up to the longest delay, and never so long that the first
   * deadline would pass before the end of a run of `runMs`. `fullOnly`: only a batch that waiting cannot improve.
   */
  next(nowMs: number, runMs: number, fullOnly = false): BatchDecision<T> {
    const candidate = this.#candidate()
    if (candidate.entries.length === 0) return { batch: [], untilMs: Infinity }
    const { maxQueueDelayUs, isDynamic } = this.#policy
    const isEnough = !isDynamic || candidate.isFinal || candidate.rows >= this.#enoughRows
    if (!isEnough && fullOnly) return { batch: [], untilMs: Infinity }
    if (isEnough || maxQueueDelayUs === 0) return this.#start(this.#preferredPart(candidate.entries))
    const oldestMs = Math.min(...candidate.entries.map(({ enqueuedMs }) => enqueuedMs))
    const deadlineMs = Math.min(...candidate.entries.map((entry) => entry.deadlineMs))
    const delayEndsMs = oldestMs + maxQueueDelayUs / US_PER_MS
    const untilMs = Math.min(delayEndsMs, deadlineMs - runMs)
    if (nowMs >= untilMs) return this.#start(candidate.entries)
    const preferred = this.#preferredPart(candidate.entries)
    if (this.#preferred.has(rowsOf(preferred))) return this.#start(preferred)
    return { batch: [], untilMs }
  }

  /** The most that could go together now, and whether no later request could join it. */
  #candidate(): { entries: readonly Waiting<T>[]; rows: number; isFinal: boolean } {
    const most = this.#policy.isDynamic ? this.#policy.maxBatchRows : 0
    const entries: Waiting<T>[] = []
    let rows = 0
    let passed = 0
    for (const { waiting, delayed } of this.#levels) {
      for (const list of [waiting, delayed]) {
        for (let entry = list.first; entry !== undefined; entry = entry.next) {
          const [first] = entries
          if (first === undefined) {
            entries.push(entry)
            rows = entry.rows
          } else if (rows >= most) {
            return { entries, rows, isFinal: true }
          } else if (entry.key === first.key) {
            // A smaller one behind it does not overtake.
            if (rows + entry.rows > most) return { entries, rows, isFinal: true }
            entries.push(entry)
            rows += entry.rows
          } else if (++passed > MOST_PASSED) {
            return { entries, rows, isFinal: true }
          }
        }
        // Somebody of this level waits for another key: those below do not go before them. Nor is the slot kept waiting.
        if (passed > 0) return { entries, rows, isFinal: true }
      }
    }
    // The delayed ones have waited long enough.
    return { entries, rows, isFinal: entries.some(({ list, level }) => list === level.delayed) }
  }

  /** The longest part from the front that has a preferred size, else the longest that does not exceed the largest of them. */
  #preferredPart(entries: readonly Waiting<T>[]): readonly Waiting<T>[] {
    if (this.#preferred.size === 0) return entries
    let rows = 0
    let [preferred, fitting] = [0, 1]
    entries.forEach((entry, i) => {
      rows += entry.rows
      if (this.#preferred.has(rows)) preferred = i + 1
      if (rows <= this.#enoughRows) fitting = i + 1
    })
    return entries.slice(0, preferred === 0 ? fitting : preferred)
  }

  #start(entries: readonly Waiting<T>[]): BatchDecision<T> {
    for (const entry of entries) this.#take(entry)
    return { batch: entries, untilMs: Infinity }
  }

  #take(entry: Waiting<T>): void {
    entry.list!.remove(entry)
    this.size--
    this.rows -= entry.rows
  }
}

/** What a request asks for only makes its time shorter, and only where it may ask. */
const longestWaitUs = ({ defaultTimeoutUs, allowsTimeoutOverride }: QueuePolicy, askedUs: number): number => {
  if (!allowsTimeoutOverride || askedUs <= 0) return defaultTimeoutUs
  return defaultTimeoutUs === 0 ? askedUs : Math.min(askedUs, defaultTimeoutUs)
}

const rowsOf = (entries: readonly { readonly rows: number }[]): number => entries.reduce((sum, { rows }) => sum + rows, 0)
