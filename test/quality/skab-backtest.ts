// SKAB once more, through `andon backtest` and its files: what a stranger gets must be what the detectors were measured with.

import { execFileSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rowOf } from '@andon/clustering/matrix'
import { openMultivariate } from '@andon/clustering/detectors/multivariate'
import { fitMultivariate } from '@andon/clustering/detectors/multivariate-fit'
import { repositoryRoot } from '@andon/platform'
import type { QualitySet } from './line.ts'
import { parseCsv, skabRuns, slice } from './recordings.ts'
import { learnedRows, scored } from './skab.ts'
import { rowScore } from './skab-scores.ts'

/** Flags of scores.csv after the prefix. */
const flagsOf = (input: string): { flag: Uint8Array; score: Float64Array } => {
  const out = mkdtempSync(join(tmpdir(), 'andon-skab-'))
  try {
    const options = ['--input', input, '--train-rows', String(learnedRows), '--exclude', 'changepoint', '--label-column', 'anomaly']
    execFileSync(process.execPath, [join(repositoryRoot, 'packages/cli/src/main.ts'), 'backtest', ...options, '--out', out, '--json'])
    const { header, rows } = parseCsv(readFileSync(join(out, 'scores.csv'), 'utf8'))
    const [flag, score] = [header.indexOf('flag'), header.indexOf('score')]
    const judged = rows.slice(learnedRows)
    return {
      flag: Uint8Array.from(judged, (cells) => Number(cells[flag])),
      score: Float64Array.from(judged, (cells) => Number(cells[score])),
    }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

export const skabBacktest: QualitySet = {
  name: 'skab-backtest',
  title: 'the runs of skab through `andon backtest` and its files: flags and scores as the detectors give them',
  run: ({ data, note }) => {
    const runs = skabRuns(data)
    const files = ['valve1', 'valve2', 'other'].flatMap((group) => globSync(`${group}/*.csv*`, { cwd: join(data, 'skab') }).toSorted())
    let [differing, rows] = [0, 0]
    const flagged = runs.map((run, i) => {
      const found = flagsOf(join(data, 'skab', files[i] as string))
      // As the service opens it: four of the runs fall silent for longer than the windows, which `skab` does not tell the detectors.
      const stream = openMultivariate(fitMultivariate(slice(run.values, 0, learnedRows)), undefined, { periodUs: 1e6 })
      let of = 0
      found.flag.forEach((flag, t) => {
        const { ratio, isJudged, isEpisodeOpen } = stream.push(
          rowOf(run.values, learnedRows + t),
          1e6 * (run.timeS[learnedRows + t] as number),
        )
        if (flag !== (isEpisodeOpen ? 1 : 0) || (isJudged ? Number(ratio.toPrecision(6)) : 0) !== found.score[t]) of++
      })
      note(`${run.name} ${of} of ${found.flag.length} rows differ`)
      differing += of
      rows += found.flag.length
      return scored(run, found.flag)
    })
    const { F1, FAR, MAR } = rowScore(flagged)
    return {
      figures: [
        { name: 'F1', value: F1, atLeast: 0.85 },
        { name: 'FAR', value: FAR, atMost: 0.2 },
        { name: 'MAR', value: MAR, atMost: 0.15 },
        { name: 'differingRows', value: differing, atMost: 0 },
      ],
      detail: { runs: runs.length, rows },
    }
  },
}
