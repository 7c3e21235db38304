// P13: what queue and thread add to one row at low load. P13e: what a long run does to the event loop. And memory over many runs and loads.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { limit, load, notMeasured, rounded } from '../../harness/bench-measurement.ts'
import type { Measurement } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { REFERENCE } from './models.ts'

const execute = promisify(execFile)
const SECONDS = 16
const RUNS = 100_000
/** Six times what is promised: the collector of the thread comes every 60 loads. */
const LOADS = 600
/** A leak of a session or a model each would be far more. */
const MOST_GROWTH_MIB = 16

const worker = async <T>(name: string, ...args: (string | number)[]): Promise<T> => {
  const script = `${import.meta.dirname}/workers/${name}`
  const { stdout } = await execute(process.execPath, ['--expose-gc', script, ...args.map(String)], { timeout: 180_000 })
  return JSON.parse(stdout) as T
}

interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly requests: number
}

const addedLatency = async (): Promise<Measurement> => {
  const { perSecond, served, inProcess } = await worker<{ perSecond: number; served: Quantiles; inProcess: Quantiles }>(
    'latency.ts',
    SECONDS,
  )
  const measured = `one row of MLP ${REFERENCE.join('-')}, open loop, in the service's process (queue, one thread) less session.run in the same process; no door`
  return limit(
    'P13',
    Math.max(0, served.p50 - inProcess.p50),
    0.6,
    'ms more at p50 than in-process',
    served.requests + inProcess.requests,
    {
      measured,
      perSecond: rounded(perSecond),
      servedMs: [rounded(served.p50), rounded(served.p99)],
      inProcessMs: [rounded(inProcess.p50), rounded(inProcess.p99)],
      addedP99Ms: rounded(served.p99 - inProcess.p99),
      load: load(),
    },
  )
}

const LEAST_RUN_MS = 50
const MOST_DELAY_MS = 5

const loopDelay = async (): Promise<Measurement> => {
  const found = await worker<{ runningMs: number; idleMs: number; runMs: number; runs: number; rows: number }>('loop.ts', SECONDS)
  const { runningMs, idleMs, runMs, runs, rows } = found
  const required = Math.max(MOST_DELAY_MS, 2 * idleMs)
  const detail = {
    measured: `p99 of monitorEventLoopDelay at 1 ms (its own 1 ms counted) while runs of ${rows} rows follow each other, and with the thread idle`,
    idleMs: rounded(idleMs),
    runMsLowerQuartile: rounded(runMs),
    load: load(),
  }
  const unit = 'ms event-loop delay, p99, during runs of 50 ms'
  if (runMs < LEAST_RUN_MS)
    return notMeasured({ id: 'P13e', required, unit, isLimit: true }, `a quarter of the runs took less than ${rounded(runMs)} ms`, detail)
  return limit('P13e', runningMs, rounded(required), unit, runs, detail)
}

/** The lowest of the last quarter against the lowest of the second: what is set up once is there by then, and collections come and go. */
const growth = (moments: readonly number[]): number => {
  const quarter = moments.length / 4
  return Math.min(...moments.slice(-quarter)) - Math.min(...moments.slice(quarter, 2 * quarter))
}

const memoryOf = async (id: string, what: 'runs' | 'loads', count: number): Promise<Measurement> => {
  const found = await worker<{ residentMiB: number[]; modelKiB: number }>('memory.ts', what, count)
  return limit(
    id,
    Math.max(0, growth(found.residentMiB)),
    MOST_GROWTH_MIB,
    `MiB RSS more at the end of ${count} ${what}`,
    found.residentMiB.length,
    {
      measured: what === 'runs' ? 'requests of 1 to 64 rows from 8 callers' : `load, run, unload of ${Math.round(found.modelKiB)} KiB`,
      residentMiB: found.residentMiB.map(Math.round),
    },
  )
}

export const scheduling: Benchmark = {
  name: 'serving-latency',
  ids: ['P13', 'P13e'],
  run: async () => [await addedLatency(), await loopDelay()],
}

export const memory: Benchmark = {
  name: 'serving-memory',
  ids: ['serving-runs-memory', 'serving-loads-memory'],
  run: async () => [await memoryOf('serving-runs-memory', 'runs', RUNS), await memoryOf('serving-loads-memory', 'loads', LOADS)],
}
