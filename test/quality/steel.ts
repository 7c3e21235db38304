// steel_energy: a year of normal operation with shifts, weekends and holidays. False episodes per 30 days after 30 days of learning, and
// offsets of 3 standard deviations planted into the same stream, so that a detector that says nothing does not pass.

import { rowOf } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { randomFrom } from '@andon/clustering/random'
import { faultRows, findFault, momentsOf, planted } from './faults-planted.ts'
import type { QualityResult, QualitySet } from './line.ts'
import { slice, steelRows } from './recordings.ts'

const rowsPerDay = 96
const starts = [0, 30, 60]
const seeds = [11]
const offsets = 20

const falseEpisodes = (rows: Matrix, fromDay: number, days: number): number => {
  const from = fromDay * rowsPerDay
  const learned = days * rowsPerDay
  const stream = openMultivariate(fitMultivariate(slice(rows, from, from + learned)))
  let episodes = 0
  for (let t = from + learned; t < rows.rows; t++) if (stream.push(rowOf(rows, t)).isOpening) episodes++
  return (episodes / (rows.rows - from - learned)) * rowsPerDay * 30
}

/** Offsets found at random rows of one stream that learned 30 days; rows where an episode is open already are drawn anew. */
const offsetsFound = (rows: Matrix): { planted: number; found: number; first: number; delays: number[] } => {
  const learned = 30 * rowsPerDay
  const prefix = slice(rows, 0, learned)
  const fitted = fitMultivariate(prefix)
  const random = randomFrom(seeds[0] as number)
  const at = Array.from({ length: offsets }, () => learned + random.below(rows.rows - learned - faultRows)).toSorted((a, b) => a - b)
  const stream = openMultivariate(fitted)
  const result = { planted: 0, found: 0, first: 0, delays: [] as number[] }
  let next = 0
  let isOpen = false
  for (let t = learned; next < at.length && t < rows.rows - faultRows; t++) {
    if (t >= (at[next] as number) && !isOpen) {
      next++
      const state = stream.state()
      const after = slice(rows, t, t + faultRows)
      for (let channel = 0; channel < rows.width; channel++) {
        const values = Float64Array.from({ length: faultRows }, (_, i) => rowOf(after, i)[channel] as number)
        const found = findFault(fitted, state, after, channel, planted(values, 'offset', 3, momentsOf(prefix, channel), random))
        result.planted++
        if (!found.isFound) continue
        result.found++
        result.delays.push(found.delayRows)
        if (found.channel === channel) result.first++
      }
    }
    isOpen = stream.push(rowOf(rows, t)).isEpisodeOpen
  }
  return result
}

export const steel: QualitySet = {
  name: 'steel_energy',
  title: 'a year of normal operation: false episodes, and 3 sigma offsets planted into it',
  run: ({ data }): QualityResult => {
    const rows = steelRows(data)
    const perLength = Object.fromEntries(
      [7, 14, 30, 60, 120].map((days) => [days, starts.map((start) => falseEpisodes(rows, start, days))]),
    )
    const month = perLength['30'] as number[]
    const offset = offsetsFound(rows)
    return {
      figures: [
        { name: 'falsePer30Days', value: Math.max(...month), atMost: 0.2 },
        { name: 'offsets3.found', value: offset.found / offset.planted, atLeast: 0.95 },
        { name: 'offsets3.channelFirst', value: offset.first / offset.found },
        { name: 'falsePer30Days7', value: Math.max(...(perLength['7'] as number[])), digits: 2 },
      ],
      seeds,
      detail: {
        starts,
        perLearningDays: Object.fromEntries(
          Object.entries(perLength).map(([days, rates]) => [days, rates.map((rate) => Number(rate.toFixed(2)))]),
        ),
        planted: offset.planted,
        medianDelayRows: offset.delays.toSorted((a, b) => a - b)[Math.floor(offset.delays.length / 2)],
      },
    }
  },
}
