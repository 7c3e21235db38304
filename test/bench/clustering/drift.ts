// P16d: change detectors over one stream of numbers, value by value, against river's, at equal changes found. ADWIN and Page-Hinkley
// with their defaults; KSWIN with a window of twice its newest values, where what is drawn at random does not matter.

import { join } from 'node:path'
import { type Contender, PeerMissing, ratio, run } from '../../harness/bench.ts'
import type { Measurement } from '../../harness/bench-measurement.ts'
import { processContender } from '../../harness/bench-process.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark } from '../benchmark.ts'

const DETECTORS = { P16d: 'adwin', 'P16d-page-hinkley': 'page-hinkley', 'P16d-kswin': 'kswin' } as const
const RIVER = ['river==0.26.1'] as const

const workerFile = (name: string): string => join(import.meta.dirname, 'workers', name)

const changesOf = ({ about }: Contender): string => JSON.stringify((about as { changes?: unknown } | undefined)?.changes)

const compareOne = async (id: string, detector: string, samples: number): Promise<Measurement> => {
  let found: string | undefined
  const race = await run({
    id: `drift-${detector}`,
    judge: 'cpu',
    sampleMs: 150,
    samples,
    ours: async () => {
      const ours = await processContender({ name: detector, command: [process.execPath, workerFile('drift.ts'), detector] })
      found = changesOf(ours)
      return ours
    },
    peers: {
      river: async () => {
        const { interpreter, missing } = await pythonWith(RIVER)
        if (missing !== false) throw new PeerMissing(missing)
        const river = await processContender({ name: 'river', command: [interpreter, workerFile('drift.py'), detector] })
        if (changesOf(river) === found) return river
        await river.close?.()
        throw new Error(`${detector}: river finds ${changesOf(river)}, we find ${found}`)
      },
    },
  })
  const detail = {
    work: `${detector}, one value at a time, values in memory on both sides; changes of the first values are the same`,
    changes: found,
  }
  return ratio(race, { id, peer: 'river', required: 10, unit: `x less CPU/value than river's ${detector}`, detail })
}

export const drift: Benchmark = {
  name: 'drift',
  ids: Object.keys(DETECTORS),
  run: async ({ samples = 20 }) => {
    const measurements: Measurement[] = []
    for (const [id, detector] of Object.entries(DETECTORS)) measurements.push(await compareOne(id, detector, samples))
    return measurements
  },
}
