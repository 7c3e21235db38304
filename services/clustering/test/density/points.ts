// Points of the golden recipes (scripts/golden-density.py), number by number the same as there.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Matrix, matrixOf } from '../../src/matrix.ts'

interface Group {
  readonly shape: 'blob' | 'arc' | 'box'
  readonly spread: number
  readonly centre?: readonly number[]
}

export interface Recipe {
  readonly seed: number
  readonly width: number
  readonly count: number
  readonly groups: readonly Group[]
}

export const pointsOf = ({ seed, width, count, groups }: Recipe): Matrix => {
  let state = seed
  const uniform = (): number => {
    state = (state * 16807) % 2147483647
    return state / 2147483647 - 0.5
  }
  const gaussian = (): number => {
    let total = 0
    for (let i = 0; i < 12; i++) total += uniform()
    return total
  }
  return matrixOf(
    Array.from({ length: count }, (_, i) => {
      const { shape, spread, centre = [] } = groups[i % groups.length] as Group
      if (shape === 'blob') return centre.map((c) => c + spread * gaussian())
      if (shape === 'box') return Array.from({ length: width }, () => spread * 2 * uniform())
      const t = 2 * uniform()
      return [(centre[0] as number) + 4 * t + spread * gaussian(), (centre[1] as number) + 4 * t * t + spread * gaussian()]
    }),
  )
}

interface Golden {
  readonly recipes: Readonly<Record<string, Recipe>>
  readonly clusterings: readonly {
    readonly points: string
    readonly settings: {
      readonly minClusterSize: number
      readonly minSamples: number
      readonly selection: 'eom' | 'leaf'
      readonly epsilon: number
      readonly allowSingle: boolean
    }
    readonly labels: readonly number[]
    readonly membership: readonly number[]
    readonly outlierScore: readonly number[]
  }[]
  readonly judged: readonly {
    readonly points: string
    readonly truth: readonly number[]
    readonly labels: readonly number[]
    readonly adjustedRand: number
    readonly homogeneity: number
    readonly completeness: number
    readonly vMeasure: number
    readonly silhouette: number
    readonly dbcv: number
  }[]
  readonly fits: readonly {
    readonly points: string
    readonly k: number
    readonly inertia: number
    readonly labels: readonly number[]
    readonly mixtures: readonly {
      readonly kind: 'diag' | 'full'
      readonly logLikelihood: number
      readonly bic: number
      readonly labels: readonly number[]
    }[]
  }[]
}

export const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'density.json'), 'utf8')) as Golden

export const goldenPoints = (name: string): Matrix => pointsOf(golden.recipes[name] as Recipe)
