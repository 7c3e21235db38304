// Median and quantiles of the elements of a window, by selection: no more is put in order than a quantile needs.

import { elementCount, scratchArray } from './elements.ts'
import type { Kernel } from './kernel.ts'

interface Quantile {
  readonly share: number
  readonly place: number
}

const copies = scratchArray()

export const orderStatistics: Kernel = {
  statistics: ['median', 'quantile'],
  prepare: ({ call: { asked, options } }) => {
    const quantiles = asked
      .flatMap(({ statistic, places }): Quantile[] => {
        const shares = statistic === 'median' ? [0.5] : (options.quantiles ?? [])
        return shares.map((share, i) => ({ share, place: places[i] as number }))
      })
      .toSorted((a, b) => a.share - b.share)
    return ([series], values) => {
      const n = elementCount(series!)
      const { elements } = series!
      const copy = copies(n)
      copy.set(elements.length === n ? elements : elements.subarray(0, n))
      let from = 0 // what lies before it is in its place, and smaller
      for (const { share, place } of quantiles) {
        const at = (n - 1) * share
        const below = Math.floor(at)
        select(copy, from, n - 1, below)
        from = below
        const low = copy[below] as number
        const part = at - below
        values[place] = part === 0 ? low : between(low, leastOf(copy, below + 1, n), part)
      }
    }
  },
}

/** Never beyond either end, and the same from both sides. */
const between = (low: number, high: number, part: number): number => {
  const way = high - low
  if (way === Number.POSITIVE_INFINITY) return low * (1 - part) + high * part
  return part < 0.5 ? low + way * part : high - way * (1 - part)
}

const leastOf = (x: Float64Array, from: number, to: number): number => {
  let least = x[from] as number
  for (let i = from + 1; i < to; i++) if ((x[i] as number) < least) least = x[i] as number
  return least
}

/**
 * Puts the element of rank `k` of x[low..high] in its place, smaller ones before it and larger ones behind (Hoare, median of
 * three). What is not found in so many rounds, by an order that defeats the choice of pivots, is sorted.
 */
export const select = (
  x: Float64Array,
  low: number,
  high: number,
  k: number,
  rounds = 2 * Math.ceil(Math.log2(high - low + 2)) + 8,
): void => {
  for (let round = 0; high > low; round++) {
    if (round === rounds) {
      x.subarray(low, high + 1).sort()
      return
    }
    const pivot = medianOfThree(x[low] as number, x[(low + high) >>> 1] as number, x[high] as number)
    let i = low
    let j = high
    while (i <= j) {
      while ((x[i] as number) < pivot) i++
      while ((x[j] as number) > pivot) j--
      if (i <= j) {
        const swapped = x[i] as number
        x[i++] = x[j] as number
        x[j--] = swapped
      }
    }
    if (k <= j) high = j
    else if (k >= i) low = i
    else return
  }
}

const medianOfThree = (a: number, b: number, c: number): number => (a < b ? (b < c ? b : a < c ? c : a) : a < c ? a : b < c ? c : b)
