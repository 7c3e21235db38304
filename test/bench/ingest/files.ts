// P7b: a CSV of a million rows through the watched folder of a real ingest process, from its rename into the folder to its manifest, so that
// every row is safe and told of; against csv-parse that only takes the same file apart. Rows per second, and the most memory ingest took.

import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Contender, costsPerWork, ratio, run } from '../../harness/bench.ts'
import { limit, rounded } from '../../harness/bench-measurement.ts'
import { processContender } from '../../harness/bench-process.ts'
import type { Benchmark } from '../benchmark.ts'
import { type Bench, withBroker } from '../core/broker.ts'
import { IMAGE_OPTIONS, cpuUsOf, machineOf, startIngest } from './rig.ts'

const ROWS = 1_000_000
const SAMPLES = 5
const MEMORY_MB = 200

/** Rows of one machine, 4 channels, one a second. The last line has room for a number that makes each copy another file. */
const writeCsv = (path: string, rows: number): void => {
  const file = openSync(path, 'w')
  writeSync(file, 'time,asset,temperatureC,pressureBar,speedRpm,powerKw\n')
  const startMs = Date.parse('2026-11-01T00:00:00Z')
  let lines: string[] = []
  for (let row = 0; row < rows; row++) {
    const wave = Math.sin(row / 500)
    lines.push(
      `${new Date(startMs + row * 1000).toISOString()},${machineOf(0)},${(40 + wave * 9).toFixed(3)},${(180 + wave * 70).toFixed(2)},${(1480 + (row % 37)).toFixed(0)},${(55.5 + wave).toFixed(4)}\n`,
    )
    if (lines.length === 10_000 || row === rows - 1) {
      writeSync(file, lines.join(''))
      lines = []
    }
  }
  closeSync(file)
}

interface Importing extends Contender {
  /** The most memory its process has taken, MB. */
  peakMb(): number
}

const importing = async (bench: Bench, csv: string, rows: number): Promise<Importing> => {
  const inbox = join(bench.folder, `inbox-${process.hrtime.bigint()}`)
  mkdirSync(inbox)
  const ingest = await startIngest(bench, ['folder'], [], { INGEST_FOLDER: inbox, INGEST_FOLDER_SETTLE_MS: '20' }, IMAGE_OPTIONS)
  const done = join(inbox, 'done')
  let files = 0
  const one = async (): Promise<number> => {
    const copy = join(inbox, `.copy-${++files}.csv`)
    copyFileSync(csv, copy)
    writeFileSync(copy, '\n'.repeat(files), { flag: 'a' }) // other bytes, the same rows
    const startedMs = performance.now()
    renameSync(copy, join(inbox, `${files}.csv`))
    for (;;) {
      const name = existsSync(done) ? readdirSync(done).find((each) => each.endsWith(`.${files}.csv.manifest.json`)) : undefined
      if (name === undefined) {
        await pause(5)
        continue
      }
      const wallMs = performance.now() - startedMs
      const { outcome, accepted } = JSON.parse(readFileSync(join(done, name), 'utf8')) as { outcome: string; accepted: number }
      if (outcome !== 'applied' || accepted !== rows) throw new Error(`the manifest says ${outcome}, ${accepted} of ${rows} rows`)
      for (const each of readdirSync(done)) rmSync(join(done, each))
      return wallMs
    }
  }
  return {
    name: 'andon',
    run: async (rounds) => {
      const beforeUs = cpuUsOf(ingest.pid)
      let wallMs = 0
      for (let round = 0; round < rounds; round++) wallMs += await one()
      return { work: rounds * rows, wallMs, cpuUs: cpuUsOf(ingest.pid) - beforeUs }
    },
    peakMb: () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${ingest.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024,
    close: () => ingest.close(),
  }
}

export const csvFiles: Benchmark = {
  name: 'csv-files',
  ids: ['P7b', 'P7b-memory'],
  run: ({ samples = SAMPLES, records: rows = ROWS }) =>
    withBroker(async (bench) => {
      const csv = join(bench.folder, 'rows.csv')
      writeCsv(csv, rows)
      let peakMb = 0
      const ours = async (): Promise<Contender> => {
        const contender = await importing(bench, csv, rows)
        return {
          ...contender,
          run: async (rounds) => {
            const cost = await contender.run(rounds)
            peakMb = Math.max(peakMb, contender.peakMb())
            return cost
          },
        }
      }
      const csvParse = () =>
        processContender({
          name: 'csv-parse',
          command: [process.execPath, join(import.meta.dirname, 'workers', 'csv-parse.ts'), csv],
        })
      const race = await run({ id: 'P7b', judge: 'wall', sampleMs: 1000, warmUps: 1, samples, ours, peers: { 'csv-parse': csvParse } })
      const perCpuSecond = rounded(1e6 / Math.min(...costsPerWork(race.ours, 'cpu')))
      const detail = {
        work: `${rows} rows × 4 channels by the watched folder, until every row is safe and the manifest written`,
        rowsPerCpuSecond: perCpuSecond,
      }
      return [
        ratio(race, { id: 'P7b', peer: 'csv-parse', required: 0.6, unit: 'x the rows/s of csv-parse alone', detail }),
        limit('P7b-memory', peakMb, MEMORY_MB, 'MB resident, the most while importing', race.ours.length, { rows }),
      ]
    }),
}
