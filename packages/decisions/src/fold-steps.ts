// Facts about one step → its state: approvals by people, deadlines, the intent and its one outcome.
// An intent behind a hold, a revocation, an expiry or another attempt is dead for every reader.

import { actsOnPlant } from '@andon/schemas/documents/commands'
import type { Actions } from '@andon/schemas'
import { alarmNoteOf, alarmsOf } from './alarms/state.ts'
import { attend } from './attention.ts'
import { isCarried, objectionToVoice, peopleNeeded } from './ballot.ts'
import type { Ballot } from './ballot.ts'
import type { State, Step, Verdict } from './types.ts'

/** Attempts under one approval. */
export const MAX_ATTEMPTS = 8
const MINUTE_US = 60_000_000

/** Whether a hold stops everything on this line now. */
export const isHeld = (state: State, line: string): boolean => {
  for (const hold of state.holds.values()) if (hold.isActive && (hold.scope === '*' || hold.scope === line)) return true
  return false
}

/** What the step's proposal asks of people: one at least where the command acts on the plant or left no trace. */
export const ballotOf = (step: Step, rolesIfNone: readonly string[] = []): Ballot => {
  const { proposal } = step
  const { effect, commandHash } = proposal.command
  const floor = step.status === 'unsure' || actsOnPlant({ effect: effect as 'motion' }) ? 1 : 0
  return {
    hash: commandHash,
    needed: Math.max(floor, peopleNeeded({ needed: proposal.approvalsNeeded, quorum: proposal.quorum })),
    roles: proposal.roles.length > 0 ? proposal.roles : rolesIfNone,
    quorum: proposal.quorum,
    exclude: proposal.exclude,
    proposedBy: step.proposedBy,
    fourEyes: proposal.fourEyes,
    stepUp: proposal.stepUp,
    expiresUs: proposal.expiresUs,
  }
}

/** False evidence: nothing but telling people goes on in its incident. */
export const isOnBadEvidence = (state: State, step: Step): boolean => {
  const { effect } = step.proposal.command
  const onlyTells = effect === 'notify' || effect === 'record'
  return !onlyTells && (state.incidents.get(step.incidentId)?.badEvidence.length ?? 0) > 0
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
  if (record.type === 'TimerFired' && alarmNoteOf(record)?.state === 'flood') alarmsOf(state, record.line).counts.deadlines += 1
  if (!step) return 'dead'
  switch (record.type) {
    case 'DecisionRecorded':
      attend(state.incidents.get(step.incidentId), record)
      return recordDecision(step, record)
    case 'StepApproved':
      return approveStep(step)
    case 'StepRejected':
      return endUnless(step, step.open !== null, 'rejected', record)
    case 'StepRevoked':
      return revokeStep(step, record)
    case 'StepWithdrawn':
      return endUnless(step, step.open !== null, 'withdrawn', record)
    case 'StepSuperseded':
      return endUnless(step, step.open !== null, 'superseded', record)
    case 'StepDelegated':
      return delegate(step, record)
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
  if (record.decision?.verdict === 'abstain') return abstain(step, record)
  if (record.decision?.verdict !== 'approve') return 'counted'
  const voice = { by: record.by, roles: record.roles, strength: record.decision.strength }
  const isLate = record.atUs >= step.proposal.expiresUs
  if (!isAsking(step) || isLate || objectionToVoice(ballotOf(step), step.approvals, voice) !== null) return 'dead'
  step.approvals.push({ ...voice, reason: record.decision.reason, atUs: record.atUs })
  return 'counted'
}

/** Takes one's own word back while the step still waits. */
const abstain = (step: Step, record: Actions): Verdict => {
  if (!isAsking(step)) return 'dead'
  step.takenBack.push(record.by)
  step.approvals = step.approvals.filter((one) => one.by !== record.by)
  return 'counted'
}

/** Whoever lends the right to decide has it no more, and takes an approval of their own with it. */
const delegate = (step: Step, record: Actions): Verdict => {
  const { to, untilUs } = record.decision ?? {}
  if (!isAsking(step) || !to || !untilUs) return 'dead'
  step.delegations.push({ from: record.by, to, roles: record.roles ?? [], untilUs })
  step.approvals = step.approvals.filter((one) => one.by !== record.by)
  return 'counted'
}

/** Counts only with as many distinct people on the log as the proposal asks for, whoever wrote it. */
const approveStep = (step: Step): Verdict => {
  if (!isAsking(step) || !isCarried(ballotOf(step), step.approvals)) return 'dead'
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
  if (record.timer?.name.startsWith('escalate-')) step.rungs += 1
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
  !state.isReplayed &&
  !isOnBadEvidence(state, step) &&
  !isHeld(state, step.line)

/** A dead intent changes nothing: it is never sent, so there is nothing to settle. */
const openIntent = (state: State, step: Step, record: Actions, offset: number): Verdict => {
  const { execution, epoch, owner } = record
  if (!execution || epoch === null || owner === null) return 'dead'
  if (!isExecutable(state, step, record.atUs) || execution.attempt !== step.attempts + 1) return 'dead'
  const { attempt, commandRequestId, notAfterUs } = execution
  step.open = { attempt, commandRequestId, notAfterUs, offset, epoch, owner, isUnknown: false }
  step.attempts = attempt
  return 'counted'
}

const closeIntent = (step: Step, record: Actions): Verdict => {
  const { execution } = record
  if (!execution || step.open === null || step.open.attempt !== execution.attempt) return 'dead'
  if (record.type === 'OutcomeUnknown') {
    step.open.isUnknown = true
    return 'counted'
  }
  if (execution.by === 'readback') step.isReconciled = true
  step.note = execution.readback ?? record.title ?? ''
  step.open = null
  switch (record.type) {
    case 'Executed':
      step.isVerified = execution.by === 'readback' || execution.readback !== null
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
