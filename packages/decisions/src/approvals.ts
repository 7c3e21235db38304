// ApproveRequested, RejectRequested, RevokeRequested → one person's word on one step.

import type { Actions, Decision } from '@andon/schemas'
import { fact, refused } from './facts.ts'
import { hasEnded } from './fold-steps.ts'
import type { DecideContext, Facts, State, Step } from './types.ts'

/** Who may decide where a proposal names no roles. */
export const DECIDING_ROLES: readonly string[] = ['operator', 'shift-lead', 'process-engineer']

const no = (request: Actions, context: DecideContext, code: string, message: string): Facts => [
  refused(request, context.atUs, code, message),
]

const word = (request: Actions, step: Step, context: DecideContext, decision: Decision): Actions =>
  fact('DecisionRecorded', request.line, context.atUs, [request.id], {
    ...about(request, step),
    decision,
  })

const about = (request: Actions, step: Step) => ({
  by: request.by,
  requestId: request.id,
  incidentId: step.incidentId,
  stepId: step.id,
})

/** What speaks against this person deciding this step at all, as [code, message]. */
const objection = (request: Actions, step: Step, context: DecideContext): [string, string] | null => {
  const { proposal } = step
  const roles = proposal.roles.length > 0 ? proposal.roles : DECIDING_ROLES
  if (!(request.roles ?? []).some((role) => roles.includes(role)))
    return ['ANDON_ACTIONS_ROLE', `Deciding this step needs one of the roles ${roles.join(', ')}`]
  if (context.atUs >= proposal.expiresUs && !hasEnded(step)) return ['ANDON_ACTIONS_EXPIRED', 'The time to decide is over']
  if (request.decision?.commandHash !== proposal.command.commandHash)
    return [
      'ANDON_ACTIONS_COMMAND_CHANGED',
      'The command is not the one that was shown: load the step again and decide on what it says now',
    ]
  return null
}

const decideOn =
  (rule: (request: Actions, step: Step, decision: Decision, context: DecideContext) => Facts) =>
  (request: Actions, state: State, context: DecideContext): Facts => {
    const step = request.stepId === null ? undefined : state.steps.get(request.stepId)
    if (!step) return no(request, context, 'ANDON_ACTIONS_UNKNOWN_STEP', `No step ${request.stepId ?? ''} is known on ${request.line}`)
    if (!request.decision) return no(request, context, 'ANDON_ACTIONS_MALFORMED', 'The request carries no decision')
    const against = objection(request, step, context)
    if (against) return no(request, context, ...against)
    return rule(request, step, request.decision, context)
  }

const isAsking = (step: Step): boolean => step.status === 'awaiting-approval' || step.status === 'unsure'

/** Counts one person towards the quorum; the last one needed approves the step. */
export const approve = decideOn((request, step, decision, context) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  if (step.revokeAsked) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', 'Somebody asked to revoke this step')
  if (step.proposal.fourEyes && request.by === step.proposedBy)
    return no(request, context, 'ANDON_ACTIONS_FOUR_EYES', 'The proposer cannot approve')
  if (step.approvals.some((one) => one.by === request.by))
    return no(request, context, 'ANDON_ACTIONS_FOUR_EYES', 'The same person counts once: another one has to approve')
  const recorded = word(request, step, context, { ...decision, verdict: 'approve' })
  if (step.approvals.length + 1 < step.proposal.approvalsNeeded) return [recorded]
  return [recorded, fact('StepApproved', request.line, context.atUs, [step.id, step.round], about(request, step))]
})

export const reject = decideOn((request, step, decision, context) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  const said: Decision = { ...decision, verdict: 'reject' }
  return [
    word(request, step, context, said),
    fact('StepRejected', request.line, context.atUs, [step.id], { ...about(request, step), decision: said }),
  ]
})

/** Takes a proposal or an approval back. A command already under way is not recalled, but not tried again either. */
export const revoke = decideOn((request, step, decision, context) => {
  if (hasEnded(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  const said: Decision = { ...decision, verdict: 'revoke' }
  return [
    word(request, step, context, said),
    fact('StepRevoked', request.line, context.atUs, [step.id], { ...about(request, step), decision: said }),
  ]
})
