// The profile for a single series: seven statistics of a fixed cost, each as an adaptive tail probability, the best of them with half
// of the second best, and one report per episode. Causal, one pass, no clock, no random number; memory does not grow.

import { univariateDefaults } from './constants.ts'
import type { UnivariateConstants } from './constants.ts'

export const statisticNames = ['jump', 'mean20', 'mean80', 'spread', 'value', 'day', 'day5'] as const
const S = statisticNames.length
const ring = 1024
const longest = 1000
const shortest = 1e-12
const underLine = 0.99

export interface UnivariateState {
  readonly version: 1
  readonly values: Float64Array
  readonly sums: Float64Array
  readonly squares: Float64Array
  readonly slotMean: Float64Array
  readonly slotCount: Float64Array
  /** Residuals of the last five rows. */
  readonly residuals: Float64Array
  /** Per statistic: running quantile and mean excess; 0 while it has not begun. */
  readonly tail: Float64Array
  readonly excess: Float64Array
  readonly counters: Float64Array
}

export interface FittedUnivariate {
  readonly version: 1
  readonly constants: UnivariateConstants
  /** Rows per day, 0 without a usable day. */
  readonly slots: number
  readonly rows: number
  readonly isShortLearning: boolean
  readonly state: UnivariateState
}

/** One object per stream, rewritten by every row. */
export interface UnivariateJudgement {
  readonly score: number
  /** Score in thresholds; the line is at 1, and only a row that reports is above it: the others of an episode say nothing new. */
  readonly ratio: number
  /** The score if this row reports, else 0: later rows of one episode are not new findings. */
  readonly report: number
  /** A report at or above the threshold. */
  readonly flag: boolean
  /** From such a report until the score has been low for some rows. */
  readonly isEpisodeOpen: boolean
  readonly pValue: number
  /** Place of the leading statistic in `statisticNames`. */
  readonly statistic: number
}

export interface UnivariateStream {
  push(value: number): UnivariateJudgement
  state(): UnivariateState
}

/** Rows per day from the median step in seconds: 4 to 2 000, else 0. */
export const slotsPerDay = (medianStepS: number): number => {
  const rows = medianStepS > 0 ? 86_400 / medianStepS : 0
  return rows >= 4 && rows <= 2000 ? roundHalfEven(rows) : 0
}

const roundHalfEven = (value: number): number => {
  const whole = Math.floor(value)
  return value - whole === 0.5 ? whole + (whole % 2) : Math.round(value)
}

const emptyState = (slots: number): UnivariateState => ({
  version: 1,
  values: new Float64Array(ring),
  sums: new Float64Array(ring),
  squares: new Float64Array(ring),
  slotMean: new Float64Array(Math.max(slots, 1)),
  slotCount: new Float64Array(Math.max(slots, 1)),
  residuals: new Float64Array(5),
  tail: new Float64Array(S),
  excess: new Float64Array(S),
  counters: Float64Array.of(0, 0, 0, -1e9, 0, 0, 0),
})

/** Learns from the first rows (750, or what there is, at least 100): the stream goes on after them. `slots` are rows per day. */
export const fitUnivariate = (
  prefix: ArrayLike<number>,
  slots = 0,
  constants: UnivariateConstants = univariateDefaults,
): FittedUnivariate => {
  if (prefix.length < 2) throw new RangeError(`${prefix.length} rows to learn from`)
  const warm = new Float64Array(prefix.length * S).fill(Number.NaN)
  const stream = openAt(emptyState(slots), slots, constants, warm, prefix.length)
  for (let i = 0; i < prefix.length; i++) stream.push(prefix[i] as number)
  return { version: 1, constants, slots, rows: prefix.length, isShortLearning: prefix.length < 100, state: stream.state() }
}

export const openUnivariate = ({ state, slots, constants }: FittedUnivariate, from: UnivariateState = state): UnivariateStream =>
  openAt(from, slots, constants)

const openAt = (
  from: UnivariateState,
  slots: number,
  constants: UnivariateConstants,
  warm?: Float64Array,
  warmRows = 0,
): UnivariateStream => {
  const { threshold, secondWeight, quantile, quantileStep, excessGain, margin, hold, off, closeBelow, dayMemory } = constants
  const values = from.values.slice()
  const sums = from.sums.slice()
  const squares = from.squares.slice()
  const slotMean = from.slotMean.slice()
  const slotCount = from.slotCount.slice()
  const residuals = from.residuals.slice()
  const tail = from.tail.slice()
  const excess = from.excess.slice()
  let [rows = 0, allRows = 0, offset = 0, lastReport = -1e9, reported = 0, open = 0, quiet = 0] = from.counters
  const statistics = new Float64Array(S)
  const base = -Math.log10(1 - quantile)
  let score = 0
  let report = 0
  let largest = 0
  let statistic = 0

  /** Sum of the values of rows from … to - 1, less the offset. */
  const between = (of: Float64Array, from: number, to: number): number => (of[to % ring] as number) - (of[from % ring] as number)

  const rebuild = (): void => {
    const first = rows - longest - 1
    offset = values[first % ring] as number
    let sum = 0
    let square = 0
    for (let i = first; i < rows; i++) {
      sums[i % ring] = sum
      squares[i % ring] = square
      const x = (values[i % ring] as number) - offset
      sum += x
      square += x * x
    }
    sums[rows % ring] = sum
    squares[rows % ring] = square
  }

  const measure = (value: number): void => {
    const i = rows
    if (i === 0) offset = value
    const x = value - offset
    statistics.fill(Number.NaN)
    if (i >= 1) statistics[0] = Math.abs(value - (values[(i - 1) % ring] as number))
    values[i % ring] = value
    sums[(i + 1) % ring] = (sums[i % ring] as number) + x
    squares[(i + 1) % ring] = (squares[i % ring] as number) + x * x
    for (let q = 0; q < 2; q++) {
      const w = q === 0 ? 20 : 80
      const before = q === 0 ? 400 : 800
      if (i < 3 * w) continue
      const from = Math.max(0, i + 1 - w - before)
      statistics[1 + q] = Math.abs(between(sums, i + 1 - w, i + 1) / w - between(sums, from, i + 1 - w) / (i + 1 - w - from))
    }
    if (i >= 48) {
      const mean = between(sums, i - 23, i + 1) / 24
      statistics[3] = Math.sqrt(Math.max(0, between(squares, i - 23, i + 1) / 24 - mean * mean))
    }
    if (i >= 10) {
      const from = Math.max(0, i - longest)
      statistics[4] = Math.abs(x - between(sums, from, i) / (i - from))
    }
    if (slots > 1) {
      const k = allRows % slots
      const count = (slotCount[k] as number) + 1
      // The slot's mean keeps the value as it is: the offset changes when the sums are rebuilt.
      const residual = count > 1 ? value - (slotMean[k] as number) : 0
      if (count > 1) statistics[5] = Math.abs(residual)
      residuals[i % 5] = residual
      if (i >= slots + 5) {
        let sum = 0
        for (let back = 4; back >= 0; back--) sum += residuals[(i - back) % 5] as number
        statistics[6] = Math.abs(sum) / 5
      }
      slotCount[k] = count
      slotMean[k] = (slotMean[k] as number) + (value - (slotMean[k] as number)) / Math.min(count, dayMemory)
    }
    rows++
    if (rows % ring === 0) rebuild()
  }

  /** Begins a statistic's tail from what it was so far; false while it still learns. */
  const begin = (k: number, x: number): void => {
    const i = rows - 1
    if (warm !== undefined && i < warmRows) {
      warm[i * S + k] = x
      if (allRows < warmRows) return
    }
    const seen = warm === undefined ? Float64Array.of(x) : warm.filter((value, at) => at % S === k && value === value).sort()
    const t = Math.max(
      seen[Math.trunc(quantile * (seen.length - 1))] as number,
      shortest,
      1e-3 * (seen[Math.trunc(seen.length / 2)] as number),
    )
    let sum = 0
    let count = 0
    for (const value of seen) {
      if (value > t) {
        sum += value - t
        count++
      }
    }
    tail[k] = t
    excess[k] = (sum + 3 * 0.3 * t) / (count + 3)
  }

  const judge = (): void => {
    largest = 0
    statistic = 0
    let second = 0
    for (let k = 0; k < S; k++) {
      const x = statistics[k] as number
      if (x !== x) continue
      const t = tail[k] as number
      if (t === 0) {
        begin(k, x)
        continue
      }
      const ex = excess[k] as number
      let p: number
      if (x > t) {
        p = base + (0.4343 * (x - t)) / ex
        excess[k] = Math.max(ex + excessGain * (Math.min(x - t, 8 * ex) - ex), shortest)
        tail[k] = Math.max(t * (1 + quantile * quantileStep), shortest)
      } else {
        p = (base * x) / t
        tail[k] = Math.max(t * (1 - (1 - quantile) * quantileStep), shortest)
      }
      if (p > largest) {
        second = largest
        largest = p
        statistic = k
      } else if (p > second) second = p
    }
    score = largest + secondWeight * second
    if (allRows - lastReport > hold) reported = 0
    report = 0
    if (score > reported + margin) {
      report = score
      reported = score
      lastReport = allRows
    }
    if (report >= threshold) {
      open = 1
      quiet = 0
    } else if (open === 1) {
      quiet = score < closeBelow * threshold ? quiet + 1 : 0
      if (quiet >= off) open = 0
    }
  }

  const judgement: UnivariateJudgement = {
    get score() {
      return score
    },
    get ratio() {
      return report >= threshold ? score / threshold : Math.min(score / threshold, underLine)
    },
    get report() {
      return report
    },
    get flag() {
      return report >= threshold
    },
    get isEpisodeOpen() {
      return open === 1
    },
    get pValue() {
      return Math.min(1, 10 ** -largest)
    },
    get statistic() {
      return statistic
    },
  }

  return {
    push(value) {
      score = 0
      report = 0
      largest = 0
      if (Number.isFinite(value)) {
        measure(value)
        allRows++
        judge()
      } else allRows++ // a missing value is no evidence; its time of day still passes
      return judgement
    },
    state: () => ({
      version: 1,
      values: values.slice(),
      sums: sums.slice(),
      squares: squares.slice(),
      slotMean: slotMean.slice(),
      slotCount: slotCount.slice(),
      residuals: residuals.slice(),
      tail: tail.slice(),
      excess: excess.slice(),
      counters: Float64Array.of(rows, allRows, offset, lastReport, reported, open, quiet),
    }),
  }
}
