// Learns what is normal from the first rows of a recording: cleaning, standardised feature families, how much each channel wanders,
// the joint and single-channel scores and their lines from held-out blocks. No clock, no random number: equal rows give equal fits.

import { rowOf } from '../matrix.ts'
import type { Matrix } from '../matrix.ts'
import { fitCleaning, openCleaner } from './cleaning.ts'
import type { CleaningState, FittedCleaning } from './cleaning.ts'
import type { FamilySpec, MultivariateConstants } from './constants.ts'
import { multivariateDefaults } from './constants.ts'
import { degreesOfFreedom, inverse, quantile, quantileOfSorted, sortedNumbers } from './numeric.ts'
import { firstUsable, openWindows, reachOf } from './windows.ts'

/** One feature family: how to compute and standardise it, its baseline at the end of the prefix, its scores. Arrays are per judged channel. */
export interface FittedFamily extends FamilySpec {
  /** Added before the logarithm, of roughness and bands. */
  readonly floor: Float64Array
  readonly mean: Float64Array
  readonly std: Float64Array
  /** Baseline, and the variance of what it does not know. */
  readonly baseline: Float64Array
  readonly uncertainty: Float64Array
  /** Growth of that variance per row: 0 for a channel that does not wander. */
  readonly wander: Float64Array
  /** Variance of one row against the baseline. */
  readonly noise: Float64Array
  /** Joint score e'Me, its line T. */
  readonly precision: Float64Array
  readonly line: number
  /** e² times this is the ratio of a channel alone. */
  readonly single: Float64Array
}

/** Families that are judged together by the largest of their ratios, and have one episode at a time. */
export interface FittedLine {
  readonly name: 'shape' | 'slow' | 'band' | 'cycle' | 'change'
  readonly families: readonly number[]
  /** Corrects for taking the largest of several. */
  readonly correction: number
  /** Ratios of the held-out prefix, ascending, at most 512 evenly spaced ranks: what a p-value is read from. */
  readonly heldOut: Float64Array
}

export interface FittedMultivariate {
  readonly version: 1
  readonly constants: MultivariateConstants
  readonly cleaning: FittedCleaning
  readonly cleaned: CleaningState
  /** Of the cleaned values, per judged channel. */
  readonly mean: Float64Array
  readonly std: Float64Array
  readonly families: readonly FittedFamily[]
  /** Any of them opens an episode; each has a calibration of its own. */
  readonly alarms: readonly FittedLine[]
  /** The step family alone: when the process changed, whether or not it is abnormal for long. Absent where there is no step family. */
  readonly change?: FittedLine
  /** The last standardised rows of the prefix: the stream's windows begin with them. */
  readonly tail: Matrix
  readonly rows: number
  readonly keptShare: number
  /** Too few rows for the line to be trusted: fewer than 200, or than five per channel. */
  readonly isShortLearning: boolean
}

const leastRows = 100
const heldOutRanks = 512

/** Throws a RangeError when there are too few rows, or no channel that moves. */
export const fitMultivariate = (prefix: Matrix, constants: MultivariateConstants = multivariateDefaults): FittedMultivariate => {
  if (prefix.rows < leastRows) throw new RangeError(`${prefix.rows} rows to learn from, at least ${leastRows} are needed`)
  const cleaning = fitCleaning(prefix, constants.glitchFactor)
  const width = cleaning.channels.length
  if (width === 0) throw new RangeError('no channel moves in the rows to learn from')
  const cleaner = openCleaner(cleaning)
  const values = new Float64Array(prefix.rows * width)
  const row = new Float64Array(width)
  for (let t = 0; t < prefix.rows; t++) {
    cleaner.clean(rowOf(prefix, t), row)
    values.set(row, t * width)
  }
  cleaning.counter.forEach((direction, j) => {
    if (direction !== 0) values[j] = values[width + j] as number // a first step is not known
  })
  const cleaned: Matrix = { values, rows: prefix.rows, width }

  const longest = Math.max(...constants.families.map(({ window }) => window))
  let kept = new Uint8Array(prefix.rows).fill(1)
  let fitted = fitKept(cleaned, kept, constants)
  for (let round = 0; round < 3 && constants.trimFactor > 0; round++) {
    const far =
      constants.trimFactor *
      quantile(
        fitted.relative.filter((_, t) => kept[t] === 1),
        0.5,
      )
    const fewer = kept.slice()
    let isTrimmed = false
    for (let t = 0; t < prefix.rows; t++) {
      if (kept[t] === 1 && (fitted.relative[t] as number) > far) {
        fewer.fill(0, t, t + longest)
        isTrimmed = true
      }
    }
    if (!isTrimmed || fewer.reduce((sum, isKept) => sum + 1 - isKept, 0) > constants.trimShare * prefix.rows) break
    kept = fewer
    fitted = fitKept(cleaned, kept, constants)
  }

  const cycle = cycleOf(fitted.z, prefix.rows, width, constants)
  const cycleFamily: FamilySpec[] = cycle === 0 ? [] : [{ kind: 'level', window: cycle }]
  const alarms: { name: FittedLine['name']; members: number[] }[] = []
  let families: readonly FamilySpec[] = []
  const add = (name: FittedLine['name'], specs: readonly FamilySpec[]): void => {
    if (specs.length > 0) alarms.push({ name, members: specs.map((_, k) => families.length + k) })
    families = [...families, ...specs]
  }
  add('shape', constants.families)
  if (prefix.rows >= constants.shortRows) add('slow', constants.slow)
  add('band', constants.bands)
  add('cycle', cycleFamily)
  fitted = fitKept(cleaned, kept, constants, families)
  const tailRows = Math.min(prefix.rows, reachOf(families) + Math.max(...families.map(({ window }) => window)))
  const step = constants.families.findIndex(({ kind }) => kind === 'step')
  return {
    version: 1,
    constants,
    cleaning,
    cleaned: cleaner.state(),
    mean: fitted.mean,
    std: fitted.std,
    families: fitted.families,
    alarms: alarms.map(({ name, members }) => lineOf(name, members, fitted, kept, constants)),
    ...(step < 0 ? {} : { change: lineOf('change', [step], fitted, kept, constants) }),
    tail: { values: fitted.z.slice((prefix.rows - tailRows) * width), rows: tailRows, width },
    rows: prefix.rows,
    keptShare: kept.reduce((sum, isKept) => sum + isKept, 0) / prefix.rows,
    isShortLearning: prefix.rows < Math.max(200, 5 * width),
  }
}

interface Kept {
  readonly mean: Float64Array
  readonly std: Float64Array
  readonly z: Float64Array
  readonly families: readonly FittedFamily[]
  /** Per family and prefix row: the held-out ratio before the correction, NaN where there is none. */
  readonly ratios: readonly Float64Array[]
  /** Per family: the factor above the base threshold. */
  readonly factors: readonly number[]
  /** Per prefix row: the largest joint score in medians. */
  readonly relative: Float64Array
}

/** About one excursion of two windows. */
const rowsAboveOf = ({ kind, window }: FamilySpec, { rowsAbove }: MultivariateConstants): number =>
  kind === 'level' ? Math.max(rowsAbove, 2 * window) : rowsAbove

const baseQuantile = (rows: number, rowsAbove: number): number => Math.max(0.9, 1 - rowsAbove / rows)

/** Means that overlap are worth one and a half times as many that do not. */
const fewFactor = (window: number, rows: number, { fewWindows }: MultivariateConstants): number => 1 + (fewWindows * window) / (1.5 * rows)

/** Where the largest of several families' ratios would lie if each were alone. */
const lineOf = (
  name: FittedLine['name'],
  members: readonly number[],
  { families, ratios, factors }: Kept,
  kept: Uint8Array,
  constants: MultivariateConstants,
): FittedLine => {
  const rows = kept.length
  const largest = new Float64Array(rows).fill(Number.NaN)
  const judged = new Float64Array(rows).fill(Number.NaN)
  for (const k of members) {
    const ratio = ratios[k] as Float64Array
    const factor = factors[k] as number
    for (let t = 0; t < rows; t++) {
      const y = ratio[t] as number
      if (y !== y || kept[t] === 0) continue
      if (!((largest[t] as number) >= y)) largest[t] = y
      if (!((judged[t] as number) >= y / factor)) judged[t] = y / factor
    }
  }
  const rowsAbove = Math.max(...members.map((k) => rowsAboveOf(families[k] as FittedFamily, constants)))
  const window = Math.max(...members.map((k) => (families[k] as FittedFamily).window))
  const margins = { shape: 1, change: 1, slow: constants.slowMargin, band: constants.bandMargin, cycle: constants.cycleMargin }
  const few = fewFactor(window, rows, constants)
  const margin =
    name === 'slow'
      ? Math.max(margins.slow, few)
      : (margins[name] * Math.max(few, fewFactor(window, constants.shortRows, constants))) /
        fewFactor(window, constants.shortRows, constants)
  const correction = margin * Math.max(quantile(largest, baseQuantile(rows, rowsAbove)), 0.1)
  const sorted = sortedNumbers(judged)
  const ranks = Math.min(heldOutRanks, sorted.length)
  return {
    name,
    families: members,
    correction,
    heldOut: Float64Array.from({ length: ranks }, (_, i) => quantileOfSorted(sorted, ranks === 1 ? 1 : i / (ranks - 1)) / correction),
  }
}

const fitKept = (
  cleaned: Matrix,
  kept: Uint8Array,
  constants: MultivariateConstants,
  specs: readonly FamilySpec[] = constants.families,
): Kept => {
  const { rows, width } = cleaned
  const mean = new Float64Array(width)
  const std = new Float64Array(width)
  for (let j = 0; j < width; j++) {
    const [channelMean, channelStd] = momentsOf(cleaned.values, rows, width, j, 0, kept)
    mean[j] = channelMean
    std[j] = channelStd < 1e-9 * (1 + Math.abs(channelMean)) ? 1e-3 * (1 + Math.abs(channelMean)) : channelStd
  }
  const z = new Float64Array(rows * width)
  for (let i = 0; i < z.length; i++) z[i] = ((cleaned.values[i] as number) - (mean[i % width] as number)) / (std[i % width] as number)
  const families: FittedFamily[] = []
  const ratios: Float64Array[] = []
  const factors: number[] = []
  const relative = new Float64Array(rows).fill(Number.NaN)
  for (const spec of specs) {
    const fit = fitFamily({ values: z, rows, width }, kept, spec, constants)
    families.push(fit.family)
    ratios.push(fit.ratio)
    factors.push(fit.factor)
    for (let t = 0; t < rows; t++) {
      const value = fit.relative[t] as number
      if (value === value && !((relative[t] as number) >= value)) relative[t] = value
    }
  }
  return { mean, std, z, families, ratios, factors, relative }
}

/** Mean and population standard deviation of a column's kept numbers; `kept` begins `offset` rows earlier than the values. */
const momentsOf = (
  values: Float64Array,
  rows: number,
  width: number,
  j: number,
  offset: number,
  kept: Uint8Array,
): readonly [number, number] => {
  let count = 0
  let sum = 0
  for (let t = 0; t < rows; t++) {
    const value = values[t * width + j] as number
    if (value === value && kept[t + offset] === 1) {
      sum += value
      count++
    }
  }
  const mean = count === 0 ? 0 : sum / count
  let squares = 0
  for (let t = 0; t < rows; t++) {
    const value = values[t * width + j] as number
    if (value === value && kept[t + offset] === 1) squares += (value - mean) * (value - mean)
  }
  return [mean, count === 0 ? 0 : Math.sqrt(squares / count)]
}

interface FamilyFit {
  readonly family: FittedFamily
  readonly ratio: Float64Array
  readonly factor: number
  readonly relative: Float64Array
}

const fitFamily = (z: Matrix, kept: Uint8Array, spec: FamilySpec, constants: MultivariateConstants): FamilyFit => {
  const { kind, window } = spec
  const { width } = z
  const i0 = firstUsable(spec)
  const rows = z.rows - i0
  const features = featuresOf(z, spec)
  const isKept = kept.subarray(i0)
  const floor = new Float64Array(width)
  if (kind === 'rough' || kind === 'band') {
    // Rows from `window` on, kept or not, as the floor only keeps the logarithm finite.
    for (let j = 0; j < width; j++) {
      const median = quantile(
        Float64Array.from({ length: rows }, (_, t) => features[t * width + j] as number),
        0.5,
      )
      floor[j] = 0.1 * (median === median ? median : 0) + 1e-3
    }
    for (let i = 0; i < features.length; i++) features[i] = Math.log((features[i] as number) + (floor[i % width] as number))
  }
  const mean = new Float64Array(width)
  const std = new Float64Array(width)
  for (let j = 0; j < width; j++) {
    const [familyMean, familyStd] = momentsOf(features, rows, width, j, i0, kept)
    mean[j] = familyMean
    std[j] = familyStd < 1e-6 ? 1 : familyStd
  }
  for (let i = 0; i < features.length; i++)
    features[i] = ((features[i] as number) - (mean[i % width] as number)) / (std[i % width] as number)

  const wander = wanderOf(features, rows, width, isKept, window)
  const noise = spreadAt(features, rows, width, isKept, window).map((v) => Math.max(v / 2, 1e-3) * window)
  const baseline = new Float64Array(width)
  const uncertainty = wander.map((q) => (q * rows) / 8)
  const early: number[] = []
  for (let t = 0; t < rows && early.length < Math.max(10, Math.floor(rows / 8)); t++) if (isKept[t] === 1) early.push(t)
  for (let j = 0; j < width; j++) {
    let sum = 0
    let count = 0
    for (const t of early) {
      const value = features[t * width + j] as number
      if (value === value) {
        sum += value
        count++
      }
    }
    baseline[j] = count === 0 ? 0 : sum / count
  }
  const errors = innovations(features, rows, width, isKept, window, { baseline, uncertainty, wander, noise }, constants.maxGain)

  const scale = new Float64Array(width)
  for (let j = 0; j < width; j++) {
    let squares = 0
    let count = 0
    for (let t = 0; t < rows; t++) {
      if (isKept[t] === 0) continue
      const e = errors[t * width + j] as number
      squares += e * e
      count++
    }
    scale[j] = Math.max(Math.sqrt(squares / count), 0.05)
  }
  for (let i = 0; i < errors.length; i++) errors[i] = (errors[i] as number) / (scale[i % width] as number)

  const score = heldOutScores(errors, rows, width, isKept, window, constants)
  const Q = baseQuantile(z.rows, rowsAboveOf(spec, constants))
  const keptScore = score.map((s, t) => (isKept[t] === 1 ? s : Number.NaN))
  const median = Math.max(quantile(keptScore, 0.5), 1e-6)
  const base = Math.max(quantile(keptScore, Q), 1e-3)
  const factor = 1 + constants.jointFactor / Math.sqrt(degreesOfFreedom(keptScore))

  const channelBase = new Float64Array(width)
  const squares = new Float64Array(rows)
  for (let j = 0; j < width; j++) {
    for (let t = 0; t < rows; t++) squares[t] = isKept[t] === 1 ? (errors[t * width + j] as number) ** 2 : Number.NaN
    channelBase[j] = Math.max(quantile(squares, Q), 1e-6)
  }
  const single = new Float64Array(rows).fill(Number.NaN)
  for (let t = 0; t < rows; t++) {
    if (isKept[t] === 0) continue
    let most = 0
    for (let j = 0; j < width; j++) most = Math.max(most, (errors[t * width + j] as number) ** 2 / (channelBase[j] as number))
    single[t] = most
  }
  const singleBase = Math.max(quantile(single, Q), 1e-6)
  const singleFactor = 1 + constants.singleFactor / Math.sqrt(degreesOfFreedom(single))

  const ratio = new Float64Array(z.rows).fill(Number.NaN)
  const relative = new Float64Array(z.rows).fill(Number.NaN)
  for (let t = 0; t < rows; t++) {
    relative[i0 + t] = (score[t] as number) / median
    if (isKept[t] === 1)
      ratio[i0 + t] = Math.max((score[t] as number) / base, ((single[t] as number) / singleBase) * (factor / singleFactor))
  }
  const precision = precisionOf(errors, rows, width, constants.ridge, (t) => isKept[t] === 1)
  for (let i = 0; i < width; i++)
    for (let j = 0; j < width; j++)
      precision[i * width + j] = (precision[i * width + j] as number) / ((scale[i] as number) * (scale[j] as number))
  return {
    family: {
      ...spec,
      floor,
      mean,
      std,
      baseline,
      uncertainty,
      wander,
      noise,
      precision,
      line: base * factor,
      single: channelBase.map((t, j) => 1 / (t * singleBase * singleFactor * (scale[j] as number) ** 2)),
    },
    ratio,
    factor,
    relative,
  }
}

/** Raw family values of the usable rows, through the windows the stream has. */
const featuresOf = ({ values, rows, width }: Matrix, spec: FamilySpec): Float64Array => {
  const i0 = firstUsable(spec)
  const windows = openWindows(width, [spec])
  const out = new Float64Array((rows - i0) * width)
  for (let t = 0; t < rows; t++) {
    windows.push(values.subarray(t * width, (t + 1) * width))
    if (t >= i0) windows.read(spec, out.subarray((t - i0) * width, (t - i0 + 1) * width))
  }
  return out
}

/** Per channel, mean square of the change over `lag` rows, over pairs of kept rows. */
const spreadAt = (features: Float64Array, rows: number, width: number, isKept: Uint8Array, lag: number): Float64Array => {
  const out = new Float64Array(width)
  const count = new Float64Array(width)
  for (let t = lag; t < rows; t++) {
    if (isKept[t] === 0 || isKept[t - lag] === 0) continue
    for (let j = 0; j < width; j++) {
      const change = (features[t * width + j] as number) - (features[(t - lag) * width + j] as number)
      if (change !== change) continue
      out[j] = (out[j] as number) + change * change
      count[j] = (count[j] as number) + 1
    }
  }
  for (let j = 0; j < width; j++) out[j] = (out[j] as number) / Math.max(1, count[j] as number)
  return out
}

/** How fast the variance of a change grows with its lag: the slope of the structure function from a tenth to half of the prefix. */
const wanderOf = (features: Float64Array, rows: number, width: number, isKept: Uint8Array, window: number): Float64Array => {
  const from = Math.max(window, rows / 10)
  const step = (rows / 2 - from) / 5
  const lags = [...new Set(Array.from({ length: 6 }, (_, i) => Math.trunc(i === 5 ? rows / 2 : i * step + from)))]
  const meanLag = lags.reduce((sum, lag) => sum + lag, 0) / lags.length
  const slope = new Float64Array(width)
  let weight = 0
  for (const lag of lags) {
    const spread = spreadAt(features, rows, width, isKept, lag)
    weight += (lag - meanLag) ** 2
    for (let j = 0; j < width; j++) slope[j] = (slope[j] as number) + (lag - meanLag) * (spread[j] as number)
  }
  return slope.map((value) => (weight > 0 ? Math.max(value / weight, 0) : 0))
}

/** Errors against the baseline over the prefix; leaves the baseline and its uncertainty as they are at the end. */
const innovations = (
  features: Float64Array,
  rows: number,
  width: number,
  isKept: Uint8Array,
  window: number,
  {
    baseline,
    uncertainty,
    wander,
    noise,
  }: { readonly baseline: Float64Array; readonly uncertainty: Float64Array; readonly wander: Float64Array; readonly noise: Float64Array },
  maxGain: number,
): Float64Array => {
  const errors = new Float64Array(rows * width)
  for (let t = 0; t < rows; t++) {
    const mayLearn = t >= window && isKept[t - window] === 1
    for (let j = 0; j < width; j++) {
      const value = features[t * width + j] as number
      let b = baseline[j] as number
      let P = uncertainty[j] as number
      errors[t * width + j] = value === value ? (value - b) / Math.sqrt(1 + P) : 0
      P += wander[j] as number
      const earlier = mayLearn ? (features[(t - window) * width + j] as number) : Number.NaN
      if (earlier === earlier) {
        const gain = Math.min(maxGain, P / (P + (noise[j] as number)))
        b += gain * (earlier - b)
        P *= 1 - gain
      }
      baseline[j] = b
      uncertainty[j] = P
    }
  }
  return errors
}

const precisionOf = (errors: Float64Array, rows: number, width: number, ridge: number, isUsed: (t: number) => boolean): Float64Array => {
  const gram = new Float64Array(width * width)
  let count = 0
  for (let t = 0; t < rows; t++) {
    if (!isUsed(t)) continue
    count++
    const at = t * width
    for (let i = 0; i < width; i++) {
      const e = errors[at + i] as number
      for (let j = 0; j <= i; j++) gram[i * width + j] = (gram[i * width + j] as number) + e * (errors[at + j] as number)
    }
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      const value = (gram[i * width + j] as number) / Math.max(1, count) + (i === j ? ridge : 0)
      gram[i * width + j] = value
      gram[j * width + i] = value
    }
  }
  return inverse(gram, width)
}

/** Every block is scored by a covariance that was learned without it and without a window on both sides. */
const heldOutScores = (
  errors: Float64Array,
  rows: number,
  width: number,
  isKept: Uint8Array,
  window: number,
  { folds, ridge }: MultivariateConstants,
): Float64Array => {
  const out = new Float64Array(rows)
  const edge = (k: number): number => (k === folds ? rows : Math.trunc(k * (rows / folds)))
  for (let k = 0; k < folds; k++) {
    const from = edge(k)
    const to = edge(k + 1)
    const M = precisionOf(errors, rows, width, ridge, (t) => (t < from - window || t >= to + window) && isKept[t] === 1)
    for (let t = from; t < to; t++) {
      let score = 0
      for (let i = 0; i < width; i++) {
        let v = 0
        for (let j = 0; j < width; j++) v += (M[i * width + j] as number) * (errors[t * width + j] as number)
        score += v * (errors[t * width + i] as number)
      }
      out[t] = score
    }
  }
  return out
}

/** The lag of the strongest cycle that the channels share, 0 without one: autocorrelation, averaged over the channels. */
const cycleOf = (z: Float64Array, rows: number, width: number, { leastCycles, cycleCorrelation }: MultivariateConstants): number => {
  const longest = Math.floor(rows / leastCycles)
  const shortest = 40
  if (longest <= shortest) return 0
  const at = new Float64Array(longest + 2)
  for (let lag = shortest / 2; lag <= longest + 1; lag++) {
    let sum = 0
    let count = 0
    for (let i = lag * width; i < rows * width; i++) {
      const product = (z[i] as number) * (z[i - lag * width] as number)
      if (product !== product) continue
      sum += product
      count++
    }
    at[lag] = sum / Math.max(1, count)
  }
  let best = 0
  for (let lag = shortest; lag <= longest; lag++) {
    const here = at[lag] as number
    const isPeak = here >= (at[lag - 1] as number) && here >= (at[lag + 1] as number)
    // A trend correlates at every lag; a cycle does not at half of its own.
    const rise = here - (at[Math.floor(lag / 2)] as number)
    if (isPeak && Math.min(here, rise) > cycleCorrelation && here > (best === 0 ? 0 : (at[best] as number))) best = lag
  }
  return best
}
