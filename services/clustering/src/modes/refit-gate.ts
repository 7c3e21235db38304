// Whether a refit may take the place of the model that holds: each measure against its bound, and every one that misses it is a reason. A
// measure that is missing or no number is a reason too: what could not be checked is not activated.

/** Label-free measures of a clustering and of its step from the one before. */
export interface RefitMeasures {
  /** Density-based validity, -1 to 1. */
  readonly dbcv: number
  /** For people beside DBCV; no gate, for it likes round clusters. */
  readonly silhouette?: number
  /** Median adjusted Rand index of fits to subsamples against the fit to all. */
  readonly bootstrapAri: number
  /** Share of the mass in no cluster. */
  readonly noiseShare: number
  /** Share of the clustered mass in the largest cluster. */
  readonly largestShare: number
  /** `survival` of `reconcile`; not asked of a first fit. */
  readonly survival?: number
}

export interface RefitGates {
  readonly leastBootstrapAri: number
  /** How much lower than before DBCV may be. */
  readonly mostDbcvLoss: number
  readonly mostNoiseShare: number
  readonly leastSurvival: number
  /** At 1 a single mode may hold everything, as on a machine that never had a fault. */
  readonly mostLargestShare: number
}

export const refitGateDefaults: RefitGates = {
  leastBootstrapAri: 0.8,
  mostDbcvLoss: 0.05,
  mostNoiseShare: 0.25,
  leastSurvival: 0.9,
  mostLargestShare: 1,
}

export interface RefusalReason {
  readonly measure: keyof RefitMeasures
  readonly value: number | null
  readonly bound: number
  /** One sentence for people. */
  readonly text: string
}

export type RefitJudgement = { readonly decision: 'activate' } | { readonly decision: 'refuse'; readonly reasons: readonly RefusalReason[] }

/** `previous`: the measures of the model that holds; undefined for a first fit, which has nothing to fall behind. */
export const judgeRefit = (
  measures: RefitMeasures,
  previous: Pick<RefitMeasures, 'dbcv'> | undefined,
  gates: RefitGates = refitGateDefaults,
): RefitJudgement => {
  const reasons: RefusalReason[] = []
  const gate = (measure: keyof RefitMeasures, bound: number, side: 'least' | 'most', name: string): void => {
    const value = measures[measure]
    if (value === undefined || !Number.isFinite(value)) {
      reasons.push({ measure, value: null, bound, text: `${name} was not measured` })
    } else if (side === 'least' ? value < bound : value > bound) {
      const places = (number: number): string => String(Number(number.toFixed(3)))
      reasons.push({
        measure,
        value,
        bound,
        text: `${name} is ${places(value)}, ${side === 'least' ? 'at least' : 'at most'} ${places(bound)} is required`,
      })
    }
  }
  gate('bootstrapAri', gates.leastBootstrapAri, 'least', 'Agreement with fits to subsamples')
  const before = previous?.dbcv ?? Number.NaN
  gate('dbcv', Number.isFinite(before) ? before - gates.mostDbcvLoss : -1, 'least', 'Density-based validity')
  gate('noiseShare', gates.mostNoiseShare, 'most', 'Share of noise')
  gate('largestShare', gates.mostLargestShare, 'most', 'Share of the largest mode')
  if (previous !== undefined) gate('survival', gates.leastSurvival, 'least', 'Share of mass that keeps its mode')
  return reasons.length === 0 ? { decision: 'activate' } : { decision: 'refuse', reasons }
}
