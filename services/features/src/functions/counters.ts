// Counters: parts, scrap, strokes, energy. What counts is how far they rose, whatever they showed at first. The step from the
// last row before the window to its first belongs to the window, so that windows that follow each other add up.
//
// A fall is one of three. With `wrapsAt`, by more than half of it: the counter ran over, and went on from 0. To less than half
// of the value before: it was reset, and went on from 0. Any other: somebody corrected it, or two gateways read it at slightly
// different times; it counts as it is, so that a totaliser of 1000 that once falls by 1 does not seem to have counted 999.

import type { StatisticOptions } from '@andon/schemas'
import { kernelOfRows, secondsOf } from './rows.ts'
import type { OfRows, Rows } from './rows.ts'

/** What was counted from one value to the next. */
const counted = (before: number, now: number, wrapsAt: number): number => {
  const step = now - before
  if (step >= 0) return step
  if (-step > wrapsAt / 2) return step + wrapsAt
  return now < before / 2 ? Math.max(now, 0) : step
}

/** A counter that never runs over. */
const endless = Number.POSITIVE_INFINITY

export const increaseOf = ({ x, n, before }: Rows, wrapsAt = endless): number => {
  let increase = n > 0 && before !== null ? counted(before.value, x[0] as number, wrapsAt) : 0
  for (let i = 1; i < n; i++) increase += counted(x[i - 1] as number, x[i] as number, wrapsAt)
  return increase
}

const increasePerS =
  (wrapsAt: number | undefined): OfRows =>
  (rows) => {
    const seconds = rows.before === null ? secondsOf(rows) : (rows.endUs - rows.startUs) / 1e6
    return seconds > 0 ? increaseOf(rows, wrapsAt) / seconds : 0
  }

const cycleTimeS =
  (wrapsAt = endless): OfRows =>
  ({ x, timesUs, n, before }) => {
    let firstUs = Number.NaN
    let lastUs = Number.NaN
    let after = 0
    for (let i = before === null ? 1 : 0; i < n; i++) {
      const step = counted(i === 0 ? before!.value : (x[i - 1] as number), x[i] as number, wrapsAt)
      if (step <= 0) continue
      lastUs = timesUs[i] as number
      if (Number.isNaN(firstUs)) firstUs = lastUs
      else after += step
    }
    return after > 0 ? (lastUs - firstUs) / 1e6 / after : Number.NaN
  }

export const counters = kernelOfRows({
  increase: ({ wrapsAt }: StatisticOptions) => [(rows) => increaseOf(rows, wrapsAt)],
  increasePerS: ({ wrapsAt }) => [increasePerS(wrapsAt)],
  cycleTimeS: ({ wrapsAt }) => [cycleTimeS(wrapsAt)],
})
