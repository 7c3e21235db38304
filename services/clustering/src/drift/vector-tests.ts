// How far apart two samples of vectors are: maximum mean discrepancy, energy distance, and how well a classifier tells them apart.
// Columns of different units are standardised by the caller. What is far is decided by calibration.ts.

import { rowOf } from '../matrix.ts'
import type { Matrix } from '../matrix.ts'

const squaredDistance = (a: Matrix, i: number, b: Matrix, j: number): number => {
  const { width } = a
  let sum = 0
  for (let k = 0, p = i * width, q = j * width; k < width; k++, p++, q++) {
    const off = (a.values[p] as number) - (b.values[q] as number)
    sum += off * off
  }
  return sum
}

/** Median of the distances between all pairs of rows, or of `most` evenly spaced rows: the usual width of the kernel. */
export const medianDistance = (points: Matrix, most = 512): number => {
  const count = Math.min(points.rows, most)
  const at = Int32Array.from({ length: count }, (_, i) => Math.floor((i * points.rows) / count))
  const all = new Float64Array((count * (count - 1)) / 2)
  let next = 0
  for (let i = 0; i < count; i++)
    for (let j = 0; j < i; j++) all[next++] = squaredDistance(points, at[i] as number, points, at[j] as number)
  all.sort()
  const middle = (all.length - 1) / 2
  return (Math.sqrt(all[Math.floor(middle)] ?? 0) + Math.sqrt(all[Math.ceil(middle)] ?? 0)) / 2
}

/** exp(-|x - y|² / 2 width²). */
const kernelOf = (width: number): ((a: Matrix, i: number, b: Matrix, j: number) => number) => {
  const factor = -0.5 / (width * width)
  return (a, i, b, j) => Math.exp(factor * squaredDistance(a, i, b, j))
}

/** Unbiased squared MMD over all pairs (Gretton et al., "A kernel two-sample test", JMLR 2012, equation 3). O((n + m)² d). */
export const mmdQuadratic = (x: Matrix, y: Matrix, width: number): number => {
  const kernel = kernelOf(width)
  const within = (a: Matrix): number => {
    let sum = 0
    for (let i = 0; i < a.rows; i++) for (let j = 0; j < i; j++) sum += kernel(a, i, a, j)
    return (2 * sum) / (a.rows * (a.rows - 1))
  }
  let between = 0
  for (let i = 0; i < x.rows; i++) for (let j = 0; j < y.rows; j++) between += kernel(x, i, y, j)
  return within(x) + within(y) - (2 * between) / (x.rows * y.rows)
}

/** Squared MMD over pairs of neighbours, and its standard error (the same, lemma 14). O((n + m) d): for long samples. */
export const mmdLinear = (x: Matrix, y: Matrix, width: number): { readonly value: number; readonly standardError: number } => {
  const kernel = kernelOf(width)
  const pairs = Math.floor(Math.min(x.rows, y.rows) / 2)
  let mean = 0
  let squares = 0
  for (let k = 0; k < pairs; k++) {
    const i = 2 * k
    const h = kernel(x, i, x, i + 1) + kernel(y, i, y, i + 1) - kernel(x, i, y, i + 1) - kernel(x, i + 1, y, i)
    const off = h - mean
    mean += off / (k + 1)
    squares += off * (h - mean)
  }
  return { value: mean, standardError: Math.sqrt(squares / (pairs - 1) / pairs) }
}

/** 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo 2013), all pairs. */
export const energyDistance = (x: Matrix, y: Matrix): number => {
  const mean = (a: Matrix, b: Matrix): number => {
    let sum = 0
    for (let i = 0; i < a.rows; i++) for (let j = 0; j < b.rows; j++) sum += Math.sqrt(squaredDistance(a, i, b, j))
    return sum / (a.rows * b.rows)
  }
  return 2 * mean(x, y) - mean(x, x) - mean(y, y)
}

export interface ClassifierOptions {
  /** Contiguous parts of either sample, so that neighbours in time are on the same side. Default 5. */
  readonly folds?: number
  /** Penalty on squared weights, standardised columns. Default 1. */
  readonly ridge?: number
}

/**
 * Area under the ROC curve of a logistic regression that is asked which sample a row is from, mean over held-out parts: 0.5 when it
 * cannot tell (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017).
 */
export const classifierAuc = (x: Matrix, y: Matrix, { folds = 5, ridge = 1 }: ClassifierOptions = {}): number => {
  if (Math.min(x.rows, y.rows) < folds) throw new RangeError(`${Math.min(x.rows, y.rows)} rows cannot be cut into ${folds} parts`)
  let sum = 0
  for (let fold = 0; fold < folds; fold++) {
    const isHeld = (row: number, rows: number): boolean => Math.floor((row * folds) / rows) === fold
    const rowsOf = (matrix: Matrix, held: boolean): Float64Array[] =>
      Array.from({ length: matrix.rows }, (_, row) => row)
        .filter((row) => isHeld(row, matrix.rows) === held)
        .map((row) => rowOf(matrix, row))
    const score = logistic([rowsOf(x, false), rowsOf(y, false)], ridge)
    sum += areaUnder(rowsOf(x, true).map(score), rowsOf(y, true).map(score))
  }
  return sum / folds
}

/** Share of pairs in which the positive has the higher score; ties count half. */
const areaUnder = (negatives: readonly number[], positives: readonly number[]): number => {
  const all = [...negatives.map((score) => ({ score, isPositive: false })), ...positives.map((score) => ({ score, isPositive: true }))]
  all.sort((a, b) => a.score - b.score)
  let ranks = 0
  for (let i = 0; i < all.length;) {
    let end = i
    let count = 0
    for (; end < all.length && all[end]?.score === all[i]?.score; end++) if (all[end]?.isPositive === true) count++
    ranks += (count * (i + 1 + end)) / 2
    i = end
  }
  const n = positives.length
  return (ranks - (n * (n + 1)) / 2) / (n * negatives.length)
}

type Rows = readonly Float64Array[]

/** Newton's method with halved steps. Returns the linear score of a row. */
const logistic = ([negatives, positives]: readonly [Rows, Rows], ridge: number): ((row: Float64Array) => number) => {
  const rows = [...negatives, ...positives]
  const width = (rows[0] as Float64Array).length
  const mean = new Float64Array(width)
  const std = new Float64Array(width)
  for (const row of rows) row.forEach((value, j) => (mean[j] = (mean[j] as number) + value / rows.length))
  for (const row of rows) row.forEach((value, j) => (std[j] = (std[j] as number) + (value - (mean[j] as number)) ** 2 / rows.length))
  std.forEach((variance, j) => (std[j] = variance > 0 ? Math.sqrt(variance) : 1))
  const size = width + 1
  const design = rows.map((row) => {
    const z = new Float64Array(size).fill(1)
    row.forEach((value, j) => (z[j + 1] = (value - (mean[j] as number)) / (std[j] as number)))
    return z
  })
  const signOf = (i: number): number => (i < negatives.length ? -1 : 1)
  const lossOf = (weights: Float64Array): number => {
    let loss = 0
    design.forEach((z, i) => {
      const margin = signOf(i) * dot(z, weights)
      loss += margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin
    })
    for (let j = 1; j < size; j++) loss += (ridge / 2) * (weights[j] as number) ** 2
    return loss
  }
  let weights = new Float64Array(size)
  let loss = lossOf(weights)
  for (let round = 0; round < 50; round++) {
    const gradient = new Float64Array(size)
    const curvature = new Float64Array(size * size)
    design.forEach((z, i) => {
      const p = 1 / (1 + Math.exp(-dot(z, weights)))
      const residual = p - (signOf(i) > 0 ? 1 : 0)
      const weight = p * (1 - p)
      for (let j = 0; j < size; j++) {
        gradient[j] = (gradient[j] as number) + residual * (z[j] as number)
        for (let k = 0; k <= j; k++)
          curvature[j * size + k] = (curvature[j * size + k] as number) + weight * (z[j] as number) * (z[k] as number)
      }
    })
    for (let j = 0; j < size; j++) {
      if (j > 0) gradient[j] = (gradient[j] as number) + ridge * (weights[j] as number)
      curvature[j * size + j] = (curvature[j * size + j] as number) + (j > 0 ? ridge : 1e-12)
    }
    const step = solve(curvature, gradient, size)
    if (dot(step, gradient) < 1e-12) break
    let share = 1
    let next = weights.map((weight, j) => weight - (step[j] as number))
    let nextLoss = lossOf(next)
    while (nextLoss > loss && share > 1e-6) {
      share /= 2
      next = weights.map((weight, j) => weight - share * (step[j] as number))
      nextLoss = lossOf(next)
    }
    if (nextLoss >= loss) break
    weights = next
    loss = nextLoss
  }
  return (row) => {
    let score = weights[0] as number
    row.forEach((value, j) => (score += ((weights[j + 1] as number) * (value - (mean[j] as number))) / (std[j] as number)))
    return score
  }
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number)
  return sum
}

/** Cholesky, of the lower triangle in place. */
const solve = (lower: Float64Array, right: Float64Array, size: number): Float64Array => {
  for (let j = 0; j < size; j++)
    for (let i = j; i < size; i++) {
      let value = lower[i * size + j] as number
      for (let k = 0; k < j; k++) value -= (lower[i * size + k] as number) * (lower[j * size + k] as number)
      lower[i * size + j] = i === j ? Math.sqrt(value) : value / (lower[j * size + j] as number)
    }
  const x = Float64Array.from(right)
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i] = (x[i] as number) - (lower[i * size + k] as number) * (x[k] as number)
    x[i] = (x[i] as number) / (lower[i * size + i] as number)
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i] = (x[i] as number) - (lower[k * size + i] as number) * (x[k] as number)
    x[i] = (x[i] as number) / (lower[i * size + i] as number)
  }
  return x
}
