// The gate: which policy answers a finding. CEL terminates and does no I/O; an error in it never silences a finding, it asks a human.

import { Environment } from '@marcbachmann/cel-js'
import { findingTypeOf, incidentIdOf, isForReview } from '@andon/decisions'
import type { Plan, State } from '@andon/decisions'
import type { Actions, Finding } from '@andon/schemas'
import { UNASSIGNED } from './on-anomalies.ts'
import type { LoadedPolicy, PlantView } from './plant-view.ts'

const DEFAULT_POLICY = 'policies/default'

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

/** Why the expression cannot be a policy's condition; null when it can. */
export const conditionProblem = (expression: string): string | null => {
  try {
    environment.parse(expression)
    return null
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

/** Specific policies before the default one, otherwise by name. */
const inOrder = (policies: Iterable<LoadedPolicy>): LoadedPolicy[] =>
  [...policies].toSorted((left, right) => {
    const [a, b] = [left.policy.name, right.policy.name]
    if (a === DEFAULT_POLICY || b === DEFAULT_POLICY) return Number(a === DEFAULT_POLICY) - Number(b === DEFAULT_POLICY)
    return a < b ? -1 : 1
  })

/**
 * The plan for a request: of the first policy whose condition holds. Where a condition fails, that policy is taken
 * as if it held, with the doubt `gate-error`, so that a person decides.
 */
export const planFor = (request: Actions, state: State, plant: PlantView): Plan | null => {
  if (request.finding) return planForFinding(request.line, request.finding, findingTypeOf(request), state, plant)
  const fallback = plant.policies.get(DEFAULT_POLICY)
  return fallback ? planOf(fallback, plant.line(request.line)?.id ?? request.line, [], []) : null
}

const planForFinding = (line: string, finding: Finding, type: string, state: State, plant: PlantView): Plan | null => {
  const incident = state.incidents.get(incidentIdOf(line, finding.assetId, finding.episodeId))
  const lineId = plant.lineOf(finding.assetId)?.id ?? UNASSIGNED
  const asset = plant.plant?.assets.find((one) => one.id === finding.assetId) ?? { id: finding.assetId, line: lineId }
  const context = {
    finding: { ...finding, type, severity: BigInt(finding.severity) },
    asset,
    line: plant.line(lineId) ?? { id: lineId },
    incident: { isOpen: incident !== undefined, severity: BigInt(incident?.severity ?? 0), steps: BigInt(incident?.stepIds.length ?? 0) },
  }
  const isReview = isForReview(type)
  for (const loaded of inOrder(plant.policies.values())) {
    // Drift and changes of fault modes are work only where a policy of the plant names them.
    if (isReview && !namesType(loaded, type)) continue
    const verdict = holds(loaded, context)
    if (verdict === false) continue
    return planOf(loaded, lineId, verdict === true ? [] : ['gate-error'], plant.camerasOf(finding.assetId))
  }
  return null
}

const namesType = ({ policy }: LoadedPolicy, type: string): boolean => policy.when.includes(type)

const holds = (loaded: LoadedPolicy, context: Record<string, unknown>): boolean | 'error' => {
  try {
    const result = conditionOf(loaded.policy.when)(context)
    return typeof result === 'boolean' ? result : 'error'
  } catch {
    return 'error' // the doubt `gate-error` of the plan tells a person
  }
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
