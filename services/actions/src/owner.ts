// The one that decides a partition: takes it, writes due timers, answers requests in log order, executes what is approved
// and settles what is unknown. The rules are the kernel's; this file supplies time, the log and the executors.

import { decide, dueFacts, executableSteps, fact, nextDueUs, nextRetryUs, refused } from '@andon/decisions'
import type { DecideContext, State } from '@andon/decisions'
import type { Logger } from '@andon/kit'
import type { Actions } from '@andon/schemas'
import { Execution } from './execution.ts'
import type { ExecutionDeps } from './execution.ts'
import { ClockWrong, isUnwritable, PartitionClosed, PartitionLog, TermEnded } from './partition-log.ts'
import type { PartitionLogDeps } from './partition-log.ts'
import { Turns } from './term.ts'
import type { Term } from './term.ts'

const RESTATE_EVERY_US = 600_000_000
/** With incidents open, retries and read-backs come due by the monotonic clock; otherwise only a new record matters. */
const BUSY_SLEEP_MS = 1_000
const IDLE_SLEEP_MS = 30_000
/** A fenced owner takes again only after a heartbeat had time to tell it that the partition is gone. */
const FENCED_PAUSE_MS = 1_500
const CLOCK_PAUSE_MS = 30_000

export interface OwnerDeps extends PartitionLogDeps, Pick<ExecutionDeps, 'executors' | 'commands' | 'maxStopMs' | 'reached'> {
  /** Everything a decision needs beside request and state. */
  readonly context: (request: Actions | undefined, state: State, atUs: number) => DecideContext
  /** Told how each decision ended: a fact type. */
  readonly onDecided: (type: string) => void
  /** True while documents are still being read: nothing is decided on half a plant. */
  readonly isReady: () => boolean
}

export class PartitionOwner {
  readonly log: PartitionLog
  private readonly turns = new Turns()
  private readonly execution: Execution
  private readonly deps: OwnerDeps
  private readonly logger: Logger
  private stopped = false
  private readonly stopping = Promise.withResolvers<void>()
  private wakeUp: (() => void) | undefined
  private loop: Promise<void> = Promise.resolve()
  private term: Term | undefined
  private restatedUs = 0
  /** Why this partition decides nothing at the moment; null while it does. */
  problem: string | null = 'not taken yet'

  constructor(deps: OwnerDeps) {
    this.deps = deps
    this.logger = deps.logger
    this.log = new PartitionLog(deps)
    this.execution = new Execution({
      log: this.log,
      turns: this.turns,
      clock: deps.clock,
      logger: deps.logger,
      executors: deps.executors,
      commands: deps.commands,
      maxStopMs: deps.maxStopMs,
      reached: deps.reached,
      wake: () => this.wake(),
    })
  }

  /** Epoch held now; 0 while none is. */
  get epoch(): number {
    return this.term && !this.term.hasEnded ? this.term.epoch : 0
  }

  start(): void {
    this.loop = this.run()
  }

  /** Something may have been appended, or a condition for executing may have changed. */
  wake(): void {
    this.wakeUp?.()
  }

  /** Ends after the decision in hand; commands under way are settled by whoever takes the partition next. */
  async stop(): Promise<void> {
    this.stopped = true
    this.stopping.resolve()
    if (this.term) this.term.hasEnded = true
    this.wake()
    await this.loop
  }

  /** Appends facts outside the request order (a breaker's change), if the partition is owned. */
  async note(facts: (atUs: number) => readonly Actions[]): Promise<void> {
    await this.turns.run(async () => {
      if (!this.term || this.term.hasEnded) return
      const noted = facts(this.log.stampUs())
      if (noted.length > 0) await this.log.append(this.term, noted)
    })
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.stopped;) {
      try {
        this.term = await this.turns.run(() => this.log.take())
        if (this.term) await this.serve(this.term)
        failures = 0
        await this.pause(FENCED_PAUSE_MS)
      } catch (error) {
        if (error instanceof PartitionClosed) {
          this.problem = error.message
          this.logger.fatal({ err: error, partition: this.deps.partition }, 'partition is closed: nothing is decided or executed')
          return
        }
        if (!this.stopped) this.complain(error)
        failures += 1
        await this.pause(error instanceof ClockWrong ? CLOCK_PAUSE_MS : Math.min(5_000, 100 * 2 ** failures))
      }
    }
  }

  private complain(error: unknown): void {
    this.problem = error instanceof Error ? error.message : String(error)
    const fields = { err: error, partition: this.deps.partition }
    if (error instanceof TermEnded) this.logger.warn(fields, 'epoch ended, taking the partition again')
    else this.logger.error(fields, 'partition could not be owned')
  }

  private async serve(term: Term): Promise<void> {
    this.problem = null
    this.execution.adoptBreakers()
    while (!this.stopped && !term.hasEnded) {
      // a wake-up that comes while working counts for the next sleep
      const sleep = this.prepareSleep()
      const didWork = await this.turns.run(() => this.step(term))
      if (!didWork) await sleep(this.pauseMs())
    }
  }

  /** One decision; false when there is nothing to do. */
  private async step(term: Term): Promise<boolean> {
    const { log, deps } = this
    await log.read()
    if (term.hasEnded || !deps.isReady()) return false
    const { state } = log
    const atUs = log.stampUs()
    const due = dueFacts(state, deps.context(undefined, state, atUs))
    if (due.length > 0) return this.write(term, due)
    const [pending] = state.pending.values()
    if (pending) return this.answer(term, pending.record, atUs)
    this.execution.settleOpenIntents(term)
    const step = executableSteps(state, atUs).find((one) => this.execution.canStart(one))
    if (step) {
      await this.execution.start(term, step, atUs)
      return true
    }
    return this.restate(term, state, atUs)
  }

  /** Every request gets an answer: facts that do not fit into a record become a refusal, and the log goes on. */
  private async answer(term: Term, request: Actions, atUs: number): Promise<boolean> {
    const { state } = this.log
    try {
      return await this.write(term, decide(request, state, this.deps.context(request, state, atUs)))
    } catch (error) {
      if (!isUnwritable(error)) throw error
      this.logger.error({ err: error, requestId: request.id, type: request.type }, 'the answer cannot be written: the request is refused')
      return this.write(term, [
        refused(request, atUs, 'ANDON_ACTIONS_UNDECIDABLE', `The answer to ${request.type} does not fit into a record`),
      ])
    }
  }

  private async write(term: Term, facts: readonly Actions[]): Promise<boolean> {
    await this.log.append(term, facts)
    for (const one of facts) this.deps.onDecided(one.type)
    return true
  }

  /** Readers that start inside the log learn here who owns it and which holds were lifted. */
  private async restate(term: Term, state: State, atUs: number): Promise<boolean> {
    if (this.restatedUs === 0) this.restatedUs = atUs
    if (atUs - this.restatedUs < RESTATE_EVERY_US || state.stampUs <= this.restatedUs) return false
    const line = `partition-${this.deps.partition}`
    const hold = { holdIds: [...state.liftedHolds.keys()], scope: line, reason: 'lifted' }
    await this.log.append(term, [fact('OwnershipRestated', line, atUs, [term.owner, atUs], { hold })])
    this.restatedUs = this.log.state.stampUs
    return true
  }

  private pauseMs(): number {
    const nowUs = this.deps.clock.nowUs()
    const next = Math.min(nextDueUs(this.log.state) ?? Infinity, nextRetryUs(this.log.state, nowUs) ?? Infinity)
    const longest = this.log.state.openIncidents.size > 0 || !this.deps.isReady() ? BUSY_SLEEP_MS : IDLE_SLEEP_MS
    return Math.max(5, Math.min(longest, (next - nowUs) / 1000))
  }

  private prepareSleep(): (ms: number) => Promise<void> {
    const woken = Promise.withResolvers<void>()
    this.wakeUp = () => woken.resolve()
    return async (ms) => {
      const timer = setTimeout(() => woken.resolve(), ms)
      await woken.promise
      clearTimeout(timer)
    }
  }

  /** Not ended by a wake-up: two owners that fence each other would otherwise take turns as fast as they can. */
  private async pause(ms: number): Promise<void> {
    const timer = Promise.withResolvers<void>()
    const timeout = setTimeout(timer.resolve, ms)
    await Promise.race([timer.promise, this.stopping.promise])
    clearTimeout(timeout)
  }
}
