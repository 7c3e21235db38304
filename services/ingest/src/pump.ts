// Spool → log, and the ticks. One append is outstanding per partition, so that a tick is computed at the moment it is appended and
// everything it speaks for lies in front of it: the log takes neither tick nor block behind a record of ours that it has lost.
// Nothing is retried here: after a failed append its lane starts over with everything held.
//
// While all is well one loop serves all partitions, many in one request. A partition that does not answer is left behind with its
// way to the log, and the others go on by another one; after a calm while they travel together again (ADR 8).

import { setTimeout as pause } from 'node:timers/promises'
import { codeOf } from '@andon/kit'
import type { Append, Appender, Log, Position } from '@andon/kit'
import type { Clock } from './clock.ts'
import { holdMs } from './held.ts'
import type { Held, HeldEntry, Lane } from './held.ts'
import type { Keeper } from './keeper.ts'
import type { Outgoing } from './outgoing.ts'
import { quarantineTopic, telemetryTopic, tickRecord } from './records.ts'
import type { RecordShape } from './records.ts'

export interface PumpDeps {
  readonly log: Pick<Log, 'append' | 'appender' | 'latest'>
  readonly held: Held
  readonly keeper: Pick<Keeper, 'recordOf'>
  readonly shape: RecordShape
  readonly clock: Clock
  /** Receive time of the oldest row that waits in an open block, by partition as of now; Infinity when none does. */
  readonly oldestWaitingUs: () => (partition: number) => number
  /** Entries that the broker has provably kept: the spool may delete them. */
  readonly onSafe: (entries: readonly HeldEntry[]) => void
  /** An entry that its disk no longer holds: it was acknowledged and cannot be sent. */
  readonly onDamaged: (entry: HeldEntry, error: unknown) => void
  readonly onDoubt: (why: string, partitions: readonly string[], error?: unknown) => void
  readonly onPublished: (records: number, topic: 'block' | 'tick') => void
  /** Each second, whether the broker answers or not. */
  readonly onSecond: () => void
  /** Under load, how long an append waits for more records after the one before; 0 where senders wait for the brokers. */
  readonly gatherMs: number
  /** Sleeps until woken, at most this long. */
  readonly sleep: (ms: number) => Promise<void>
  /** Sleeps as long, whatever comes in meanwhile; a stop ends it. */
  readonly backOff: (ms: number) => Promise<void>
  /** Ends both. */
  readonly wakeAll: () => void
}

/** Partitions that share a loop and a way to the log. */
interface Group {
  readonly appender: Appender
  readonly lanes: Set<Lane>
  tickedAtMs: number
  failures: number
  /** When a partition of it last failed or kept the others waiting, monotonic ms. */
  troubledAtMs: number
}

/** What one append carries for one partition. */
interface Share {
  readonly lane: Lane
  readonly records: readonly Append[]
  /** Returns true when the answer raised doubt. */
  readonly onAnswer: (positions: readonly Position[], nowMs: number) => boolean
}

const tickEveryMs = 1000
const maxEntriesPerAppend = 2000
// A request of so many records says that there is load: the next one is better off with more of them. With more than `amplyFilled` it is.
const underLoad = 32
const amplyFilled = 1000
// Below the broker's limit of 1 MiB for one partition's batch; a single longer entry travels alone.
const maxLaneBytesPerAppend = 768 * 1024
const longestPauseMs = 2000
// How long the others wait for a partition that does not answer, and how long it is on its own then at least.
const patienceMs = 500
const calmMs = 10_000

export class Pump {
  readonly #deps: PumpDeps
  readonly #groups: Group[] = []
  /** Lanes without a tick of this process yet. */
  readonly #toJoin: Set<Lane>
  readonly #spare: Appender[] = []
  readonly #loops = new Set<Promise<void>>()
  #hasStarted = false
  #isStopping = false
  #lastSecondMs = Number.NEGATIVE_INFINITY

  constructor(deps: PumpDeps) {
    this.#deps = deps
    const { held, shape, log } = deps
    const telemetry = Array.from({ length: shape.telemetryPartitions }, (_, partition) => held.lane(telemetryTopic, partition))
    for (let partition = 0; partition < shape.quarantinePartitions; partition++) held.lane(quarantineTopic, partition)
    this.#toJoin = new Set(telemetry)
    this.#newGroup(log, held.lanes(), Number.NEGATIVE_INFINITY)
  }

  /** True once this process's first tick is on every partition: only then may a sample be accepted. */
  get hasJoined(): boolean {
    return this.#toJoin.size === 0
  }

  /** Into how many groups the partitions have fallen; 1 while all is well. */
  get groups(): number {
    return this.#groups.length
  }

  start(): void {
    if (this.#hasStarted) return
    this.#hasStarted = true
    this.#run(async () => this.#seconds())
    for (const group of this.#groups) this.#run(() => this.#loop(group))
  }

  /** Sends what is unanswered, at most until `deadlineMs` from now; the rest stays in the spool for the next start. */
  async stop(deadlineMs: number): Promise<void> {
    const { clock, held } = this.#deps
    const deadline = new AbortController()
    const late = pause(deadlineMs, undefined, { signal: deadline.signal }).catch(() => undefined) // ended early: nothing is late
    const until = clock.monotonicMs() + deadlineMs
    while (this.#hasStarted && held.counts().unanswered > 0 && clock.monotonicMs() < until) await pause(10)
    this.#isStopping = true
    this.#deps.wakeAll()
    await Promise.race([Promise.all(this.#loops), late]) // an append to a broker that is away may outlast us
    deadline.abort()
  }

  /** One turn of every group: for tests, which are the loop themselves. */
  async step(): Promise<void> {
    this.#second()
    for (const group of this.#groups.slice()) await this.#turn(group)
  }

  #run(work: () => Promise<void>): void {
    const loop = work().finally(() => this.#loops.delete(loop))
    this.#loops.add(loop)
  }

  async #seconds(): Promise<void> {
    while (!this.#isStopping) {
      this.#second()
      await this.#deps.sleep(tickEveryMs)
    }
  }

  #second(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs - this.#lastSecondMs < tickEveryMs) return
    this.#lastSecondMs = nowMs
    this.#deps.onSecond()
  }

  async #loop(group: Group): Promise<void> {
    while (!this.#isStopping && this.#groups.includes(group)) await this.#turn(group)
  }

  // A tick when one is due, what is unanswered, else a rest.
  async #turn(group: Group): Promise<void> {
    const { clock, sleep } = this.#deps
    const nowMs = clock.monotonicMs()
    if (this.#joinCalmOne(group, nowMs)) return
    const isTickDue = nowMs - group.tickedAtMs >= tickEveryMs
    // After a failure data goes first: it finds out whether the broker is back, and nothing new overtakes what is held.
    const data = isTickDue && group.failures === 0 ? [] : await this.#data(group)
    if (data.length > 0) {
      await this.#append(group, data)
      await this.#gather(data)
    } else if (isTickDue) await this.#tick(group, nowMs)
    else await sleep(Math.max(1, Math.min(tickEveryMs - (nowMs - group.tickedAtMs), tickEveryMs)))
  }

  // Each batch costs us and the broker more than each record in it, so under load fewer and larger ones let more through.
  async #gather(sent: readonly Share[]): Promise<void> {
    const { gatherMs, backOff } = this.#deps
    if (gatherMs === 0 || this.#isStopping) return
    const records = sent.reduce((sum, share) => sum + share.records.length, 0)
    if (records >= underLoad && records < amplyFilled) await backOff(gatherMs)
  }

  // Each partition has a share of its own, so none waits for another's backlog; those with control-class data come first and take what they need.
  async #data(group: Group): Promise<Share[]> {
    const { held, onPublished } = this.#deps
    const waiting = [...group.lanes].filter((lane) => lane.answeredCount < lane.entries.length)
    waiting.sort((a, b) => Number(b.controlWaiting > 0) - Number(a.controlWaiting > 0))
    const shares: Share[] = []
    let left = maxEntriesPerAppend
    for (const [index, lane] of waiting.entries()) {
      const most = lane.controlWaiting > 0 ? left : Math.ceil(left / (waiting.length - index))
      const entries = held.unanswered(lane, Math.max(1, most), maxLaneBytesPerAppend)
      const records = await this.#readable(lane, entries)
      if (records.length === 0) continue
      left -= records.length
      shares.push({
        lane,
        records,
        onAnswer: (positions, nowMs) => {
          onPublished(records.length, 'block')
          return held.answered(lane, records.length, positions, nowMs)
        },
      })
    }
    return shares
  }

  // The records of these entries up to one that cannot be read. One that the disk has damaged leaves the lane, or it would stop it for ever.
  async #readable(lane: Lane, entries: readonly HeldEntry[]): Promise<Outgoing[]> {
    const { held, keeper, onDamaged } = this.#deps
    const records: Outgoing[] = []
    for (const entry of entries) {
      try {
        records.push(entry.record ?? (await keeper.recordOf(entry)))
      } catch (error) {
        if (codeOf(error) === 'ANDON_INGEST_SPOOL_DAMAGED') {
          held.remove(entry, error)
          onDamaged(entry, error)
        } else this.#deps.onDoubt('an entry cannot be read', [nameOf(lane)], error)
        return records
      }
    }
    return records
  }

  // Paced by the monotonic clock: a late tick is skipped, never caught up, and never in the spool.
  async #tick(group: Group, nowMs: number): Promise<void> {
    const { held, shape, clock, onPublished } = this.#deps
    group.tickedAtMs = nowMs
    for (const lane of group.lanes) if (lane.topic === quarantineTopic) await this.#confirmQuiet(group, lane, nowMs)
    const nowUs = clock.nowUs()
    const oldestWaitingUs = this.#deps.oldestWaitingUs()
    const shares: Share[] = []
    for (const lane of group.lanes) {
      if (lane.topic !== telemetryTopic || nowMs - lane.tickedAtMs < tickEveryMs) continue
      lane.tickedAtMs = nowMs
      const upToUs = Math.min(held.lowWaterUs(lane, nowUs), oldestWaitingUs(lane.partition))
      shares.push({
        lane,
        records: [{ ...tickRecord(shape, lane.partition, upToUs), timestampMs: Math.floor(nowUs / 1000) }],
        onAnswer: (positions, heardMs) => {
          this.#toJoin.delete(lane)
          onPublished(1, 'tick')
          return held.heard(lane, positions[0]!, heardMs)
        },
      })
    }
    await this.#append(group, shares)
    const safe = held.dropSafe()
    if (safe.length > 0) this.#deps.onSafe(safe)
  }

  // A partition without ticks hears nothing by itself: ask for its end, so that its entries can leave the spool. No answer is no evidence.
  // Nothing of the lane is under way meanwhile: what the log says is about what we know.
  async #confirmQuiet(group: Group, lane: Lane, nowMs: number): Promise<void> {
    const { held, log, clock } = this.#deps
    if (lane.newest === undefined || lane.answeredCount === 0 || nowMs - lane.answeredAtMs < holdMs) return
    let end: Position | undefined
    const asked = log.latest(lane.topic, lane.partition).then(
      (position) => {
        end = position
      },
      () => undefined,
    )
    if (await takesLonger(asked, patienceMs)) this.#leaveBehind(group, new Set([lane]))
    else if (end !== undefined && held.heardEnd(lane, end, clock.monotonicMs())) this.#deps.onDoubt('the log went back', [nameOf(lane)])
  }

  // All calls are made at once, so they travel together where their partitions have one leader; each has an answer of its own.
  async #append(group: Group, shares: readonly Share[]): Promise<void> {
    const { held, clock, onDoubt } = this.#deps
    const open = new Set(shares.map(({ lane }) => lane))
    const failed: Lane[] = []
    const doubtful: Lane[] = []
    let why: unknown
    const answers = Promise.all(
      shares.map(async ({ lane, records, onAnswer }) => {
        const { topic, partition, newest } = lane
        try {
          const appended = await group.appender.append(records, { after: newest === undefined ? [] : [{ topic, partition, ...newest }] })
          const ends = [appended.at(0)!, appended.at(appended.length - 1)!]
          if (onAnswer(records.length === 1 ? ends.slice(1) : ends, clock.monotonicMs())) doubtful.push(lane)
        } catch (error) {
          why ??= error
          failed.push(lane)
          held.doubt(lane)
        }
        open.delete(lane)
      }),
    )
    if (await takesLonger(answers, patienceMs)) this.#leaveBehind(group, open)
    await answers
    if (doubtful.length > 0) onDoubt('the log changed its leader epoch or went back', doubtful.map(nameOf))
    if (failed.length === 0) {
      group.failures = 0
      return
    }
    if (group.failures++ === 0) onDoubt('an append failed', failed.map(nameOf), why)
    this.#leaveBehind(group, new Set(failed))
    await this.#deps.backOff(Math.min(longestPauseMs, 100 * 2 ** Math.min(group.failures, 5)))
  }

  // The group keeps the partitions in trouble, whose append is still under way or has failed; the others go on without them.
  #leaveBehind(group: Group, troubled: ReadonlySet<Lane>): void {
    group.troubledAtMs = this.#deps.clock.monotonicMs()
    const others = [...group.lanes].filter((lane) => !troubled.has(lane))
    if (troubled.size === 0 || others.length === 0) return
    for (const lane of others) group.lanes.delete(lane)
    const next = this.#newGroup(this.#spare.pop() ?? this.#deps.log.appender(), others, group.tickedAtMs)
    if (this.#hasStarted) this.#run(() => this.#loop(next))
  }

  // Returns true when the group is no more: its partitions are with another calm one.
  #joinCalmOne(group: Group, nowMs: number): boolean {
    const isCalm = ({ failures, troubledAtMs }: Group) => failures === 0 && nowMs - troubledAtMs >= calmMs
    if (this.#groups.length === 1 || !isCalm(group)) return false
    const other = this.#groups.find(isCalm)!
    if (other === group) return false
    for (const lane of group.lanes) other.lanes.add(lane)
    this.#groups.splice(this.#groups.indexOf(group), 1)
    this.#spare.push(group.appender)
    return true
  }

  #newGroup(appender: Appender, lanes: readonly Lane[], tickedAtMs: number): Group {
    const group: Group = { appender, lanes: new Set(lanes), tickedAtMs, failures: 0, troubledAtMs: Number.NEGATIVE_INFINITY }
    this.#groups.push(group)
    return group
  }
}

const nameOf = ({ topic, partition }: Lane): string => `${topic}/${partition}`

const takesLonger = async (work: Promise<unknown>, ms: number): Promise<boolean> => {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(true), ms)
  try {
    return await Promise.race([work.then(() => false), late.promise])
  } finally {
    clearTimeout(timer)
  }
}
