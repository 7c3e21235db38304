// Telemetry records for tests: blocks of single values or waveforms, and ticks, with times in seconds.

import type { Block, Telemetry } from '@andon/schemas'
import type { AssetPlan, PlantAsset } from '../src/feature-set.ts'

export const SECOND_US = 1_000_000

export interface Row {
  readonly seq: number
  readonly timeS: number
  readonly values: readonly number[]
}

const int64s = (values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => bytes.writeBigInt64LE(BigInt(Math.round(value)), i * 8))
  return bytes
}

/** What blocks say beside their samples, where nothing is to be said. */
export const plain = {
  door: '',
  deviceId: null,
  certificateSha256: null,
  lateness: '',
  retentionDays: [],
  downsampling: [],
  errorBounds: [],
  burst: null,
  correction: null,
} as const satisfies Partial<Block>

/** A block of rows with single values; numbers between the rows that are not given are withheld. */
export const blockOf = (rows: readonly Row[], overrides: Partial<Block> = {}): Block => {
  const channels = overrides.channels ?? ['temperatureC']
  const seqFrom = overrides.seqFrom ?? Math.min(...rows.map(({ seq }) => seq))
  const seqTo = overrides.seqTo ?? Math.max(...rows.map(({ seq }) => seq))
  const present = new Set(rows.map(({ seq }) => seq))
  const withheld = Array.from({ length: seqTo - seqFrom + 1 }, (_, i) => seqFrom + i).filter((seq) => !present.has(seq))
  const samples = Buffer.alloc(channels.length * rows.length * 8)
  channels.forEach((_, c) => rows.forEach(({ values }, r) => samples.writeDoubleLE(values[c] ?? Number.NaN, (c * rows.length + r) * 8)))
  return {
    sourceId: 'press-1-plc',
    epoch: 1,
    seqFrom,
    seqTo,
    withheld,
    rows: rows.length,
    channels,
    units: channels.map(() => '1'),
    dtype: 'f64',
    width: 1,
    samples,
    timesUs: int64s(rows.map(({ timeS }) => timeS * SECOND_US)),
    qualities: Buffer.alloc(0),
    sampleRateHz: null,
    sensitivity: null,
    recordedUs: null,
    receivedUs: Math.round(Math.max(0, ...rows.map(({ timeS }) => timeS)) * SECOND_US),
    historical: false,
    skewUs: 0,
    ...plain,
    ...overrides,
  }
}

/** One snippet of a waveform. */
export const waveformOf = (seq: number, timeS: number, snippet: Float32Array, sampleRateHz: number): Block =>
  blockOf([{ seq, timeS, values: [] }], {
    sourceId: 'press-1-vib',
    channels: ['vibrationG'],
    units: ['g'],
    dtype: 'f32',
    width: snippet.length,
    sampleRateHz,
    samples: Buffer.from(snippet.buffer.slice(0)),
  })

export const blockRecord = (block: Block, assetId = 'press-1-process'): Telemetry => ({
  type: 'block',
  assetId,
  block,
  tick: null,
  manifest: null,
})

export const tickRecord = (instance: string, upToS: number): Telemetry => ({
  type: 'tick',
  assetId: '',
  block: null,
  manifest: null,
  tick: { instance, upToUs: Math.round(upToS * SECOND_US) },
})

export const processAsset: PlantAsset = {
  id: 'press-1-process',
  name: 'Press 1 process values',
  line: 'press-line',
  class: 'slow-machine',
  origin: 'simulated',
  sources: ['press-1-plc'],
  channels: [{ id: 'temperatureC', unit: 'Cel', kind: 'scalar' }],
}

export const pressAsset: PlantAsset = {
  id: 'press-1',
  name: 'Press 1 main drive',
  line: 'press-line',
  class: 'hydraulic-press',
  origin: 'simulated',
  sources: ['press-1-vib'],
  channels: [{ id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 8192, width: 2048 }],
}

/** Windows of 4 s, lateness 4 s, grace 3 s. */
export const modelPlan = (overrides: Partial<AssetPlan> = {}): AssetPlan => ({
  featureSet: 'features/test',
  digest: 'd'.repeat(64),
  windowUs: 4 * SECOND_US,
  latenessUs: 4 * SECOND_US,
  graceUs: 3 * SECOND_US,
  sources: ['press-1-plc'],
  channels: ['temperatureC'],
  computations: [{ name: 'temperatureC.mean', channel: 'temperatureC', statistic: 'mean' }],
  ...overrides,
})
