// Faults planted into one channel of normal rows, and whether a stream that came to that row finds them. Many faults start from the
// same saved state, so the rows before are judged once.

import { rowOf } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import type { MultivariateState } from '@andon/clustering/detectors/multivariate'
import type { FittedMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import type { Random } from '@andon/clustering/random'

export const faultKinds = ['offset', 'gain', 'drift', 'stuck', 'noise', 'oscillation'] as const
export type FaultKind = (typeof faultKinds)[number]
export const faultRows = 200
const periodRows = 12

/** Values of a channel with a fault of `sigma` standard deviations of what was learned; `stuck` has no size. */
export const planted = (
  values: Float64Array,
  kind: FaultKind,
  sigma: number,
  { mean, std }: { readonly mean: number; readonly std: number },
  random: Random,
): Float64Array => {
  const rows = values.length
  const size = sigma * std
  switch (kind) {
    case 'offset':
      return values.map((x) => x + size)
    case 'gain':
      return values.map((x) => mean + (x - mean) * (1 + sigma))
    case 'drift':
      return values.map((x, t) => x + size * Math.min(t / (0.75 * rows), 1))
    case 'stuck':
      return values.map(() => values[0] as number)
    case 'noise':
      return values.map((x) => x + size * random.normal())
    case 'oscillation':
      return values.map((x, t) => x + size * Math.sin((2 * Math.PI * t) / periodRows))
  }
}

/** Mean and standard deviation of what is there of a channel. */
export const momentsOf = ({ values, rows, width }: Matrix, channel: number): { mean: number; std: number } => {
  const present = Float64Array.from({ length: rows }, (_, t) => values[t * width + channel] as number).filter((x) => x === x)
  let mean = 0
  for (const x of present) mean += x / present.length
  let squares = 0
  for (const x of present) squares += (x - mean) ** 2
  return { mean, std: Math.sqrt(squares / present.length) }
}

export interface Finding {
  readonly isFound: boolean
  readonly delayRows: number
  /** The channel named first at the opening. */
  readonly channel: number
}

/** Judges the rows from a state, one channel replaced, until an episode opens. */
export const findFault = (
  fitted: FittedMultivariate,
  state: MultivariateState,
  rows: Matrix,
  channel: number,
  values: Float64Array,
): Finding => {
  const stream = openMultivariate(fitted, state)
  const row = new Float64Array(rows.width)
  for (let t = 0; t < rows.rows; t++) {
    row.set(rowOf(rows, t))
    row[channel] = values[t] as number
    if (stream.push(row).isOpening) return { isFound: true, delayRows: t + 1, channel: stream.topChannel() }
  }
  return { isFound: false, delayRows: Number.NaN, channel: -1 }
}
