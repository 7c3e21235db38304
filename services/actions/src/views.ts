// What the door shows: incidents, steps and holds as plain JSON. Times are microseconds UTC.

import { isHeld } from '@andon/decisions'
import type { HoldState, Incident, State, Step, Suppression } from '@andon/decisions'

export const stepView = (step: Step, state: State) => ({
  id: step.id,
  incidentId: step.incidentId,
  name: step.name,
  line: step.line,
  status: step.open ? 'executing' : step.status,
  command: step.proposal.command.command,
  target: step.proposal.command.target,
  params: JSON.parse(step.proposal.command.params) as unknown,
  effect: step.proposal.command.effect,
  riskClass: step.proposal.command.riskClass,
  simulated: step.proposal.simulated,
  /** Goes with every decision: it binds the decision to exactly this command. */
  commandHash: step.proposal.command.commandHash,
  approvalsNeeded: step.proposal.approvalsNeeded,
  approvals: step.approvals,
  delegations: step.delegations,
  stepUp: step.proposal.stepUp,
  quorum: step.proposal.quorum,
  roles: step.proposal.roles,
  fourEyes: step.proposal.fourEyes,
  policy: step.proposal.policy,
  proposedBy: step.proposedBy,
  proposedUs: step.proposedUs,
  expiresUs: step.proposal.expiresUs,
  escalateUs: step.proposal.escalateUs,
  reviewUs: step.reviewUs,
  endedUs: step.endedUs,
  attempts: step.attempts,
  commandRequestId: step.open?.commandRequestId ?? null,
  isHeld: isHeld(state, step.line),
  note: step.note,
})

const summary = (incident: Incident, state: State) => ({
  id: incident.id,
  line: incident.line,
  assetId: incident.assetId,
  kind: incident.kind,
  title: incident.title,
  severity: incident.severity,
  isOpen: incident.closedUs === null,
  isHistorical: incident.isHistorical,
  episodeClosed: incident.episodeClosed,
  openedBy: incident.openedBy,
  openedUs: incident.openedUs,
  closedUs: incident.closedUs,
  acknowledged: incident.acknowledged,
  shelvedUntilUs: incident.shelvedUntilUs,
  policy: incident.policy,
  runbook: incident.runbook,
  notes: incident.notes,
  finding: incident.finding,
  evidence: incident.evidence,
  steps: incident.stepIds.map((id) => state.steps.get(id)).flatMap((step) => (step ? [stepView(step, state)] : [])),
})

export const incidentSummary = summary

export const incidentView = (incident: Incident, state: State) => ({ ...summary(incident, state), timeline: incident.timeline })

export const holdView = (hold: HoldState) => ({
  id: hold.id,
  scope: hold.scope,
  reason: hold.reason,
  by: hold.by,
  atUs: hold.atUs,
  isActive: hold.isActive,
  liftedBy: hold.liftedBy,
})

export const suppressionView = ({ assetId, line, kind, reason, by, atUs, untilUs, whileOutOfService }: Suppression) => ({
  assetId,
  line,
  kind,
  reason,
  by,
  atUs,
  untilUs,
  whileOutOfService,
})
