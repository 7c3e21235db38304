// What one process knows of one partition, and how it appends to it as owner: one append in flight, read back before the next.

import { emptyState, evolve, ownershipTaken, sign, STAMP_BOUND_US } from '@andon/decisions'
import type { State, Verdict } from '@andon/decisions'
import { codeOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import type { ActionsLog, TracedEntry } from './actions-log.ts'
import { Term } from './term.ts'

/** Settled intents are forgotten when there are this many. */
const MOST_REMEMBERED_INTENTS = 256

/** Wall clock and monotonic clock; tests bring their own. */
export interface Clock {
  nowUs(): number
  monoMs(): number
}

export const systemClock: Clock = { nowUs: () => Date.now() * 1000, monoMs: () => performance.now() }

/** evolve threw: this partition executes nothing until somebody has looked. */
export class PartitionClosed extends Error {
  override readonly name = 'PartitionClosed'
}

export interface PartitionLogDeps {
  readonly log: ActionsLog
  readonly partition: number
  readonly clock: Clock
  readonly logger: Logger
  /** Every record that counted, in log order; `isLive` once this process owns the partition. */
  readonly onCounted: (entry: TracedEntry, isLive: boolean) => void
  readonly onVoid: (verdict: Verdict) => void
}

export class PartitionLog {
  readonly state: State = emptyState()
  /** When this process first read each open intent, on its own monotonic clock. */
  readonly firstReadMs = new Map<number, number>()
  private readonly traces = new Map<string, string>()
  private next = 0
  private term: Term | undefined
  private readonly deps: PartitionLogDeps

  constructor(deps: PartitionLogDeps) {
    this.deps = deps
  }

  /** Next offset to fold. */
  get position(): number {
    return this.next
  }

  /** Folds everything up to the partition's end as of now. */
  async read(): Promise<void> {
    this.next = await this.deps.log.read(this.deps.partition, this.next, (entry) => this.fold(entry))
  }

  private fold(entry: TracedEntry): void {
    const { record } = entry
    const verdict = this.evolve(entry)
    if (verdict === 'counted') {
      if (this.state.pending.has(record.id) && entry.traceparent !== undefined) this.traces.set(record.id, entry.traceparent)
      if (record.type === 'Executing') this.firstReadMs.set(entry.offset, this.deps.clock.monoMs())
      if (this.firstReadMs.size > MOST_REMEMBERED_INTENTS) this.forgetSettled()
      this.deps.onCounted(entry, this.isOwn())
    } else if (verdict !== 'repeat') {
      this.deps.onVoid(verdict)
      if (verdict === 'void-stamp' && this.term && record.owner === this.term.owner) this.term.hasEnded = true
    }
    if (this.term && !this.isOwn() && record.type === 'OwnershipTaken' && verdict === 'counted') this.term.hasEnded = true
  }

  private evolve(entry: TracedEntry): Verdict {
    try {
      return evolve(this.state, entry)
    } catch (cause) {
      if (this.term) this.term.hasEnded = true
      throw new PartitionClosed(`Record ${entry.offset} of actions/${this.deps.partition} cannot be folded`, { cause })
    }
  }

  private forgetSettled(): void {
    const open = new Set<number>()
    for (const step of this.state.steps.values()) if (step.open) open.add(step.open.offset)
    for (const offset of this.firstReadMs.keys()) if (!open.has(offset)) this.firstReadMs.delete(offset)
  }

  private isOwn(): boolean {
    return this.term !== undefined && this.state.epoch === this.term.epoch && this.state.owner === this.term.owner
  }

  /** The stamp of a decision made now: monotone per partition. */
  stampUs(): number {
    return Math.max(this.state.stampUs, this.deps.clock.nowUs())
  }

  /**
   * Takes the partition: undefined when another take was first, or when nobody knows whether this one landed.
   * Throws ClockWrong when the broker's clock says that ours is more than a minute off.
   */
  async take(): Promise<Term | undefined> {
    const { log, partition, clock, logger } = this.deps
    this.term = undefined
    await this.read()
    const term = new Term(this.state.highestEpoch + 1)
    const startedMs = clock.monoMs()
    const atUs = clock.nowUs()
    const offset = await log.append(partition, [ownershipTaken(`partition-${partition}`, term.epoch, term.owner, atUs)])
    const tookUs = (clock.monoMs() - startedMs) * 1000
    this.term = term
    await this.read()
    if (this.isOwn() && !term.hasEnded) {
      logger.info({ partition, epoch: term.epoch, offset }, 'partition taken')
      return term
    }
    this.term = undefined
    if (this.state.epoch < term.epoch && tookUs < STAMP_BOUND_US) throw new ClockWrong(partition)
    return undefined
  }

  /** Appends facts of one decision and reads them back. An append without a known result ends the term. */
  async append(term: Term, facts: readonly Actions[]): Promise<number> {
    if (term.hasEnded) throw new TermEnded()
    const requestId = facts[0]?.requestId ?? null
    const traceparent = requestId === null ? undefined : this.traces.get(requestId)
    let offset: number
    try {
      offset = await this.deps.log.append(this.deps.partition, sign(facts, term.epoch, term.owner), traceparent)
    } catch (cause) {
      if (isUnwritable(cause)) throw cause
      term.hasEnded = true
      throw new TermEnded('An append has no known result: the epoch ends', { cause })
    }
    await this.read()
    if (requestId !== null && !this.state.pending.has(requestId)) this.traces.delete(requestId)
    return offset
  }
}

/** The record could not even be encoded: nothing was sent. */
export const isUnwritable = (error: unknown): boolean => codeOf(error)?.startsWith('ANDON_CODEC_') === true

export class TermEnded extends Error {
  override readonly name = 'TermEnded'
}

/** This process's clock is more than the stamp bound away from the broker's: it must not own anything. */
export class ClockWrong extends Error {
  override readonly name = 'ClockWrong'
  constructor(partition: number) {
    super(
      `OwnershipTaken of actions/${partition} is void: this machine's clock and the broker's differ by more than 60 s. Synchronise the clocks.`,
    )
  }
}
