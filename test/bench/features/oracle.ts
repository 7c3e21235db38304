// The P8 set another way than the service does it: plain sums over the values of a window, taken from the field and not from a record.

import type { Vector } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { START_US, STATISTICS, STEP_US, valueAt } from './field.ts'

export type Statistic = (typeof STATISTICS)[number]

/** Two passes; the sums of y from the lowest to the highest row. */
export const momentsOf = (values: readonly number[]): Record<Statistic, number> => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const centred = values.map((value) => value - mean)
  const variance = centred.reduce((sum, y) => sum + y * y, 0) / values.length
  const fourth = centred.reduce((sum, y) => sum + (y * y) ** 2, 0) / values.length
  const rms = Math.sqrt(variance)
  return {
    mean,
    std: rms,
    rms,
    min: Math.min(...values),
    max: Math.max(...values),
    kurtosis: fourth / variance ** 2,
    crest: Math.max(...centred.map(Math.abs)) / rms,
  }
}

const MOST_RELATIVE = 1e-9

export const isNear = (found: number, expected: number): boolean => Math.abs(found - expected) <= MOST_RELATIVE * Math.abs(expected)

/** Throws unless the vector's numbers are those of its rows. */
export const checkVector = (
  assetId: string,
  {
    windowStartUs,
    windowEndUs,
    names,
    values,
    complete,
    young,
  }: Pick<Vector, 'windowStartUs' | 'windowEndUs' | 'names' | 'values' | 'complete' | 'young'>,
): void => {
  const asset = Number(assetId.split('-')[1])
  const [from, to] = [Math.max(0, Math.ceil((windowStartUs - START_US) / STEP_US)), Math.ceil((windowEndUs - START_US) / STEP_US)]
  const expected = momentsOf(Array.from({ length: to - from }, (_, i) => valueAt(asset, from + i)))
  const found = readDoubles(values)
  if ((!complete && !young) || names.length !== STATISTICS.length)
    throw new Error(`${assetId}, window to ${windowEndUs}: ${names.join(', ')}, complete ${complete}`)
  names.forEach((name, i) => {
    const statistic = name.slice(name.lastIndexOf('.') + 1) as Statistic
    if (isNear(found[i] as number, expected[statistic])) return
    throw new Error(`${assetId}, window to ${windowEndUs}: ${name} is ${found[i]}, expected ${expected[statistic]}`)
  })
}
