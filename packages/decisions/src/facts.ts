// Builders of records on `actions`, and the logical ids they carry.

import { canonicalJson, sha256Hex, stepAttemptId, stepId, uuid8 } from '@andon/kit/ids'
import type { Actions, Decision, DecisionInput, Proposal, ProposalInput } from '@andon/schemas'

interface Fields extends Partial<Omit<Actions, 'type' | 'id' | 'line' | 'atUs' | 'decision' | 'proposal'>> {
  readonly decision?: DecisionInput | null
  readonly proposal?: ProposalInput | null
}

const DECISION = { reason: '', strength: null, to: null, untilUs: null, params: null } as const
const PROPOSAL = {
  roles: [],
  fourEyes: false,
  escalateUs: null,
  simulated: false,
  exclude: [],
  quorum: [],
  stepUp: false,
  ladder: [],
} as const

/** As it comes back from the log: what is left out has its default. */
const completed = <T>(defaults: object, given: object | null | undefined): T | null => (given ? ({ ...defaults, ...given } as T) : null)

const EMPTY = {
  by: 'actions',
  roles: null,
  requestId: null,
  incidentId: null,
  stepId: null,
  assetId: null,
  epoch: null,
  owner: null,
  title: null,
  finding: null,
  proposal: null,
  decision: null,
  execution: null,
  evidence: null,
  hold: null,
  timer: null,
  refusal: null,
  breaker: null,
  notification: null,
  faultMode: null,
  failure: null,
  episodeVerdict: null,
  seal: null,
  rangeSeal: null,
  detail: null,
} as const

/** A complete record of `actions`; what is not given is null. */
export const record = (type: string, id: string, line: string, atUs: number, fields: Fields): Actions => ({
  type,
  id,
  line,
  atUs,
  ...EMPTY,
  ...fields,
  decision: completed<Decision>(DECISION, fields.decision),
  proposal: completed<Proposal>(PROPOSAL, fields.proposal),
})

/** A fact whose id follows from what it decides: `parts` say which decision it is. */
export const fact = (type: string, line: string, atUs: number, parts: readonly (string | number)[], fields: Fields): Actions =>
  record(type, uuid8('fact', type, line, ...parts), line, atUs, fields)

/** The answer to a request that is not granted. */
export const refused = (request: Actions, atUs: number, code: string, message: string): Actions =>
  fact('RequestRefused', request.line, atUs, [request.id], {
    requestId: request.id,
    incidentId: request.incidentId,
    stepId: request.stepId,
    assetId: request.assetId,
    refusal: { code, message },
  })

/** The owner's signature: facts of another (epoch, owner) are void for every reader. */
export const sign = (facts: readonly Actions[], epoch: number, owner: string): Actions[] => facts.map((one) => ({ ...one, epoch, owner }))

export const ownershipTaken = (line: string, epoch: number, owner: string, atUs: number): Actions =>
  record('OwnershipTaken', uuid8('ownership', owner, epoch), line, atUs, { epoch, owner })

export const incidentIdOf = (line: string, assetId: string, episodeId: string): string => uuid8('incident', line, assetId, episodeId)
export const callIncidentIdOf = (line: string, requestId: string): string => uuid8('incident', line, 'call', requestId)
export const stepIdOf = stepId
export const evidenceOrderIdOf = (incidentId: string, what: string): string => uuid8('evidence', incidentId, what)
/** Travels with the command to its target, which remembers it. */
export const commandRequestIdOf = stepAttemptId

/** What a person approves: any change of command, target, parameters, policy or step gives another hash. */
export const commandHash = (command: string, target: string, params: string, policyDigest: string, step: string): string =>
  sha256Hex(canonicalJson([command, target, params, policyDigest, step]))
