// records of `actions` → what a partition knows. Every reader folds the same way: owner, door, webhooks, console.
// The result is a function of the records and their append times alone; void facts are skipped before anything looks at them.

import type { Actions } from '@andon/schemas'
import type { Entry, Incident, State, Step, Verdict } from './types.ts'

/** A fact stamped further than this from its append time counts for nobody: a wrong clock never decides. */
export const STAMP_BOUND_US = 60_000_000
/** Attempts under one approval. */
export const MAX_ATTEMPTS = 8
const REMEMBERED_REQUESTS = 50_000
const REMEMBERED_CLOSED_INCIDENTS = 1_000
const TIMELINE_LENGTH = 200
const MINUTE_US = 60_000_000

const REQUESTS = new Set([
  'FindingCopied',
  'CallRequested',
  'ApproveRequested',
  'RejectRequested',
  'RevokeRequested',
  'EvidenceRequested',
  'HoldRequested',
  'HoldLiftRequested',
  'EvidenceStored',
  'EvidenceFailed',
  'ConfigApplyRequested',
])

export const isRequest = (record: Actions): boolean => REQUESTS.has(record.type)

export const emptyState = (): State => ({
  epoch: 0,
  owner: null,
  highestEpoch: 0,
  stampUs: 0,
  nextOffset: 0,
  pending: new Map(),
  answers: new Map(),
  holds: new Map(),
  liftedHolds: new Map(),
  incidents: new Map(),
  openIncidents: new Set(),
  steps: new Map(),
  documents: new Map(),
  breakers: new Map(),
})

/** State after all these records. */
export const fold = (entries: Iterable<Entry>): State => {
  const state = emptyState()
  for (const entry of entries) evolve(state, entry)
  return state
}

/** Folds one more record into the state, in place, and says what became of it. Records below `nextOffset` are repeats. */
export const evolve = (state: State, entry: Entry): Verdict => {
  const { record, offset } = entry
  if (offset < state.nextOffset) return 'repeat'
  state.nextOffset = offset + 1
  if (record.type === 'OwnershipTaken') return takeOwnership(state, entry)
  if (isRequest(record)) return addRequest(state, entry)
  if (record.epoch !== state.epoch || record.owner !== state.owner) return 'void-owner'
  if (isBadStamp(entry)) return 'void-stamp'
  state.stampUs = Math.max(state.stampUs, record.atUs)
  answerRequest(state, record, offset)
  const verdict = applyFact(state, record, offset)
  noteInTimeline(state, record, offset)
  return verdict
}

export const isBadStamp = ({ record, appendedUs }: Entry): boolean => Math.abs(record.atUs - appendedUs) > STAMP_BOUND_US

/** The log is the compare-and-set: only an epoch above every earlier valid one counts. */
const takeOwnership = (state: State, entry: Entry): Verdict => {
  const epoch = entry.record.epoch ?? 0
  const isHigher = epoch > state.epoch
  state.highestEpoch = Math.max(state.highestEpoch, epoch)
  if (!isHigher) return 'void-owner'
  if (isBadStamp(entry)) return 'void-stamp'
  state.epoch = epoch
  state.owner = entry.record.owner
  return 'counted'
}

const addRequest = (state: State, { record, offset }: Entry): Verdict => {
  if (state.answers.has(record.id)) return 'repeat'
  state.answers.set(record.id, null)
  state.pending.set(record.id, { record, offset })
  if (record.type === 'HoldRequested') addHolds(state, record, offset)
  if (record.type === 'RevokeRequested') {
    const step = record.stepId === null ? undefined : state.steps.get(record.stepId)
    if (step) step.revokeAsked = true
  }
  if (state.answers.size > REMEMBERED_REQUESTS) forgetOldestAnswer(state)
  return 'counted'
}

/** A hold works from its own position on, before anybody decides anything; one that was lifted never comes back. */
const addHolds = (state: State, record: Actions, offset: number): void => {
  for (const id of record.hold?.holdIds ?? []) {
    if (state.holds.has(id)) continue
    const liftedBy = state.liftedHolds.get(id) ?? null
    const { scope, reason } = record.hold ?? { scope: '*', reason: '' }
    state.holds.set(id, { id, scope, reason, by: record.by, atUs: record.atUs, offset, isActive: liftedBy === null, liftedBy })
  }
}

const forgetOldestAnswer = (state: State): void => {
  for (const [id, answer] of state.answers) {
    if (answer === null) continue
    state.answers.delete(id)
    return
  }
}

const answerRequest = (state: State, record: Actions, offset: number): void => {
  const { requestId } = record
  if (requestId === null || !state.pending.delete(requestId)) return
  state.answers.set(requestId, {
    type: record.type,
    offset,
    code: record.refusal?.code ?? null,
    message: record.refusal?.message ?? null,
    incidentId: record.incidentId,
    stepId: record.stepId,
  })
}

const applyFact = (state: State, record: Actions, offset: number): Verdict => {
  switch (record.type) {
    case 'IncidentOpened':
      return openIncident(state, record)
    case 'IncidentUpdated':
      return updateIncident(state, record)
    case 'IncidentClosed':
      return closeIncident(state, record)
    case 'StepProposed':
      return proposeStep(state, record)
    case 'EvidenceOrdered':
      return orderEvidence(state, record)
    case 'EvidenceAttached':
      return attachEvidence(state, record)
    case 'HoldLifted':
      return liftHolds(state, record)
    case 'RequestRefused':
      return forgetRefusedRevoke(state, record)
    case 'ConfigApplied':
      return acceptDocument(state, record)
    case 'BreakerChanged':
      if (record.breaker) state.breakers.set(record.breaker.executor, record.breaker)
      return 'counted'
    case 'HoldActivated':
    case 'OwnershipRestated':
    case 'Notified':
    case 'StepCompleted':
      return 'counted'
    default:
      return applyToStep(state, record, offset)
  }
}

const openIncident = (state: State, record: Actions): Verdict => {
  const { incidentId, finding } = record
  if (incidentId === null || state.incidents.has(incidentId)) return 'dead'
  const about = JSON.parse(record.detail ?? '{}') as { policy?: string | null; runbook?: string | null; notes?: string[] }
  state.incidents.set(incidentId, {
    id: incidentId,
    line: record.line,
    assetId: record.assetId,
    kind: finding ? 'finding' : 'call',
    openedBy: record.by,
    openedUs: record.atUs,
    finding,
    title: record.title ?? finding?.title ?? 'Call',
    severity: finding?.severity ?? 2,
    isHistorical: finding?.historical ?? false,
    episodeClosed: false,
    closedUs: null,
    policy: about.policy ?? null,
    runbook: about.runbook ?? null,
    notes: about.notes ?? [],
    stepIds: [],
    evidence: [],
    timeline: [],
  })
  state.openIncidents.add(incidentId)
  return 'counted'
}

const incidentOf = (state: State, record: Actions): Incident | undefined =>
  record.incidentId === null ? undefined : state.incidents.get(record.incidentId)

const updateIncident = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  if (!incident) return 'dead'
  const { finding } = record
  if (finding) {
    incident.finding = finding
    incident.severity = Math.min(incident.severity, finding.severity)
    if (finding.transition === 'closed') incident.episodeClosed = true
  }
  if (record.title !== null) incident.title = record.title
  return 'counted'
}

const closeIncident = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  if (!incident || !state.openIncidents.delete(incident.id)) return 'dead'
  incident.closedUs = record.atUs
  const closed = state.incidents.size - state.openIncidents.size
  if (closed > REMEMBERED_CLOSED_INCIDENTS) forgetOldestIncident(state)
  return 'counted'
}

const forgetOldestIncident = (state: State): void => {
  for (const incident of state.incidents.values()) {
    if (incident.closedUs === null) continue
    for (const stepId of incident.stepIds) state.steps.delete(stepId)
    state.incidents.delete(incident.id)
    return
  }
}

const proposeStep = (state: State, record: Actions): Verdict => {
  const { stepId, proposal } = record
  const incident = incidentOf(state, record)
  if (!incident || stepId === null || proposal === null || state.steps.has(stepId)) return 'dead'
  state.steps.set(stepId, {
    id: stepId,
    incidentId: incident.id,
    line: record.line,
    name: record.title ?? proposal.command.command,
    proposal,
    proposedBy: record.by,
    proposedUs: record.atUs,
    status: 'awaiting-approval',
    approvals: [],
    round: 1,
    revokeAsked: false,
    isRevoked: false,
    open: null,
    attempts: 0,
    retryAtUs: 0,
    escalated: false,
    reviewUs: null,
    endedUs: null,
    note: '',
  })
  incident.stepIds.push(stepId)
  return 'counted'
}

const orderEvidence = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  const { evidence } = record
  if (!incident || !evidence || incident.evidence.some((one) => one.orderId === evidence.orderId)) return 'dead'
  incident.evidence.push(evidence)
  return 'counted'
}

const attachEvidence = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  const { evidence } = record
  const at = incident?.evidence.findIndex((one) => one.orderId === evidence?.orderId) ?? -1
  if (!incident || !evidence || at < 0) return 'dead'
  incident.evidence[at] = evidence
  return 'counted'
}

const liftHolds = (state: State, record: Actions): Verdict => {
  for (const id of record.hold?.holdIds ?? []) {
    state.liftedHolds.set(id, record.by)
    const hold = state.holds.get(id)
    if (!hold) continue
    hold.isActive = false
    hold.liftedBy = record.by
  }
  return 'counted'
}

/** A refused revocation stops blocking, unless another one is still undecided. */
const forgetRefusedRevoke = (state: State, record: Actions): Verdict => {
  const step = record.stepId === null ? undefined : state.steps.get(record.stepId)
  if (step?.revokeAsked && !step.isRevoked)
    step.revokeAsked = [...state.pending.values()].some((one) => one.record.type === 'RevokeRequested' && one.record.stepId === step.id)
  return 'counted'
}

const acceptDocument = (state: State, record: Actions): Verdict => {
  const document = JSON.parse(record.detail ?? 'null') as { name: string; kind: string; body: string; digest: string } | null
  if (!document) return 'dead'
  state.documents.set(document.name, { ...document, by: record.by, atUs: record.atUs })
  return 'counted'
}

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

const applyToStep = (state: State, record: Actions, offset: number): Verdict => {
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

const noteInTimeline = (state: State, record: Actions, offset: number): void => {
  const incident = incidentOf(state, record)
  if (!incident) return
  const title = record.title ?? record.refusal?.message ?? record.decision?.reason ?? null
  incident.timeline.push({ offset, type: record.type, atUs: record.atUs, by: record.by, stepId: record.stepId, title })
  if (incident.timeline.length > TIMELINE_LENGTH) incident.timeline.shift()
}
