// P8-memory, P8-scale: what the windows of an asset hold in memory, and whether a sample costs more where there are many series.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { keep } from '../../harness/bench.ts'
import { limit, load, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { HOP_ROWS, STATISTICS, WINDOW_ROWS } from './field.ts'

const execute = promisify(execFile)

const measured = async <T>(args: readonly (string | number)[]): Promise<T> => {
  const script = join(import.meta.dirname, 'workers', 'size.ts')
  const { stdout } = await execute(process.execPath, ['--expose-gc', script, ...args.map(String)], { timeout: 180_000 })
  return JSON.parse(stdout) as T
}

const MOST_KIB = 48
const CHANNELS = 32
const ASSETS = 500
const WORK = `${STATISTICS.join('/')}, window ${WINDOW_ROWS}, hop ${HOP_ROWS}, blocks of ${HOP_ROWS} rows`

export const memory: Benchmark = {
  name: 'features-memory',
  ids: ['P8-memory'],
  run: async () => {
    const { bytesPerAsset } = await measured<{ bytesPerAsset: number[] }>(['memory', ASSETS, CHANNELS])
    const raw = keep('features-memory', { bytesPerAsset })
    return [
      limit('P8-memory', Math.max(...bytesPerAsset) / 1024, MOST_KIB, `KiB per asset with ${CHANNELS} channels`, bytesPerAsset.length, {
        work: `${WORK}; heap and array buffers after a full collection, ${ASSETS} assets, the largest of ${bytesPerAsset.length} moments`,
        kibPerAsset: bytesPerAsset.map((bytes) => rounded(bytes / 1024)),
        samplesAloneKib: (CHANNELS * WINDOW_ROWS * 4) / 1024,
        raw,
      }),
    ]
  },
}

const MOST_GROWTH = 2
/** Channels of an asset: 100 series are 4 assets, 100 000 are 4 000. */
const WIDE = 25
const [FEW, MANY] = [100, 100_000]

export const scale: Benchmark = {
  name: 'features-scale',
  ids: ['P8-scale'],
  run: async () => {
    const costs = await measured<{ few: number[]; many: number[] }>(['scale', WIDE, FEW / WIDE, MANY / WIDE])
    const [few, many] = [Math.min(...costs.few), Math.min(...costs.many)]
    const raw = keep('features-scale', costs)
    return [
      limit('P8-scale', many / few, MOST_GROWTH, `x the CPU per sample with ${MANY} series as with ${FEW}`, costs.many.length, {
        work: `${WORK}; assets of ${WIDE} channels; least of ${costs.many.length} in turn`,
        nsPerSample: [rounded(few), rounded(many)],
        load: load(),
        raw,
      }),
    ]
  },
}
