// P8, P8n, P8r: the statistics of 4 000 series over their last 256 values, every 64 values, without a log on either side: the engine of features
// against what a Python programmer writes for each record, what numpy does with all windows at once, and what a stream library keeps rolling.

import { join } from 'node:path'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { type Contender, PeerMissing, against, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { rounded } from '../../harness/bench-measurement.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark } from '../benchmark.ts'
import { CHUNKS, seriesValue } from './engine.ts'
import { HOP_ROWS, ROWS, STATISTICS, WINDOW_ROWS, waveTable } from './field.ts'
import { isNear, momentsOf } from './oracle.ts'

const SERIES = 4000
const CHANNELS = 32
/** What river keeps of a series is large, and each value costs it microseconds: fewer series, which it minds less than we would. */
const RIVER_SERIES = 400
const WORK = `${STATISTICS.join('/')} of ${SERIES} float32 series, window ${WINDOW_ROWS}, hop ${HOP_ROWS}; values and results in memory on all sides`
/** Samples of the pure computation of one process after the other. */
const SAMPLING = { sampleMs: 150, samples: 30, warmUps: 5 } as const

const workerFile = (name: string): string => join(import.meta.dirname, 'workers', name)

/** Numbers of some series after their first window, or one more block. */
type Check = readonly (readonly [series: number, values: readonly (number | null)[]])[]

/** Throws unless the numbers are those of the window that ends at a row. */
const verify = (contender: Contender, channels: number): Contender => {
  const { check, ...about } = { check: [] as Check, ...(contender.about as { check?: Check } | undefined) }
  if (check.length === 0) throw new Error(`${contender.name} gave nothing to check`)
  for (const [asset, values] of check) {
    for (let channel = 0; channel < channels; channel++) {
      const series = asset * channels + channel
      const expected = momentsOf(Array.from({ length: WINDOW_ROWS }, (_, row) => seriesValue(series, row)))
      STATISTICS.forEach((statistic, i) => {
        const found = values[channel * STATISTICS.length + i]
        if (found === null || isNear(found as number, expected[statistic])) return // null: the peer has none
        throw new Error(`${contender.name}: ${statistic} of series ${series} is ${found}, expected ${expected[statistic]}`)
      })
    }
  }
  return { ...contender, about }
}

const engine = async (name: string, assets: number, channels: number): Promise<Contender> => {
  const args = [String(assets), String(channels)]
  return verify(await processContender({ name, command: [process.execPath, workerFile('statistics.ts'), ...args] }), channels)
}

const python = async (variant: string, packages: readonly string[], wavesFile: string, series = SERIES): Promise<Contender> => {
  const { interpreter, missing } = await pythonWith(packages)
  if (missing !== false) throw new PeerMissing(missing)
  const args = [variant, wavesFile, String(series), String(waveTable.length / ROWS), String(ROWS)]
  return verify(await processContender({ name: variant, command: [interpreter, workerFile('statistics.py'), ...args] }), 1)
}

const withWaves = async <T>(use: (file: string) => Promise<T>): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'andon-bench-'))
  const file = join(folder, 'waves.f32')
  writeFileSync(file, waveTable)
  try {
    return await use(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const NUMPY = ['numpy==2.4.6'] as const
const RIVER = ['numpy==2.4.6', 'river==0.26.1'] as const

export const statistics: Benchmark = {
  name: 'features-statistics',
  ids: ['P8', 'P8n'],
  run: ({ samples = SAMPLING.samples }) =>
    withWaves(async (waves) => {
      const race = await run({
        id: 'features-statistics',
        judge: 'cpu',
        ...SAMPLING,
        samples,
        ours: () => engine(`${SERIES / CHANNELS} assets of ${CHANNELS} channels`, SERIES / CHANNELS, CHANNELS),
        peers: {
          plain: () => python('plain', NUMPY, waves),
          numpy: () => python('numpy', NUMPY, waves),
          narrow: () => engine(`${SERIES} assets of one channel`, SERIES, 1),
        },
      })
      const detail = { work: WORK, oneChannelAssetsCost: rounded(against(race, 'narrow')?.ofMinima ?? Number.NaN) }
      return [
        ratio(race, { id: 'P8', peer: 'plain', required: 8, unit: 'x less CPU/sample than plain Python per record', detail }),
        ratio(race, { id: 'P8n', peer: 'numpy', required: 1, unit: 'x less CPU/sample than numpy, batched', detail }),
      ]
    }),
}

export const rolling: Benchmark = {
  name: 'features-rolling',
  ids: ['P8r'],
  run: ({ samples = SAMPLING.samples }) =>
    withWaves(async (waves) => {
      const race = await run({
        id: 'features-rolling',
        judge: 'cpu',
        ...SAMPLING,
        samples: Math.min(samples, 16),
        ours: () => engine(`${SERIES / CHANNELS} assets of ${CHANNELS} channels`, SERIES / CHANNELS, CHANNELS),
        peers: { river: () => python('river', RIVER, waves, RIVER_SERIES) },
      })
      const detail = {
        work: `${WORK}; river: rolling mean, variance, min and max of ${RIVER_SERIES} series, updated with every value, asked every ${HOP_ROWS}; it has no rolling kurtosis`,
        chunks: CHUNKS,
      }
      return [ratio(race, { id: 'P8r', peer: 'river', required: 10, unit: 'x less CPU/sample than river', detail })]
    }),
}
