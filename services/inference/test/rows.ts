// Seeded feature vectors for the tests: two hidden causes mixed into `features` correlated features plus noise.

import { matrix } from '../src/learning/linear-algebra.ts'
import type { Matrix } from '../src/learning/linear-algebra.ts'

/** A generator of standard normal numbers (sum of uniform ones); the same seed gives the same numbers. */
export const normal = (seed: number): (() => number) => {
  let state = seed >>> 0
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += uniform()
    return sum
  }
}

export const healthyRows = (rows: number, features: number, seed = 1): Matrix => {
  const next = normal(seed)
  const out = matrix(rows, features)
  for (let i = 0; i < rows; i++) {
    const [a, b] = [next(), next()]
    for (let j = 0; j < features; j++) out.data[i * features + j] = 100 * j + 0.3 * (a * (j + 1) + b * (features - j)) + 0.5 * next()
  }
  return out
}

export const featureNames = (features: number): string[] => Array.from({ length: features }, (_, j) => `channel${j}.mean`)
