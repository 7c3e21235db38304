// From a reference to lines: how far a window of unchanged data comes from it by chance, by block bootstrap, so that false alarms come
// at a stated rate. What a window is compared by: Wasserstein-1 per feature, and over all of them one maximum mean discrepancy and the correlation that has moved most.
// Fitted once, seeded; plain data. docs/drift.md says where every constant is from.

import { requireFinite, rowsAt } from '../matrix.ts'
import type { Matrix } from '../matrix.ts'
import { randomFrom } from '../random.ts'
import type { Random } from '../random.ts'
import { autocorrelationTime, varianceOfMean } from './autocorrelation.ts'
import { adjusted } from './benjamini-hochberg.ts'
import { wassersteinDistance } from './two-sample.ts'
import { medianDistance } from './vector-tests.ts'

/** Points that a feature's reference is kept by. */
const POINTS = 512
/** Frequencies of the random Fourier features (Rahimi and Recht 2007) that stand for the kernel. */
const FREQUENCIES = 64
/** Part of the bootstrap that the tail is fitted to. */
const TAIL = 0.1
/** A window has this many independent values at least. */
const INDEPENDENT_VALUES = 10
const LEAST_WINDOW_ROWS = 64
/** A reference has this many windows at least. */
const LEAST_WINDOWS = 10
/** Pairs of features whose correlation is watched: all of 64 features; of more, those that are correlated most. */
const MOST_PAIRS = 2016
/** Correlations nearer to 1 than this are 1. */
const NEAREST = 1e-6

export interface CalibrationOptions {
  /** Rows between two false alarms that are expected at least. Default 100 000. */
  readonly expectedRunRows?: number
  /** Rows compared with the reference. Default: 64, or ten autocorrelation times. */
  readonly windowRows?: number
  /** Rows between two checks. Default: half a window. */
  readonly hopRows?: number
  /** Default 500. */
  readonly bootstraps?: number
  readonly seed?: number
}

/** What chance does to a statistic: its quantiles at 0, 0.1 … 0.9 and the mean excess over the last one; beyond, the tail is exponential. */
export interface NullDistribution {
  readonly quantiles: readonly number[]
  readonly excess: number
}

export interface FeatureReference {
  readonly mean: number
  /** 0: it never moved, and is not compared. */
  readonly std: number
  /** Standardised, rising. */
  readonly points: readonly number[]
  /** Middle 98 % in the feature's own unit. */
  readonly low: number
  readonly high: number
  readonly chance: NullDistribution
}

export interface DriftReference {
  readonly version: 1
  readonly rows: number
  readonly windowRows: number
  readonly hopRows: number
  readonly expectedRunRows: number
  /** Of the slowest feature, rows. */
  readonly autocorrelationRows: number
  readonly blockRows: number
  readonly features: readonly FeatureReference[]
  readonly joint: {
    /** `FREQUENCIES` rows of one number per feature, in inverse standard deviations. */
    readonly frequencies: readonly number[]
    readonly mean: readonly number[]
    readonly chance: NullDistribution
  }
  /** Pairs of features, `first, second` in turn, their correlations, and what chance does to the largest squared difference of Fisher's z. */
  readonly relations: { readonly pairs: readonly number[]; readonly correlations: readonly number[]; readonly chance: NullDistribution }
  /** Of -ln of the smallest adjusted p of a check: what chance does to it, and the line. */
  readonly check: NullDistribution
  readonly line: number
  /** Independent looks at the spread that the reference gave: few make tails heavier. */
  readonly freedom: number
}

/** Throws RangeError when the reference is too short for what it shows, and says how many rows it would take. */
export const fitDrift = (
  reference: Matrix,
  { expectedRunRows = 100_000, windowRows, hopRows, bootstraps = 500, seed = 1 }: CalibrationOptions = {},
): DriftReference => {
  requireFinite(reference)
  const { rows, width } = reference
  const columns = Array.from({ length: width }, (_, j) => columnOf(reference, j))
  const scales = columns.map(scaleOf)
  columns.forEach((column, j) => standardise(column, scales[j] as Scale))
  const times = columns.map((column, j) => ((scales[j] as Scale).std > 0 ? autocorrelationTime(column) : 1))
  const slowest = Math.max(1, ...times)
  const size = windowRows ?? Math.max(LEAST_WINDOW_ROWS, Math.ceil(INDEPENDENT_VALUES * slowest))
  const hop = hopRows ?? Math.ceil(size / 2)
  if (rows < LEAST_WINDOWS * size)
    throw new RangeError(`${rows} rows are no reference for windows of ${size}: ${LEAST_WINDOWS * size} are needed`)
  if (!(expectedRunRows > hop))
    throw new RangeError(`expectedRunRows is ${expectedRunRows}, expected more than the ${hop} rows between checks`)

  const random = randomFrom(seed)
  const blockRows = slowest < 1.5 ? 1 : Math.ceil(3 * slowest)
  // Of the reference itself a window differs by its own chance only; later ones by that of the reference too. Blocks cut off
  // correlation at their ends, and their mean is the reference's own.
  const widen = (time: number): number =>
    ((1 + size / rows) * varianceOfMean(time, size)) / varianceOfMean(time, blockRows) / (1 - blockRows / rows)
  const standard = standardised(columns)
  const frequencies = frequenciesOf(standard, random)
  const embeddings = embed(standard, frequencies)
  const jointMean = meanOf(embeddings)
  const points = columns.map(thinned)

  const drawnStatistics = columns.map(() => new Float64Array(bootstraps))
  const drawnJoint = new Float64Array(bootstraps)
  const drawnRelation = new Float64Array(bootstraps)
  const isCompared = scales.map(({ std }) => std > 0)
  const { pairs, correlations } = watchedPairs(standard, isCompared)
  const drawn = new Int32Array(size)
  const values = new Float64Array(size)
  for (let b = 0; b < bootstraps; b++) {
    drawBlocks(random, rows, blockRows, drawn)
    columns.forEach((column, j) => {
      if ((scales[j] as Scale).std === 0) return
      for (let i = 0; i < size; i++) values[i] = column[drawn[i] as number] as number
      ;(drawnStatistics[j] as Float64Array)[b] = widen(times[j] as number) * distanceOf(points[j] as Float64Array, values)
    })
    drawnJoint[b] = widen(slowest) * squaredDistance(jointMean, meanOf(embeddings, drawn))
    drawnRelation[b] = widen(slowest) * mostMoved(pairs, correlations, correlationsOf(rowsAt(standard, drawn), pairs)).moved
  }
  const chances = drawnStatistics.map(nullOf)
  const jointChance = nullOf(drawnJoint)
  const relationChance = nullOf(drawnRelation)
  const evidence = Float64Array.from({ length: bootstraps }, (_, b) =>
    evidenceOf(
      chances.map((chance, j) => (isCompared[j] === true ? tail(chance, (drawnStatistics[j] as Float64Array)[b] as number) : Number.NaN)),
      tail(jointChance, drawnJoint[b] as number),
      tail(relationChance, drawnRelation[b] as number),
    ),
  )
  const check = nullOf(evidence)
  const freedom = rows / blockRows
  // Such that the honest probability of passing it is that of one check in `expectedRunRows`.
  const needed = (freedom / 2) * ((hop / expectedRunRows) ** (-2 / freedom) - 1)
  return {
    version: 1,
    rows,
    windowRows: size,
    hopRows: hop,
    expectedRunRows,
    autocorrelationRows: slowest,
    blockRows,
    features: columns.map((_, j) => {
      const { mean, std } = scales[j] as Scale
      const kept = points[j] as Float64Array
      const at = (share: number): number => mean + std * (kept[Math.round(share * (kept.length - 1))] as number)
      return { mean, std, points: [...kept], low: at(0.01), high: at(0.99), chance: chances[j] as NullDistribution }
    }),
    joint: { frequencies: [...frequencies.values], mean: [...jointMean], chance: jointChance },
    relations: { pairs, correlations, chance: relationChance },
    check,
    line: (check.quantiles.at(-1) as number) + check.excess * Math.max(0, needed + Math.log(TAIL)),
    freedom,
  }
}

/** What a window shows against its reference. */
export interface Comparison {
  /** Wasserstein-1 in standard deviations of the reference; NaN where a feature could not be compared. */
  readonly distances: readonly number[]
  /** Probabilities of such distances without a change; NaN as above. */
  readonly pValues: readonly number[]
  /** The same, adjusted for the number of features. */
  readonly adjusted: readonly number[]
  /** Squared maximum mean discrepancy over all features, and its probability; NaN where too few rows are whole. */
  readonly mmd: number
  readonly jointPValue: number
  /** The pair of features whose correlation moved most, its correlation then and now, and the probability; null where too few rows are whole. */
  readonly relation: {
    readonly features: readonly [number, number]
    readonly before: number
    readonly now: number
    readonly pValue: number
  } | null
  /** Evidence for a change, in -ln of probability, and whether it passes the line. */
  readonly evidence: number
  readonly isChanged: boolean
}

/** Share of a window's values that must be there. */
const FEWEST_VALUES = 0.8

/** Compares a window with its reference. Values that are missing are NaN. */
export const compare = (reference: DriftReference, window: Matrix): Comparison => {
  const { features, joint, relations, freedom, line } = reference
  const honest = (p: number): number => (1 - (2 * Math.log(p)) / freedom) ** (-freedom / 2)
  const typed = typedOf(reference)
  const columns = features.map((feature, j) => {
    const column = columnOf(window, j)
    standardise(column, feature)
    return column
  })
  const statistics = features.map(({ std }, j) => {
    const column = known(columns[j] as Float64Array)
    const isCompared = std > 0 && column.length >= FEWEST_VALUES * window.rows
    return isCompared ? distanceOf(typed.points[j] as Float64Array, column) : Number.NaN
  })
  const pValues = statistics.map((statistic, j) =>
    Number.isNaN(statistic) ? Number.NaN : tail((features[j] as FeatureReference).chance, statistic),
  )
  const whole = wholeRows(standardised(columns))
  const hasJoint = whole.rows >= FEWEST_VALUES * window.rows
  const mmd = hasJoint ? squaredDistance(typed.mean, meanOf(embed(whole, typed.frequencies))) : Number.NaN
  const jointPValue = hasJoint ? tail(joint.chance, mmd) : Number.NaN
  const now = hasJoint ? correlationsOf(whole, relations.pairs) : []
  const most = mostMoved(relations.pairs, relations.correlations, now)
  const relationPValue = hasJoint ? tail(relations.chance, most.moved) : Number.NaN
  const evidence = evidenceOf(pValues, jointPValue, relationPValue)
  return {
    distances: statistics.map(Math.sqrt),
    pValues: pValues.map(honest),
    adjusted: adjustedPresent(pValues.map(honest)),
    mmd,
    jointPValue: honest(jointPValue),
    relation:
      hasJoint && now.length > 0
        ? {
            features: [relations.pairs[2 * most.at] as number, relations.pairs[2 * most.at + 1] as number],
            before: relations.correlations[most.at] as number,
            now: now[most.at] as number,
            pValue: honest(relationPValue),
          }
        : null,
    evidence,
    isChanged: evidence > line,
  }
}

interface TypedReference {
  readonly points: readonly Float64Array[]
  readonly frequencies: Matrix
  readonly mean: Float64Array
}

const typedReferences = new WeakMap<DriftReference, TypedReference>()

/** What every comparison needs of a reference, made once: arrays of numbers are slow to copy into typed ones. */
const typedOf = (reference: DriftReference): TypedReference => {
  const made = typedReferences.get(reference)
  if (made !== undefined) return made
  const { features, joint } = reference
  const typed = {
    points: features.map(({ points }) => Float64Array.from(points)),
    frequencies: { values: Float64Array.from(joint.frequencies), rows: FREQUENCIES, width: features.length },
    mean: Float64Array.from(joint.mean),
  }
  typedReferences.set(reference, typed)
  return typed
}

/** The values that are there; the column itself where none is missing. */
const known = (column: Float64Array): Float64Array => {
  for (let i = 0; i < column.length; i++) if (!Number.isFinite(column[i])) return column.filter(Number.isFinite)
  return column
}

/** -ln of the smallest of: the smallest adjusted p-value of the features, that of all together, that of the correlations. */
const evidenceOf = (pValues: readonly number[], ...others: readonly number[]): number => {
  let least = 1
  for (const p of [...adjustedPresent(pValues), ...others]) if (p < least) least = p
  return -Math.log(least)
}

const adjustedPresent = (pValues: readonly number[]): number[] => {
  const present = pValues.flatMap((p, j) => (Number.isNaN(p) ? [] : [j]))
  const out = pValues.map(() => Number.NaN)
  adjusted(present.map((j) => pValues[j] as number)).forEach((p, k) => (out[present[k] as number] = p))
  return out
}

/** Squared, as the tails of squared distances fall exponentially. */
const distanceOf = (points: Float64Array, values: Float64Array): number => wassersteinDistance(points, values.slice().sort()) ** 2

const nullOf = (drawn: Float64Array): NullDistribution => {
  const rising = Float64Array.from(drawn).sort()
  const quantiles = Array.from({ length: 10 }, (_, k) => rising[Math.round((k / 10) * (rising.length - 1))] as number)
  const from = quantiles[9] as number
  const beyond = rising.filter((value) => value > from)
  return { quantiles, excess: beyond.length === 0 ? 0 : beyond.reduce((sum, value) => sum + value - from, 0) / beyond.length }
}

/** Probability of this much or more. */
const tail = ({ quantiles, excess }: NullDistribution, value: number): number => {
  const last = quantiles[9] as number
  if (value > last) return excess > 0 ? Math.max(TAIL * Math.exp((last - value) / excess), Number.MIN_VALUE) : Number.MIN_VALUE
  let k = 0
  while (k < 9 && (quantiles[k + 1] as number) < value) k++
  const low = quantiles[k] as number
  const high = quantiles[Math.min(k + 1, 9)] as number
  const within = high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0
  return 1 - (k + within) / 10
}

interface Scale {
  readonly mean: number
  readonly std: number
}

const columnOf = ({ values, rows, width }: Matrix, j: number): Float64Array => {
  const column = new Float64Array(rows)
  for (let i = 0; i < rows; i++) column[i] = values[i * width + j] as number
  return column
}

const scaleOf = (column: Float64Array): Scale => {
  let mean = 0
  for (const value of column) mean += value / column.length
  let variance = 0
  for (const value of column) variance += (value - mean) ** 2 / column.length
  const std = Math.sqrt(variance)
  return { mean, std: std < 1e-9 * (1 + Math.abs(mean)) ? 0 : std }
}

const standardise = (column: Float64Array, { mean, std }: Scale): void => {
  // A feature that never moved says nothing; a missing value of it takes no row away.
  for (let i = 0; i < column.length; i++) column[i] = std > 0 ? ((column[i] as number) - mean) / std : 0
}

const standardised = (columns: readonly Float64Array[]): Matrix => {
  const width = columns.length
  const rows = columns[0]?.length ?? 0
  const values = new Float64Array(rows * width)
  for (let j = 0; j < width; j++) {
    const column = columns[j] as Float64Array
    for (let i = 0; i < rows; i++) values[i * width + j] = column[i] as number
  }
  return { values, rows, width }
}

const wholeRows = ({ values, rows, width }: Matrix): Matrix => {
  const kept = new Float64Array(values.length)
  let count = 0
  for (let i = 0; i < rows; i++) {
    let isWhole = width > 0
    for (let j = 0; j < width && isWhole; j++) isWhole = Number.isFinite((kept[count * width + j] = values[i * width + j] as number))
    if (isWhole) count++
  }
  return { values: kept.subarray(0, count * width), rows: count, width }
}

/** Order statistics at even shares, at most `POINTS`. */
const thinned = (column: Float64Array): Float64Array => {
  const rising = Float64Array.from(column).sort()
  if (rising.length <= POINTS) return rising
  return Float64Array.from({ length: POINTS }, (_, k) => rising[Math.floor(((k + 0.5) * rising.length) / POINTS)] as number)
}

/** Circular blocks, so that every row is drawn as often. */
const drawBlocks = (random: Random, rows: number, blockRows: number, into: Int32Array): void => {
  for (let i = 0; i < into.length; i += blockRows) {
    const start = random.below(rows)
    for (let k = 0; k < blockRows && i + k < into.length; k++) into[i + k] = (start + k) % rows
  }
}

const frequenciesOf = (standard: Matrix, random: Random): Matrix => {
  const width = medianDistance(standard) || 1
  const values = Float64Array.from({ length: FREQUENCIES * standard.width }, () => random.normal() / width)
  return { values, rows: FREQUENCIES, width: standard.width }
}

/** Cosine and sine of every frequency, row by row: the mean of these stands for the distribution. */
const embed = ({ values, rows, width }: Matrix, frequencies: Matrix): Matrix => {
  const out = new Float64Array(rows * 2 * FREQUENCIES)
  const scale = 1 / Math.sqrt(FREQUENCIES)
  for (let i = 0; i < rows; i++)
    for (let f = 0; f < FREQUENCIES; f++) {
      let phase = 0
      for (let j = 0; j < width; j++) phase += (values[i * width + j] as number) * (frequencies.values[f * width + j] as number)
      out[(i * FREQUENCIES + f) * 2] = scale * Math.cos(phase)
      out[(i * FREQUENCIES + f) * 2 + 1] = scale * Math.sin(phase)
    }
  return { values: out, rows, width: 2 * FREQUENCIES }
}

/** Of all rows, or of those drawn. */
const meanOf = ({ values, rows, width }: Matrix, drawn?: Int32Array): Float64Array => {
  const mean = new Float64Array(width)
  const count = drawn?.length ?? rows
  for (let i = 0; i < count; i++) {
    const from = (drawn === undefined ? i : (drawn[i] as number)) * width
    for (let j = 0; j < width; j++) mean[j] = (mean[j] as number) + (values[from + j] as number) / count
  }
  return mean
}

const squaredDistance = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2
  return sum
}

/** Pairs of features that move, and their correlations. */
const watchedPairs = (standard: Matrix, isCompared: readonly boolean[]): { readonly pairs: number[]; readonly correlations: number[] } => {
  const all = isCompared.flatMap((isFirst, j) => (isFirst ? isCompared.flatMap((isSecond, k) => (isSecond && k < j ? [[k, j]] : [])) : []))
  const found = correlationsOf(standard, all.flat())
  const kept = all
    .map((pair, i) => ({ pair, correlation: found[i] as number, i }))
    .sort((a, b) => Math.abs(b.correlation) - Math.abs(a.correlation) || a.i - b.i)
    .slice(0, MOST_PAIRS)
  return { pairs: kept.flatMap(({ pair }) => pair), correlations: kept.map(({ correlation }) => correlation) }
}

const correlationsOf = ({ values, rows, width }: Matrix, pairs: readonly number[]): number[] => {
  const centred = Array.from({ length: width }, (_, j) => {
    let mean = 0
    for (let i = 0; i < rows; i++) mean += (values[i * width + j] as number) / rows
    const column = new Float64Array(rows)
    for (let i = 0; i < rows; i++) column[i] = (values[i * width + j] as number) - mean
    const length = Math.sqrt(dot(column, column))
    if (length > 0) for (let i = 0; i < rows; i++) column[i] = (column[i] as number) / length
    return column
  })
  return Array.from({ length: pairs.length / 2 }, (_, i) =>
    dot(centred[pairs[2 * i] as number] as Float64Array, centred[pairs[2 * i + 1] as number] as Float64Array),
  )
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number)
  return sum
}

const fisher = (correlation: number): number => Math.atanh(Math.min(Math.max(correlation, NEAREST - 1), 1 - NEAREST))

const mostMoved = (
  pairs: readonly number[],
  before: readonly number[],
  now: readonly number[],
): { readonly at: number; readonly moved: number } => {
  let at = 0
  let most = 0
  for (let i = 0; i < now.length && i < pairs.length / 2; i++) {
    const moved = (fisher(now[i] as number) - fisher(before[i] as number)) ** 2
    if (moved > most) {
      most = moved
      at = i
    }
  }
  return { at, moved: most }
}
