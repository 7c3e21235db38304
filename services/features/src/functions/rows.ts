// Kernels of statistics that look at single values row by row: what a statistic computes is one function per number.

import type { Statistic, StatisticOptions } from '@andon/schemas'
import { doublesOf, scratchArray } from './elements.ts'
import type { Before, Kernel, Series } from './kernel.ts'

/** Single values in the order of their times. `n` of them; the arrays may be longer. */
export interface Rows {
  readonly x: Float64Array
  readonly timesUs: Float64Array
  readonly n: number
  /** Start of the window, from which on the value before it holds. */
  readonly startUs: number
  /** End of the window: until then the last value holds. */
  readonly endUs: number
  readonly before: Before | null
}

/** NaN = cannot be computed. */
export type OfRows = (rows: Rows) => number

const widened = [scratchArray(), scratchArray()] as const

/** Rows of one channel; two channels that are looked at together do not share scratch memory. */
export const rowsOf = (series: Series, { startUs, endUs }: Pick<Rows, 'startUs' | 'endUs'>, which: 0 | 1 = 0): Rows => ({
  x: doublesOf(series, series.rows, widened[which]),
  timesUs: series.timesUs,
  n: series.rows,
  startUs,
  endUs,
  before: series.before ?? null,
})

/** A kernel of statistics of one channel of single values. An entry gives one function per number of its statistic. */
export const kernelOfRows = <S extends Statistic>(
  table: Readonly<Record<S, (options: StatisticOptions) => readonly OfRows[]>>,
): Kernel => ({
  statistics: Object.keys(table) as S[],
  prepare: ({ call: { asked, options } }) => {
    const wanted = asked.flatMap(({ statistic, places }) =>
      table[statistic as S](options).map((of, i) => ({ of, place: places[i] as number })),
    )
    return ([series], values, window) => {
      const rows = rowsOf(series!, window)
      for (const { of, place } of wanted) {
        const value = of(rows)
        if (Number.isFinite(value)) values[place] = value
      }
    }
  },
})

/** Seconds between the first and the last row. */
export const secondsOf = ({ timesUs, n }: Rows): number => ((timesUs[n - 1] as number) - (timesUs[0] as number)) / 1e6

/** From when on the value is known: from the start of the window where one was carried in, else from the first row. */
export const knownFromUs = ({ before, startUs, timesUs }: Rows): number => (before === null ? (timesUs[0] as number) : startUs)

/** Time in which the value is such a one, each held until the next row, the last one to the end of the window. */
export const heldUs = (rows: Rows, isWanted: (value: number) => boolean): number => {
  const { x, timesUs, n, endUs, before } = rows
  let sumUs = 0
  if (before !== null && isWanted(before.value)) sumUs += (n > 0 ? (timesUs[0] as number) : endUs) - rows.startUs
  for (let i = 0; i < n; i++)
    if (isWanted(x[i] as number)) sumUs += (i + 1 < n ? (timesUs[i + 1] as number) : endUs) - (timesUs[i] as number)
  return sumUs
}
