// ApproveRequested, RejectRequested, RevokeRequested, WithdrawRequested, AbstainRequested, DelegateRequested → one person's word on one step.

import type { Actions, Decision } from '@andon/schemas'
import { isCarried, objectionToDecide, objectionToVoice } from './ballot.ts'
import type { BallotProblem } from './ballot.ts'
import { fact, refused } from './facts.ts'
import { breakerOf } from './fold.ts'
import { ballotOf, hasEnded, isOnBadEvidence } from './fold-steps.ts'
import type { DecideContext, Facts, State, Step } from './types.ts'

/** Who may decide where a proposal names no roles. */
export const DECIDING_ROLES: readonly string[] = ['operator', 'shift-lead', 'process-engineer']
/** Longest time for which somebody may lend the right to decide. */
export const MAX_DELEGATION_US = 12 * 3_600_000_000

const no = (request: Actions, context: DecideContext, code: string, message: string): Facts => [
  refused(request, context.atUs, code, message),
]

const about = (request: Actions, step: Step) => ({
  by: request.by,
  requestId: request.id,
  incidentId: step.incidentId,
  stepId: step.id,
})

/** Roles are on the log where readers have to count them. */
const word = (request: Actions, step: Step, decision: Decision, roles: readonly string[], context: DecideContext): Actions =>
  fact('DecisionRecorded', request.line, context.atUs, [request.id], {
    ...about(request, step),
    ...(step.proposal.quorum.length > 0 ? { roles: [...roles] } : {}),
    decision,
  })

/** Own roles and those lent for this step. */
const rolesOf = (request: Actions, step: Step, atUs: number): string[] => [
  ...(request.roles ?? []),
  ...step.delegations.filter((one) => one.to === request.by && atUs < one.untilUs).flatMap((one) => one.roles),
]

const hasLent = (request: Actions, step: Step, atUs: number): boolean =>
  step.delegations.some((one) => one.from === request.by && atUs < one.untilUs)

const PROBLEMS: Readonly<Record<BallotProblem, readonly [string, string]>> = {
  role: ['ANDON_ACTIONS_ROLE', 'Deciding this step needs another role'],
  expired: ['ANDON_ACTIONS_EXPIRED', 'The time to decide is over'],
  changed: [
    'ANDON_ACTIONS_COMMAND_CHANGED',
    'The command is not the one that was shown: load the step again and decide on what it says now',
  ],
  'four-eyes': ['ANDON_ACTIONS_FOUR_EYES', 'The proposer cannot approve'],
  excluded: ['ANDON_ACTIONS_FOUR_EYES', 'The owner of the model and whoever changed the command cannot approve'],
  again: ['ANDON_ACTIONS_FOUR_EYES', 'The same person counts once: another one has to approve'],
  'step-up': ['ANDON_ACTIONS_STEP_UP', 'Approving this step needs a strong sign-in: confirm with your security key and try again'],
}

/** What speaks against this person deciding this step at all, as [code, message]. */
const objection = (request: Actions, step: Step, context: DecideContext): readonly [string, string] | null => {
  const ballot = ballotOf(step, DECIDING_ROLES)
  // of a step that has ended its status is told, not its expiry
  const atUs = hasEnded(step) ? -Infinity : context.atUs
  const problem = objectionToDecide(ballot, { roles: rolesOf(request, step, context.atUs) }, request.decision?.commandHash, atUs)
  if (problem === 'role') return ['ANDON_ACTIONS_ROLE', `Deciding this step needs one of the roles ${ballot.roles.join(', ')}`]
  return problem === null ? null : PROBLEMS[problem]
}

type StepRule = (request: Actions, step: Step, decision: Decision, context: DecideContext, state: State) => Facts

const onStep =
  (rule: StepRule, isOpenToAll = false) =>
  (request: Actions, state: State, context: DecideContext): Facts => {
    const step = request.stepId === null ? undefined : state.steps.get(request.stepId)
    if (!step) return no(request, context, 'ANDON_ACTIONS_UNKNOWN_STEP', `No step ${request.stepId ?? ''} is known on ${request.line}`)
    if (!request.decision) return no(request, context, 'ANDON_ACTIONS_MALFORMED', 'The request carries no decision')
    const against = isOpenToAll ? null : objection(request, step, context)
    if (against) return no(request, context, ...against)
    return rule(request, step, request.decision, context, state)
  }

/** For rules about steps that live in other files. */
export const decideOn = (rule: StepRule) => onStep(rule)

const isAsking = (step: Step): boolean => step.status === 'awaiting-approval' || step.status === 'unsure'

/** Counts one person towards the quorum; the last one needed approves the step. */
export const approve = onStep((request, step, decision, context, state) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  if (step.revokeAsked) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', 'Somebody asked to revoke this step')
  if (isOnBadEvidence(state, step))
    return no(request, context, 'ANDON_ACTIONS_EVIDENCE_FAILED', 'The evidence of this incident was found false: nothing is approved on it')
  const executor = context.commands.get(step.proposal.command.command)?.executor
  if (executor !== undefined && state.breakers.get(breakerOf(executor, step.line))?.state === 'open')
    return no(
      request,
      context,
      'ANDON_ACTIONS_BREAKER_OPEN',
      `The breaker of ${executor} is open: the target does not answer. Try again once it does`,
    )
  if (hasLent(request, step, context.atUs))
    return no(request, context, 'ANDON_ACTIONS_FOUR_EYES', 'You have lent your word on this step to somebody else')
  const roles = rolesOf(request, step, context.atUs)
  const voice = { by: request.by, roles, strength: decision.strength }
  const ballot = ballotOf(step, DECIDING_ROLES)
  const problem = objectionToVoice(ballot, step.approvals, voice)
  if (problem !== null) return no(request, context, ...PROBLEMS[problem])
  const recorded = word(request, step, { ...decision, verdict: 'approve' }, roles, context)
  if (!isCarried(ballot, [...step.approvals, voice])) return [recorded]
  return [recorded, fact('StepApproved', request.line, context.atUs, [step.id, step.round], about(request, step))]
})

export const reject = onStep((request, step, decision, context) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  const said: Decision = { ...decision, verdict: 'reject' }
  return [
    word(request, step, said, request.roles ?? [], context),
    fact('StepRejected', request.line, context.atUs, [step.id], { ...about(request, step), decision: said }),
  ]
})

/** Takes a proposal or an approval back. A command already under way is not recalled, but not tried again either. */
export const revoke = onStep((request, step, decision, context) => {
  if (hasEnded(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  const said: Decision = { ...decision, verdict: 'revoke' }
  return [
    word(request, step, said, request.roles ?? [], context),
    fact('StepRevoked', request.line, context.atUs, [step.id], { ...about(request, step), decision: said }),
  ]
})

/** Whoever proposed a step takes it back, whatever their role, while nothing is under way. */
export const withdraw = onStep((request, step, decision, context) => {
  if (request.by !== step.proposedBy)
    return no(request, context, 'ANDON_ACTIONS_NOT_PROPOSER', `Only ${step.proposedBy} can withdraw this step: revoke or reject it instead`)
  if (hasEnded(step) || step.open !== null)
    return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.open ? 'under way' : step.status}`)
  const said: Decision = { ...decision, verdict: 'withdraw' }
  return [fact('StepWithdrawn', request.line, context.atUs, [step.id], { ...about(request, step), decision: said })]
}, true)

/** Says neither yes nor no; an approval given before is taken back. */
export const abstain = onStep((request, step, decision, context) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  return [word(request, step, { ...decision, verdict: 'abstain' }, request.roles ?? [], context)]
})

/** Lends the right to decide this step, with one's own roles and for a time. Nobody lends what they do not have or what was lent to them. */
export const delegate = onStep((request, step, decision, context) => {
  if (!isAsking(step)) return no(request, context, 'ANDON_ACTIONS_NOT_PENDING', `Step is ${step.status}`)
  const { to, untilUs } = decision
  const isTimed = untilUs !== null && untilUs > context.atUs && untilUs - context.atUs <= MAX_DELEGATION_US
  if (to === null || to === '' || to === request.by || !isTimed)
    return no(request, context, 'ANDON_ACTIONS_MALFORMED', 'A delegation names somebody else and an end within 12 hours')
  const ballot = ballotOf(step, DECIDING_ROLES)
  const own = (request.roles ?? []).filter((role) => ballot.roles.includes(role))
  if (own.length === 0) return no(request, context, 'ANDON_ACTIONS_ROLE', 'What was lent cannot be lent again')
  const isBarred = ballot.exclude.includes(request.by) || (ballot.fourEyes && request.by === ballot.proposedBy)
  if (isBarred) return no(request, context, ...PROBLEMS.excluded)
  const said: Decision = { ...decision, verdict: 'delegate' }
  return [fact('StepDelegated', request.line, context.atUs, [request.id], { ...about(request, step), roles: own, decision: said })]
})
