// The engine of features without its log: blocks go into the windows of assets, numbers of every closed window come out. The same calls as
// on-telemetry.ts makes, less the ids and the record, which a peer that only computes does not make either.

import { parseFeatureSet, parsePlant } from '@andon/schemas'
import type { Block, FeatureSet, Plant } from '@andon/schemas'
import { addBlock, newAsset } from '../../../services/features/src/asset-windows.ts'
import type { AssetWindows, PlanAt } from '../../../services/features/src/asset-windows.ts'
import { featurePlans } from '../../../services/features/src/feature-plans.ts'
import { summarise } from '../../../services/features/src/summarise.ts'
import { HOP_ROWS, START_US, STATISTICS, STEP_US, WINDOW_ROWS, assetId, plantOf, valueAt } from './field.ts'

/** The values of a series come again after so many hops. */
export const CHUNKS = 32
const GAP_BOUND = 256
const US_PER_MS = 1000

/** What blocks hold, and what is computed of them. */
export interface EngineShape {
  readonly assets: number
  readonly channels: number
  /** Rows of so many elements, one a block, windows of one row and bearings; single values and the P8 set unless given. */
  readonly waveform?: {
    readonly elements: number
    readonly sampleRateHz: number
    readonly machine: object
    readonly rules: readonly object[]
  }
}

type BlockFields = { -readonly [field in keyof Block]: Block[field] }
const NO_NUMBERS: readonly number[] = []

const P8_RULES = [{ channel: '*', statistics: STATISTICS }]

export class Engine {
  /** Numbers of each asset's newest window, while somebody wants them. */
  readonly newest: (Float64Array | undefined)[] = []
  keepsNewest = true
  windows = 0
  hops = 0
  private readonly shape: EngineShape
  private readonly assets: (AssetWindows | undefined)[]
  private readonly plans: PlanAt[]
  private readonly blocks: BlockFields[]
  /** By series of an asset group and hop. */
  private readonly samples: Buffer[][]
  private readonly rows: number
  private readonly stepUs: number

  constructor(shape: EngineShape, groups = 251, samples = samplesOf) {
    this.shape = shape
    const { assets, channels, waveform } = shape
    this.rows = waveform === undefined ? HOP_ROWS : 1
    this.stepUs = waveform === undefined ? STEP_US : (waveform.elements / waveform.sampleRateHz) * 1e6
    this.assets = Array.from({ length: assets }, () => undefined)
    const planAt = plansOf(shape)
    this.plans = Array.from({ length: assets }, (_, asset) => (timeUs) => planAt(assetId(asset), timeUs))
    const names = Array.from({ length: channels }, (_, channel) => `c${channel}`)
    const units = names.map(() => '1')
    this.blocks = Array.from({ length: assets }, (_, asset) => ({
      sourceId: `${assetId(asset)}-plc`,
      epoch: 1,
      seqFrom: 0,
      seqTo: 0,
      withheld: NO_NUMBERS,
      rows: this.rows,
      channels: names,
      units,
      dtype: 'f32',
      width: waveform?.elements ?? 1,
      samples: Buffer.alloc(0),
      timesUs: Buffer.alloc(0),
      qualities: Buffer.alloc(0),
      sampleRateHz: waveform?.sampleRateHz ?? null,
      sensitivity: null,
      receivedUs: 0,
      historical: false,
      recordedUs: null,
      skewUs: 0,
      door: '',
      deviceId: null,
      certificateSha256: null,
      lateness: '',
      retentionDays: NO_NUMBERS,
      downsampling: [],
      errorBounds: NO_NUMBERS,
      burst: null,
      correction: null,
    }))
    // Series repeat after `groups`, as the waves of the field do.
    this.samples = Array.from({ length: Math.min(assets, groups) }, (_, asset) =>
      Array.from({ length: CHUNKS }, (_hop, chunk) => samples(asset, channels, chunk)),
    )
  }

  /** A block of 64 rows, or of one waveform, for every asset. */
  hop(): void {
    const { blocks, assets, plans, samples, newest, rows, stepUs } = this
    const from = this.hops * rows
    const fromUs = START_US + from * stepUs
    const times = new BigInt64Array(rows)
    for (let row = 0; row < rows; row++) times[row] = BigInt(fromUs + row * stepUs)
    const timesUs = Buffer.from(times.buffer)
    const chunk = this.hops % CHUNKS
    for (let i = 0; i < assets.length; i++) {
      const asset = (assets[i] ??= newAsset())
      const block = blocks[i] as BlockFields
      block.seqFrom = from
      block.seqTo = from + rows - 1
      block.samples = (samples[i % samples.length] as Buffer[])[chunk] as Buffer
      block.timesUs = timesUs
      block.receivedUs = fromUs + rows * stepUs
      const { closings } = addBlock(asset, block, plans[i] as PlanAt, Number.NEGATIVE_INFINITY, GAP_BOUND)
      for (const closing of closings) {
        if (closing.kind !== 'vector') throw new Error(`${assetId(i)}: ${closing.kind}, expected vectors only`)
        const found = summarise(asset, closing, null)
        closing.window.published = 'bench'
        if (this.keepsNewest) newest[i] = found?.values
        this.windows++
      }
    }
    this.hops++
  }

  /** As if no block had ever come. */
  forget(): void {
    this.assets.fill(undefined)
    this.newest.length = 0
    this.windows = 0
    this.hops = 0
  }

  /** Samples that a hop adds. */
  get samplesPerHop(): number {
    return this.shape.assets * this.shape.channels * (this.shape.waveform?.elements ?? HOP_ROWS)
  }
}

/** Values of a series in the hop: those of the field. */
export const seriesValue = (series: number, row: number): number => valueAt(series, row % (CHUNKS * HOP_ROWS))

const samplesOf = (asset: number, channels: number, chunk: number): Buffer =>
  Buffer.from(
    Float32Array.from({ length: channels * HOP_ROWS }, (_, i) =>
      seriesValue(asset * channels + Math.floor(i / HOP_ROWS), chunk * HOP_ROWS + (i % HOP_ROWS)),
    ).buffer,
  )

const plansOf = ({ assets, channels, waveform }: EngineShape) => {
  const kind =
    waveform === undefined ? { kind: 'scalar' } : { kind: 'waveform', sampleRateHz: waveform.sampleRateHz, width: waveform.elements }
  const plant = parsePlant(
    plantOf(assets, (asset) => ({
      sources: [`${assetId(asset)}-plc`],
      channels: Array.from({ length: channels }, (_, channel) => ({
        id: `c${channel}`,
        unit: waveform === undefined ? '1' : 'm/s2',
        ...kind,
      })),
      ...waveform?.machine,
    })),
  )
  const lengths =
    waveform === undefined
      ? { windowMs: (WINDOW_ROWS * STEP_US) / US_PER_MS, hopMs: (HOP_ROWS * STEP_US) / US_PER_MS }
      : { windowMs: (waveform.elements / waveform.sampleRateHz) * US_PER_MS }
  const set = parseFeatureSet({
    version: 1,
    name: 'features/press',
    ...lengths,
    latenessMs: 0,
    graceMs: 0,
    features: waveform?.rules ?? P8_RULES,
  })
  const version = <T>(digest: string, value: T) => ({ digest, effectiveFromUs: 0, value })
  const [plantVersion, setVersion] = [version<Plant>('plant', plant), version<FeatureSet>('set', set)]
  return featurePlans({
    plantAt: () => plantVersion,
    featureSetAt: () => setVersion,
    onUnusable: (asset, name, reason) => {
      throw new Error(`${name} does not fit ${asset}: ${reason}`)
    },
  })
}
