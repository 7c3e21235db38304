// What a person or a program asks at the door → a request on `actions`. The door appends and waits; only the owner decides.

import { randomUUID } from 'node:crypto'
import { canonicalJson, AndonError, uuid8 } from '@andon/kit'
import type { Principal } from '@andon/kit'
import { record } from '@andon/decisions'
import type { Answer, Incident, Step } from '@andon/decisions'
import { parseNamed } from '@andon/schemas'
import type { Actions } from '@andon/schemas'
import { EVERYWHERE } from './owners.ts'

export type Verb = 'approve' | 'reject' | 'revoke'

const TYPES: Readonly<Record<Verb, string>> = { approve: 'ApproveRequested', reject: 'RejectRequested', revoke: 'RevokeRequested' }

/** A repeat of the same call by the same principal, if it says so, is the same request. */
export const requestIdFor = (principal: Principal, idempotencyKey: string | undefined): string =>
  idempotencyKey === undefined ? randomUUID() : uuid8('request', principal.id, idempotencyKey)

const by = (principal: Principal) => ({ by: principal.id, roles: [...principal.roles] })

/** The same person's word on the same round of a step is one request, however often it is sent. */
export const decisionRequest = (
  verb: Verb,
  step: Step,
  body: { readonly reason: string; readonly commandHash: string },
  principal: Principal,
  atUs: number,
): Actions =>
  record(TYPES[verb], uuid8('request', verb, step.id, step.round, principal.id, body.commandHash), step.line, atUs, {
    ...by(principal),
    incidentId: step.incidentId,
    stepId: step.id,
    decision: { verdict: verb, reason: body.reason, commandHash: body.commandHash },
  })

export const holdRequest = (id: string, scope: string, reason: string, principal: Principal, atUs: number): Actions =>
  record('HoldRequested', id, scope, atUs, { ...by(principal), hold: { holdIds: [id], scope, reason } })

export const liftRequest = (id: string, holdId: string, scope: string, reason: string, principal: Principal, atUs: number): Actions =>
  record('HoldLiftRequested', id, scope, atUs, { ...by(principal), hold: { holdIds: [holdId], scope, reason } })

export const evidenceRequest = (
  id: string,
  incident: Incident,
  range: { readonly cameraIds: readonly string[]; readonly fromUs: number; readonly toUs: number },
  principal: Principal,
  atUs: number,
): Actions =>
  record('EvidenceRequested', id, incident.line, atUs, {
    ...by(principal),
    incidentId: incident.id,
    assetId: incident.assetId,
    evidence: { orderId: '', ...range, clips: [], failure: null },
  })

export interface GivenDocument {
  readonly name: string
  readonly kind?: string | undefined
  readonly body: unknown
}

/** Reads a document as given: YAML or JSON text, or an object. Throws what the schema says about it, with the offending path. */
export const readGiven = (
  given: GivenDocument,
): { readonly name: string; readonly kind: string; readonly value: unknown; readonly body: string } => {
  const { kind, value } = parseNamed(given.name, given.body)
  if (given.kind !== undefined && given.kind !== kind)
    throw new AndonError('ANDON_ACTIONS_BAD_DOCUMENT', `${given.name}: kind: expected ${kind}, found ${given.kind}`, { status: 422 })
  return { name: given.name, kind, value, body: canonicalJson(value) }
}

export const documentRequest = (
  document: { readonly name: string; readonly kind: string; readonly body: string },
  principal: Principal,
  atUs: number,
): Actions =>
  record('ConfigApplyRequested', randomUUID(), document.name, atUs, {
    ...by(principal),
    title: document.name,
    detail: JSON.stringify({ name: document.name, kind: document.kind, body: document.body }),
  })

/** Partitions a request goes to: a mesh-wide hold to all, its home first. */
export const isForEverybody = (request: Actions): boolean => request.type === 'HoldRequested' && request.hold?.scope === EVERYWHERE

const STATUS: Readonly<Record<string, number>> = {
  ANDON_ACTIONS_ROLE: 403,
  ANDON_ACTIONS_FOUR_EYES: 403,
  ANDON_ACTIONS_STEP_UP: 403,
  ANDON_ACTIONS_NOT_PROPOSER: 403,
  ANDON_ACTIONS_UNKNOWN_STEP: 404,
  ANDON_ACTIONS_UNKNOWN_INCIDENT: 404,
  ANDON_ACTIONS_UNKNOWN_HOLD: 404,
  ANDON_ACTIONS_UNKNOWN_ORDER: 404,
  ANDON_ACTIONS_UNKNOWN_PLACE: 404,
  ANDON_ACTIONS_UNKNOWN_CLASS: 404,
  ANDON_ACTIONS_UNKNOWN_MODE: 404,
  ANDON_ACTIONS_UNKNOWN_FAILURE: 404,
  ANDON_ACTIONS_UNKNOWN_EPISODE: 404,
  ANDON_ACTIONS_BAD_FAILURE: 422,
  ANDON_ACTIONS_BAD_TEACHING: 422,
  ANDON_ACTIONS_MALFORMED: 422,
  ANDON_ACTIONS_BAD_DOCUMENT: 422,
  ANDON_ACTIONS_EVIDENCE_RANGE: 422,
}

/** A refusal as the door answers it; undefined when the request was granted. */
export const refusalOf = (answer: Answer): AndonError | undefined => {
  if (answer.type !== 'RequestRefused') return undefined
  const code = answer.code ?? 'ANDON_ACTIONS_REFUSED'
  return new AndonError(code, answer.message ?? 'The request was refused', { status: STATUS[code] ?? 409 })
}
