// Single values over time: where a slow signal is, where it goes, and how restless it is. Sums run from the first row to the
// last, over what is left after the first value is taken off: a large offset costs no digits. One row shows no movement: 0.

import type { StatisticOptions } from '@andon/schemas'
import { leastLevel } from './moments.ts'
import { heldUs, kernelOfRows, knownFromUs, secondsOf } from './rows.ts'
import type { OfRows, Rows } from './rows.ts'

const last: OfRows = ({ x, n }) => x[n - 1] as number

/** Mean of x - x_0 over rows `from` to `to` - 1. */
const meanOfRest = ({ x }: Rows, from: number, to: number): number => {
  const first = x[0] as number
  let sum = 0
  for (let i = from; i < to; i++) sum += (x[i] as number) - first
  return sum / (to - from)
}

const slope: OfRows = (rows) => {
  const { x, timesUs, n } = rows
  const originUs = timesUs[0] as number
  let meanS = 0
  for (let i = 0; i < n; i++) meanS += ((timesUs[i] as number) - originUs) / 1e6
  meanS /= n
  const first = x[0] as number
  const shift = meanOfRest(rows, 0, n)
  let products = 0
  let squares = 0
  for (let i = 0; i < n; i++) {
    const s = ((timesUs[i] as number) - originUs) / 1e6 - meanS
    products += s * ((x[i] as number) - first - shift)
    squares += s * s
  }
  return squares > 0 ? products / squares : 0
}

const difference: OfRows = ({ x, n }) => (n > 1 ? (x[n - 1] as number) - (x[n - 2] as number) : 0)

const differenceRms: OfRows = ({ x, n }) => {
  if (n < 2) return 0
  let squares = 0
  for (let i = 1; i < n; i++) {
    const d = (x[i] as number) - (x[i - 1] as number)
    squares += d * d
  }
  return Math.sqrt(squares / (n - 1))
}

const lnDifferenceRms: OfRows = (rows) => Math.log(Math.max(differenceRms(rows), leastLevel))

const largestDifference: OfRows = ({ x, n }) => {
  let largest = 0
  for (let i = 1; i < n; i++) {
    const d = (x[i] as number) - (x[i - 1] as number)
    if (Math.abs(d) > Math.abs(largest)) largest = d
  }
  return largest
}

const step: OfRows = (rows) => {
  const half = Math.floor(rows.n / 2)
  return half === 0 ? 0 : meanOfRest(rows, rows.n - half, rows.n) - meanOfRest(rows, 0, half)
}

const ewma =
  (halfLifeUs: number): OfRows =>
  ({ x, timesUs, n }) => {
    const newest = x[n - 1] as number
    const newestUs = timesUs[n - 1] as number
    let sum = 0
    let weights = 0
    for (let i = 0; i < n; i++) {
      const weight = 2 ** (((timesUs[i] as number) - newestUs) / halfLifeUs)
      sum += weight * ((x[i] as number) - newest)
      weights += weight
    }
    return newest + sum / weights
  }

const zeroCrossingsHz: OfRows = (rows) => {
  const { x, n } = rows
  const seconds = secondsOf(rows)
  if (seconds <= 0) return 0
  const first = x[0] as number
  const shift = meanOfRest(rows, 0, n)
  let crossings = 0
  let before = 0
  for (let i = 0; i < n; i++) {
    const y = (x[i] as number) - first - shift
    if (y === 0) continue // on the mean: the side it came from
    const side = y > 0 ? 1 : -1
    if (side === -before) crossings++
    before = side
  }
  return crossings / seconds
}

const timeInBandPct = ([low, high]: NonNullable<StatisticOptions['limits']>): OfRows => {
  const lowest = low ?? Number.NEGATIVE_INFINITY
  const highest = high ?? Number.POSITIVE_INFINITY
  return (rows) => (100 * heldUs(rows, (value) => value >= lowest && value < highest)) / (rows.endUs - knownFromUs(rows))
}

export const slow = kernelOfRows({
  last: () => [last],
  slope: () => [slope],
  difference: () => [difference],
  differenceRms: () => [differenceRms],
  lnDifferenceRms: () => [lnDifferenceRms],
  largestDifference: () => [largestDifference],
  step: () => [step],
  ewma: ({ halfLifeMs }) => [ewma(halfLifeMs! * 1000)],
  zeroCrossingsHz: () => [zeroCrossingsHz],
  timeInBandPct: ({ limits }) => [timeInBandPct(limits!)],
})
