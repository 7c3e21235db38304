// ShelveRequested, UnshelveRequested → an incident that nobody is told about for a while. Its deadlines still run, and what was approved goes on.

import type { Actions } from '@andon/schemas'
import { DECIDING_ROLES } from './approvals.ts'
import { fact, refused } from './facts.ts'
import type { DecideContext, Facts, Incident, State } from './types.ts'

/** Longest time on the shelf. */
export const MAX_SHELVING_US = 24 * 3_600_000_000

type Rule = (request: Actions, incident: Incident, atUs: number) => Facts

const onOpenIncident =
  (rule: Rule) =>
  (request: Actions, state: State, { atUs }: DecideContext): Facts => {
    const no = (code: string, message: string) => [refused(request, atUs, code, message)]
    const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
    if (!incident) return no('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${request.incidentId ?? ''} is known on ${request.line}`)
    if (!(request.roles ?? []).some((role) => DECIDING_ROLES.includes(role)))
      return no('ANDON_ACTIONS_ROLE', `Shelving needs one of the roles ${DECIDING_ROLES.join(', ')}`)
    if (incident.closedUs !== null) return no('ANDON_ACTIONS_NOT_PENDING', 'The incident is closed')
    return rule(request, incident, atUs)
  }

const said = (type: string, verdict: string, request: Actions, incident: Incident, atUs: number): Actions =>
  fact(type, request.line, atUs, [request.id], {
    by: request.by,
    requestId: request.id,
    incidentId: incident.id,
    assetId: incident.assetId,
    decision: { commandHash: '', ...request.decision, verdict },
  })

export const shelve = onOpenIncident((request, incident, atUs) => {
  const { reason = '', untilUs = null } = request.decision ?? {}
  const isTimed = untilUs !== null && untilUs > atUs && untilUs - atUs <= MAX_SHELVING_US
  if (!isTimed || reason === '')
    return [refused(request, atUs, 'ANDON_ACTIONS_MALFORMED', 'Shelving names a reason and an end within 24 hours')]
  return [said('IncidentShelved', 'shelve', request, incident, atUs)]
})

/** Back before its time. */
export const unshelve = onOpenIncident((request, incident, atUs) =>
  incident.shelvedUntilUs === null
    ? [refused(request, atUs, 'ANDON_ACTIONS_NOT_PENDING', 'The incident is not on the shelf')]
    : [said('IncidentUnshelved', 'unshelve', request, incident, atUs)],
)
