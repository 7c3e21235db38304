// The commissioning model: regularised T² + SPE on healthy feature vectors. Pure float64 arithmetic in a fixed order, no random
// numbers, no clock: the same rows give the same model, and its graph (t2spe-graph.ts) computes what scoreRow computes.
//
//   z = (x - mean) / std          t = P'z          e = z - P t
//   T² = Σ t_k² / (λ_k + ridge)   SPE = Σ e_j²     ratio = max(T² / T²limit, SPE / SPElimit, max_j z_j² / channelLimit_j)
//
// Limits come from held-out rows: 5 contiguous folds, each scored by components of the rows outside it. limit = quantile × factor,
// where the quantile leaves about 20 rows above (at least the upper 10 %) and the factor 1 + 1.4 / √ν carries it to about the
// 99.7 % point of a chi-square with the ν degrees of freedom the scores show (1 + 6 / √ν for the largest single channel). A common
// correction accounts for taking the largest of three.

import { matrix, quantile, row, secondMoment, symmetricEigen } from './linear-algebra.ts'
import type { Matrix } from './linear-algebra.ts'

const RIDGE = 0.1
const EXPLAINED = 0.9
const FOLDS = 5
const FOLD_GAP_ROWS = 5
const ROWS_ABOVE = 20
const TRIM = 10
const MOST_TRIMMED = 0.15
const MOST_MISSING = 0.05

/** Fewest rows a model of `features` features may be trained on. */
export const fewestRows = (features: number): number => Math.max(60, 5 * features)

/** Why a feature takes no part: it never moved (a later move is doubt), or it was mostly not computable. */
export type Unused = 'constant' | 'missing'

export interface T2SpeModel {
  readonly features: readonly string[]
  readonly mean: Float64Array
  readonly std: Float64Array
  /** 1 / std; 0 for a feature that takes no part. */
  readonly scale: Float64Array
  readonly unused: ReadonlyMap<string, Unused>
  /** features × components. */
  readonly loadings: Matrix
  /** 1 / (λ_k + ridge). */
  readonly componentWeight: Float64Array
  readonly t2Limit: number
  readonly speLimit: number
  /** 1 / channelLimit_j, in squared standard deviations. */
  readonly channelWeight: Float64Array
  /** 1 and 99 % quantiles of the training rows: the normal range. */
  readonly q01: Float64Array
  readonly q99: Float64Array
  readonly rowsUsed: number
  readonly rowsTrimmed: number
}

export interface Score {
  /** T² / T²limit + SPE / SPElimit. */
  readonly score: number
  /** 1 is the line. */
  readonly ratio: number
  readonly t2: number
  readonly spe: number
  /** Share per feature: by how much the score would fall if this feature alone were what the others imply. Sums to 1. */
  readonly contributions: Float64Array
}

/** Training could not be done with these rows; more or other rows are needed. */
export class TrainingRefused extends Error {
  override readonly name = 'TrainingRefused'
}

/** Trains on healthy rows in time order. NaN marks a missing value. Throws TrainingRefused when the rows do not suffice. */
export const trainT2Spe = (features: readonly string[], rows: Matrix): T2SpeModel => {
  const d = features.length
  if (rows.columns !== d) throw new TrainingRefused(`rows have ${rows.columns} values, the feature set ${d}`)
  const unused = new Map<string, Unused>()
  const missingShare = (j: number): number =>
    indices(rows.rows).filter((i) => !Number.isFinite(row(rows, i)[j])).length / Math.max(1, rows.rows)
  for (const [j, name] of features.entries()) if (missingShare(j) > MOST_MISSING) unused.set(name, 'missing')
  const isComplete = (i: number): boolean => features.every((name, j) => unused.has(name) || Number.isFinite(row(rows, i)[j]))
  const complete = indices(rows.rows).filter(isComplete)

  const outliers = grossRows(
    rows,
    complete,
    features.filter((name) => !unused.has(name)).map((name) => features.indexOf(name)),
  )
  const kept = outliers.size > MOST_TRIMMED * complete.length ? complete : complete.filter((i) => !outliers.has(i))
  return { ...fit(features, rows, kept, unused), rowsUsed: kept.length, rowsTrimmed: complete.length - kept.length }
}

/** Scores one complete row as the graph does. */
export const scoreRow = (model: T2SpeModel, x: ArrayLike<number>): Score => {
  const z = Float64Array.from(model.features, (_, j) => (model.scale[j] === 0 ? 0 : (x[j]! - model.mean[j]!) * model.scale[j]!))
  const { t2, spe, projected, residual } = project(model.loadings, model.componentWeight, z)
  const channel = z.reduce((most, value, j) => Math.max(most, value * value * model.channelWeight[j]!), 0)
  const diagonal = combinedDiagonal(model)
  const gains = z.map((_, j) => {
    const gradient = projected[j]! / model.t2Limit + residual[j]! / model.speLimit
    return (gradient * gradient) / diagonal[j]!
  })
  const sum = Math.max(
    gains.reduce((a, b) => a + b, 0),
    Number.MIN_VALUE,
  )
  return {
    score: t2 / model.t2Limit + spe / model.speLimit,
    ratio: Math.max(t2 / model.t2Limit, spe / model.speLimit, channel),
    t2,
    spe,
    contributions: gains.map((gain) => gain / sum),
  }
}

/** Diagonal of the quadratic form behind the score: how much the score reacts to each feature alone. */
export const combinedDiagonal = (model: Pick<T2SpeModel, 'loadings' | 'componentWeight' | 't2Limit' | 'speLimit'>): Float64Array =>
  Float64Array.from({ length: model.loadings.rows }, (_, j) => {
    let inside = 0
    let explained = 0
    row(model.loadings, j).forEach((loading, k) => {
      inside += loading * loading * model.componentWeight[k]!
      explained += loading * loading
    })
    // Rounding may leave a tiny negative rest when the components explain a feature completely.
    return Math.max(inside / model.t2Limit + Math.max(0, 1 - explained) / model.speLimit, 1e-12)
  })

const fit = (
  features: readonly string[],
  rows: Matrix,
  kept: readonly number[],
  missing: ReadonlyMap<string, Unused>,
): Omit<T2SpeModel, 'rowsUsed' | 'rowsTrimmed'> => {
  const d = features.length
  if (kept.length < fewestRows(d))
    throw new TrainingRefused(`${kept.length} complete healthy rows; at least ${fewestRows(d)} are needed for ${d} features`)
  const unused = new Map(missing)
  const columns = features.map((name, j) => (missing.has(name) ? new Float64Array(1) : Float64Array.from(kept, (i) => row(rows, i)[j]!)))
  const mean = Float64Array.from(columns, average)
  const std = Float64Array.from(columns, (column, j) => Math.sqrt(average(column.map((value) => (value - mean[j]!) * (value - mean[j]!)))))
  const scale = Float64Array.from(features, (name, j) => {
    if (std[j]! < 1e-9 * (1 + Math.abs(mean[j]!)) && !unused.has(name)) unused.set(name, 'constant')
    return unused.has(name) ? 0 : 1 / std[j]!
  })
  const active = d - unused.size
  if (active === 0) throw new TrainingRefused('no feature moves in these rows, so nothing can be learned from them')

  const z = matrix(kept.length, d)
  kept.forEach((i, position) =>
    features.forEach((_, j) => (z.data[position * d + j] = scale[j] === 0 ? 0 : (row(rows, i)[j]! - mean[j]!) * scale[j]!)),
  )
  const all = indices(kept.length)
  const components = componentCount(symmetricEigen(secondMoment(z, all)).values, active)
  const { loadings, componentWeight } = principal(z, all, components)

  const held = heldOut(z, components)
  const channelQuantile = Float64Array.from(features, (_, j) => Math.max(tailQuantile(all.map((i) => row(z, i)[j]! * row(z, i)[j]!)), 1e-6))
  const largest = Float64Array.from(all, (i) =>
    row(z, i).reduce((most, value, j) => Math.max(most, (value * value) / channelQuantile[j]!), 0),
  )
  const t2Quantile = Math.max(tailQuantile(held.t2), 0.001)
  const speQuantile = Math.max(tailQuantile(held.spe), 0.001)
  const largestQuantile = Math.max(tailQuantile(largest), 1e-6)
  const together = all.map((i) => Math.max(held.t2[i]! / t2Quantile, held.spe[i]! / speQuantile, largest[i]! / largestQuantile))
  const correction = Math.max(tailQuantile(together), 1)
  const channelFactor = (1 + 6 / Math.sqrt(degreesOfFreedom(largest))) * correction
  return {
    features: [...features],
    mean,
    std,
    scale,
    unused,
    loadings,
    componentWeight,
    t2Limit: t2Quantile * (1 + 1.4 / Math.sqrt(degreesOfFreedom(held.t2))) * correction,
    speLimit: speQuantile * (1 + 1.4 / Math.sqrt(degreesOfFreedom(held.spe))) * correction,
    channelWeight: channelQuantile.map((limit, j) => (scale[j] === 0 ? 0 : 1 / (limit * largestQuantile * channelFactor))),
    q01: Float64Array.from(columns, (column) => quantile(column, 0.01)),
    q99: Float64Array.from(columns, (column) => quantile(column, 0.99)),
  }
}

/** Fewest components that explain 90 % of the variance; one direction is left to SPE when there is more than one feature. */
const componentCount = (values: Float64Array, active: number): number => {
  const total = values.reduce((a, b) => a + Math.max(0, b), 0)
  let explained = 0
  let count = 0
  while (count < active && explained < EXPLAINED * total) explained += Math.max(0, values[count++]!)
  return Math.max(1, Math.min(count, active - 1))
}

const principal = (z: Matrix, chosen: readonly number[], components: number): { loadings: Matrix; componentWeight: Float64Array } => {
  const { values, vectors } = symmetricEigen(secondMoment(z, chosen))
  const loadings = matrix(z.columns, components)
  for (let j = 0; j < z.columns; j++)
    for (let k = 0; k < components; k++) loadings.data[j * components + k] = vectors.data[j * z.columns + k]!
  return { loadings, componentWeight: Float64Array.from({ length: components }, (_, k) => 1 / (Math.max(0, values[k]!) + RIDGE)) }
}

const project = (
  loadings: Matrix,
  componentWeight: Float64Array,
  z: Float64Array,
): { t2: number; spe: number; projected: Float64Array; residual: Float64Array } => {
  const t = new Float64Array(loadings.columns)
  z.forEach((value, j) => row(loadings, j).forEach((loading, k) => (t[k]! += value * loading)))
  const t2 = t.reduce((sum, value, k) => sum + value * value * componentWeight[k]!, 0)
  const projected = new Float64Array(z.length)
  const residual = Float64Array.from(z)
  z.forEach((_, j) =>
    row(loadings, j).forEach((loading, k) => {
      projected[j]! += loading * t[k]! * componentWeight[k]!
      residual[j]! -= loading * t[k]!
    }),
  )
  return { t2, spe: residual.reduce((sum, value) => sum + value * value, 0), projected, residual }
}

/** T² and SPE of every row, by components of the rows outside its fold. */
const heldOut = (z: Matrix, components: number): { t2: Float64Array; spe: Float64Array } => {
  const t2 = new Float64Array(z.rows)
  const spe = new Float64Array(z.rows)
  for (let fold = 0; fold < FOLDS; fold++) {
    const start = Math.floor((fold * z.rows) / FOLDS)
    const end = Math.floor(((fold + 1) * z.rows) / FOLDS)
    const outside = indices(z.rows).filter((i) => i < start - FOLD_GAP_ROWS || i >= end + FOLD_GAP_ROWS)
    const { loadings, componentWeight } = principal(z, outside, components)
    for (let i = start; i < end; i++) {
      const scored = project(loadings, componentWeight, row(z, i))
      t2[i] = scored.t2
      spe[i] = scored.spe
    }
  }
  return { t2, spe }
}

/** Rows in which a feature lies grossly outside the bulk of the others: a start-up transient, a sensor not yet connected. */
const grossRows = (rows: Matrix, complete: readonly number[], features: readonly number[]): Set<number> => {
  const gross = new Set<number>()
  if (complete.length === 0) return gross
  for (const j of features) {
    const column = complete.map((i) => row(rows, i)[j]!)
    const [low, high] = [quantile(column, 0.25), quantile(column, 0.75)]
    const reach = TRIM * (high - low)
    if (reach > 0) complete.forEach((i, at) => (column[at]! < low - reach || column[at]! > high + reach) && gross.add(i))
  }
  return gross
}

const tailQuantile = (scores: ArrayLike<number>): number => quantile(scores, Math.max(0.9, 1 - ROWS_ABOVE / scores.length))

/** Degrees of freedom of the chi-square whose mean and variance the scores have. */
const degreesOfFreedom = (scores: Float64Array): number => {
  const mean = average(scores)
  const variance = average(scores.map((score) => (score - mean) * (score - mean)))
  return Math.min(1e4, Math.max(0.5, variance > 0 ? (2 * mean * mean) / variance : 1e4))
}

const average = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length
const indices = (length: number): number[] => Array.from({ length }, (_, i) => i)
