// The whole handler of clustering on healthy windows, CPU time per window of one core: with 8 numbers a window, and with 64. A limit, of
// the best sample: what else runs on the machine only ever adds.

import { join } from 'node:path'
import { type Race, costsOf, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, limit } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'

const MOST_US = { 'clustering-handler-8': [8, 25], 'clustering-handler-64': [64, 400] } as const
const WORK = 'healthy windows of assets that have learnt, without models, drift watch and fault modes of the class included'

const leastUs = ({ ours }: Race): number => Math.min(...ours.map(({ cpuUs, work }) => cpuUs / work))

export const handler: Benchmark = {
  name: 'clustering-handler',
  ids: Object.keys(MOST_US),
  run: async ({ samples = 12 }) => {
    const measurements: Measurement[] = []
    for (const [id, [numbers, mostUs]] of Object.entries(MOST_US)) {
      const command = [process.execPath, join(import.meta.dirname, 'workers/handler.ts'), String(numbers)] as const
      const race = await run({
        id,
        judge: 'cpu',
        sampleMs: 150,
        samples,
        ours: () => processContender({ name: `${numbers} numbers`, command }),
        peers: {},
      })
      const detail = { work: WORK, costs: costsOf(race) }
      measurements.push(limit(id, leastUs(race), mostUs, 'us of CPU per window', race.ours.length, detail))
    }
    return measurements
  },
}
