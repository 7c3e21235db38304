// FindingCopied, CallRequested → incidents and what they propose. One incident per (line, asset, episode).

import type { Actions, Finding } from '@andon/schemas'
import { floodBegan, suppressionOf, withheld } from './alarms/discipline.ts'
import type { AlarmNote } from './alarms/state.ts'
import { findingTypeOf, isForReview } from './finding-types.ts'
import { callIncidentIdOf, evidenceOrderIdOf, fact, incidentIdOf, refused } from './facts.ts'
import { hasEnded } from './fold-steps.ts'
import { proposeNotice, proposePlan } from './planning.ts'
import type { Planned, Subject } from './planning.ts'
import type { DecideContext, Facts, Incident, State, Step } from './types.ts'

const SECOND_US = 1_000_000
/** Call incidents close by themselves this long after they were opened. */
export const CALL_REVIEW_US = 8 * 3600 * SECOND_US
/** A call that nobody has acknowledged by then is told again. */
const CALL_ESCALATES_MINUTES = 5

/** A finding opens its episode's incident or brings it up to date. Historical findings are noted and propose nothing. */
export const decideFinding = (request: Actions, state: State, context: DecideContext): Facts => {
  const { finding } = request
  if (!finding) return [refused(request, context.atUs, 'ANDON_ACTIONS_MALFORMED', 'FindingCopied carries no finding')]
  const incidentId = incidentIdOf(request.line, finding.assetId, finding.episodeId)
  const incident = state.incidents.get(incidentId)
  if (incident) return updateIncident(request, finding, incident, state, context)
  if (finding.transition === 'closed' || finding.transition === 'corrected')
    return [refused(request, context.atUs, 'ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident knows episode ${finding.episodeId}`)]
  const type = findingTypeOf(request)
  if (isForReview(type) && context.plan === null)
    return [refused(request, context.atUs, 'ANDON_ACTIONS_REVIEW_ONLY', `${type} is for review: no policy names it`)]
  return openIncident(request, finding, incidentId, state, context)
}

const subjectOf = (request: Actions, finding: Finding, incidentId: string): Subject => ({
  incidentId,
  line: request.line,
  assetId: finding.assetId,
  requestId: request.id,
  proposedBy: 'actions',
  finding,
  severity: finding.severity,
})

const openIncident = (request: Actions, finding: Finding, incidentId: string, state: State, context: DecideContext): Facts => {
  const common = { requestId: request.id, incidentId, assetId: finding.assetId }
  if (finding.historical) {
    const opened = openedFact(request, finding, common, ['historical: pages nobody and proposes nothing'], context)
    return [opened, fact('IncidentClosed', request.line, context.atUs, [incidentId], { ...common, title: 'Historical finding' })]
  }
  const suppressed = suppressionOf(state, request.line, finding.assetId, context.atUs)
  if (suppressed !== null) {
    const notes = [`${suppressed === 'by-design' ? 'suppressed by design' : 'out of service'}: pages nobody and proposes nothing`]
    return [openedFact(request, finding, common, notes, context, { state: suppressed })]
  }
  const planned: Planned = context.plan
    ? proposePlan(state, subjectOf(request, finding, incidentId), context.plan, context)
    : { facts: [], notes: ['no policy is known: nothing is proposed'] }
  const told = disciplined(request, finding, incidentId, planned.facts, state, context)
  const notes = [...planned.notes, ...(context.plan?.doubts ?? []).map((doubt) => `doubt: ${doubt}`), ...told.notes]
  const opened = openedFact(request, finding, common, notes, context, told.alarm)
  return [opened, ...orderEvidence(request, finding, incidentId, context), ...told.facts, ...told.flood]
}

interface Told {
  readonly facts: Facts
  readonly alarm: AlarmNote | null
  readonly notes: readonly string[]
  /** Facts that begin a flood. */
  readonly flood: Facts
}

/** What is left of a plan's facts under alarm discipline: a notice that is withheld is left out, everything else stays. */
const disciplined = (request: Actions, finding: Finding, incidentId: string, facts: Facts, state: State, context: DecideContext): Told => {
  const notices = new Set(facts.filter((one) => one.proposal?.command.effect === 'notify').map((one) => one.stepId))
  const alarm = notices.size === 0 ? null : withheld(state, finding, incidentId, request.line, context)
  if (alarm === null) return { facts, alarm, notes: [], flood: [] }
  const kept = facts.filter((one) => !notices.has(one.stepId))
  if (alarm.state === 'grouped') return { facts: kept, alarm, notes: [`grouped with ${alarm.with ?? ''}: nobody is told again`], flood: [] }
  const flood = floodBegan(state, request.line, request.id, finding.assetId, { findings: 1, flood: 1 }, context)
  return { facts: kept, alarm, notes: ['alarms flood the line: told in the digest'], flood }
}

const openedFact = (
  request: Actions,
  finding: Finding,
  common: Partial<Actions>,
  notes: readonly string[],
  context: DecideContext,
  alarm: AlarmNote | null = null,
): Actions =>
  fact('IncidentOpened', request.line, context.atUs, [common.incidentId ?? ''], {
    ...common,
    title: finding.title,
    finding,
    detail: JSON.stringify({
      policy: context.plan?.policy ?? null,
      runbook: context.plan?.runbook ?? null,
      notes,
      gate: context.plan?.gate,
      alarm: alarm ?? undefined,
    }),
  })

/** Evidence starts without approval and at once, before the cameras' ring forgets. */
const orderEvidence = (request: Actions, finding: Finding, incidentId: string, context: DecideContext): Facts => {
  const evidence = context.plan?.evidence
  if (!evidence || evidence.cameraIds.length === 0) return []
  const order = {
    orderId: evidenceOrderIdOf(incidentId, 'opening'),
    cameraIds: [...evidence.cameraIds],
    fromUs: finding.atUs - evidence.beforeS * SECOND_US,
    toUs: finding.atUs + evidence.afterS * SECOND_US,
    clips: [],
    failure: null,
  }
  const fields = { requestId: request.id, incidentId, assetId: finding.assetId, evidence: order }
  return [fact('EvidenceOrdered', request.line, context.atUs, [order.orderId], fields)]
}

const updateIncident = (request: Actions, finding: Finding, incident: Incident, state: State, context: DecideContext): Facts => {
  const common = { requestId: request.id, incidentId: incident.id, assetId: finding.assetId }
  const updated = fact('IncidentUpdated', request.line, context.atUs, [request.id], { ...common, title: finding.title, finding })
  const noted = (alarm: AlarmNote | null): Actions => (alarm === null ? updated : { ...updated, detail: JSON.stringify({ alarm }) })
  if (incident.closedUs !== null) return [updated]
  if (finding.transition === 'closed') {
    const isDone = incident.stepIds.every((id) => isSettled(state.steps.get(id)))
    return isDone ? [updated, closedFact(incident, context.atUs, request.id)] : [updated]
  }
  if (incident.shelvedUntilUs !== null) return [noted({ state: 'shelved' })]
  const suppressed = suppressionOf(state, request.line, finding.assetId, context.atUs)
  if (suppressed !== null) return [noted({ state: suppressed })]
  const mayPropose = context.plan && !finding.historical && finding.transition !== 'corrected'
  const planned =
    mayPropose && context.plan ? proposePlan(state, subjectOf(request, finding, incident.id), context.plan, context).facts : []
  const told = disciplined(request, finding, incident.id, planned, state, context)
  const needsEvidence = told.facts.length > 0 && incident.evidence.length === 0
  return [noted(told.alarm), ...(needsEvidence ? orderEvidence(request, finding, incident.id, context) : []), ...told.facts, ...told.flood]
}

export const closedFact = (incident: Incident, atUs: number, requestId: string | null): Actions =>
  fact('IncidentClosed', incident.line, atUs, [incident.id], {
    requestId,
    incidentId: incident.id,
    assetId: incident.assetId,
    title: incident.kind === 'call' ? 'Call is over' : 'Episode is over and every step has ended',
  })

/** Nothing more will happen to this step by itself. */
export const isSettled = (step: Step | undefined): boolean => step === undefined || (hasEnded(step) && step.reviewUs === null)

/** Somebody pulled the cord: an incident, and the technicians are told. */
export const decideCall = (request: Actions, _state: State, context: DecideContext): Facts => {
  const incidentId = callIncidentIdOf(request.line, request.id)
  const common = { requestId: request.id, incidentId, assetId: request.assetId }
  const subject: Subject = { ...common, line: request.line, proposedBy: request.by, finding: null, severity: 2 }
  const notice = proposeNotice(
    subject,
    { name: 'notify', escalateMinutes: CALL_ESCALATES_MINUTES },
    context.plan?.policy ?? 'call',
    context.plan?.policyDigest ?? '',
    context,
  )
  const detail = JSON.stringify({
    policy: context.plan?.policy ?? null,
    runbook: context.plan?.runbook ?? null,
    notes: notice.length > 0 ? [] : ['no command of the catalogue tells people: nobody was paged'],
  })
  const title = request.title ?? `Call on ${request.line}`
  return [fact('IncidentOpened', request.line, context.atUs, [incidentId], { ...common, by: request.by, title, detail }), ...notice]
}
