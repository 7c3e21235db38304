// Which operating regime a window belongs to, by the rules of its feature set.

import type { AssetPlan, Condition, RegimeRule } from './plan.ts'

/** The first regime whose conditions all hold; null where none does. A number that could not be computed meets no condition. */
export const regimeOf = (plan: Pick<AssetPlan, 'regimes'>, values: Float64Array): RegimeRule | null => {
  for (const regime of plan.regimes) if (holds(regime.when, values)) return regime
  return null
}

const holds = (conditions: readonly Condition[], values: Float64Array): boolean => {
  for (const { place, atLeast, below, equals } of conditions) {
    const value = values[place] as number
    if (Number.isNaN(value)) return false
    if (atLeast !== null && value < atLeast) return false
    if (below !== null && value >= below) return false
    if (equals !== null && value !== equals) return false
  }
  return true
}
