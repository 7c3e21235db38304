// NAB: 43 of 58 single series. One fixed threshold for all; the first 15 % of a series, at most 750 rows, are learned from.

import { univariateDefaults } from '@andon/clustering/detectors/constants'
import { fitUnivariate, openUnivariate, slotsPerDay } from '@andon/clustering/detectors/univariate'
import type { QualityResult, QualitySet } from './line.ts'
import { nabCounts, nabProfiles, nabScore, probationOf } from './nab-scores.ts'
import type { ScoredSeries } from './nab-scores.ts'
import { nabSeries } from './recordings.ts'
import type { NabSeries } from './recordings.ts'

const medianStep = (timeS: Float64Array): number => {
  const steps = Float64Array.from({ length: timeS.length - 1 }, (_, i) => (timeS[i + 1] as number) - (timeS[i] as number)).sort()
  const middle = (steps.length - 1) / 2
  return ((steps[Math.floor(middle)] as number) + (steps[Math.ceil(middle)] as number)) / 2
}

const judge = ({ values, timeS, windows }: NabSeries): ScoredSeries => {
  const probation = probationOf(values.length)
  // The rate is known from the source: it is no measurement of what comes.
  const stream = openUnivariate(fitUnivariate(values.subarray(0, probation), slotsPerDay(medianStep(timeS))))
  const scores = new Float64Array(values.length)
  for (let i = probation; i < values.length; i++) scores[i] = stream.push(values[i] as number).report
  return { scores, probation, windows }
}

export const nab: QualitySet = {
  name: 'nab',
  title: 'single series with labelled windows: the Numenta score at one fixed threshold',
  run: ({ data, note }): QualityResult => {
    const { threshold } = univariateDefaults
    const all = nabSeries(data)
    const series = all.map(judge)
    all.forEach(({ name }, i) => {
      const counts = nabCounts([series[i] as ScoredSeries], threshold)
      note(`${name} ${counts.hit} of ${counts.windows} windows, ${counts.false} false`)
    })
    const counts = nabCounts(series, threshold)
    return {
      figures: [
        { name: 'standard', value: nabScore(series, nabProfiles.standard, threshold).score, atLeast: 65, digits: 1 },
        { name: 'lowFP', value: nabScore(series, nabProfiles.lowFP, threshold).score, digits: 1 },
        { name: 'lowFN', value: nabScore(series, nabProfiles.lowFN, threshold).score, digits: 1 },
        { name: 'bestThreshold.standard', value: nabScore(series, nabProfiles.standard).score, digits: 1 },
      ],
      detail: { series: series.length, threshold, ...counts },
    }
  },
}
