// A plan's steps → proposals. The risk floor lives here: no policy can talk a moving or stopping command out of a human.

import { canonicalJson } from '@andon/kit/ids'
import { actsOnPlant, checkParams } from '@andon/schemas/documents/commands'
import type { Actions, Finding, Proposal } from '@andon/schemas'
import { peopleNeeded } from './ballot.ts'
import { commandHash, fact, stepIdOf } from './facts.ts'
import type { CommandRule, DecideContext, Facts, Incident, Plan, PlanStep, State } from './types.ts'

const MINUTE_US = 60_000_000
const HOUR_US = 60 * MINUTE_US
const DEFAULT_EXPIRY_MINUTES = 60

/** Effects that only tell or keep something: doubt does not hold them back, since they are how a human hears of it. */
const onlyTells = (effect: string): boolean => effect === 'notify' || effect === 'record'

/** What the incident's steps are about. */
export interface Subject {
  readonly incidentId: string
  readonly line: string
  readonly assetId: string | null
  readonly requestId: string | null
  readonly proposedBy: string
  readonly finding: Finding | null
  readonly severity: number
}

/** Distinct humans a step needs: the policy's number, raised by the risk floor and by doubt. */
export const approvalsNeeded = (step: PlanStep, command: CommandRule, doubts: readonly string[]): number => {
  const floor = actsOnPlant(command) || (doubts.length > 0 && !onlyTells(command.effect)) ? 1 : 0
  return Math.max(floor, peopleNeeded({ needed: step.approvals, quorum: step.quorum ?? [] }))
}

/** Why a person has to look: the finding's own doubts, the gate's, and a model that is not the champion (a limit has none). */
export const doubtsOf = (finding: Finding | null, plan: Plan): string[] => {
  const doubts = new Set([...(finding?.doubts ?? []), ...plan.doubts])
  if (finding && finding.model !== '' && finding.modelRole !== 'champion') doubts.add('non-champion')
  return [...doubts].sort()
}

export interface Planned {
  readonly facts: Facts
  /** What could not be proposed, in plain words. */
  readonly notes: string[]
}

/** Proposals for the plan's steps that the incident does not have yet; steps that need nobody are approved at once by the policy. */
export const proposePlan = (state: State, subject: Subject, plan: Plan, context: DecideContext): Planned => {
  const facts: Facts = []
  const notes: string[] = []
  if (isOverBudget(state, subject, plan, context.atUs))
    return { facts, notes: [`the line's budget of ${plan.budgetPerHour ?? 0} planned incidents per hour is used up: nothing is proposed`] }
  if (isAssetOverBudget(state, subject, plan, context.atUs))
    return {
      facts,
      notes: [`the asset's budget of ${plan.assetBudgetPerHour ?? 0} planned incidents per hour is used up: nothing is proposed`],
    }
  const doubts = doubtsOf(subject.finding, plan)
  for (const step of plan.steps) {
    if (state.steps.has(stepIdOf(subject.incidentId, step.step))) continue
    const proposed = proposeStep(subject, plan, step, doubts, context)
    if (typeof proposed === 'string') notes.push(`${step.step}: ${proposed}`)
    else facts.push(...proposed)
  }
  return { facts, notes }
}

/** Incidents with a plan on this line in the hour before, this one left out. */
const isOverBudget = (state: State, subject: Subject, plan: Plan, atUs: number): boolean =>
  plan.budgetPerHour !== null && plannedLately(state, subject, atUs, (incident) => incident.line === subject.line) >= plan.budgetPerHour

const isAssetOverBudget = (state: State, subject: Subject, plan: Plan, atUs: number): boolean => {
  const budget = plan.assetBudgetPerHour ?? null
  return budget !== null && plannedLately(state, subject, atUs, (incident) => incident.assetId === subject.assetId) >= budget
}

const plannedLately = (state: State, subject: Subject, atUs: number, isAlike: (incident: Incident) => boolean): number => {
  let planned = 0
  for (const incident of state.incidents.values()) {
    const isRecent = isAlike(incident) && atUs - incident.openedUs < HOUR_US
    if (isRecent && incident.id !== subject.incidentId && incident.kind === 'finding' && incident.stepIds.length > 0) planned += 1
  }
  return planned
}

/** The facts that propose one step, or why it cannot be proposed. */
export const proposeStep = (
  subject: Subject,
  plan: Plan,
  step: PlanStep,
  doubts: readonly string[],
  context: DecideContext,
): Facts | string => {
  const command = context.commands.get(step.command)
  if (!command) return `command ${step.command} is not in the catalogue`
  const role = subject.finding?.modelRole
  if (actsOnPlant(command) && (role === 'canary' || role === 'shadow')) return `a ${role} model never proposes motion`
  const about = subject.finding?.about ?? 'machine'
  if (actsOnPlant(command) && about !== 'machine') return `a finding about the ${about}, not the machine, never proposes motion`
  const target = command.target.kind === 'line' ? plan.lineId : subject.assetId
  if (target === null) return `command ${step.command} needs an asset`
  const checked = checkParams(command, step.params ?? {})
  if ('param' in checked) return `parameter ${checked.param} is ${String(step.params?.[checked.param])}, expected ${checked.expected}`
  const stepId = stepIdOf(subject.incidentId, step.step)
  const proposal = proposalOf(stepId, target, canonicalJson(checked.params), plan, step, command, doubts, context.atUs)
  const common = {
    requestId: subject.requestId,
    incidentId: subject.incidentId,
    stepId,
    assetId: subject.assetId,
  }
  const proposed = fact('StepProposed', subject.line, context.atUs, [stepId], {
    ...common,
    by: subject.proposedBy,
    title: step.step,
    proposal,
  })
  return proposal.approvalsNeeded > 0 ? [proposed] : [proposed, approvedByPolicy(subject.line, plan.policy, common, context.atUs)]
}

const approvedByPolicy = (line: string, policy: string, common: Partial<Actions> & { stepId: string }, atUs: number): Actions =>
  fact('StepApproved', line, atUs, [common.stepId, 1], { ...common, by: policy, title: 'needs no approval' })

const proposalOf = (
  stepId: string,
  target: string,
  params: string,
  plan: Plan,
  step: PlanStep,
  command: CommandRule,
  doubts: readonly string[],
  atUs: number,
): Proposal => ({
  command: {
    command: command.name,
    target,
    params,
    effect: command.effect,
    riskClass: command.riskClass,
    commandHash: commandHash(command.name, target, params, plan.policyDigest, stepId),
  },
  approvalsNeeded: approvalsNeeded(step, command, doubts),
  roles: [...(step.roles ?? [])],
  fourEyes: step.fourEyes ?? false,
  expiresUs: atUs + (step.expireMinutes ?? DEFAULT_EXPIRY_MINUTES) * MINUTE_US,
  escalateUs: step.escalateMinutes === undefined ? null : atUs + step.escalateMinutes * MINUTE_US,
  policy: plan.policy,
  policyDigest: plan.policyDigest,
  simulated: command.simulated,
  exclude: plan.modelOwner ? [plan.modelOwner] : [],
  quorum: [...(step.quorum ?? [])],
  stepUp: step.stepUp ?? false,
  ladder: (step.ladder ?? []).map(({ afterMinutes, tell }) => ({ atUs: atUs + afterMinutes * MINUTE_US, tell })),
})

export interface Notice {
  /** Name of its step. */
  readonly name: string
  /** Group of people to tell, where the catalogue's command has a parameter `to`; without one those whom it tells by itself. */
  readonly to?: string | undefined
  /** Told again when nobody has acknowledged by then. */
  readonly escalateMinutes?: number | undefined
}

/** Proposes a further notice, if the catalogue has a command that tells people. Used for calls and when a deadline came. */
export const proposeNotice = (subject: Subject, notice: Notice, policy: string, policyDigest: string, context: DecideContext): Facts => {
  const command = [...context.commands.values()].find((one) => one.effect === 'notify')
  if (!command) return []
  const plan: Plan = {
    policy,
    policyDigest,
    lineId: subject.line,
    steps: [],
    evidence: null,
    doubts: [],
    budgetPerHour: null,
    runbook: null,
  }
  const { name, to, escalateMinutes } = notice
  // a group that the catalogue does not know must not keep anybody from being told
  const params = to !== undefined && !('param' in checkParams(command, { to })) ? { to } : {}
  const facts = proposeStep(subject, plan, { step: name, command: command.name, params, approvals: 0, escalateMinutes }, [], context)
  return typeof facts === 'string' ? [] : facts
}
