// `loop.ts <seconds>`: how late timers of the service's thread are, in turn while a model of 50 ms runs all the time and while nothing
// does. Prints the p99 of both.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../../../harness/bench-statistics.ts'
import { COLUMNS, HEAVY, numbers, request, serve } from '../models.ts'

const RUN_MS = 50
const TURNS = 6
const NS_PER_MS = 1e6
const turnMs = (Number(process.argv[2]) * 1000) / (2 * TURNS)

const { model, close } = await serve(HEAVY, { isDynamic: true, maxBatchRows: 8192 })
let rows = 1024
let values = numbers(rows * COLUMNS, 1)
const timed = async (): Promise<number> => {
  const startedMs = performance.now()
  await model.run(request(values, 0, rows))
  return performance.now() - startedMs
}

/** As many rows as the quickest run of some takes 50 ms for, and some more: what slows the machine now may be gone later. */
for (let tries = 0; tries < 8; tries++) {
  let tookMs = Infinity
  for (let i = 0; i < 5; i++) tookMs = Math.min(tookMs, await timed())
  if (tookMs >= RUN_MS * 1.1) break
  rows = Math.min(8192, Math.ceil((rows * RUN_MS * 1.3) / tookMs))
  values = numbers(rows * COLUMNS, 1)
}

const delays = { running: monitorEventLoopDelay({ resolution: 1 }), idle: monitorEventLoopDelay({ resolution: 1 }) }
const runsMs: number[] = []
for (let turn = 0; turn < TURNS; turn++) {
  const running = async (): Promise<void> => {
    delays.running.enable()
    for (const startMs = performance.now(); performance.now() < startMs + turnMs;) runsMs.push(await timed())
    delays.running.disable()
  }
  const idle = async (): Promise<void> => {
    delays.idle.enable()
    await sleep(turnMs)
    delays.idle.disable()
  }
  for (const side of turn % 2 === 0 ? [running, idle] : [idle, running]) await side()
}
await close()

const p99 = (histogram: typeof delays.idle): number => histogram.percentile(99) / NS_PER_MS
process.stdout.write(
  JSON.stringify({ runningMs: p99(delays.running), idleMs: p99(delays.idle), runMs: quantile(runsMs, 0.25), runs: runsMs.length, rows }),
)
