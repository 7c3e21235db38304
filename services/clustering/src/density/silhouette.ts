// The silhouette (Rousseeuw 1987): whether points are nearer to their own cluster than to the next one, -1 to 1. Noise is left out.

import type { Matrix } from '../matrix.ts'
import { drawn, randomFrom } from '../random.ts'

export interface SilhouetteOptions {
  /** Points whose mean it is, drawn at random where there are more: each costs a distance to every point. Default 2 000. */
  readonly most?: number
  readonly seed?: number
}

/** Mean over the points, each against all others. NaN where there are not at least two clusters. */
export const silhouette = (
  { values, width }: Matrix,
  labels: ArrayLike<number>,
  { most = 2000, seed = 0 }: SilhouetteOptions = {},
): number => {
  const kept: number[] = []
  let count = 0
  for (let i = 0; i < labels.length; i++) {
    if ((labels[i] as number) < 0) continue
    kept.push(i)
    count = Math.max(count, (labels[i] as number) + 1)
  }
  const sizes = new Float64Array(count)
  for (const i of kept) sizes[labels[i] as number] = (sizes[labels[i] as number] as number) + 1
  if (sizes.filter((size) => size > 0).length < 2) return Number.NaN
  const asked = kept.length <= most ? kept : Array.from(drawn(randomFrom(seed), kept.length, most), (at) => kept[at] as number)
  const sums = new Float64Array(count)
  let total = 0
  for (const p of asked) {
    sums.fill(0)
    for (const q of kept) {
      let square = 0
      for (let k = 0; k < width; k++) {
        const d = (values[p * width + k] as number) - (values[q * width + k] as number)
        square += d * d
      }
      const label = labels[q] as number
      sums[label] = (sums[label] as number) + Math.sqrt(square)
    }
    const own = labels[p] as number
    const ownSize = sizes[own] as number
    if (ownSize < 2) continue // alone in its cluster: 0 by definition
    const inside = (sums[own] as number) / (ownSize - 1)
    let next = Infinity
    for (let label = 0; label < count; label++) {
      const size = sizes[label] as number
      if (label !== own && size > 0) next = Math.min(next, (sums[label] as number) / size)
    }
    const larger = Math.max(inside, next)
    if (larger > 0) total += (next - inside) / larger
  }
  return total / asked.length
}
