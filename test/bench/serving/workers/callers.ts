// `callers.ts on|off <callers>`: so many callers, each with one row at a time, on a model whose row costs 0.5 ms; dynamic batching on or
// off. A round is one request of every caller.

import { sessionOptions } from '../../../../services/inference/src/runtime/session-options.ts'
import { serveContender } from '../../../harness/bench-process.ts'
import { HEAVY, numbers, request, serve } from '../models.ts'

const [batching, given] = process.argv.slice(2)
const callers = Number(given)
const { model, close } = await serve(HEAVY, { isDynamic: batching === 'on', maxBatchRows: 64 })
const values = numbers(callers * HEAVY[0], 1)

// What every caller gets, alone: the same bits, whatever it was batched with.
const alone: Uint8Array[] = []
for (let i = 0; i < callers; i++) alone.push((await model.run(request(values, i, 1))).outputs[0]!.bytes.slice())

const startedMs = performance.now()
const ROWS_ALONE = 50
for (let i = 0; i < ROWS_ALONE; i++) await model.run(request(values, i % callers, 1))
const rowMs = (performance.now() - startedMs) / ROWS_ALONE

const caller = async (i: number, rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    const { outputs } = await model.run(request(values, i, 1))
    if (round === 0 && Buffer.compare(outputs[0]!.bytes, alone[i]!) !== 0) throw new Error(`caller ${i} got another's answer`)
  }
}

await serveContender(
  { model: HEAVY.join('-'), rowAloneMs: Number(rowMs.toFixed(3)), threads: sessionOptions.intraOpNumThreads },
  async (rounds) => {
    await Promise.all(Array.from({ length: callers }, (_, i) => caller(i, rounds)))
    return rounds * callers
  },
  close,
)
