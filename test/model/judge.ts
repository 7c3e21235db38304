// The promises of DESIGN.md §4, read off the records by a second, independent fold that shares nothing with the kernel: who owned the
// partition, which holds lay where, what people had said. Owners under test may fold as they like; this decides.

import type { Entry } from '@andon/decisions'

const BOUND_US = 60_000_000

interface JudgedStep {
  readonly approvers: readonly string[]
  readonly isApproved: boolean
  readonly revokeLies: boolean
  readonly expiresUs: number
  /** Command request ids that were settled as without effect. */
  readonly over: readonly string[]
}

export interface Judged {
  readonly epoch: number
  readonly owner: string | null
  readonly holds: readonly string[]
  readonly lifted: readonly string[]
  /** Ids of the facts that answered requests. */
  readonly answers: readonly string[]
  /** Outcomes that count, per command request id. */
  readonly outcomes: Readonly<Record<string, string>>
  readonly steps: Readonly<Record<string, JudgedStep>>
  readonly broken: string | null
}

export const NOTHING_JUDGED: Judged = {
  epoch: 0,
  owner: null,
  holds: [],
  lifted: [],
  answers: [],
  outcomes: {},
  steps: {},
  broken: null,
}

/** What is true after one more record. */
export const judged = (before: Judged, entry: Entry): Judged => {
  const { record, appendedUs } = entry
  const { type, epoch, owner, stepId, hold } = record
  const isStamped = Math.abs(record.atUs - appendedUs) <= BOUND_US
  if (type === 'OwnershipTaken') return (epoch ?? 0) > before.epoch && isStamped ? { ...before, epoch: epoch ?? 0, owner } : before
  if (type === 'HoldRequested') {
    const fresh = (hold?.holdIds ?? []).filter((id) => !before.lifted.includes(id) && !before.holds.includes(id))
    return { ...before, holds: [...before.holds, ...fresh] }
  }
  if (type === 'RevokeRequested') return onStep(before, stepId, { revokeLies: true })
  if (type.endsWith('Requested')) return before
  if (epoch !== before.epoch || owner !== before.owner || !isStamped) return before
  if (record.requestId === null) return judgedFact(before, entry)
  if (before.answers.includes(record.id)) return { ...before, broken: `request ${record.requestId} has two answers` }
  return judgedFact({ ...before, answers: [...before.answers, record.id] }, entry)
}

const onStep = (before: Judged, stepId: string | null, fields: Partial<JudgedStep>): Judged => {
  const step = stepId === null ? undefined : before.steps[stepId]
  return step && stepId !== null ? { ...before, steps: { ...before.steps, [stepId]: { ...step, ...fields } } } : before
}

const judgedFact = (before: Judged, { record, appendedUs }: Entry): Judged => {
  const { type, stepId, hold, execution, proposal } = record
  const step = stepId === null ? undefined : before.steps[stepId]
  switch (type) {
    case 'StepProposed': {
      const { expiresUs } = proposal!
      const fresh = { approvers: [], isApproved: false, revokeLies: false, expiresUs, over: [] }
      return { ...before, steps: { ...before.steps, [stepId!]: fresh } }
    }
    case 'HoldLifted': {
      const ids = hold?.holdIds ?? []
      return { ...before, holds: before.holds.filter((id) => !ids.includes(id)), lifted: [...new Set([...before.lifted, ...ids])] }
    }
    case 'DecisionRecorded':
      return record.decision?.verdict === 'approve'
        ? onStep(before, stepId, { approvers: [...new Set([...(step?.approvers ?? []), record.by])] })
        : before
    case 'StepApproved':
      if ((step?.approvers.length ?? 0) === 0) return { ...before, broken: 'a step counts as approved and nobody approved it' }
      if (record.atUs >= step!.expiresUs || appendedUs > step!.expiresUs + BOUND_US)
        return { ...before, broken: 'approved after the expiry' }
      return onStep(before, stepId, { isApproved: true })
    case 'Executed':
    case 'RejectedByTarget':
    case 'ExecutionAbandoned':
    case 'NotExecuted':
    case 'NotObserved':
      return judgedOutcome(before, type, stepId, execution?.commandRequestId ?? '', step)
    default:
      return before
  }
}

const judgedOutcome = (before: Judged, type: string, stepId: string | null, requestId: string, step: JudgedStep | undefined): Judged => {
  const earlier = before.outcomes[requestId]
  if (earlier !== undefined) return { ...before, broken: `one attempt was ${earlier} and then ${type}` }
  const after = { ...before, outcomes: { ...before.outcomes, [requestId]: type } }
  if (type === 'Executed' || type === 'RejectedByTarget') return after
  const over = [...(step?.over ?? []), requestId]
  return onStep(after, stepId, type === 'NotObserved' ? { over, approvers: [], isApproved: false } : { over })
}

/** What speaks against a command that leaves now, with this before its intent, this at its read-back and its sender's clock error. */
export const wrongToSend = (
  intended: Judged,
  readBack: Judged,
  stepId: string,
  signature: { readonly epoch: number | null; readonly owner: string | null },
  nowUs: number,
  clockErrorUs: number,
): string | null => {
  const step = intended.steps[stepId]
  if (signature.epoch !== intended.epoch || signature.owner !== intended.owner) return 'sent by one who did not own the partition'
  if (!step?.isApproved) return 'sent without an approval before the intent'
  if (intended.holds.length > 0) return 'sent although a hold precedes the intent'
  if (readBack.holds.length > 0) return 'sent although a hold was on the log at the read-back'
  if (intended.steps[stepId]?.revokeLies) return 'sent although a revocation precedes the intent'
  if (readBack.steps[stepId]?.revokeLies) return 'sent although a revocation was on the log at the read-back'
  if (nowUs >= step.expiresUs + clockErrorUs) return 'sent after the approval expired'
  return null
}
