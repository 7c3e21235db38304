// `memory.ts runs|loads <count>`: resident memory of a service that answers so many requests with varying rows, or that loads, runs and
// unloads a model so often. Prints it over time, after collections.

import { setTimeout as sleep } from 'node:timers/promises'
import { threadRuntime } from '../../../../services/inference/src/runtime/thread-runtime.ts'
import { REFERENCE, load, mlp, numbers, request } from '../models.ts'

const [what, given] = process.argv.slice(2)
const count = Number(given)
const MOMENTS = 20
const MOST_ROWS = 64
const CALLERS = 8
const values = numbers(MOST_ROWS * REFERENCE[0], 1)
const bytes = mlp(REFERENCE)
const runtime = threadRuntime({ workers: 1, runTimeoutMs: 30_000 })

const residentMiB = async (): Promise<number> => {
  globalThis.gc?.()
  await sleep(5)
  globalThis.gc?.()
  return process.memoryUsage().rss / 2 ** 20
}

const moments: number[] = []
if (what === 'runs') {
  // Batches as they come together: rows of every number, alone or with others'.
  const model = await load(runtime, bytes, { isDynamic: true, maxBatchRows: MOST_ROWS })
  let asked = 0
  const caller = async (until: number): Promise<void> => {
    while (asked < until) {
      const rows = 1 + ((asked++ * 31) % MOST_ROWS)
      await model.run(request(values, 0, rows))
    }
  }
  for (let moment = 1; moment <= MOMENTS; moment++) {
    await Promise.all(Array.from({ length: CALLERS }, () => caller((count * moment) / MOMENTS)))
    moments.push(await residentMiB())
  }
  await model.close()
} else {
  for (let moment = 1; moment <= MOMENTS; moment++) {
    for (let i = 0; i < count / MOMENTS; i++) {
      const model = await load(runtime, bytes, { isDynamic: true, maxBatchRows: MOST_ROWS })
      await model.run(request(values, 0, MOST_ROWS))
      await model.close()
    }
    moments.push(await residentMiB())
  }
}
await runtime.close()
process.stdout.write(JSON.stringify({ residentMiB: moments, modelKiB: bytes.byteLength / 1024 }))
