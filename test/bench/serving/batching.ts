// P12: 256 callers with one row each at a time, dynamic batching against none, on the same threads, queue and model.

import { against, ratio, run } from '../../harness/bench.ts'
import type { Contender } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import type { Benchmark } from '../benchmark.ts'
import { HEAVY } from './models.ts'

const CALLERS = 256
const SAMPLES = 16
const WORKER = `${import.meta.dirname}/workers/callers.ts`

const callers = (batching: 'on' | 'off') => (): Promise<Contender> =>
  processContender({ name: `batching ${batching}`, command: [process.execPath, WORKER, batching, String(CALLERS)] })

export const batching: Benchmark = {
  name: 'serving-batching',
  ids: ['P12'],
  run: async ({ samples = SAMPLES }) => {
    const race = await run({
      id: 'P12',
      judge: 'wall',
      sampleMs: 300,
      samples,
      warmUps: 2,
      ours: callers('on'),
      peers: { off: callers('off') },
    })
    const measured = `rows/s of ${CALLERS} callers in the service's process (queue, one thread, MLP ${HEAVY.join('-')}), batches of at most 64; no door`
    const ofCpu = against(race, 'off', 'cpu')?.ofMedians
    return [ratio(race, { id: 'P12', peer: 'off', required: 4, unit: 'x rows/s of batching off', detail: { measured, ratioOfCpu: ofCpu } })]
  },
}
