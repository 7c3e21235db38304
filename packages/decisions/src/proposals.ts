// ProposeRequested → a command of the catalogue that somebody asks for by hand, as a step of an open incident. It passes the gate like
// one of a policy: others decide, and an agent (a program that reasons) proposes nothing that moves the plant.

import { actsOnPlant } from '@andon/schemas/documents/commands'
import type { Actions } from '@andon/schemas'
import { DECIDING_ROLES } from './approvals.ts'
import { refused } from './facts.ts'
import { proposeStep } from './planning.ts'
import type { DecideContext, Facts, Plan, State, Step } from './types.ts'

/** A program that reads findings and proposes. It never decides: no rule counts this role. */
export const AGENT = 'agent'
/** Who may propose by hand. */
export const PROPOSING_ROLES: readonly string[] = [...DECIDING_ROLES, AGENT]
/** Proposals of one agent that wait in an incident. */
export const MOST_AGENT_PROPOSALS = 3

/** Proposals of one agent on a control group in an hour. */
export const MOST_AGENT_PROPOSALS_PER_HOUR = 20
const HOUR_US = 3_600_000_000

/** What is proposed, in the `detail` of the request. */
export interface ByHand {
  readonly command: string
  readonly params?: Readonly<Record<string, unknown>> | undefined
  /** The line as the plant file names it, for commands whose target is one. */
  readonly lineId: string
}

export const propose = (request: Actions, state: State, context: DecideContext): Facts => {
  const no = (code: string, message: string): Facts => [refused(request, context.atUs, code, message)]
  const incident = request.incidentId === null ? undefined : state.incidents.get(request.incidentId)
  if (!incident) return no('ANDON_ACTIONS_UNKNOWN_INCIDENT', `No incident ${request.incidentId ?? ''} is known on ${request.line}`)
  const roles = request.roles ?? []
  if (!roles.some((role) => PROPOSING_ROLES.includes(role)))
    return no('ANDON_ACTIONS_ROLE', `Proposing needs one of the roles ${PROPOSING_ROLES.join(', ')}`)
  if (incident.closedUs !== null) return no('ANDON_ACTIONS_NOT_PENDING', 'The incident is closed')
  const byHand = JSON.parse(request.detail ?? 'null') as ByHand | null
  const reason = request.decision?.reason ?? ''
  if (!byHand || reason === '') return no('ANDON_ACTIONS_MALFORMED', 'A proposal names a command and says why')
  const command = context.commands.get(byHand.command)
  if (!command) return no('ANDON_ACTIONS_MALFORMED', `Command ${byHand.command} is not in the catalogue`)
  const isAgent = roles.includes(AGENT)
  if (isAgent && actsOnPlant(command)) return no('ANDON_ACTIONS_ROLE', `An agent proposes nothing with effect ${command.effect}`)
  const waiting = incident.stepIds.filter((id) => {
    const step = state.steps.get(id)
    return step?.proposedBy === request.by && step.status === 'awaiting-approval'
  })
  if (isAgent && waiting.length >= MOST_AGENT_PROPOSALS)
    return no('ANDON_ACTIONS_NOT_PENDING', `${waiting.length} proposals of ${request.by} wait in this incident already`)
  const lately = isAgent ? [...state.steps.values()].filter((one) => isLately(one, request, context.atUs)).length : 0
  if (lately >= MOST_AGENT_PROPOSALS_PER_HOUR)
    return no('ANDON_ACTIONS_RATE', `${request.by} has proposed ${lately} times within an hour: wait, and let people decide`)
  const subject = {
    incidentId: incident.id,
    line: incident.line,
    assetId: incident.assetId,
    requestId: request.id,
    proposedBy: request.by,
    // a person stands behind it, not the finding of the incident: its doubts and its model are not those of the proposal
    finding: null,
    severity: incident.severity,
  }
  const step = { step: `${command.name}-${request.id}`, command: command.name, params: byHand.params, approvals: 1, fourEyes: true }
  const proposed = proposeStep(subject, { ...BY_HAND, lineId: byHand.lineId }, step, [], context)
  if (typeof proposed === 'string') return no('ANDON_ACTIONS_MALFORMED', proposed)
  return proposed.map((one) => ({ ...one, title: command.name, decision: { ...request.decision!, verdict: 'propose' } }))
}

const isLately = (step: Step, request: Actions, atUs: number): boolean =>
  step.proposedBy === request.by && step.line === request.line && atUs - step.proposedUs < HOUR_US

const BY_HAND: Omit<Plan, 'lineId'> = {
  policy: 'by-hand',
  policyDigest: '',
  steps: [],
  evidence: null,
  doubts: [],
  budgetPerHour: null,
  runbook: null,
}
