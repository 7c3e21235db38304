// At most once: the intent is on the log, the log is read back to its end, the last objection is asked for, and only then
// the bytes leave. What nobody knows is settled by asking the target, never by sending again.

import { executing, fact, objectionToSend, openIntents, outcome, outcomeUnknown, settledOutcome, settleWaitMs } from '@andon/decisions'
import type { Outcome, Step } from '@andon/decisions'
import type { Logger } from '@andon/kit'
import type { Actions, Notification } from '@andon/schemas'
import type { CommandDefinition } from '@andon/schemas'
import { NotSent } from './adapters/executor.ts'
import type { Answer, Order } from './adapters/executor.ts'
import type { Executors, ReadyToSend } from './adapters/executors.ts'
import { TermEnded } from './partition-log.ts'
import type { Clock, PartitionLog } from './partition-log.ts'
import type { Term, Turns } from './term.ts'

const SETTLE_RETRY_MS = 2_000

export interface ExecutionDeps {
  readonly log: PartitionLog
  readonly turns: Turns
  readonly clock: Clock
  readonly logger: Logger
  readonly executors: Executors
  readonly commands: () => ReadonlyMap<string, CommandDefinition>
  /** Longest process stop assumed between the last check and the bytes leaving. */
  readonly maxStopMs: number
  readonly wake: () => void
  /** Told of every point of the protocol as it is reached; fault runs end the process there. */
  readonly reached?: ((point: ExecutionPoint, stepId: string) => void) | undefined
}

/** Where a process may die: before and after everything that leaves it or comes to it. */
export const EXECUTION_POINTS = [
  'approved',
  'intent-appending',
  'intent-acknowledged',
  'preparing',
  'prepared',
  'reading-back',
  'read-back',
  'sending',
  'sent',
  'answered',
  'unknown-appending',
  'unknown-acknowledged',
  'outcome-appending',
  'outcome-acknowledged',
  'settling',
  'burnt',
  'settlement-appending',
  'settlement-acknowledged',
] as const
export type ExecutionPoint = (typeof EXECUTION_POINTS)[number]

interface Attempt {
  readonly stepId: string
  readonly intentOffset: number
  readonly order: Order
  readonly startedMs: number
  readonly startedUs: number
  readonly allowedMs: number
}

export class Execution {
  private readonly deps: ExecutionDeps
  private readonly settling = new Set<number>()
  private readonly settleAgainMs = new Map<number, number>()

  constructor(deps: ExecutionDeps) {
    this.deps = deps
  }

  private reached(point: ExecutionPoint, stepId: string): void {
    this.deps.reached?.(point, stepId)
  }

  /** What the log says of targets that keep failing holds for this process as well. */
  adoptBreakers(): void {
    for (const [name, { state }] of this.deps.log.state.breakers) {
      const [executor = '', ...line] = name.split('/')
      this.deps.executors.adopt(executor, line.join('/'), state)
    }
  }

  /** Whether an intent makes sense now: the command exists and its breaker lets commands through. */
  canStart(step: Step): boolean {
    const definition = this.deps.commands().get(step.proposal.command.command)
    return definition !== undefined && this.deps.executors.isOpenFor(definition, step.line)
  }

  /** Writes the intent (inside the owner's turn) and brings the command on its way, outside of it. */
  async start(term: Term, step: Step, atUs: number): Promise<void> {
    const { log, clock } = this.deps
    const definition = this.definitionOf(step)
    const startedMs = clock.monoMs()
    const startedUs = clock.nowUs()
    const intent = executing(step, definition.commandWindowMs, atUs)
    const allowedMs = Math.min(definition.commandWindowMs, (step.proposal.expiresUs - atUs) / 1000)
    this.reached('approved', step.id)
    const appending = log.append(term, [intent])
    this.reached('intent-appending', step.id)
    const intentOffset = await appending
    this.reached('intent-acknowledged', step.id)
    term.underWay.add(intentOffset)
    const order = this.orderOf(step, definition, intent.execution?.commandRequestId ?? '', intent.execution?.notAfterUs ?? 0)
    const attempt: Attempt = { stepId: step.id, intentOffset, order, startedMs, startedUs, allowedMs }
    void this.deliver(term, attempt) // its errors are outcomes: reported on the log or left open to be settled
  }

  private definitionOf(step: Step): CommandDefinition {
    const definition = this.deps.commands().get(step.proposal.command.command)
    if (!definition) throw new Error(`Command ${step.proposal.command.command} is not in the catalogue`)
    return definition
  }

  private orderOf(step: Step, definition: CommandDefinition, commandRequestId: string, notAfterUs: number): Order {
    const incident = this.deps.log.state.incidents.get(step.incidentId)
    return {
      commandRequestId,
      command: step.proposal.command,
      definition,
      line: step.line,
      incidentId: step.incidentId,
      stepId: step.id,
      assetId: incident?.assetId ?? null,
      title: incident?.title ?? step.name,
      severity: incident?.severity ?? 2,
      notAfterUs,
    }
  }

  private async deliver(term: Term, attempt: Attempt): Promise<void> {
    const { executors, logger } = this.deps
    const fields = { stepId: attempt.stepId, command: attempt.order.command.command, commandRequestId: attempt.order.commandRequestId }
    try {
      this.reached('preparing', attempt.stepId)
      const prepared = await executors.prepare(attempt.order)
      this.reached('prepared', attempt.stepId)
      const sent = await this.deps.turns.run(() => this.confirmAndSend(term, attempt, prepared))
      if ('objection' in sent) {
        logger.warn({ ...fields, why: sent.objection }, 'command was not sent')
        return await this.abandon(term, attempt, sent.objection)
      }
      const answer = await sent.answer
      this.reached('answered', attempt.stepId)
      logger.info({ ...fields, kind: answer.kind }, 'command answered')
      await this.record(term, attempt, answer.kind, answer)
    } catch (error) {
      if (error instanceof NotSent) return await this.abandon(term, attempt, error.message)
      if (error instanceof TermEnded) return
      logger.error({ ...fields, err: error }, 'outcome unknown: it will be read back')
      await this.noteUnknown(term, attempt)
    } finally {
      term.underWay.delete(attempt.intentOffset)
      this.deps.wake()
    }
  }

  /** Reads to the end of the log and sends in the same turn, or says what speaks against it. */
  private async confirmAndSend(
    term: Term,
    attempt: Attempt,
    prepared: ReadyToSend,
  ): Promise<{ readonly answer: Promise<Answer> } | { readonly objection: string }> {
    const { log, clock } = this.deps
    for (;;) {
      if (term.hasEnded) return { objection: 'this owner has given the partition up' }
      const readMs = clock.monoMs()
      this.reached('reading-back', attempt.stepId)
      await log.read()
      this.reached('read-back', attempt.stepId)
      const objection = objectionToSend({
        state: log.state,
        stepId: attempt.stepId,
        intentOffset: attempt.intentOffset,
        epoch: term.epoch,
        owner: term.owner,
        monoSinceIntentMs: clock.monoMs() - attempt.startedMs,
        wallSinceIntentMs: (clock.nowUs() - attempt.startedUs) / 1000,
        monoSinceReadMs: clock.monoMs() - readMs,
        allowedMs: attempt.allowedMs,
      })
      if (objection === 'stale') continue
      if (objection !== null) return { objection }
      this.reached('sending', attempt.stepId)
      const answer = prepared.send()
      this.reached('sent', attempt.stepId)
      answer.catch(() => undefined) // awaited outside the turn; not unhandled until then
      return { answer }
    }
  }

  private async abandon(term: Term, attempt: Attempt, why: string): Promise<void> {
    await this.record(term, attempt, 'ExecutionAbandoned', { readback: null, title: why })
  }

  private async record(
    term: Term,
    attempt: Attempt,
    kind: Outcome,
    what: { readonly readback: string | null; readonly title: string; readonly notifications?: readonly Notification[] },
  ): Promise<void> {
    await this.deps.turns
      .run(async () => {
        const step = this.openStep(term, attempt.stepId, attempt.intentOffset)
        if (!step) return
        const atUs = this.deps.log.stampUs()
        const told = (what.notifications ?? []).map((notification) => notified(step, notification, attempt.order.commandRequestId, atUs))
        const appending = this.deps.log.append(term, [...told, outcome(step, kind, 'answer', what.readback, what.title, atUs)])
        this.reached('outcome-appending', step.id)
        await appending
        this.reached('outcome-acknowledged', step.id)
      })
      .catch((error: unknown) => {
        // the next take reads the target back
        if (!(error instanceof TermEnded)) throw error
      })
  }

  /** For people who watch: the intent stays open until its target was read back. */
  private async noteUnknown(term: Term, attempt: Attempt): Promise<void> {
    await this.deps.turns
      .run(async () => {
        const step = this.openStep(term, attempt.stepId, attempt.intentOffset)
        if (!step) return
        const facts = [outcomeUnknown(step, 'The target gave no answer: it will be asked what it did', this.deps.log.stampUs())]
        const appending = this.deps.log.append(term, facts)
        this.reached('unknown-appending', step.id)
        await appending
        this.reached('unknown-acknowledged', step.id)
      })
      .catch((error: unknown) => this.deps.logger.warn({ err: error, stepId: attempt.stepId }, 'an unknown outcome could not be noted'))
  }

  private openStep(term: Term, stepId: string, intentOffset: number): Step | undefined {
    const step = this.deps.log.state.steps.get(stepId)
    return term.hasEnded || step?.open?.offset !== intentOffset ? undefined : step
  }

  /** Starts reading back every intent whose effect must be visible by now. */
  settleOpenIntents(term: Term): void {
    const { log, clock } = this.deps
    for (const step of openIntents(log.state)) {
      const offset = step.open?.offset ?? -1
      if (term.underWay.has(offset) || this.settling.has(offset)) continue
      const definition = this.deps.commands().get(step.proposal.command.command)
      if (!definition) continue
      const readMs = log.firstReadMs.get(offset) ?? clock.monoMs()
      const waitMs = settleWaitMs(definition.commandWindowMs, definition.maxLatencyMs, this.deps.maxStopMs)
      const dueMs = Math.max(readMs + waitMs, this.settleAgainMs.get(offset) ?? 0)
      if (clock.monoMs() <= dueMs) continue
      this.settling.add(offset)
      void this.settle(term, step, offset, definition)
    }
  }

  private async settle(term: Term, step: Step, offset: number, definition: CommandDefinition): Promise<void> {
    const { executors, logger, log } = this.deps
    const order = this.orderOf(step, definition, step.open?.commandRequestId ?? '', step.open?.notAfterUs ?? 0)
    try {
      this.reached('settling', step.id)
      const { isDone, readback } = await executors.settle(order)
      this.reached('burnt', step.id)
      const kind = settledOutcome(definition.class, isDone)
      logger.info({ stepId: step.id, commandRequestId: order.commandRequestId, kind }, 'unknown outcome settled by reading back')
      await this.deps.turns.run(async () => {
        const open = this.openStep(term, step.id, offset)
        if (!open) return
        const appending = log.append(term, [outcome(open, kind, 'readback', readback, titleOf(kind), log.stampUs())])
        this.reached('settlement-appending', step.id)
        await appending
        this.reached('settlement-acknowledged', step.id)
      })
    } catch (error) {
      this.settleAgainMs.set(offset, this.deps.clock.monoMs() + SETTLE_RETRY_MS)
      if (!(error instanceof TermEnded)) logger.warn({ err: error, stepId: step.id }, 'target could not be read back, trying again')
    } finally {
      this.settling.delete(offset)
      this.deps.wake()
    }
  }
}

const titleOf = (kind: Outcome): string =>
  ({
    Executed: 'Read back: the target has done it',
    NotExecuted: 'Read back: the target has not done it and will refuse it from now on',
    NotObserved: 'Read back: no effect is visible; somebody has to look',
    RejectedByTarget: 'Refused by the target',
    ExecutionAbandoned: 'Not sent',
  })[kind]

const notified = (step: Step, notification: Notification, commandRequestId: string, atUs: number): Actions =>
  fact('Notified', step.line, atUs, [commandRequestId, notification.channel, notification.target], {
    incidentId: step.incidentId,
    stepId: step.id,
    title: `${notification.channel} to ${notification.target}`,
    notification,
  })
