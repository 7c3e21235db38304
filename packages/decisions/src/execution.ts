// Bringing an approved command to its target at most once: the checks before the intent, before the bytes leave, and when an outcome is unknown.

import type { Actions } from '@andon/schemas'
import { commandRequestIdOf, fact } from './facts.ts'
import { isExecutable, isHeld, isOnBadEvidence } from './fold-steps.ts'
import type { State, Step } from './types.ts'

/** A send must start this soon after the high watermark was asked for. */
export const READ_BACK_FRESH_MS = 500
/** Relative rate error allowed of a monotonic clock against real time. */
const CLOCK_DRIFT = 1e-3
/** Wall and monotonic clock may differ by this much since the intent; more means the machine was suspended or the clock set. */
const CLOCK_JUMP_MS = 1_000

/** Steps that may get an intent now: approved, due, and no other command under way at the same target. */
export const executableSteps = (state: State, atUs: number): Step[] => {
  const ready: Step[] = []
  const busy = new Set<string>()
  for (const id of state.openIncidents)
    for (const stepId of state.incidents.get(id)?.stepIds ?? []) {
      const step = state.steps.get(stepId)
      if (!step) continue
      if (step.open) busy.add(targetOf(step))
      else if (isExecutable(state, step, atUs) && atUs >= step.retryAtUs) ready.push(step)
    }
  return ready.filter((step) => !busy.has(targetOf(step)))
}

const targetOf = (step: Step): string => `${step.proposal.command.command} ${step.proposal.command.target}`

/** When the next retry is allowed, µs UTC; undefined when none waits. */
export const nextRetryUs = (state: State, atUs: number): number | undefined => {
  let next: number | undefined
  for (const id of state.openIncidents)
    for (const stepId of state.incidents.get(id)?.stepIds ?? []) {
      const step = state.steps.get(stepId)
      if (!step || step.retryAtUs <= atUs || !isExecutable(state, step, atUs)) continue
      next = Math.min(next ?? Infinity, step.retryAtUs)
    }
  return next
}

/** Steps whose intent has no outcome. */
export const openIntents = (state: State): Step[] => {
  const open: Step[] = []
  for (const id of state.openIncidents)
    for (const stepId of state.incidents.get(id)?.stepIds ?? []) {
      const step = state.steps.get(stepId)
      if (step?.open) open.push(step)
    }
  return open
}

/** The intent: on the log before anything leaves. `notAfter` never passes the expiry. */
export const executing = (step: Step, windowMs: number, atUs: number): Actions => {
  const attempt = step.attempts + 1
  return fact('Executing', step.line, atUs, [step.id, attempt], {
    ...about(step),
    execution: {
      attempt,
      commandRequestId: commandRequestIdOf(step.incidentId, step.id, attempt),
      notAfterUs: Math.min(atUs + windowMs * 1000, step.proposal.expiresUs),
      outcome: null,
      readback: null,
      by: null,
    },
  })
}

const about = (step: Step) => ({ incidentId: step.incidentId, stepId: step.id })

export interface SendCheck {
  readonly state: State
  readonly stepId: string
  readonly intentOffset: number
  readonly epoch: number
  readonly owner: string
  /** Monotonic and wall time since just before the intent was appended. */
  readonly monoSinceIntentMs: number
  readonly wallSinceIntentMs: number
  /** Monotonic time since just before the high watermark was asked for. */
  readonly monoSinceReadMs: number
  /** min(command window, time to the expiry at the intent). */
  readonly allowedMs: number
}

/** null: send now. `stale`: read to the end again first. Anything else: do not send; it says why. */
export const objectionToSend = (check: SendCheck): string | null => {
  const { state } = check
  const step = state.steps.get(check.stepId)
  if (state.epoch !== check.epoch || state.owner !== check.owner) return 'another owner has taken the partition'
  if (!step?.open || step.open.offset !== check.intentOffset) return 'the intent is not live'
  if (state.isReplayed) return 'this is a replay'
  if (isHeld(state, step.line)) return 'a hold is active'
  if (isOnBadEvidence(state, step)) return 'the evidence was found false'
  if (step.revokeAsked) return 'the approval was revoked'
  // at the very end it is over: an approval does not hold at its expiry either
  if (check.monoSinceIntentMs >= check.allowedMs) return 'the command window is over'
  if (Math.abs(check.wallSinceIntentMs - check.monoSinceIntentMs) > CLOCK_JUMP_MS) return 'the clock jumped since the intent'
  return check.monoSinceReadMs > READ_BACK_FRESH_MS ? 'stale' : null
}

/**
 * How long after first reading an intent, on the settler's own monotonic clock, its effect must be visible or will never come.
 * The sender's clock may run slow while it measures the window, the settler's fast over all that comes after: see ADR 13.
 */
export const settleWaitMs = (windowMs: number, maxLatencyMs: number, maxStopMs: number, drift = CLOCK_DRIFT): number =>
  (windowMs / (1 - drift) + maxStopMs + maxLatencyMs) * (1 + drift)

export type Outcome = 'Executed' | 'RejectedByTarget' | 'ExecutionAbandoned' | 'NotExecuted' | 'NotObserved'

/** What a read-back means: only a target that burns the id lets "not done" free the step for another attempt. */
export const settledOutcome = (commandClass: string, isDone: boolean): Outcome => {
  if (isDone) return 'Executed'
  return commandClass === 'iii' ? 'NotObserved' : 'NotExecuted'
}

/** Nobody knows what came of the command: the step stays under way until its target was read back. */
export const outcomeUnknown = (step: Step, title: string, atUs: number): Actions => {
  if (!step.open) throw new Error(`Step ${step.id} has no open intent`)
  const { attempt, commandRequestId, notAfterUs } = step.open
  return fact('OutcomeUnknown', step.line, atUs, [step.id, attempt], {
    ...about(step),
    title,
    execution: { attempt, commandRequestId, notAfterUs, outcome: 'OutcomeUnknown', readback: null, by: null },
  })
}

/** The outcome of a step's open intent. */
export const outcome = (
  step: Step,
  kind: Outcome,
  by: 'answer' | 'readback',
  readback: string | null,
  title: string | null,
  atUs: number,
): Actions => {
  if (!step.open) throw new Error(`Step ${step.id} has no open intent`)
  const { attempt, commandRequestId, notAfterUs } = step.open
  return fact(kind, step.line, atUs, [step.id, attempt], {
    ...about(step),
    title,
    execution: { attempt, commandRequestId, notAfterUs, outcome: kind, readback, by },
  })
}
