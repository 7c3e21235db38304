// P8f: bands and envelope of waveforms of 1 024 elements, the engine of features against numpy that takes many waveforms at once.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Contender, PeerMissing, ratio, run } from '../../harness/bench.ts'
import { processContender } from '../../harness/bench-process.ts'
import { pythonWith } from '../../harness/python.ts'
import type { Benchmark } from '../benchmark.ts'
import { isNear } from './oracle.ts'
import { NUMPY } from './statistics.ts'
import { ELEMENTS, ENVELOPE_BAND_HZ, LOG_BANDS, ORDERS, SAMPLE_RATE_HZ, SPEED_RPM, waveformTable } from './waveforms.ts'

const ASSETS = 512
const SAMPLES = 30

const workerFile = (name: string): string => join(import.meta.dirname, 'workers', name)

type Check = readonly (readonly [asset: number, values: readonly number[]])[]

const checkOf = ({ name, about }: Contender): Check => {
  const { check = [] } = (about ?? {}) as { check?: Check }
  if (check.length === 0) throw new Error(`${name} gave nothing to check`)
  return check
}

/** Both sides have made the same numbers of the same waveforms, by code of their own. */
const agree = (ours: Contender, theirs: Contender): void => {
  const found = new Map(checkOf(ours))
  for (const [asset, values] of checkOf(theirs)) {
    values.forEach((value, i) => {
      if (!isNear(found.get(asset)?.[i] ?? Number.NaN, value))
        throw new Error(`asset ${asset}, number ${i}: ${ours.name} has ${found.get(asset)?.[i]}, ${theirs.name} ${value}`)
    })
  }
}

export const spectra: Benchmark = {
  name: 'features-spectra',
  ids: ['P8f'],
  run: async ({ samples = SAMPLES }) => {
    const folder = mkdtempSync(join(tmpdir(), 'andon-bench-'))
    try {
      const file = join(folder, 'waveforms.f32')
      writeFileSync(file, waveformTable)
      let ours: Contender | undefined
      const engine = async (): Promise<Contender> =>
        (ours = await processContender({ name: 'features', command: [process.execPath, workerFile('spectra.ts'), String(ASSETS)] }))
      const numpy = async (): Promise<Contender> => {
        const { interpreter, missing } = await pythonWith(NUMPY)
        if (missing !== false) throw new PeerMissing(missing)
        const given = {
          file,
          assets: ASSETS,
          elements: ELEMENTS,
          sampleRateHz: SAMPLE_RATE_HZ,
          logBands: LOG_BANDS,
          envelopeBandHz: ENVELOPE_BAND_HZ,
          speedRpm: SPEED_RPM,
          orders: ORDERS,
        }
        const theirs = await processContender({ name: 'numpy', command: [interpreter, workerFile('spectra.py'), JSON.stringify(given)] })
        agree(ours as Contender, theirs)
        return theirs
      }
      const race = await run({ id: 'features-spectra', judge: 'cpu', sampleMs: 150, samples, ours: engine, peers: { numpy } })
      const work = `${LOG_BANDS.count} bands of a Hann spectrum of ${ELEMENTS} float32; rms, kurtosis and four defect lines of the envelope ${ENVELOPE_BAND_HZ.join(' to ')} Hz; ${ASSETS} waveforms at once`
      return [ratio(race, { id: 'P8f', peer: 'numpy', required: 0.5, unit: 'x less CPU/element than numpy, batched', detail: { work } })]
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
