// Telemetry records for tests: blocks of single values or waveforms, and ticks, with times in seconds.

import type { Block, Statistic, StatisticOptions, Telemetry } from '@andon/schemas'
import { outputNames } from '@andon/schemas'
import type { PlantAsset } from '../src/feature-set.ts'
import { noHealthRules, plainMachine } from '../src/plan.ts'
import type { AssetPlan, Call, Length, PlanChannel } from '../src/plan.ts'

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

export const pressAsset: PlantAsset = {
  id: 'press-1',
  name: 'Press 1 main drive',
  line: 'press-line',
  class: 'hydraulic-press',
  origin: 'simulated',
  sources: ['press-1-vib'],
  channels: [{ id: 'vibrationG', unit: 'g', kind: 'waveform', sampleRateHz: 8192, width: 2048 }],
}

/** What a plan of a test says; the rest is that of windows of 4 s, lateness 4 s, grace 3 s, and the mean of `temperatureC`. */
export interface PlanOptions extends Partial<Omit<AssetPlan, 'channels' | 'names' | 'calls' | 'scales'>> {
  readonly windowUs?: number
  readonly hopUs?: number
  /** Windows that end at every row. */
  readonly isByRow?: boolean
  /** The window and shorter lengths, instead of `windowUs`. */
  readonly lengths?: readonly Length[]
  /** By channel. */
  readonly statistics?: Readonly<Record<string, readonly Statistic[]>>
  readonly options?: StatisticOptions
  /** Channels with waveforms: rate and width. */
  readonly waveforms?: Readonly<Record<string, readonly [number, number]>>
}

export const modelPlan = (given: PlanOptions = {}): AssetPlan => {
  const { windowUs = 4 * SECOND_US, hopUs, isByRow = false, lengths, statistics, options = {}, waveforms = {}, ...rest } = given
  const scales = (lengths ?? [{ us: windowUs }]).map((length) => ({
    name: 'us' in length ? `${length.us / 1000}ms` : `${length.rows}rows`,
    length,
  }))
  const asked = statistics ?? { temperatureC: ['mean'] }
  const names: string[] = []
  const calls: Call[] = []
  Object.entries(asked).forEach(([channel, wanted], at) => {
    scales.forEach(({ name }, scale) => {
      const places = wanted.map((statistic) =>
        outputNames(statistic, options).map((output) => names.push(`${channel}.${output}${scales.length > 1 ? `@${name}` : ''}`) - 1),
      )
      calls.push({ channels: [at], scale, options, asked: wanted.map((statistic, i) => ({ statistic, places: places[i]! })) })
    })
  })
  const channels = Object.keys(asked).map((id): PlanChannel => {
    const [sampleRateHz, width] = waveforms[id] ?? [null, 1]
    return { id, unit: '1', kind: sampleRateHz === null ? 'scalar' : 'waveform', range: null, sampleRateHz, width }
  })
  return {
    featureSet: 'features/test',
    digest: 'd'.repeat(64),
    plantDigest: 'p'.repeat(64),
    scales,
    hop: isByRow ? 'row' : { us: hopUs ?? windowUs },
    latenessUs: 4 * SECOND_US,
    graceUs: 3 * SECOND_US,
    sources: ['press-1-plc'],
    channels,
    names,
    calls,
    machine: plainMachine,
    regimes: [],
    health: noHealthRules,
    ...rest,
  }
}
