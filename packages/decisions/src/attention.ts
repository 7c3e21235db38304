// AcknowledgeRequested, CommentRequested → somebody attends to an incident, or says something about it. Neither decides anything.

import type { Actions } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import type { DecideContext, Facts, Incident, State, Verdict } from './types.ts'

/** Whose word tells the ladder that people have heard. */
export const ATTENDING_ROLES: readonly string[] = ['operator', 'technician', 'shift-lead', 'process-engineer']

/** The first word of a person ends the escalation of what was only told. */
export const attend = (incident: Incident | undefined, record: Actions): Verdict => {
  if (!incident || incident.acknowledged !== null) return 'dead'
  incident.acknowledged = { by: record.by, atUs: record.atUs }
  return 'counted'
}

const onIncident =
  (rule: (request: Actions, incident: Incident, context: DecideContext) => Facts) =>
  (request: Actions, state: State, context: DecideContext): Facts => {
    const no = (code: string, message: string) => [refused(request, context.atUs, code, message)]
    const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
    if (!incident) return no('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${request.incidentId ?? ''} is known on ${request.line}`)
    if (!(request.roles ?? []).some((role) => ATTENDING_ROLES.includes(role)))
      return no('ANDON_ACTIONS_ROLE', `This needs one of the roles ${ATTENDING_ROLES.join(', ')}`)
    return rule(request, incident, context)
  }

const about = (request: Actions, incident: Incident) => ({
  by: request.by,
  requestId: request.id,
  incidentId: incident.id,
  assetId: incident.assetId,
})

/** Somebody has it. Deadlines of decisions go on: to acknowledge is not to decide. */
export const acknowledge = onIncident((request, incident, { atUs }) => {
  if (incident.closedUs !== null) return [refused(request, atUs, 'ANDON_ACTIONS_NOT_PENDING', 'The incident is closed')]
  if (incident.acknowledged !== null)
    return [refused(request, atUs, 'ANDON_ACTIONS_NOT_PENDING', `${incident.acknowledged.by} has it already`)]
  const decision = { verdict: 'acknowledge', reason: request.decision?.reason ?? '', commandHash: '' }
  return [fact('IncidentAcknowledged', request.line, atUs, [incident.id], { ...about(request, incident), decision })]
})

/** A remark in the timeline, of closed incidents too. */
export const comment = onIncident((request, incident, { atUs }) => {
  const text = request.decision?.reason ?? ''
  if (text === '') return [refused(request, atUs, 'ANDON_ACTIONS_MALFORMED', 'A comment says something')]
  const decision = { verdict: 'comment', reason: text, commandHash: '' }
  return [fact('IncidentCommented', request.line, atUs, [request.id], { ...about(request, incident), decision })]
})
