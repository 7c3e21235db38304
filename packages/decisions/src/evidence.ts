// EvidenceRequested, EvidenceStored, EvidenceFailed → orders for video, and what came of them.

import type { Actions } from '@andon/schemas'
import { evidenceOrderIdOf, fact, refused } from './facts.ts'
import type { DecideContext, Facts, State } from './types.ts'

/** Longest range one order may ask for. */
export const MAX_EVIDENCE_US = 600_000_000

/** A person asks for video of an incident. */
export const decideEvidenceRequest = (request: Actions, state: State, context: DecideContext): Facts => {
  const { evidence } = request
  const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
  if (!incident)
    return [
      refused(
        request,
        context.atUs,
        'ANDON_ACTIONS_UNKNOWN_INCIDENT',
        `No incident ${request.incidentId ?? ''} is known on ${request.line}`,
      ),
    ]
  const isUsable =
    evidence && evidence.cameraIds.length > 0 && evidence.fromUs < evidence.toUs && evidence.toUs - evidence.fromUs <= MAX_EVIDENCE_US
  if (!isUsable)
    return [
      refused(
        request,
        context.atUs,
        'ANDON_ACTIONS_EVIDENCE_RANGE',
        'An order names at least one camera and a range of at most 10 minutes',
      ),
    ]
  const order = { ...evidence, orderId: evidenceOrderIdOf(incident.id, request.id), clips: [], failure: null }
  const fields = { by: request.by, requestId: request.id, incidentId: incident.id, assetId: incident.assetId, evidence: order }
  return [fact('EvidenceOrdered', request.line, context.atUs, [order.orderId], fields)]
}

/** Video answers an order with clips, or with the reason why there are none. */
export const decideEvidenceResult = (request: Actions, state: State, context: DecideContext): Facts => {
  const { evidence } = request
  if (!evidence) return [refused(request, context.atUs, 'ANDON_ACTIONS_MALFORMED', `${request.type} carries no evidence`)]
  const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
  if (!incident?.evidence.some((one) => one.orderId === evidence.orderId))
    return [
      refused(request, context.atUs, 'ANDON_ACTIONS_UNKNOWN_ORDER', `No evidence order ${evidence.orderId} is known on ${request.line}`),
    ]
  const fields = { by: request.by, requestId: request.id, incidentId: incident.id, assetId: incident.assetId, evidence }
  return [fact('EvidenceAttached', request.line, context.atUs, [request.id], fields)]
}

/** Who verifies evidence. */
const VERIFIERS: readonly string[] = ['video', 'actions', 'sealer']

/** Evidence was verified, or found false: then nothing but telling people goes on in its incident. It has blocked since it was said. */
export const decideEvidenceCheck = (request: Actions, state: State, context: DecideContext): Facts => {
  const { evidence } = request
  const no = (code: string, message: string): Facts => [{ ...refused(request, context.atUs, code, message), evidence }]
  if (!evidence) return no('ANDON_ACTIONS_MALFORMED', 'EvidenceChecked carries no evidence')
  const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
  if (!incident?.evidence.some((one) => one.orderId === evidence.orderId))
    return no('ANDON_ACTIONS_UNKNOWN_ORDER', `No evidence order ${evidence.orderId} is known on ${request.line}`)
  if (!VERIFIERS.includes(request.by)) return no('ANDON_ACTIONS_ROLE', 'Evidence is verified by the services that keep it')
  const type = evidence.failure === null ? 'EvidenceVerified' : 'EvidenceDisproved'
  const fields = { by: request.by, requestId: request.id, incidentId: incident.id, assetId: incident.assetId, evidence }
  return [fact(type, request.line, context.atUs, [request.id], { ...fields, title: evidence.failure })]
}
