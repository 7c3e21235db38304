// SealRequested → IncidentSealed. The sealer stored what an incident's finding was made of; the owner says so, once. Nothing waits
// for a seal: an incident goes on without one.

import type { Actions } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import type { DecideContext, Facts, Incident, State, Verdict } from './types.ts'

/** Who seals. */
const SEALER = 'sealer'

export const decideSeal = (request: Actions, state: State, context: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, context.atUs, code, message)]
  const { seal } = request
  if (!seal || !/^[0-9a-f]{64}$/.test(seal.digest)) return no('ANDON_ACTIONS_MALFORMED', 'SealRequested carries no digest of a manifest')
  if (request.by !== SEALER) return no('ANDON_ACTIONS_ROLE', 'Inputs are sealed by the sealer')
  const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
  if (!incident) return no('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${request.incidentId ?? ''} is known on ${request.line}`)
  // the first seal has the most: retention only takes away
  if (incident.seal) return no('ANDON_ACTIONS_SEALED', `Incident ${incident.id} is sealed as ${incident.seal.digest}`)
  const fields = { by: request.by, requestId: request.id, incidentId: incident.id, assetId: incident.assetId, seal }
  const gaps = seal.gaps.length === 0 ? 'nothing is missing' : `${seal.gaps.length} gaps`
  return [
    fact('IncidentSealed', request.line, context.atUs, [incident.id], { ...fields, title: `${seal.itemCount} inputs sealed, ${gaps}` }),
  ]
}

export const evolveSeal = (incident: Incident | undefined, { seal }: Actions): Verdict => {
  if (!incident || !seal || incident.seal) return 'dead'
  incident.seal = seal
  return 'counted'
}
