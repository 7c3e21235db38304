// k-means: k-means++ seeding (Arthur and Vassilvitskii 2007), then Lloyd's steps with Hamerly's bounds (2010), which skip the distances that cannot
// change an assignment. Seeded; the best of several starts.

import { type Matrix, matrixOf, requireFinite, rowOf } from '../matrix.ts'
import { type Random, randomFrom } from '../random.ts'

export interface KMeansOptions {
  readonly clusters: number
  /** Default 0. */
  readonly seed?: number
  /** Starts, of which the one with the least inertia is kept. Default 4. */
  readonly starts?: number
  readonly mostSteps?: number
  /** How many points each one stands for. Default 1. */
  readonly masses?: Float64Array
  /** Starts from these centres, once, in place of drawn ones. */
  readonly centres?: Matrix
}

export interface KMeans {
  readonly centres: Matrix
  readonly labels: Int32Array
  /** Sum over the points of mass times squared distance to their centre. */
  readonly inertia: number
  readonly steps: number
}

export const kMeans = (points: Matrix, options: KMeansOptions): KMeans => {
  requireFinite(points, 'point')
  const { clusters, seed = 0, starts = 4, mostSteps = 300, centres } = options
  if (!Number.isInteger(clusters) || clusters < 1 || clusters > points.rows)
    throw new RangeError(`clusters is ${clusters}, expected 1 to ${points.rows}, the number of points`)
  const masses = options.masses ?? new Float64Array(points.rows).fill(1)
  if (centres !== undefined) return settled(points, masses, { ...centres, values: centres.values.slice() }, mostSteps)
  const random = randomFrom(seed)
  let best: KMeans | undefined
  for (let i = 0; i < starts; i++) {
    const found = settled(points, masses, seeded(points, masses, clusters, random), mostSteps)
    if (best === undefined || found.inertia < best.inertia) best = found
  }
  return best as KMeans
}

const squared = (a: Float64Array, i: number, b: Float64Array, j: number, width: number): number => {
  let sum = 0
  for (let k = 0; k < width; k++) {
    const d = (a[i * width + k] as number) - (b[j * width + k] as number)
    sum += d * d
  }
  return sum
}

/** Each centre is a point, drawn in proportion to its squared distance from the centres before: the best of a few draws each time. */
const seeded = (points: Matrix, masses: Float64Array, clusters: number, random: Random): Matrix => {
  const { values, rows, width } = points
  const chosen: number[] = []
  let nearest = new Float64Array(rows).fill(Infinity)
  const draw = (weights: (row: number) => number, total: number): number => {
    let left = random.uniform() * total
    for (let row = 0; row < rows; row++) {
      left -= weights(row)
      if (left < 0) return row
    }
    return rows - 1
  }
  const tries = 2 + Math.floor(Math.log(clusters))
  for (let c = 0; c < clusters; c++) {
    const weight = (row: number): number => (masses[row] as number) * (c === 0 ? 1 : (nearest[row] as number))
    let total = 0
    for (let row = 0; row < rows; row++) total += weight(row)
    let least = Infinity
    let kept = nearest
    let at = 0
    for (let i = 0; i < (c === 0 ? 1 : tries); i++) {
      const row = draw(weight, total)
      const next = nearest.map((distance, p) => Math.min(distance, squared(values, p, values, row, width)))
      const potential = next.reduce((sum, distance, p) => sum + distance * (masses[p] as number), 0)
      if (potential < least) [least, kept, at] = [potential, next, row]
    }
    nearest = kept
    chosen.push(at)
  }
  return matrixOf(chosen.map((row) => rowOf(points, row)))
}

/** Lloyd's steps until nothing moves. */
const settled = ({ values, rows, width }: Matrix, masses: Float64Array, centres: Matrix, mostSteps: number): KMeans => {
  const k = centres.rows
  const at = centres.values
  const labels = new Int32Array(rows)
  const upper = new Float64Array(rows).fill(Infinity)
  const lower = new Float64Array(rows)
  const half = new Float64Array(k)
  const sums = new Float64Array(k * width)
  const weights = new Float64Array(k)
  const moved = new Float64Array(k)
  const assign = (p: number): void => {
    let [least, second, label] = [Infinity, Infinity, 0]
    for (let c = 0; c < k; c++) {
      const distance = squared(values, p, at, c, width)
      if (distance < least) [second, least, label] = [least, distance, c]
      else if (distance < second) second = distance
    }
    labels[p] = label
    upper[p] = Math.sqrt(least)
    lower[p] = Math.sqrt(second)
  }
  let steps = 0
  for (; steps < mostSteps; steps++) {
    for (let c = 0; c < k; c++) {
      let least = Infinity
      for (let other = 0; other < k; other++) if (other !== c) least = Math.min(least, squared(at, c, at, other, width))
      half[c] = Math.sqrt(least) / 2
    }
    for (let p = 0; p < rows; p++) {
      const bound = Math.max(half[labels[p] as number] as number, lower[p] as number)
      if ((upper[p] as number) < bound) continue
      if (steps > 0) {
        upper[p] = Math.sqrt(squared(values, p, at, labels[p] as number, width))
        if ((upper[p] as number) < bound) continue
      }
      assign(p)
    }
    sums.fill(0)
    weights.fill(0)
    for (let p = 0; p < rows; p++) {
      const label = labels[p] as number
      const mass = masses[p] as number
      weights[label] = (weights[label] as number) + mass
      for (let j = 0; j < width; j++)
        sums[label * width + j] = (sums[label * width + j] as number) + mass * (values[p * width + j] as number)
    }
    let most = 0
    for (let c = 0; c < k; c++) {
      let square = 0
      // A centre that lost all its points moves to the point that is worst off.
      const lost = weights[c] === 0 ? worst(upper) : -1
      if (lost >= 0) upper[lost] = 0
      for (let j = 0; j < width; j++) {
        const next = lost >= 0 ? (values[lost * width + j] as number) : (sums[c * width + j] as number) / (weights[c] as number)
        const d = next - (at[c * width + j] as number)
        square += d * d
        at[c * width + j] = next
      }
      moved[c] = Math.sqrt(square)
      most = Math.max(most, moved[c] as number)
    }
    if (most === 0) break
    for (let p = 0; p < rows; p++) {
      upper[p] = (upper[p] as number) + (moved[labels[p] as number] as number)
      lower[p] = (lower[p] as number) - most
    }
  }
  let inertia = 0
  for (let p = 0; p < rows; p++) {
    assign(p)
    inertia += (masses[p] as number) * (upper[p] as number) ** 2
  }
  return { centres, labels, inertia, steps }
}

const worst = (upper: Float64Array): number => {
  let at = 0
  for (let p = 1; p < upper.length; p++) if ((upper[p] as number) > (upper[at] as number)) at = p
  return at
}
