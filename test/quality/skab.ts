// SKAB: 21 of 34 runs of a valve and pump bench. Rows 0-399 of a run are learned from, without labels, the rest is judged row by row.

import { rowOf } from '@andon/clustering/matrix'
import type { Matrix } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { randomFrom } from '@andon/clustering/random'
import type { QualityResult, QualitySet } from './line.ts'
import { skabRuns, slice } from './recordings.ts'
import type { SkabRun } from './recordings.ts'
import { changeScore, rowScore } from './skab-scores.ts'
import type { FlagRun } from './skab-scores.ts'

export const learnedRows = 400
const seeds = [1, 2, 3, 4, 5]
const mostRemoved = 160

/** The run without `count` rows after the prefix: a rule on the row number no longer fits. */
export const withoutRows = (run: SkabRun, count: number): SkabRun => {
  const cut = <T extends Float64Array | Uint8Array>(values: T, width = 1): T => {
    const out = values.slice(0, values.length - count * width) as T
    out.set(values.subarray((learnedRows + count) * width), learnedRows * width)
    return out
  }
  const { values, rows, width } = run.values
  return {
    name: run.name,
    values: { values: cut(values, width), rows: rows - count, width },
    timeS: cut(run.timeS),
    anomaly: cut(run.anomaly),
    changepoint: cut(run.changepoint),
  }
}

interface Flags {
  readonly alarm: Uint8Array
  readonly changing: Uint8Array
}

const judge = (values: Matrix): Flags => {
  const stream = openMultivariate(fitMultivariate(slice(values, 0, learnedRows)))
  const alarm = new Uint8Array(values.rows - learnedRows)
  const changing = new Uint8Array(values.rows - learnedRows)
  for (let t = learnedRows; t < values.rows; t++) {
    const judged = stream.push(rowOf(values, t))
    alarm[t - learnedRows] = judged.isEpisodeOpen ? 1 : 0
    changing[t - learnedRows] = judged.isChanging ? 1 : 0
  }
  return { alarm, changing }
}

/** The scored rows of a run with a flag per row. */
export const scored = ({ timeS, anomaly, changepoint }: SkabRun, flag: Uint8Array): FlagRun => ({
  timeS: timeS.subarray(learnedRows),
  anomaly: anomaly.subarray(learnedRows),
  changepoint: changepoint.subarray(learnedRows),
  flag,
})

export const skab: QualitySet = {
  name: 'skab',
  title: 'valve and pump bench: F1 per row, changepoints, with rows removed after the prefix',
  run: ({ data, note }): QualityResult => {
    const runs = skabRuns(data)
    const flags = runs.map(({ values }) => judge(values))
    const rows = rowScore(runs.map((run, i) => scored(run, (flags[i] as Flags).alarm)))
    const alarms = changeScore(runs.map((run, i) => scored(run, (flags[i] as Flags).alarm)))
    const changes = changeScore(runs.map((run, i) => scored(run, (flags[i] as Flags).changing)))
    runs.forEach((run, i) => {
      const one = rowScore([scored(run, (flags[i] as Flags).alarm)])
      note(`${run.name} F1 ${one.F1.toFixed(3)} FAR ${(100 * one.FAR).toFixed(1)} MAR ${(100 * one.MAR).toFixed(1)}`)
    })
    const blind = seeds.map((seed) => {
      const random = randomFrom(seed)
      return rowScore(
        runs.map((run) => {
          const shorter = withoutRows(run, random.below(mostRemoved + 1))
          return scored(shorter, judge(shorter.values).alarm)
        }),
      )
    })
    const mean = (of: (score: (typeof blind)[number]) => number): number => blind.reduce((sum, score) => sum + of(score), 0) / blind.length
    const blindF1 = mean(({ F1 }) => F1)
    return {
      figures: [
        { name: 'F1', value: rows.F1, atLeast: 0.85 },
        { name: 'FAR', value: rows.FAR, atMost: 0.2 },
        { name: 'MAR', value: rows.MAR, atMost: 0.15 },
        { name: 'changepoints.standard', value: changes.standard, atLeast: 30, digits: 1 },
        { name: 'changepoints.lowFP', value: changes.lowFP, digits: 1 },
        { name: 'changepoints.lowFN', value: changes.lowFN, digits: 1 },
        { name: 'changepoints.alarm', value: alarms.standard, digits: 1 },
        { name: 'blind.F1', value: blindF1 },
        { name: 'blind.FAR', value: mean(({ FAR }) => FAR) },
        { name: 'blind.difference', value: Math.abs(blindF1 - rows.F1), atMost: 0.02 },
      ],
      seeds,
      detail: {
        runs: runs.length,
        missedChanges: changes.missed,
        falseChanges: changes.falseFlips,
        changeDelayS: Math.round(changes.delayS),
        blindF1: blind.map(({ F1 }) => Number(F1.toFixed(3))),
      },
    }
  },
}
