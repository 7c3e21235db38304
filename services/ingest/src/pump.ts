// Spool → log, and the ticks. One loop with one append outstanding, so that a tick is computed at the moment it is appended and
// everything it speaks for lies in front of it: the log takes neither tick nor block behind a record of ours that it has lost.
// Nothing is retried: after a failed append the loop starts over with everything held.

import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '@andon/kit'
import type { Clock } from './clock.ts'
import type { Held, HeldEntry, Lane } from './held.ts'
import type { Keeper } from './keeper.ts'
import { quarantineTopic, telemetryTopic, tickRecord } from './records.ts'
import type { RecordShape } from './records.ts'
import { holdMs } from './held.ts'

export interface PumpDeps {
  readonly log: Pick<Log, 'append' | 'latest'>
  readonly held: Held
  readonly keeper: Pick<Keeper, 'recordOf'>
  readonly shape: RecordShape
  readonly clock: Clock
  /** Receive time of the oldest row that waits in an open block of this partition; Infinity when none does. */
  readonly oldestWaitingUs: (partition: number) => number
  /** Entries that the broker has provably kept: the spool may delete them. */
  readonly onSafe: (entries: readonly HeldEntry[]) => void
  readonly onDoubt: (why: string, lanes: number, error?: unknown) => void
  readonly onPublished: (records: number, topic: 'block' | 'tick') => void
  /** Each second, whether the broker answers or not. */
  readonly onSecond: () => void
  /** Sleeps until woken, at most this long. */
  readonly sleep: (ms: number) => Promise<void>
  readonly wake: () => void
}

const tickEveryMs = 1000
const maxEntriesPerAppend = 500
// Below the broker's limit of 1 MiB for one partition's batch; a single longer entry travels alone.
const maxLaneBytesPerAppend = 768 * 1024
const longestPauseMs = 2000

export class Pump {
  readonly #deps: PumpDeps
  #hasJoined = false
  #isStopping = false
  #lastTickMs = Number.NEGATIVE_INFINITY
  #lastSecondMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #ended: Promise<void> | undefined

  constructor(deps: PumpDeps) {
    this.#deps = deps
  }

  /** True once this process's first tick is on every partition: only then may a sample be accepted. */
  get hasJoined(): boolean {
    return this.#hasJoined
  }

  start(): void {
    this.#ended ??= this.#loop()
  }

  /** Sends what is unanswered, at most until `deadlineMs` from now; the rest stays in the spool for the next start. */
  async stop(deadlineMs: number): Promise<void> {
    const { clock, held } = this.#deps
    const deadline = new AbortController()
    const late = pause(deadlineMs, undefined, { signal: deadline.signal }).catch(() => undefined) // ended early: nothing is late
    const until = clock.monotonicMs() + deadlineMs
    while (held.counts().unanswered > 0 && clock.monotonicMs() < until) await pause(10)
    this.#isStopping = true
    this.#deps.wake()
    await Promise.race([this.#ended, late]) // an append to a broker that is away may outlast us
    deadline.abort()
  }

  async #loop(): Promise<void> {
    while (!this.#isStopping) await this.step()
  }

  /** One turn: a tick when one is due, what is unanswered, else a rest. Exposed for tests, which are the loop themselves. */
  async step(): Promise<void> {
    const { clock, sleep } = this.#deps
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#lastSecondMs >= tickEveryMs) {
      this.#lastSecondMs = nowMs
      this.#deps.onSecond()
      await this.#confirmQuiet(nowMs)
    }
    const batch = this.#deps.held.unanswered(maxEntriesPerAppend, maxLaneBytesPerAppend)
    const isTickDue = nowMs - this.#lastTickMs >= tickEveryMs
    try {
      // After a failure data goes first: it finds out whether the broker is back, and nothing new overtakes what is held.
      if (isTickDue && (this.#failures === 0 || batch.length === 0)) await this.#tick(nowMs)
      else if (batch.length > 0) await this.#send(batch)
      else await sleep(Math.max(1, Math.min(tickEveryMs - (nowMs - this.#lastTickMs), tickEveryMs)))
      this.#dropSafe()
    } catch (error) {
      this.#deps.held.doubtAll()
      if (this.#failures++ === 0) this.#deps.onDoubt('an append failed', 0, error)
      await sleep(Math.min(longestPauseMs, 100 * 2 ** Math.min(this.#failures, 5)))
    }
  }

  async #send(batch: readonly HeldEntry[]): Promise<void> {
    const { log, held, keeper, clock } = this.#deps
    const records = await Promise.all(batch.map((entry) => keeper.recordOf(entry)))
    const appended = await log.append(records, { after: newestIn(new Set(batch.map(({ lane }) => lane))) })
    this.#heardBack(held.answered(batch, [...appended], clock.monotonicMs()))
    this.#deps.onPublished(batch.length, 'block')
  }

  // Paced by the monotonic clock: a late tick is skipped, never caught up, and never in the spool.
  async #tick(nowMs: number): Promise<void> {
    const { log, held, shape, clock } = this.#deps
    this.#lastTickMs = nowMs
    const nowUs = clock.nowUs()
    const lanes = Array.from({ length: shape.telemetryPartitions }, (_, partition) => held.lane(telemetryTopic, partition))
    const ticks = lanes.map((lane) => {
      const upToUs = Math.min(held.lowWaterUs(lane, nowUs), this.#deps.oldestWaitingUs(lane.partition))
      return { ...tickRecord(shape, lane.partition, upToUs), timestampMs: Math.floor(nowUs / 1000) }
    })
    const appended = [...(await log.append(ticks, { after: newestIn(lanes) }))]
    const heardMs = clock.monotonicMs()
    this.#hasJoined = true
    this.#heardBack(lanes.filter((lane, index) => held.heard(lane, appended[index]!, heardMs)))
    this.#deps.onPublished(ticks.length, 'tick')
  }

  // A partition without ticks hears nothing by itself: ask for its end, so that its entries can leave the spool.
  async #confirmQuiet(nowMs: number): Promise<void> {
    const { held, log, clock } = this.#deps
    for (const lane of held.lanes()) {
      if (lane.topic !== quarantineTopic || lane.answeredCount === 0 || nowMs - lane.answeredAtMs < holdMs) continue
      try {
        const end = await log.latest(lane.topic, lane.partition)
        if (held.heardEnd(lane, end, clock.monotonicMs())) this.#heardBack([lane])
      } catch {
        return // no answer is no evidence: the entries stay, and the next second asks again
      }
    }
  }

  #heardBack(doubtful: readonly Lane[]): void {
    this.#failures = 0
    if (doubtful.length > 0) this.#deps.onDoubt('the log changed its leader epoch or went back', doubtful.length)
  }

  #dropSafe(): void {
    const safe = this.#deps.held.dropSafe()
    if (safe.length > 0) this.#deps.onSafe(safe)
  }
}

/** Our newest record in each lane, as far as we know. */
const newestIn = (lanes: Iterable<Lane>) =>
  [...lanes].flatMap(({ topic, partition, newest }) => (newest === undefined ? [] : [{ topic, partition, ...newest }]))
