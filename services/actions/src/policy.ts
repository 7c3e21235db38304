// The gate: which policy answers a finding, and what has to be left to a person. CEL terminates and does no I/O; an error in it never
// silences a finding, it asks a human. Pure: the same finding, state, documents and stamp give the same plan.

import { Environment } from '@marcbachmann/cel-js'
import { doubtsOf, findingTypeOf, isForReview } from '@andon/decisions'
import type { Plan, PlanStep, State } from '@andon/decisions'
import { actsOnPlant } from '@andon/schemas'
import type { Actions, Finding } from '@andon/schemas'
import { UNASSIGNED } from './on-anomalies.ts'
import type { LoadedPolicy, PlantView } from './plant-view.ts'
import { inputDigest, inputOf } from './policy-context.ts'
import type { PolicyInput } from './policy-context.ts'

const DEFAULT_POLICY = 'policies/default'
const WEEK_US = 7 * 86_400_000_000
const RISKS = ['low', 'medium', 'high']

/** `plan`: its steps as the policy says; `ask`: a person decides first; `nothing`: no step is proposed; `none`: no policy answered. */
export type GateResult = 'plan' | 'ask' | 'nothing' | 'none'

/** What a decision is explained by, years later: on the log with the incident, and in the service's own log. */
export interface GateDecision {
  readonly findingId: string
  readonly policy: string | null
  readonly policyDigest: string | null
  /** SHA-256 over everything that the conditions saw. */
  readonly inputDigest: string
  readonly result: GateResult
  /** Why, in plain words: each policy that was passed over, each doubt. */
  readonly reasons: readonly string[]
  /** Policies that were judged beside, and act on nothing. */
  readonly shadows: readonly ShadowJudgement[]
}

/** What a policy with `mode: shadow` would have done. */
export interface ShadowJudgement {
  readonly policy: string
  readonly policyDigest: string
  readonly result: GateResult
  readonly steps: readonly string[]
  readonly reasons: readonly string[]
  /** It would have planned as the policy in force did. */
  readonly isSame: boolean
}

type Condition = (context: Record<string, unknown>) => unknown
const environment = new Environment({ unlistedVariablesAreDyn: true })
const compiled = new Map<string, Condition>()

const conditionOf = (expression: string): Condition => {
  const known = compiled.get(expression)
  if (known) return known
  const condition = environment.parse(expression) as Condition
  compiled.set(expression, condition)
  return condition
}

/** Specific policies before the default one, otherwise by name. */
export const inOrder = <T extends { readonly policy: { readonly name: string } }>(policies: Iterable<T>): T[] =>
  [...policies].toSorted((left, right) => {
    const [a, b] = [left.policy.name, right.policy.name]
    if (a === DEFAULT_POLICY || b === DEFAULT_POLICY) return Number(a === DEFAULT_POLICY) - Number(b === DEFAULT_POLICY)
    return a < b ? -1 : 1
  })

const isShadow = ({ policy }: LoadedPolicy): boolean => policy.mode === 'shadow'

/**
 * The plan for a request: of the first policy whose condition holds. Where a condition fails or a document is stale, the plan has
 * the doubt `gate-error`, so that a person decides. `onJudged` hears what was decided and why.
 */
export const judge = (
  request: Actions,
  state: State,
  plant: PlantView,
  atUs: number,
  onJudged?: (decision: GateDecision) => void,
): Plan | null => {
  if (!request.finding) return planForCall(request, plant)
  const about: About = { finding: request.finding, type: findingTypeOf(request), state, plant, atUs }
  const { finding, type } = about
  const input = inputOf(request, finding, state, plant, atUs)
  const digest = inputDigest(input)
  const reasons: string[] = []
  let chosen: Chosen | undefined
  const policies = inOrder(plant.policies.values())
  for (const loaded of policies.filter((one) => !isShadow(one))) {
    // Drift and changes of fault modes are work only where a policy of the plant names them.
    if (isForReview(type) && !namesType(loaded, type)) continue
    const found = choose(loaded, input, about)
    if (found) {
      chosen = found
      break
    }
    reasons.push(`${loaded.policy.name}: its condition does not hold`)
  }
  reasons.push(...(chosen?.reasons ?? ['no policy answers']))
  const result = chosen ? resultOf(chosen.plan, finding) : 'none'
  const shadows = policies
    .filter((one) => isShadow(one) && !(isForReview(type) && !namesType(one, type)))
    .map((one) => shadowOf(one, input, about, chosen?.plan))
  const decision: GateDecision = {
    findingId: finding.findingId,
    policy: chosen?.plan.policy ?? null,
    policyDigest: chosen?.plan.policyDigest ?? null,
    inputDigest: digest,
    result,
    reasons,
    shadows,
  }
  onJudged?.(decision)
  if (!chosen) return null
  // Documents without a boundary page are of before the gate kept its reasons: decisions on them stay as they were recorded.
  if (!chosen.isExplained) return chosen.plan
  return { ...chosen.plan, gate: { policyDigest: decision.policyDigest, inputDigest: digest, result, reasons } }
}

/** The plan alone. */
export const planFor = (request: Actions, state: State, plant: PlantView, atUs = request.atUs): Plan | null =>
  judge(request, state, plant, atUs)

const planForCall = ({ line }: Actions, plant: PlantView): Plan | null => {
  const fallback = plant.policies.get(DEFAULT_POLICY)
  return fallback && !isShadow(fallback) ? planOf(fallback, plant.line(line)?.id ?? line, [], []) : null
}

interface About {
  readonly finding: Finding
  readonly type: string
  readonly state: State
  readonly plant: PlantView
  readonly atUs: number
}

interface Chosen {
  readonly plan: Plan
  readonly reasons: readonly string[]
  readonly isExplained: boolean
}

/** The policy's plan with every doubt about it; undefined where its condition does not hold. */
const choose = (loaded: LoadedPolicy, input: PolicyInput, about: About): Chosen | undefined => {
  const verdict = holds(loaded, input)
  if (verdict === false) return undefined
  const { policy } = loaded
  const { finding, plant } = about
  const errors = [...(verdict === true ? [] : [verdict]), ...staleness(loaded, about)]
  const weaknesses = weaknessesOf(loaded, about)
  const doubts = [...new Set([...(errors.length > 0 ? ['gate-error'] : []), ...weaknesses.map(({ doubt }) => doubt)])]
  const reasons = [
    `${policy.name}: its condition holds`,
    ...errors.map((why) => `gate-error: ${why}`),
    ...weaknesses.map(({ doubt, why }) => `${doubt}: ${why}`),
    ...finding.doubts.map((doubt) => `doubt of the finding: ${doubt}`),
  ]
  const lineId = plant.lineOf(finding.assetId)?.id ?? UNASSIGNED
  const owner = modelOwnerOf(loaded, finding)
  const plan: Plan = {
    ...planOf(loaded, lineId, doubts, plant.camerasOf(finding.assetId)),
    ...(owner === undefined ? {} : { modelOwner: owner }),
  }
  const doubtful = policy.guardrails?.onDoubt === 'nothing' && doubtsOf(finding, plan).length > 0
  if (doubtful) reasons.push('onDoubt is nothing: only what tells people is left of the plan')
  const isTarget = ({ command }: PlanStep): boolean => !isSafetyTarget(command, about)
  const steps = policy.plan.filter((step) => isTarget(step) && !(doubtful && !onlyTells(step.command, plant)))
  if (policy.plan.some((step) => !isTarget(step))) reasons.push(`${finding.assetId} is part of a safety function: nothing acts on it`)
  return { plan: { ...plan, steps }, reasons, isExplained: policy.boundary !== undefined }
}

const namesType = ({ policy }: LoadedPolicy, type: string): boolean => policy.when.includes(type)

/** Whether the condition holds, or why that cannot be said. */
const holds = ({ policy }: LoadedPolicy, input: PolicyInput): boolean | string => {
  try {
    const result = conditionOf(policy.when)(input)
    return typeof result === 'boolean' ? result : `the condition of ${policy.name} is no yes or no`
  } catch (cause) {
    return `the condition of ${policy.name} fails: ${cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : String(cause)}`
  }
}

/** Why what is in force may not be what the plant wants. */
const staleness = ({ policy }: LoadedPolicy, { plant, atUs }: About): string[] => {
  const unread = [...plant.unread].filter((name) => /^(plant|commands|policies\/.*|boundaries\/.*)$/.test(name))
  const found = unread.toSorted().map((name) => `the newest version of ${name} cannot be read`)
  const { boundary, validUntil, riskClass } = policy
  if (boundary !== undefined && !plant.boundaries.has(boundary)) found.push(`${boundary} is not published`)
  // the whole day counts
  if (validUntil !== undefined && atUs >= Date.parse(validUntil) * 1000 + WEEK_US / 7)
    found.push(`${policy.name} was valid until ${validUntil}`)
  for (const { step, command } of policy.plan) {
    const risk = plant.commands.get(command)?.riskClass
    if (riskClass !== undefined && risk !== undefined && RISKS.indexOf(risk) > RISKS.indexOf(riskClass))
      found.push(`step ${step}: ${command} has risk class ${risk}, and the policy allows ${riskClass}`)
  }
  return found
}

/** What makes the finding too weak to act on without a person. */
const weaknessesOf = (loaded: LoadedPolicy, { finding, state, atUs }: About): { readonly doubt: string; readonly why: string }[] => {
  const { guardrails, falsePositives, modelOwners } = loaded.policy
  const found: { doubt: string; why: string }[] = []
  const { minRatio, maxPValue } = guardrails ?? {}
  if (minRatio !== undefined && !(finding.ratio >= minRatio))
    found.push({ doubt: 'low-confidence', why: `ratio ${finding.ratio} is below ${minRatio}` })
  if (maxPValue !== undefined && !(finding.pValue !== null && finding.pValue <= maxPValue))
    found.push({ doubt: 'low-confidence', why: `p-value ${finding.pValue ?? 'not calibrated'}, at most ${maxPValue} is wanted` })
  if (modelOwners !== undefined && finding.model !== '' && modelOwnerOf(loaded, finding) === undefined)
    found.push({ doubt: 'gate-error', why: `modelOwners does not say who owns ${finding.model}` })
  if (falsePositives !== undefined) {
    const count = falseAlarmsLately(state, finding.assetId, atUs)
    const { perAssetPerWeek } = falsePositives
    if (count > perAssetPerWeek)
      found.push({ doubt: 'false-positives', why: `${count} false alarms in a week, ${perAssetPerWeek} are tolerated` })
  }
  return found
}

const modelOwnerOf = ({ policy: { modelOwners } }: LoadedPolicy, { model }: Finding): string | undefined =>
  modelOwners && Object.hasOwn(modelOwners, model) ? modelOwners[model] : undefined

const falseAlarmsLately = ({ teaching, incidents }: State, assetId: string, atUs: number): number => {
  let count = 0
  for (const { what, incidentId, atUs: saidUs } of teaching.verdicts.values()) {
    const isAbout = what.verdict === 'false-alarm' && incidents.get(incidentId ?? '')?.assetId === assetId
    if (isAbout && atUs - saidUs < WEEK_US) count += 1
  }
  return count
}

const onlyTells = (command: string, plant: PlantView): boolean => {
  const effect = plant.commands.get(command)?.effect
  return effect === 'notify' || effect === 'record'
}

/** The catalogue cannot name a safety signal; an asset that is one is never acted on either. */
const isSafetyTarget = (command: string, { finding, plant }: About): boolean => {
  const definition = plant.commands.get(command)
  const asset = plant.plant?.assets.find(({ id }) => id === finding.assetId)
  return definition?.target.kind === 'asset' && actsOnPlant(definition) && asset?.safety === true
}

const planOf = ({ policy, digest }: LoadedPolicy, lineId: string, doubts: string[], cameraIds: string[]): Plan => ({
  policy: policy.name,
  policyDigest: digest,
  lineId,
  steps: policy.plan,
  evidence: policy.evidence ? { cameraIds, beforeS: policy.evidence.beforeS, afterS: policy.evidence.afterS } : null,
  doubts,
  budgetPerHour: policy.budget.perLinePerHour,
  assetBudgetPerHour: policy.budget.perAssetPerHour,
  runbook: policy.runbook,
})

const resultOf = (plan: Plan, finding: Finding): GateResult => {
  if (finding.historical || plan.steps.length === 0) return 'nothing'
  return doubtsOf(finding, plan).length > 0 ? 'ask' : 'plan'
}

const shadowOf = (loaded: LoadedPolicy, input: PolicyInput, about: About, acted: Plan | undefined): ShadowJudgement => {
  const would = choose(loaded, input, about)
  const plain = (plan: Plan | undefined): string =>
    JSON.stringify(plan && [plan.steps, plan.evidence, doubtsOf(about.finding, plan), plan.budgetPerHour, plan.assetBudgetPerHour])
  return {
    policy: loaded.policy.name,
    policyDigest: loaded.digest,
    result: would ? resultOf(would.plan, about.finding) : 'none',
    steps: would?.plan.steps.map(({ step }) => step) ?? [],
    reasons: would?.reasons ?? [`${loaded.policy.name}: its condition does not hold`],
    isSame: would !== undefined && plain(would.plan) === plain(acted),
  }
}
