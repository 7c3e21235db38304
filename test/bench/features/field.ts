// The field of P9 and P23f: assets with one channel at 1 kHz, whose blocks of 50 float32 lie on twelve partitions with ten headers each, and
// the P8 set over windows of 256 rows that end every 64. The same records in every run; nothing is kept of them, so that each can be made again.

import { EncodedHeaders, canonicalJson, encodeHeaders, publish, sha256Hex } from '@andon/kit'
import type { Append, Codec, Input, Log, Output, TopicSpec } from '@andon/kit'
import { OutputHeaders, headerMapOf } from '@andon/kit/header-template'
import type { HeaderContext } from '@andon/kit/header-template'
import { topology } from '@andon/schemas'
import type { TelemetryInput } from '@andon/schemas'
import { randomFrom } from '../../harness/bench-statistics.ts'

export const PARTITIONS = topology.topics.telemetry.partitions
export const ROWS = 50
export const STEP_US = 1000
export const BLOCK_US = ROWS * STEP_US
export const START_US = 1_795_000_000_000_000
const SECOND_US = 1_000_000

/** Rows per window, and from the end of one window to the end of the next. */
export const WINDOW_ROWS = 256
export const HOP_ROWS = 64
export const STATISTICS = ['mean', 'std', 'rms', 'min', 'max', 'kurtosis', 'crest'] as const

/** Waves of one block, made once: making them up is no work of the field's. Prime, so that they move against the assets. */
const WAVES = 251
const random = randomFrom(31)
const waves = Array.from({ length: WAVES }, (_, wave) =>
  Float32Array.from({ length: ROWS }, (_one, i) => 20 + 3 * Math.sin((wave * ROWS + i) / 17) + 0.5 * (random() - 0.5)),
)

/** All of them after each other, for who makes the same values elsewhere. */
export const waveTable = Float32Array.from(waves.flatMap((wave) => [...wave]))

export const assetId = (asset: number): string => `press-${asset}`
const sourceId = (asset: number): string => `press-${asset}-vib`
const waveOf = (asset: number, n: number): Float32Array => waves[(asset * 7 + n) % WAVES] as Float32Array

/** Value of a row of an asset; rows are numbered from 0. */
export const valueAt = (asset: number, row: number): number => waveOf(asset, Math.floor(row / ROWS))[row % ROWS] as number

/** Block `n` of an asset. */
export const blockOf = (asset: number, n: number): TelemetryInput & { block: NonNullable<TelemetryInput['block']> } => {
  const wave = waveOf(asset, n)
  const timesUs = new BigInt64Array(ROWS)
  const startUs = START_US + n * BLOCK_US
  for (let row = 0; row < ROWS; row++) timesUs[row] = BigInt(startUs + row * STEP_US)
  return {
    type: 'block',
    assetId: assetId(asset),
    block: {
      sourceId: sourceId(asset),
      epoch: 3,
      seqFrom: n * ROWS,
      seqTo: (n + 1) * ROWS - 1,
      rows: ROWS,
      channels: ['vibrationG'],
      units: ['[g]'],
      dtype: 'f32',
      width: 1,
      samples: Buffer.from(wave.buffer, wave.byteOffset, wave.byteLength),
      timesUs: Buffer.from(timesUs.buffer),
      receivedUs: startUs + BLOCK_US,
    },
  }
}

/** Record of a block, with what its headers say: eight of the event and its lane, the trace, and the reading that it came from. */
export const outputOf = (asset: number, n: number): { readonly output: Output; readonly context: HeaderContext } => {
  const value = blockOf(asset, n)
  const output = {
    topic: 'telemetry',
    key: assetId(asset),
    value,
    id: `${sourceId(asset)}/3/${n * ROWS}`,
    type: 'block',
    subject: assetId(asset),
    timeUs: START_US + n * BLOCK_US,
  }
  const digits = String(asset * 1_000_000 + n).padStart(16, '0')
  const traceparent = `00-${digits}${digits}-${digits}-01`
  const cause = { topic: 'readings', partition: asset, position: { leaderEpoch: 3, offset: n } } as Input<unknown>
  return { output, context: { lane: 'live', traceparent, order: undefined, cause, index: 0 } }
}

/** A block as it is appended when it is sent by itself. */
export const appendOf = (codec: Codec, asset: number, n: number): Append => {
  const { output, context } = outputOf(asset, n)
  return {
    topic: 'telemetry',
    key: output.key,
    value: codec.encode('telemetry', output.value),
    headers: encodeHeaders(headerMapOf(output, 'ingest/bench', context)),
    timestampMs: Math.floor((output.timeUs + BLOCK_US) / 1000),
  }
}

/** Ingest's promise, to every partition: nothing older than this will come. */
export const ticksOf = (codec: Codec, upToUs: number): Append[] => {
  const value = codec.encode('telemetry', { type: 'tick', tick: { instance: 'bench', upToUs } })
  return Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: 'telemetry',
    key: null,
    partition,
    value,
    headers: { ce_id: `tick/${upToUs}`, ce_type: 'tick' },
    timestampMs: Math.floor(upToUs / 1000),
  }))
}

/** Blocks of an asset between two ticks. */
export const BLOCKS_PER_TICK = SECOND_US / BLOCK_US

const PER_APPEND = 4800
/** A record is about 1.1 kB. */
const MOST_BYTES = 1500

/**
 * Appends the blocks `first` to `blocks` - 1 of each asset, all assets' blocks of one moment after each other, and a tick each second.
 * Returns how many records these were.
 */
export const fillField = async (log: Log, codec: Codec, assets: number, blocks: number, first = 0): Promise<number> => {
  const templates = new OutputHeaders('ingest/bench')
  let records: Append[] = []
  let total = 0
  const slab = Buffer.allocUnsafeSlow(PER_APPEND * MOST_BYTES)
  let at = 0
  const write = (put: (into: Buffer, from: number) => number): [number, number] => {
    const from = at
    at = put(slab, at)
    if (at < 0) throw new Error('the slab of the field is too small')
    return [from, at]
  }
  const send = async (): Promise<void> => {
    await log.append(records)
    total += records.length
    records = []
    at = 0
  }
  for (let n = first; n < blocks; n++) {
    for (let asset = 0; asset < assets; asset++) {
      const { output, context } = outputOf(asset, n)
      const [from, to] = write((into, start) => codec.encodeInto('telemetry', output.value, into, start))
      const [headersFrom, headersTo] = write((into, start) => templates.write(into, start, output, context))
      records.push({
        topic: 'telemetry',
        key: output.key,
        value: slab.subarray(from, to),
        headers: new EncodedHeaders(slab, headersFrom, headersTo),
        timestampMs: Math.floor((output.timeUs + BLOCK_US) / 1000),
      })
      if (records.length >= PER_APPEND) await send()
    }
    if ((n + 1) % BLOCKS_PER_TICK === 0) {
      await send()
      records.push(...ticksOf(codec, START_US + (n + 1) * BLOCK_US))
    }
  }
  await send()
  return total
}

/** A plant of so many presses; the rest of each is given by its number. */
export const plantOf = (assets: number, restOf: (asset: number) => object) => ({
  version: 1,
  site: { id: 'works', name: 'Works', timezone: 'UTC' },
  lines: [{ id: 'line-1', name: 'Line 1', area: 'area-1' }],
  assetClasses: [{ id: 'press', featureSet: 'features/press' }],
  assets: Array.from({ length: assets }, (_, asset) => ({
    id: assetId(asset),
    name: assetId(asset),
    line: 'line-1',
    class: 'press',
    ...restOf(asset),
  })),
})

/** Topics of a namespace, and the documents that describe the field. */
export const describeField = async (log: Log, codec: Codec, assets: number, vectors: TopicSpec): Promise<void> => {
  await log.admin.ensureTopics([
    { name: 'config', partitions: 1, configs: topology.topics.config.configs },
    { name: 'telemetry', partitions: PARTITIONS },
    vectors,
  ])
  const plant = plantOf(assets, (asset) => ({
    sources: [sourceId(asset)],
    channels: [{ id: 'vibrationG', unit: '[g]', kind: 'scalar' }],
  }))
  const document = (name: string, kind: string, body: unknown): Output => {
    const text = canonicalJson(body)
    const value = { type: 'ConfigPublished', name, kind, digest: sha256Hex(text), body: text, effectiveFromUs: 0, by: 'p-bench', atUs: 0 }
    return { topic: 'config', key: name, value, id: name, type: 'ConfigPublished', timeUs: 0, partition: 0 }
  }
  await publish(log, codec, [document('plant', 'plant', plant), document('features/press', 'feature-set', FEATURE_SET)], 'bench')
}

/** Windows of an asset that its first `blocks` blocks close: those that end by its newest row. */
export const windowsClosedBy = (blocks: number): number => {
  const hopUs = HOP_ROWS * STEP_US
  return Math.floor((START_US + blocks * BLOCK_US - STEP_US) / hopUs) - Math.floor(START_US / hopUs)
}

const US_PER_MS = 1000

export const FEATURE_SET = {
  version: 1,
  name: 'features/press',
  windowMs: (WINDOW_ROWS * STEP_US) / US_PER_MS,
  hopMs: (HOP_ROWS * STEP_US) / US_PER_MS,
  latenessMs: 500,
  graceMs: 250,
  features: [{ channel: '*', statistics: STATISTICS }],
} as const
