// A made-up asset: features that follow AR(1), independent of each other, of variance 1; and changes of them.

import type { Matrix } from '../../src/matrix.ts'
import { randomFrom } from '../../src/random.ts'

/** Feature 0: +1 σ, or twice the spread; features 0 and 1: correlated by 0.8. */
export type Change = 'mean' | 'variance' | 'correlation'

export const plant = (seed: number, width: number, phi: number): { rows(count: number, change?: Change): Matrix } => {
  const random = randomFrom(seed)
  const level = new Float64Array(width)
  const step = Math.sqrt(1 - phi * phi)
  return {
    rows: (count, change) => {
      const values = new Float64Array(count * width)
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < width; j++) level[j] = phi * (level[j] as number) + step * random.normal()
        values.set(level, i * width)
        const [first = 0, second = 0] = level
        if (change === 'mean') values[i * width] = first + 1
        if (change === 'variance') values[i * width] = 2 * first
        if (change === 'correlation') values[i * width + 1] = 0.8 * first + 0.6 * second
      }
      return { values, rows: count, width }
    },
  }
}
