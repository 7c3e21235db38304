// Kernels of statistics that look at single values row by row: what a statistic computes is one function per number.

import type { Statistic, StatisticOptions } from '@andon/schemas'
import { doublesOf, scratchArray } from './elements.ts'
import type { Kernel, Series } from './kernel.ts'

/** Single values in the order of their times. `n` of them; the arrays may be longer. */
export interface Rows {
  readonly x: Float64Array
  readonly timesUs: Float64Array
  readonly n: number
  /** End of the window: until then the last value holds. */
  readonly endUs: number
  /** The channel carries floats: what a value is compared with has to be one too. */
  readonly isSingle: boolean
}

/** NaN = cannot be computed. */
export type OfRows = (rows: Rows) => number

const widened = [scratchArray(), scratchArray()] as const

/** Rows of one channel; two channels that are looked at together do not share scratch memory. */
export const rowsOf = (series: Series, endUs: number, which: 0 | 1 = 0): Rows => ({
  x: doublesOf(series, series.rows, widened[which]),
  timesUs: series.timesUs,
  n: series.rows,
  endUs,
  isSingle: series.elements instanceof Float32Array,
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
    return ([series], values, { endUs }) => {
      const rows = rowsOf(series!, endUs)
      for (const { of, place } of wanted) {
        const value = of(rows)
        if (Number.isFinite(value)) values[place] = value
      }
    }
  },
})

/** Seconds between the first and the last row. */
export const secondsOf = ({ timesUs, n }: Rows): number => ((timesUs[n - 1] as number) - (timesUs[0] as number)) / 1e6
