// When a limit is reached: a robust trend of a positive quantity towards it, with an interval of stated coverage. Told when it
// begins to mean something, when it changes materially and when it is over. Pure; bounded; equal values give equal answers.

import { randomFrom } from './random.ts'
import type { Random } from './random.ts'

/** Points of a trend. When they are full, neighbours become one: the trend covers twice as long. */
const MOST_POINTS = 48
/** Fewer points carry no trend. */
const LEAST_POINTS = 16
const BOOTSTRAPS = 400
/** How far points are believed about which curve they follow: true degradations are neither exactly. Measured: intervals hold as stated. */
const TEMPER = 0.5
/** Points between two looks. */
const LOOK_EVERY = 4
/** A trend counts when chance gives so steep a one in one of a hundred at most. */
const SIGNIFICANCE = 0.01
/** Share of the remaining time by which an expected end has to move to be told again. */
const MATERIAL = 0.25
/** Looks in a row without a trend that end a prognosis. */
const QUIET_LOOKS = 3
/** What lies further ahead than this many times the span seen is not told. */
const MOST_SPANS = 5
export const STATED_COVERAGE = 0.9

export interface TrendState {
  /** Windows in one point. */
  readonly every: number
  readonly timesUs: readonly number[]
  readonly values: readonly number[]
  /** Windows of the point that is not full yet. */
  readonly pendingUs: readonly number[]
  readonly pending: readonly number[]
  readonly sinceLook: number
  readonly quiet: number
  readonly told: ToldPrognosis | null
}

export interface ToldPrognosis {
  readonly openingVectorId: string
  readonly openedUs: number
  readonly limit: number
  readonly endUs: number
  readonly remainingUs: number
}

export const noTrend: TrendState = {
  every: 1,
  timesUs: [],
  values: [],
  pendingUs: [],
  pending: [],
  sinceLook: 0,
  quiet: 0,
  told: null,
}

export interface Remaining {
  readonly lowUs: number
  /** Null: the limit may never be reached. */
  readonly medianUs: number | null
  readonly highUs: number | null
  readonly coverage: number
  readonly basis: string
}

export interface TrendTransition {
  readonly kind: 'opened' | 'updated' | 'closed'
  readonly told: ToldPrognosis
  /** Absent of one that is over. */
  readonly remaining: Remaining | undefined
}

export interface TrendWindow {
  readonly atUs: number
  readonly value: number
  /** Undefined: there is no limit ahead. */
  readonly limit: number | undefined
  readonly vectorId: string
}

/** One window: the next state, and what is to be told. */
export const trendAfter = (
  state: TrendState,
  window: TrendWindow,
): { readonly state: TrendState; readonly transition: TrendTransition | undefined } => {
  if (!(window.value > 0) || !Number.isFinite(window.value)) return { state, transition: undefined }
  const added = withWindow(state, window)
  const { told } = added
  // The limit was reached, or is another one: the trend goes on, the prognosis does not.
  if (told !== null && window.limit !== told.limit)
    return { state: { ...added, told: null, quiet: 0 }, transition: { kind: 'closed', told, remaining: undefined } }
  if (window.limit === undefined || added.sinceLook < LOOK_EVERY || added.values.length < LEAST_POINTS)
    return { state: added, transition: undefined }
  const looked = { ...added, sinceLook: 0 }
  const remaining = remainingUntil(added.timesUs, added.values, window.limit, window.atUs)
  if (remaining === undefined || remaining.medianUs === null) {
    if (told === null) return { state: looked, transition: undefined }
    if (looked.quiet + 1 < QUIET_LOOKS) return { state: { ...looked, quiet: looked.quiet + 1 }, transition: undefined }
    return { state: { ...looked, told: null, quiet: 0 }, transition: { kind: 'closed', told, remaining: undefined } }
  }
  const endUs = window.atUs + remaining.medianUs
  const isMaterial = told === null || Math.abs(endUs - told.endUs) > MATERIAL * Math.max(told.endUs - window.atUs, remaining.medianUs)
  if (!isMaterial) return { state: { ...looked, quiet: 0 }, transition: undefined }
  const now: ToldPrognosis = {
    openingVectorId: told?.openingVectorId ?? window.vectorId,
    openedUs: told?.openedUs ?? window.atUs,
    limit: window.limit,
    endUs,
    remainingUs: remaining.medianUs,
  }
  return { state: { ...looked, quiet: 0, told: now }, transition: { kind: told === null ? 'opened' : 'updated', told: now, remaining } }
}

const withWindow = (state: TrendState, { atUs, value }: TrendWindow): TrendState => {
  const pendingUs = [...state.pendingUs, atUs]
  const pending = [...state.pending, value]
  if (pending.length < state.every) return { ...state, pendingUs, pending }
  const timesUs = [...state.timesUs, meanOf(pendingUs)]
  const values = [...state.values, meanOf(pending)]
  const next = { ...state, timesUs, values, pendingUs: [], pending: [], sinceLook: state.sinceLook + 1 }
  if (values.length < MOST_POINTS) return next
  return { ...next, every: 2 * state.every, timesUs: halved(timesUs), values: halved(values) }
}

const halved = (points: readonly number[]): number[] =>
  Array.from({ length: points.length / 2 }, (_, i) => ((points[2 * i] as number) + (points[2 * i + 1] as number)) / 2)

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0)

/**
 * Time from `atUs` until the trend of the points reaches the limit: its median and the interval that holds it with the stated
 * coverage. Undefined where there is no significant rise, the limit is passed, or it lies too far ahead to be told from these points.
 * Slope after Theil and Sen, of the values and of their logarithms; the interval is that of bootstrapped blocks of what both leave
 * over, each curve as often as it is likely: few points seldom say which of the two it is.
 */
export const remainingUntil = (
  timesUs: readonly number[],
  values: readonly number[],
  limit: number,
  atUs: number,
  coverage = STATED_COVERAGE,
): Remaining | undefined => {
  const firstUs = timesUs[0] as number
  const span = (timesUs.at(-1) as number) - firstUs
  if (!(span > 0)) return undefined
  const x = timesUs.map((time) => (time - firstUs) / span)
  const now = (atUs - firstUs) / span
  const straight = curveOf(x, values, limit)
  const logs = values.map(Math.log)
  const exponential = curveOf(x, logs, Math.log(limit))
  const leading = Math.min(straight.effective, exponential.effective)
  const ahead = leading * (Math.log(Math.sqrt(straight.variance)) - Math.log(Math.sqrt(exponential.variance)) - meanOf(logs))
  const likely = 1 / (1 + Math.exp(-TEMPER * ahead))
  const main = likely >= 0.5 ? exponential : straight
  if (main.line.slope <= 0 || main.line.at(now) >= main.goal) return undefined

  const random = randomFrom(1)
  const ends = new Float64Array(BOOTSTRAPS)
  const curvedOnes = Math.round(likely * BOOTSTRAPS)
  let unproven = 0
  const drawn = new Float64Array(x.length)
  for (let b = 0; b < BOOTSTRAPS; b++) {
    const curve = b < curvedOnes ? exponential : straight
    const again = redrawn(curve, x, random, drawn)
    if (again.slope <= 0) unproven++
    ends[b] = again.slope <= 0 ? Number.POSITIVE_INFINITY : Math.max(0, (curve.goal - again.at(now)) / again.slope)
  }
  if (unproven > SIGNIFICANCE * BOOTSTRAPS) return undefined
  ends.sort()
  const at = (share: number): number => ends[Math.min(BOOTSTRAPS - 1, Math.max(0, Math.round(share * (BOOTSTRAPS - 1))))] as number
  const us = (share: number): number | null => (Number.isFinite(at(share)) ? Math.round(at(share) * span) : null)
  const medianUs = us(0.5)
  if (medianUs === null || medianUs > MOST_SPANS * span) return undefined
  return {
    lowUs: us((1 - coverage) / 2) ?? medianUs,
    medianUs,
    highUs: us((1 + coverage) / 2),
    coverage,
    basis: likely >= 0.5 ? 'exponential trend' : 'straight trend',
  }
}

interface Curve {
  readonly line: Line
  readonly goal: number
  readonly left: readonly number[]
  readonly variance: number
  readonly blockLength: number
  readonly widen: number
  /** Independent points among them. */
  readonly effective: number
}

/** What lies further from the line than this many robust spreads counts as so far. */
const CLIP = 3.5

const curveOf = (x: readonly number[], y: readonly number[], goal: number): Curve => {
  const n = x.length
  const line = lineOf(x, y)
  const off = y.map((value, i) => value - line.at(x[i] as number))
  const spread = 1.4826 * medianOf(off.map(Math.abs))
  const clipped = spread > 0 ? off.map((each) => Math.min(Math.max(each, -CLIP * spread), CLIP * spread)) : off
  const centre = meanOf(clipped)
  const left = clipped.map((each) => each - centre)
  const variance = Math.max(meanOf(left.map((each) => each * each)), Number.MIN_VALUE)
  const time = relaxation(left, n)
  const blockLength = time < 1.2 ? 1 : Math.min(Math.round(n / 5), Math.ceil(2 * time))
  // What is left is less than the noise by the two numbers that were fitted; blocks cut correlation at their ends; and the noise is
  // known from few independent points, as in Student's test.
  const effective = Math.max(n / time, 4)
  const cut = blockLength === 1 ? 1 : time / Math.max(1, time - (time * time - 1) / (2 * blockLength))
  const widen = Math.sqrt((n / (n - 2)) * cut * (effective / Math.max(effective - 2, 1)))
  return { line, goal, left, variance, blockLength, widen, effective }
}

/** The line of least squares through the fitted line and redrawn noise: noise is clipped, so that nothing robust is needed here. */
const redrawn = ({ line, left, blockLength, widen }: Curve, x: readonly number[], random: Random, drawn: Float64Array): Line => {
  const n = x.length
  for (let i = 0; i < n; i += blockLength) {
    const start = random.below(n)
    for (let k = 0; k < blockLength && i + k < n; k++) drawn[i + k] = widen * (left[(start + k) % n] as number)
  }
  let meanX = 0
  let meanY = 0
  for (let i = 0; i < n; i++) {
    meanX += (x[i] as number) / n
    meanY += (drawn[i] as number) / n
  }
  let squares = 0
  let products = 0
  for (let i = 0; i < n; i++) {
    const dx = (x[i] as number) - meanX
    squares += dx * dx
    products += dx * (drawn[i] as number)
  }
  const tilt = products / squares
  return { slope: line.slope + tilt, at: (at) => line.at(at) + meanY + tilt * (at - meanX) }
}

interface Line {
  readonly slope: number
  at(x: number): number
}

/** Median of the slopes of all pairs, and of the offsets. */
const lineOf = (x: readonly number[], y: readonly number[]): Line => {
  const slopes = new Float64Array((x.length * (x.length - 1)) / 2)
  let next = 0
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < i; j++) slopes[next++] = ((y[i] as number) - (y[j] as number)) / ((x[i] as number) - (x[j] as number))
  const slope = medianOf(slopes)
  const offset = medianOf(y.map((value, i) => value - slope * (x[i] as number)))
  return { slope, at: (at) => offset + slope * at }
}

const medianOf = (values: ArrayLike<number>): number => {
  const rising = Float64Array.from(values).sort()
  const middle = (rising.length - 1) / 2
  return ((rising[Math.floor(middle)] as number) + (rising[Math.ceil(middle)] as number)) / 2
}

/** Points until what is left is independent, from its first autocorrelation, which a fitted line makes smaller. */
const relaxation = (left: readonly number[], n: number): number => {
  let squares = 0
  let products = 0
  left.forEach((value, i) => {
    squares += value * value
    if (i > 0) products += value * (left[i - 1] as number)
  })
  const found = squares > 0 ? products / squares : 0
  const phi = found + (1 + 4 * found) / n
  return phi < 1 / Math.sqrt(n) ? 1 : (1 + Math.min(phi, 0.9)) / (1 - Math.min(phi, 0.9))
}
