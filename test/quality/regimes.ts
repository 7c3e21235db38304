// Learn one regime, meet the others: SKAB's run without anomalies warms up and wanders for two and a half hours after the first 1,000
// rows. How many of its rows are in alarm, and how often is it told?

import { rowOf } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import type { QualityResult, QualitySet } from './line.ts'
import { skabNormal, slice } from './recordings.ts'

const learned = 1000

export const regimes: QualitySet = {
  name: 'regimes',
  title: 'learn one regime, meet the others: rows in alarm',
  run: ({ data }): QualityResult => {
    const rows = skabNormal(data)
    const stream = openMultivariate(fitMultivariate(slice(rows, 0, learned)))
    let alarm = 0
    let episodes = 0
    let reports = 0
    for (let t = learned; t < rows.rows; t++) {
      const judged = stream.push(rowOf(rows, t))
      if (judged.isEpisodeOpen) alarm++
      if (judged.isOpening) episodes++
      if (judged.isNewRegime) reports++
    }
    return {
      figures: [
        { name: 'rowsInAlarm', value: alarm / (rows.rows - learned), atMost: 0.1 },
        { name: 'reportedAsRegime', value: reports, atLeast: 1, atMost: 1, digits: 0 },
        { name: 'episodes', value: episodes, digits: 0 },
      ],
      detail: { learned, rows: rows.rows },
    }
  },
}
