// records of `actions` → what a partition knows. Every reader folds the same way: owner, door, webhooks, console.
// The result is a function of the records and their append times alone; void facts are skipped before anything looks at them.

import type { Actions } from '@andon/schemas'
import { countFinding, evolveAlarms, noteRaised } from './alarms/state.ts'
import { touch } from './deadlines.ts'
import { attend } from './attention.ts'
import { foldStep } from './fold-steps.ts'
import { evolveSeal } from './seals.ts'
import { TEACHING_REQUESTS, emptyTeaching, evolveTeaching } from './teaching.ts'
import type { Entry, Incident, State, Step, Verdict } from './types.ts'

/** A fact stamped further than this from its append time counts for nobody: a wrong clock never decides. */
export const STAMP_BOUND_US = 60_000_000
const REMEMBERED_REQUESTS = 50_000
const REMEMBERED_CLOSED_INCIDENTS = 1_000
const TIMELINE_LENGTH = 200

const REQUESTS = new Set([
  'FindingCopied',
  'CallRequested',
  'ApproveRequested',
  'RejectRequested',
  'RevokeRequested',
  'WithdrawRequested',
  'AbstainRequested',
  'DelegateRequested',
  'ModifyRequested',
  'ShelveRequested',
  'UnshelveRequested',
  'AcknowledgeRequested',
  'CommentRequested',
  'ProposeRequested',
  'EvidenceChecked',
  'EvidenceRequested',
  'HoldRequested',
  'HoldLiftRequested',
  'EvidenceStored',
  'EvidenceFailed',
  'ConfigApplyRequested',
  'AlarmSuppressRequested',
  'AlarmRestoreRequested',
  'SealRequested',
  ...TEACHING_REQUESTS,
])

export const isRequest = (record: Actions): boolean => REQUESTS.has(record.type)

/** `isReplayed`: of a replay run, in which nothing ever executes. */
export const emptyState = (isReplayed = false): State => ({
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
  isReplayed,
  teaching: emptyTeaching(),
  alarms: new Map(),
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
  // what a replay run wrote counts in that run alone
  if (entry.isReplayed && !state.isReplayed) return 'void-replay'
  if (record.type === 'OwnershipTaken') return takeOwnership(state, entry)
  if (isRequest(record)) return addRequest(state, entry)
  if (record.epoch !== state.epoch || record.owner !== state.owner) return 'void-owner'
  if (isBadStamp(entry)) return 'void-stamp'
  state.stampUs = Math.max(state.stampUs, record.atUs)
  answerRequest(state, record, offset)
  const verdict = applyFact(state, record, offset)
  touch(state, record)
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
  if (TAKES_BACK.has(record.type)) {
    const step = record.stepId === null ? undefined : state.steps.get(record.stepId)
    if (step) step.revokeAsked = true
  }
  if (record.type === 'EvidenceChecked' && record.evidence?.failure) doubtEvidence(state, record)
  if (state.answers.size > REMEMBERED_REQUESTS) forgetOldestAnswer(state)
  return 'counted'
}

/** Block by their own position, before anybody decides them. */
const TAKES_BACK = new Set(['RevokeRequested', 'WithdrawRequested', 'ModifyRequested'])

/** Said to be false evidence: nothing moves on it, before anybody decides. */
const doubtEvidence = (state: State, record: Actions): void => {
  const incident = incidentOf(state, record)
  const { orderId } = record.evidence ?? {}
  if (!incident || orderId === undefined) return
  const isProved = record.type === 'EvidenceDisproved' || isDisproved(incident, orderId)
  incident.badEvidence = [...incident.badEvidence.filter((one) => one.orderId !== orderId), { orderId, isProved }]
}

const isDisproved = (incident: Incident, orderId: string): boolean =>
  incident.badEvidence.some((one) => one.orderId === orderId && one.isProved)

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
  const asked = requestId === null ? undefined : state.pending.get(requestId)
  if (requestId === null || !asked) return
  state.pending.delete(requestId)
  if (asked.record.type === 'FindingCopied') countFinding(state, asked.record, record)
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
      return forgetRefused(state, record)
    case 'EvidenceDisproved':
      doubtEvidence(state, record)
      return 'counted'
    case 'EvidenceVerified':
      return trustEvidence(state, record)
    case 'IncidentSealed':
      return evolveSeal(incidentOf(state, record), record)
    case 'IncidentAcknowledged':
      return attend(incidentOf(state, record), record)
    case 'IncidentShelved':
    case 'IncidentUnshelved':
      return shelve(state, record)
    case 'ConfigApplied':
      return acceptDocument(state, record)
    case 'BreakerChanged':
      if (record.breaker) state.breakers.set(breakerOf(record.breaker.executor, record.line), record.breaker)
      return 'counted'
    case 'HoldActivated':
    case 'OwnershipRestated':
    case 'RangeSealed':
    case 'Notified':
    case 'IncidentCommented':
    case 'StepCompleted':
      return 'counted'
    default:
      return evolveAlarms(state, record) ?? evolveTeaching(state.teaching, record) ?? foldStep(state, record, offset)
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
    acknowledged: null,
    shelvedUntilUs: null,
    badEvidence: [],
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
  const step: Step = {
    id: stepId,
    incidentId: incident.id,
    line: record.line,
    name: record.title ?? proposal.command.command,
    proposal,
    proposedBy: record.by,
    proposedUs: record.atUs,
    status: 'awaiting-approval',
    approvals: [],
    delegations: [],
    takenBack: [],
    round: 1,
    revokeAsked: false,
    isRevoked: false,
    open: null,
    attempts: 0,
    retryAtUs: 0,
    escalated: false,
    rungs: 0,
    isVerified: null,
    isReconciled: false,
    reviewUs: null,
    endedUs: null,
    note: '',
  }
  state.steps.set(stepId, step)
  incident.stepIds.push(stepId)
  noteRaised(state, incident, step, record)
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

/** What was refused stops blocking, unless another one is still undecided. */
const forgetRefused = (state: State, record: Actions): Verdict => {
  const step = record.stepId === null ? undefined : state.steps.get(record.stepId)
  const pending = [...state.pending.values()].map((one) => one.record)
  if (step?.revokeAsked && !step.isRevoked) step.revokeAsked = pending.some((one) => TAKES_BACK.has(one.type) && one.stepId === step.id)
  const incident = incidentOf(state, record)
  const { orderId } = record.evidence ?? {}
  // a claim that was refused leaves what was proved before as it is
  if (incident && orderId !== undefined && !isDisproved(incident, orderId)) clearEvidence(state, incident, orderId)
  return 'counted'
}

/** Trusted again, unless somebody says the contrary and waits for an answer. */
const clearEvidence = (state: State, incident: Incident, orderId: string): void => {
  const isStillSaid = [...state.pending.values()].some(
    ({ record: one }) => one.type === 'EvidenceChecked' && one.evidence?.failure && one.evidence.orderId === orderId,
  )
  const others = incident.badEvidence.filter((one) => one.orderId !== orderId)
  incident.badEvidence = isStillSaid ? [...others, { orderId, isProved: false }] : others
}

const trustEvidence = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  if (!incident || !record.evidence) return 'dead'
  clearEvidence(state, incident, record.evidence.orderId)
  return 'counted'
}

const shelve = (state: State, record: Actions): Verdict => {
  const incident = incidentOf(state, record)
  if (!incident || incident.closedUs !== null) return 'dead'
  incident.shelvedUntilUs = record.type === 'IncidentShelved' ? (record.decision?.untilUs ?? null) : null
  return 'counted'
}

/** One breaker stands before one executor of one line. */
export const breakerOf = (executor: string, line: string): string => `${executor}/${line}`

const acceptDocument = (state: State, record: Actions): Verdict => {
  const document = JSON.parse(record.detail ?? 'null') as { name: string; kind: string; body: string; digest: string } | null
  if (!document) return 'dead'
  state.documents.set(document.name, { ...document, by: record.by, atUs: record.atUs })
  return 'counted'
}

const noteInTimeline = (state: State, record: Actions, offset: number): void => {
  const incident = incidentOf(state, record)
  if (!incident) return
  const title = record.title ?? record.refusal?.message ?? record.decision?.reason ?? null
  incident.timeline.push({ offset, type: record.type, atUs: record.atUs, by: record.by, stepId: record.stepId, title })
  if (incident.timeline.length > TIMELINE_LENGTH) incident.timeline.shift()
}
