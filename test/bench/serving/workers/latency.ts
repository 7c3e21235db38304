// `latency.ts <seconds>`: one-row requests at moments drawn beforehand, a fifth of what one thread can do, in turn through the service's
// queue and thread and as session.run in this process. Prints the quantiles of both.

import { setTimeout as sleep } from 'node:timers/promises'
import { openSession } from '../../../../services/inference/src/runtime/session.ts'
import { quantile, randomFrom } from '../../../harness/bench-statistics.ts'
import { COLUMNS, REFERENCE, mlp, numbers, request, serve } from '../models.ts'

const LOAD = 0.2
const TURNS = 8
const ROWS = 256
const turnMs = (Number(process.argv[2]) * 1000) / (2 * TURNS)

const values = numbers(ROWS * COLUMNS, 1)
const { model, close } = await serve(REFERENCE, { isDynamic: true })
const session = await openSession({ bytes: mlp(REFERENCE) })

const served = async (row: number): Promise<void> => void (await model.run(request(values, row, 1)))
const inProcess = async (row: number): Promise<void> => {
  const buffer = values.slice(row * COLUMNS, (row + 1) * COLUMNS).buffer
  await session.run([{ name: 'x', datatype: 'FP32', shape: [1, COLUMNS], buffer }], ['y'])
}

/** Requests per second of one caller that waits for each answer. */
const capacityOf = async (call: (row: number) => Promise<void>): Promise<number> => {
  for (let i = 0; i < 500; i++) await call(i % ROWS)
  const startedMs = performance.now()
  for (let i = 0; i < 1000; i++) await call(i % ROWS)
  return 1_000_000 / (performance.now() - startedMs)
}

const random = randomFrom(0x51ab)

/** Requests start when they are due, whether or not earlier ones have come back. */
const openLoop = async (call: (row: number) => Promise<void>, perSecond: number, latenciesMs: number[]): Promise<void> => {
  const running: Promise<void>[] = []
  const startMs = performance.now()
  let dueMs = startMs
  for (let i = 0; dueMs < startMs + turnMs; i++) {
    dueMs += (-Math.log(1 - random()) * 1000) / perSecond
    // The clock of timers has whole milliseconds: what is due within one starts together.
    if (dueMs > performance.now()) await sleep(Math.max(1, dueMs - performance.now()))
    const sentMs = performance.now()
    running.push(call(i % ROWS).then(() => void latenciesMs.push(performance.now() - sentMs)))
  }
  await Promise.all(running)
}

const capacity = await capacityOf(served)
await capacityOf(inProcess)
const [through, direct]: [number[], number[]] = [[], []]
for (let turn = 0; turn < TURNS; turn++) {
  const sides = [() => openLoop(served, capacity * LOAD, through), () => openLoop(inProcess, capacity * LOAD, direct)]
  for (const side of turn % 2 === 0 ? sides : sides.toReversed()) await side()
}
await close()
await session.release()

const quantiles = (latencies: readonly number[]) => ({
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  requests: latencies.length,
})
process.stdout.write(JSON.stringify({ perSecond: capacity * LOAD, served: quantiles(through), inProcess: quantiles(direct) }))
