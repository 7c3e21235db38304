// What a person or a program asks at the door → a request on `actions`. The door appends and waits; only the owner decides.

import { randomUUID } from 'node:crypto'
import { canonicalJson, AndonError, uuid8 } from '@andon/kit'
import type { Principal } from '@andon/kit'
import { record } from '@andon/decisions'
import type { Answer, ByHand, Incident, Step } from '@andon/decisions'
import { parseNamed } from '@andon/schemas'
import type { Actions, DecisionInput } from '@andon/schemas'
import { EVERYWHERE } from './owners.ts'

export type Verb = 'approve' | 'reject' | 'revoke' | 'abstain' | 'withdraw'

const TYPES: Readonly<Record<Verb, string>> = {
  approve: 'ApproveRequested',
  reject: 'RejectRequested',
  revoke: 'RevokeRequested',
  abstain: 'AbstainRequested',
  withdraw: 'WithdrawRequested',
}

/** A repeat of the same call by the same principal, if it says so, is the same request. */
export const requestIdFor = (principal: Principal, idempotencyKey: string | undefined): string =>
  idempotencyKey === undefined ? randomUUID() : uuid8('request', principal.id, idempotencyKey)

const by = (principal: Principal) => ({ by: principal.id, roles: [...principal.roles] })

/** A person's word may be given again once it was taken back, or refused: what spoke against it may be over. */
const repeatOf = (step: Step, principal: Principal, refusals: number): string[] => {
  const back = step.takenBack.filter((by) => by === principal.id).length
  return [...(back === 0 ? [] : [`back-${back}`]), ...(refusals === 0 ? [] : [`refused-${refusals}`])]
}

/** The same person's word on the same round of a step is one request, however often it is sent. `refusals`: how often it was refused. */
export const decisionRequest = (
  verb: Verb,
  step: Step,
  body: { readonly reason: string; readonly commandHash: string },
  principal: Principal,
  atUs: number,
  refusals = 0,
): Actions =>
  record(
    TYPES[verb],
    uuid8('request', verb, step.id, step.round, principal.id, body.commandHash, ...repeatOf(step, principal, refusals)),
    step.line,
    atUs,
    {
      ...by(principal),
      incidentId: step.incidentId,
      stepId: step.id,
      decision: { verdict: verb, reason: body.reason, commandHash: body.commandHash, strength: principal.strength ?? null },
    },
  )

/** A word on a step that says more than yes or no: whom it is lent to, what the command shall be. */
export const stepRequest = (
  type: 'DelegateRequested' | 'ModifyRequested',
  id: string,
  step: Step,
  decision: Omit<DecisionInput, 'verdict'>,
  principal: Principal,
  atUs: number,
): Actions =>
  record(type, id, step.line, atUs, {
    ...by(principal),
    incidentId: step.incidentId,
    stepId: step.id,
    decision: { verdict: '', ...decision },
  })

/** A word on an incident. */
export const incidentRequest = (
  type: 'AcknowledgeRequested' | 'CommentRequested' | 'ShelveRequested' | 'UnshelveRequested',
  id: string,
  incident: Incident,
  said: { readonly reason: string; readonly untilUs?: number | undefined },
  principal: Principal,
  atUs: number,
): Actions =>
  record(type, id, incident.line, atUs, {
    ...by(principal),
    incidentId: incident.id,
    assetId: incident.assetId,
    decision: { verdict: '', reason: said.reason, commandHash: '', untilUs: said.untilUs ?? null },
  })

/** A command of the catalogue, asked for by hand. */
export const proposalRequest = (
  id: string,
  incident: Incident,
  proposed: ByHand & { readonly reason: string },
  principal: Principal,
  atUs: number,
): Actions => {
  const { reason, ...byHand } = proposed
  return record('ProposeRequested', id, incident.line, atUs, {
    ...by(principal),
    incidentId: incident.id,
    assetId: incident.assetId,
    decision: { verdict: '', reason, commandHash: '' },
    detail: JSON.stringify(byHand),
  })
}

/** Alarms of an asset, for a while or again. */
export const suppressionRequest = (
  type: 'AlarmSuppressRequested' | 'AlarmRestoreRequested',
  id: string,
  line: string,
  assetId: string,
  said: { readonly kind?: string; readonly reason: string; readonly untilUs?: number; readonly whileOutOfService?: string | undefined },
  principal: Principal,
  atUs: number,
): Actions =>
  record(type, id, line, atUs, {
    ...by(principal),
    assetId,
    decision: { verdict: said.kind ?? '', reason: said.reason, commandHash: '', untilUs: said.untilUs ?? null },
    ...(said.whileOutOfService === undefined ? {} : { detail: JSON.stringify({ whileOutOfService: said.whileOutOfService }) }),
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
  ANDON_ACTIONS_STEP_UP: 401,
  ANDON_ACTIONS_RATE: 429,
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
export const refusalOf = (answer: Answer, stepUp: StepUp): AndonError | undefined => {
  if (answer.type !== 'RequestRefused') return undefined
  const code = answer.code ?? 'ANDON_ACTIONS_REFUSED'
  const fields = code === 'ANDON_ACTIONS_STEP_UP' ? { ...stepUp } : {}
  return new AndonError(code, answer.message ?? 'The request was refused', { status: STATUS[code] ?? 409, fields })
}

/** What a strong sign-in is, for clients that have to ask for one (RFC 9470). */
export interface StepUp {
  readonly acrValues: readonly string[]
  /** Seconds. */
  readonly maxAge: number
}
