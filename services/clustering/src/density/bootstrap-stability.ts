// Whether clusters are still found when points are missing: refits on random subsamples, each compared with the clusters of all points.

import { type Matrix, rowsAt } from '../matrix.ts'
import { drawn, randomFrom } from '../random.ts'
import { adjustedRand } from './agreement.ts'

export interface StabilityOptions {
  /** Refits. Default 20. */
  readonly refits?: number
  /** Share of the points in each, without repeats. Default 0.8. */
  readonly share?: number
  readonly seed?: number
}

export interface Stability {
  /** Adjusted Rand indices of the refits, ascending; noise counts as a label. */
  readonly agreements: Float64Array
  readonly median: number
  readonly least: number
}

/** `fit` gives the labels of the points it is handed, and has to be deterministic. */
export const bootstrapStability = (
  points: Matrix,
  labels: ArrayLike<number>,
  fit: (points: Matrix) => ArrayLike<number>,
  { refits = 20, share = 0.8, seed = 0 }: StabilityOptions = {},
): Stability => {
  const random = randomFrom(seed)
  const agreements = new Float64Array(refits)
  for (let i = 0; i < refits; i++) {
    const rows = drawn(random, points.rows, Math.max(1, Math.round(share * points.rows))).sort()
    agreements[i] = adjustedRand(
      fit(rowsAt(points, rows)),
      rows.map((row) => labels[row] as number),
    )
  }
  agreements.sort()
  const middle = (refits - 1) / 2
  const median = ((agreements[Math.floor(middle)] as number) + (agreements[Math.ceil(middle)] as number)) / 2
  return { agreements, median, least: agreements[0] as number }
}
