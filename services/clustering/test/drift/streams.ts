// The streams of scripts/golden-drift.py, number by number, and golden figures beside them.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Matrix } from '../../src/matrix.ts'

export interface StreamRecipe {
  readonly seed: number
  readonly rounded?: boolean
  readonly pieces: readonly { readonly count: number; readonly mean: number; readonly scale: number; readonly slope: number }[]
}

/** Lehmer's generator, -0.5 … 0.5. */
const uniform = (seed: number, count: number): Float64Array => {
  let state = seed
  return Float64Array.from({ length: count }, () => {
    state = (state * 16_807) % 2_147_483_647
    return state / 2_147_483_647 - 0.5
  })
}

/** Sums of twelve: near enough to a bell, and the same everywhere. */
export const gaussian = (seed: number, count: number): Float64Array => {
  const parts = uniform(seed, 12 * count)
  return Float64Array.from({ length: count }, (_, i) => {
    let total = 0
    for (let k = 0; k < 12; k++) total += parts[12 * i + k] as number
    return total
  })
}

export const streamOf = ({ seed, pieces, rounded }: StreamRecipe): Float64Array => {
  const noise = gaussian(
    seed,
    pieces.reduce((sum, { count }) => sum + count, 0),
  )
  let at = 0
  for (const { count, mean, scale, slope } of pieces)
    for (let i = 0; i < count; i++, at++) noise[at] = (noise[at] as number) * scale + mean + slope * i
  // Halves never occur: numpy would round them to even.
  return rounded === true ? noise.map((value) => Math.round(value * 10) / 10) : noise
}

export interface PointsRecipe {
  readonly seed: number
  readonly rows: number
  readonly width: number
  readonly mean: number
  readonly mix: number
}

export const pointsOf = ({ seed, rows, width, mean, mix }: PointsRecipe): Matrix => {
  const columns = gaussian(seed, rows * width)
  const values = new Float64Array(rows * width)
  for (let row = 0; row < rows; row++)
    for (let j = 0; j < width; j++) {
      const own = columns[j * rows + row] as number
      values[row * width + j] = mean + (j === 1 ? mix * (columns[row] as number) + Math.sqrt(1 - mix * mix) * own : own)
    }
  return { values, rows, width }
}

interface Golden {
  readonly streams: Readonly<Record<string, StreamRecipe>>
  readonly adwin: readonly {
    readonly stream: string
    readonly options: Record<'delta' | 'clock' | 'max_buckets' | 'min_window_length' | 'grace_period', number>
    readonly anew: readonly number[]
    readonly shrink: readonly number[]
    readonly width: number
    readonly mean: number
  }[]
  readonly pageHinkley: readonly {
    readonly stream: string
    readonly options: { min_instances?: number; delta?: number; threshold?: number; alpha?: number; mode?: 'up' | 'down' | 'both' }
    readonly changes: readonly number[]
  }[]
  readonly kswin: readonly {
    readonly stream: string
    readonly options: { alpha?: number; window_size: number; stat_size: number }
    readonly changes: readonly number[]
  }[]
  readonly cusum: readonly { readonly stream: string; readonly changes: readonly (readonly [at: number, side: -1 | 1])[] }[]
  readonly twoSample: readonly ({ readonly a: StreamRecipe; readonly b: StreamRecipe; readonly ksIsExact: boolean } & Record<
    'ks' | 'ksP' | 'cvm' | 'cvmP' | 'wasserstein' | 'psi' | 'jensenShannon',
    number
  >)[]
  readonly vectors: readonly ({ readonly a: PointsRecipe; readonly b: PointsRecipe } & Record<
    'median' | 'mmdQuadratic' | 'mmdLinear' | 'mmdLinearStd' | 'energy' | 'auc',
    number
  >)[]
  readonly adjusted: readonly { readonly p: readonly number[]; readonly adjusted: readonly number[] }[]
}

export const golden = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', 'drift.json'), 'utf8')) as Golden

export const isNear = (found: number, expected: number, relative = 1e-9, absolute = 1e-12): boolean =>
  Math.abs(found - expected) <= absolute + relative * Math.abs(expected)
