// P16: a stream of points of 16 numbers around given centres, each assigned to a micro-cluster that it then moves: ours against river's
// DBSTREAM and DenStream at the same number of clusters, and points per second of one core, at 50 clusters and at 500.

import { join } from 'node:path'
import { type Contender, PeerMissing, costsOf, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { type Measurement, type Requirement, notMeasured, rounded } from '../../harness/bench-measurement.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark } from '../benchmark.ts'

const RIVER = ['numpy==2.4.6', 'river==0.26.1'] as const
const CENTRES = 50
const MANY_CENTRES = 500
const SAMPLING = { sampleMs: 150, samples: 20, warmUps: 3 } as const
const worker = (name: string): string => join(import.meta.dirname, 'workers', name)

/** Throws unless the contender keeps a cluster for every centre. */
const withClusters = (contender: Contender, expected: number): Contender => {
  const found = contender.about?.['clusters']
  if (found !== expected) throw new Error(`${contender.name} keeps ${String(found)} clusters, expected ${expected}`)
  return contender
}

const ours = async (centres: number): Promise<Contender> =>
  withClusters(
    await processContender({
      name: `${centres} micro-clusters`,
      command: [process.execPath, worker('micro-clusters.ts'), String(centres)],
    }),
    centres,
  )

const river = async (variant: string): Promise<Contender> => {
  const { interpreter, missing } = await pythonWith(RIVER)
  if (missing !== false) throw new PeerMissing(missing)
  const command = [interpreter, worker('micro-clusters.py'), variant, String(CENTRES)] as const
  return withClusters(await processContender({ name: variant, command }), CENTRES)
}

const WORK = `points of 16 numbers around ${CENTRES} centres, in random order, each with a time of its own; assigned and learnt one by one`

/** Points per second of CPU time in the best sample. */
const rate = (requirement: Requirement, pointUs: readonly number[], detail: Measurement['detail']): Measurement => {
  const least = Math.min(...pointUs)
  if (!Number.isFinite(least)) return notMeasured(requirement, 'no samples')
  const value = 1e6 / least
  const { id, required, unit } = requirement
  return { id, score: rounded(value / required), value: rounded(value), required, unit, samples: pointUs.length, detail, isLimit: false }
}

export const microClusters: Benchmark = {
  name: 'clustering-stream',
  ids: ['P16', 'P16-denstream', 'P16-rate', 'P16-rate-500'],
  run: async ({ samples = SAMPLING.samples }) => {
    const race = await run({
      id: 'clustering-stream',
      judge: 'cpu',
      ...SAMPLING,
      samples,
      ours: () => ours(CENTRES),
      peers: { dbstream: () => river('dbstream'), denstream: () => river('denstream'), many: () => ours(MANY_CENTRES) },
    })
    const detail = { work: WORK }
    const many = race.peers.get('many')
    const pointUs = (costs: typeof race.ours): number[] => costs.map(({ cpuUs, work }) => cpuUs / work)
    const unit = 'points/s of one core'
    return [
      ratio(race, { id: 'P16', peer: 'dbstream', required: 5, unit: "x less CPU/point than river's DBSTREAM", detail }),
      ratio(race, { id: 'P16-denstream', peer: 'denstream', required: 5, unit: "x less CPU/point than river's DenStream", detail }),
      rate({ id: 'P16-rate', required: 100_000, unit }, pointUs(race.ours), { clusters: CENTRES, costs: costsOf(race) }),
      rate({ id: 'P16-rate-500', required: 54_000, unit }, many instanceof PeerMissing || many === undefined ? [] : pointUs(many), {
        clusters: MANY_CENTRES,
        origin: 'what a linear scan with early exit did',
      }),
    ]
  },
}
