// Facts about one step → its state: approvals by people, deadlines, the intent and its one outcome.
// An intent behind a hold, a revocation, an expiry or another attempt is dead for every reader.

import type { Actions } from '@andon/schemas'
import type { State, Step, Verdict } from './types.ts'

/** Attempts under one approval. */
export const MAX_ATTEMPTS = 8
const MINUTE_US = 60_000_000

/** Whether a hold stops everything on this line now. */
export const isHeld = (state: State, line: string): boolean => {
  for (const hold of state.holds.values()) if (hold.isActive && (hold.scope === '*' || hold.scope === line)) return true
  return false
}

export const hasEnded = (step: Step): boolean => step.endedUs !== null

const end = (step: Step, status: Step['status'], atUs: number): void => {
  step.status = status
  step.endedUs = atUs
  step.open = null
}

/** Folds a fact about one step: decisions, deadlines, intents and their outcomes. */
export const foldStep = (state: State, record: Actions, offset: number): Verdict => {
  const step = record.stepId === null ? undefined : state.steps.get(record.stepId)
  if (record.type === 'TimerFired' && !step) return 'counted'
  if (!step) return 'dead'
  switch (record.type) {
    case 'DecisionRecorded':
      return recordDecision(step, record)
    case 'StepApproved':
      return approveStep(step)
    case 'StepRejected':
      return endUnless(step, step.open !== null, 'rejected', record)
    case 'StepRevoked':
      return revokeStep(step, record)
    case 'StepExpired':
      return endUnless(step, step.open !== null, 'expired', record)
    case 'TimerFired':
      return fireTimer(step, record)
    case 'Executing':
      return openIntent(state, step, record, offset)
    default:
      return closeIntent(step, record)
  }
}

const endUnless = (step: Step, isBlocked: boolean, status: Step['status'], record: Actions): Verdict => {
  if (isBlocked || hasEnded(step)) return 'dead'
  step.note = record.decision?.reason ?? record.title ?? ''
  end(step, status, record.atUs)
  return 'counted'
}

const isAsking = (step: Step): boolean => step.status === 'awaiting-approval' || step.status === 'unsure'

const recordDecision = (step: Step, record: Actions): Verdict => {
  if (record.decision?.verdict !== 'approve') return 'counted'
  if (!isAsking(step) || step.approvals.some((one) => one.by === record.by)) return 'dead'
  step.approvals.push({ by: record.by, reason: record.decision.reason, atUs: record.atUs })
  return 'counted'
}

/** Counts only with as many distinct people on the log as the proposal asks for, whoever wrote it. */
const approveStep = (step: Step): Verdict => {
  if (!isAsking(step)) return 'dead'
  const needed = step.status === 'unsure' ? Math.max(1, step.proposal.approvalsNeeded) : step.proposal.approvalsNeeded
  if (step.approvals.length < needed) return 'dead'
  step.status = 'approved'
  return 'counted'
}

/** With a command under way the word is kept: the step ends as revoked if that attempt had no effect. */
const revokeStep = (step: Step, record: Actions): Verdict => {
  if (hasEnded(step)) return 'dead'
  step.revokeAsked = true
  step.isRevoked = true
  step.note = record.decision?.reason ?? ''
  if (step.open === null) end(step, 'revoked', record.atUs)
  return 'counted'
}

const fireTimer = (step: Step, record: Actions): Verdict => {
  if (record.timer?.name === 'escalate') step.escalated = true
  if (record.timer?.name === 'review') step.reviewUs = null
  return 'counted'
}

/** Whether an intent written now would be live. */
export const isExecutable = (state: State, step: Step, atUs: number): boolean =>
  step.status === 'approved' &&
  step.open === null &&
  !step.revokeAsked &&
  step.attempts < MAX_ATTEMPTS &&
  atUs < step.proposal.expiresUs &&
  !isHeld(state, step.line)

/** A dead intent changes nothing: it is never sent, so there is nothing to settle. */
const openIntent = (state: State, step: Step, record: Actions, offset: number): Verdict => {
  const { execution, epoch, owner } = record
  if (!execution || epoch === null || owner === null) return 'dead'
  if (!isExecutable(state, step, record.atUs) || execution.attempt !== step.attempts + 1) return 'dead'
  const { attempt, commandRequestId, notAfterUs } = execution
  step.open = { attempt, commandRequestId, notAfterUs, offset, epoch, owner }
  step.attempts = attempt
  return 'counted'
}

const closeIntent = (step: Step, record: Actions): Verdict => {
  const { execution } = record
  if (!execution || step.open === null || step.open.attempt !== execution.attempt) return 'dead'
  step.note = execution.readback ?? record.title ?? ''
  step.open = null
  switch (record.type) {
    case 'Executed':
      step.reviewUs = reviewTime(step, record.atUs)
      end(step, 'executed', record.atUs)
      return 'counted'
    case 'RejectedByTarget':
      end(step, 'refused-by-target', record.atUs)
      return 'counted'
    case 'NotObserved':
      step.status = 'unsure'
      step.round += 1
      step.approvals = []
      if (step.revokeAsked) end(step, 'revoked', record.atUs)
      return 'counted'
    default:
      return afterNoEffect(step, record)
  }
}

/** ExecutionAbandoned and NotExecuted: the same approval allows another attempt, later each time. */
const afterNoEffect = (step: Step, record: Actions): Verdict => {
  if (step.revokeAsked) end(step, 'revoked', record.atUs)
  else if (step.attempts >= MAX_ATTEMPTS) end(step, 'not-executed', record.atUs)
  else step.retryAtUs = record.atUs + Math.min(MINUTE_US, 1_000_000 * 2 ** step.attempts)
  return 'counted'
}

const reviewTime = (step: Step, atUs: number): number | null => {
  const { reviewMinutes } = JSON.parse(step.proposal.command.params) as { reviewMinutes?: number }
  return reviewMinutes === undefined ? null : atUs + reviewMinutes * MINUTE_US
}
