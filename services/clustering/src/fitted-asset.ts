// What an asset's detector learnt, as one artefact: the fitted detector, the asset's own normal, what watches beside it learnt.
// Equal windows give equal bytes.

import type { Card, NormalFeature } from './model-cards.ts'
import type { DetectorSet } from './detector-set.ts'
import { fitCleaning } from './detectors/cleaning.ts'
import { fitMultivariate } from './detectors/multivariate-fit.ts'
import type { FittedMultivariate } from './detectors/multivariate-fit.ts'
import { quantile } from './detectors/numeric.ts'
import { fitUnivariate, slotsPerDay } from './detectors/univariate.ts'
import type { FittedUnivariate } from './detectors/univariate.ts'
import type { LearntPrefix } from './judged.ts'

export interface FittedAsset {
  readonly version: 1
  readonly assetId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  /** Event time of the service after which it learnt; null = none known. */
  readonly baselineEpochUs: number | null
  /** Numbers it looks at, in order. */
  readonly names: readonly string[]
  /** Numbers of the vector it was given to choose from. */
  readonly offered: number
  readonly windows: number
  readonly learntFromUs: number
  readonly learntUntilUs: number
  /** Usual time between two windows. */
  readonly periodUs: number
  /** Per name, of the windows it learnt from. */
  readonly normal: {
    readonly mean: Float64Array
    readonly std: Float64Array
    readonly low: Float64Array
    readonly high: Float64Array
  }
  readonly detector:
    | { readonly kind: 'multivariate'; readonly fitted: FittedMultivariate }
    | { readonly kind: 'univariate'; readonly column: number; readonly fitted: FittedUnivariate }
  /** Reference of the drift watch; null without one. */
  readonly drift: unknown
}

export interface FitContext {
  readonly baselineEpochUs: number | null
  readonly offered: number
  readonly set: DetectorSet['detector']
  readonly fitDrift: ((prefix: LearntPrefix) => unknown) | undefined
}

/** Undefined where nothing moved: there is nothing to learn yet. */
export const fitAsset = (prefix: LearntPrefix, { baselineEpochUs, offered, set, fitDrift }: FitContext): FittedAsset | undefined => {
  const { assetId, featureSet, featureSetDigest, names, rows, windowEndsUs } = prefix
  const columns = names.map((_, at) => column(prefix, at))
  const moving = fitCleaning(rows, set.multivariate.glitchFactor).channels
  const [only] = moving
  if (only === undefined) return undefined
  const steps = windowEndsUs.slice(1).map((endUs, i) => endUs - (windowEndsUs[i] as number))
  const { periodUs, rowUs } = usualSteps(steps)
  // A single number has too little in it for a joint score: another profile judges it.
  const detector: FittedAsset['detector'] =
    moving.length > 1
      ? { kind: 'multivariate', fitted: fitMultivariate(rows, set.multivariate) }
      : {
          kind: 'univariate',
          column: only,
          fitted: fitUnivariate(columns[only] as Float64Array, slotsPerDay(rowUs / 1e6), set.univariate),
        }
  const fitted = columns.map(normalOf)
  return {
    version: 1,
    assetId,
    featureSet,
    featureSetDigest,
    baselineEpochUs,
    names,
    offered,
    windows: rows.rows,
    learntFromUs: windowEndsUs[0] as number,
    learntUntilUs: windowEndsUs[rows.rows - 1] as number,
    periodUs,
    normal: {
      mean: Float64Array.from(fitted, ({ mean }) => mean),
      std: Float64Array.from(fitted, ({ std }) => std),
      low: Float64Array.from(fitted, ({ low }) => low),
      high: Float64Array.from(fitted, ({ high }) => high),
    },
    detector,
    drift: fitDrift?.(prefix) ?? null,
  }
}

/**
 * The median. Where most stamps stand still (one a minute for rows of seconds, a microsecond apart) it is the time between two stamps,
 * which is no silence, and a row takes its part of it.
 */
const usualSteps = (steps: Float64Array): { periodUs: number; rowUs: number } => {
  const median = quantile(steps, 0.5)
  const forward = median > 1 ? steps : steps.filter((step) => step > 1)
  if (median > 1 || forward.length === 0) return { periodUs: median, rowUs: median }
  const periodUs = quantile(forward, 0.5)
  return { periodUs, rowUs: (periodUs * forward.length) / steps.length }
}

const column = ({ rows: { values, rows, width } }: LearntPrefix, at: number): Float64Array =>
  Float64Array.from({ length: rows }, (_, t) => values[t * width + at] as number)

const normalOf = (values: Float64Array) => {
  const known = values.filter(Number.isFinite)
  if (known.length === 0) return { mean: Number.NaN, std: Number.NaN, low: Number.NaN, high: Number.NaN }
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length
  const std = Math.sqrt(known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / known.length)
  return { mean, std, low: quantile(known, 0.01), high: quantile(known, 0.99) }
}

/** The asset's normal in the form of a model's card. */
export const cardOfFitted = (digest: string, { names, normal, learntUntilUs }: FittedAsset): Card => {
  const finite = (value: number | undefined): number | null => (value !== undefined && Number.isFinite(value) ? value : null)
  const features = new Map<string, NormalFeature>()
  names.forEach((name, at) => {
    const mean = finite(normal.mean[at])
    const std = finite(normal.std[at])
    if (mean === null || std === null) return
    features.set(name, { mean, std, low: finite(normal.low[at]), high: finite(normal.high[at]), isUsed: std > 1e-9 * (1 + Math.abs(mean)) })
  })
  return { digest, learntUntilUs, features }
}
