// P15, P15s: HDBSCAN* of 10 000 and of 2 000 points in eight dimensions, one thread, against scikit-learn's, which is compiled.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adjustedRand } from '@andon/clustering/density/agreement'
import { defaultSizes } from '@andon/clustering/density/hdbscan'
import { randomFrom } from '@andon/clustering/random'
import { type Measurement, rounded } from '../../harness/bench-measurement.ts'
import { type Contender, PeerMissing, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark, BenchmarkOptions } from '../benchmark.ts'

const WIDTH = 8
const SEED = 15
const LEAST_AGREEMENT = 0.98
const PACKAGES = ['numpy==2.4.6', 'scipy==1.17.1', 'scikit-learn==1.9.1'] as const

/** Twelve clouds of unlike density, each stretched its own way, with a tenth of the points strewn over the whole room. */
export const cloudPoints = (count: number): Float64Array => {
  const random = randomFrom(SEED)
  const clouds = Array.from({ length: 12 }, () => ({
    centre: Array.from({ length: WIDTH }, () => 12 * random.uniform() - 6),
    spread: Array.from({ length: WIDTH }, () => 0.3 + 0.7 * random.uniform()),
  }))
  return Float64Array.from({ length: count * WIDTH }, (_, i) => {
    const cloud = clouds[Math.floor(i / WIDTH) % clouds.length]
    const column = i % WIDTH
    if (Math.floor(i / WIDTH) % 10 === 9 || cloud === undefined) return 16 * random.uniform() - 8
    return (cloud.centre[column] as number) + (cloud.spread[column] as number) * random.normal()
  })
}

const labelsOf = ({ about }: Contender): number[] => (about as { labels: number[] }).labels

const race = async (id: string, count: number, required: number, samples: number): Promise<Measurement> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-bench-'))
  try {
    const file = join(folder, 'points.f64')
    writeFileSync(file, cloudPoints(count))
    const { minClusterSize, minSamples } = defaultSizes(count)
    const args = [file, WIDTH, minClusterSize, minSamples].map(String)
    const worker = (name: string): string => join(import.meta.dirname, 'workers', name)
    let labels: number[] = []
    let agreement = Number.NaN
    const withoutLabels = (contender: Contender): Contender => ({ ...contender, about: { ...contender.about, labels: undefined } })
    const ours = async (): Promise<Contender> => {
      const contender = await processContender({ name: 'andon', command: [process.execPath, worker('hdbscan.ts'), ...args] })
      labels = labelsOf(contender)
      return withoutLabels(contender)
    }
    const scikit = async (): Promise<Contender> => {
      const { interpreter, missing } = await pythonWith(PACKAGES)
      if (missing !== false) throw new PeerMissing(missing)
      const contender = await processContender({ name: 'scikit-learn', command: [interpreter, worker('hdbscan.py'), ...args] })
      agreement = adjustedRand(labels, labelsOf(contender))
      if (!(agreement >= LEAST_AGREEMENT))
        throw new Error(`adjusted Rand index against scikit-learn is ${agreement}, expected ${LEAST_AGREEMENT}`)
      return withoutLabels(contender)
    }
    const found = await run({ id, judge: 'cpu', sampleMs: 400, samples, warmUps: 3, ours, peers: { scikit } })
    const detail = {
      work: `${count} points in ${WIDTH} dimensions, least cluster ${minClusterSize}, least samples ${minSamples}, excess of mass, one thread on both sides`,
      clusters: new Set(labels.filter((label) => label >= 0)).size,
      noise: rounded(labels.filter((label) => label < 0).length / count),
      adjustedRand: rounded(agreement),
    }
    return ratio(found, { id, peer: 'scikit', required, unit: 'x the speed of scikit-learn, in CPU time', detail })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const density: Benchmark = {
  name: 'clustering-density',
  ids: ['P15', 'P15s'],
  run: async ({ samples = 16 }: BenchmarkOptions) => [await race('P15', 10_000, 0.8, samples), await race('P15s', 2000, 1, samples)],
}
