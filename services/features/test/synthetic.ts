// A made-up field of assets, block after block, and what its windows occupy.
// Blocks are made once per moment and lent to one asset after the other, so that making them up is hardly counted.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Block, Statistic } from '@andon/schemas'
import { addBlock, newAsset } from '../src/asset-windows.ts'
import type { AssetWindows } from '../src/asset-windows.ts'
import type { AssetPlan } from '../src/plan.ts'
import { summarise } from '../src/summarise.ts'
import { modelPlan, plain } from './blocks.ts'

interface FieldOptions {
  readonly assets: number
  readonly channels: number
  readonly statistics: readonly Statistic[]
  readonly windowRows: number
  readonly hopRows: number
  readonly rowsPerBlock: number
  readonly latenessUs?: number
  /** Windows end at every row. */
  readonly isByRow?: boolean
}

/** Seven statistics over windows of 256 rows that end every 64. */
export const momentsOf256 = {
  channels: 1,
  statistics: ['mean', 'std', 'rms', 'min', 'max', 'kurtosis', 'crest'],
  windowRows: 256,
  hopRows: 64,
  rowsPerBlock: 64,
} as const satisfies Partial<FieldOptions>

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const STEP_US = 1000
const START_US = 1_795_000_000_000_000

class Field {
  readonly options: FieldOptions
  readonly assets: AssetWindows[]
  /** Vectors so far, and the sum of their first numbers, so that nothing is computed for nobody. */
  vectors = 0
  sum = 0
  private readonly plans: AssetPlan[]
  private readonly sources: string[]
  private readonly samples: Buffer[]
  private readonly timesUs: Buffer
  private readonly channels: string[]
  private blocks = 0

  constructor(options: FieldOptions) {
    this.options = options
    const { assets, channels, statistics, windowRows, hopRows, rowsPerBlock, latenessUs = 0, isByRow = false } = options
    this.channels = Array.from({ length: channels }, (_, channel) => `c${channel}`)
    const plan = modelPlan({
      ...(isByRow ? { isByRow, lengths: [{ rows: windowRows }] } : { windowUs: windowRows * STEP_US, hopUs: hopRows * STEP_US }),
      latenessUs,
      graceUs: 0,
      statistics: Object.fromEntries(this.channels.map((channel) => [channel, statistics])),
    })
    this.sources = Array.from({ length: assets }, (_, asset) => `press-${asset}-plc`)
    this.plans = this.sources.map((source) => ({ ...plan, sources: [source] }))
    this.assets = this.sources.map(() => newAsset())
    this.timesUs = Buffer.alloc(rowsPerBlock * 8)
    let state = 1
    this.samples = Array.from({ length: 31 }, () => {
      const values = Float32Array.from({ length: channels * rowsPerBlock }, (_, i) => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
        return 20 + Math.sin(i / 17) + state / 2 ** 31
      })
      return Buffer.from(values.buffer)
    })
  }

  /** One block of every asset. Returns the samples that went in. */
  step(): number {
    const { channels, rowsPerBlock, assets } = this.options
    const first = this.blocks * rowsPerBlock
    for (let row = 0; row < rowsPerBlock; row++) this.timesUs.writeBigInt64LE(BigInt(START_US + (first + row) * STEP_US), row * 8)
    const block: Writable<Block> = {
      sourceId: '',
      samples: this.timesUs,
      epoch: 3,
      seqFrom: first + 1,
      seqTo: first + rowsPerBlock,
      withheld: [],
      rows: rowsPerBlock,
      channels: this.channels,
      units: this.channels,
      dtype: 'f32',
      width: 1,
      timesUs: this.timesUs,
      qualities: Buffer.alloc(0),
      sampleRateHz: null,
      sensitivity: null,
      recordedUs: null,
      receivedUs: START_US + (first + rowsPerBlock) * STEP_US,
      historical: false,
      skewUs: 0,
      ...plain,
    }
    for (let at = 0; at < assets; at++) {
      const asset = this.assets[at] as AssetWindows
      const plan = this.plans[at] as AssetPlan
      block.sourceId = this.sources[at] as string
      block.samples = this.samples[(at + this.blocks) % this.samples.length] as Buffer
      for (const closing of addBlock(asset, block, () => plan, START_US, 256).closings) {
        if (closing.kind !== 'vector') continue
        this.sum += summarise(asset, closing, null)?.values[0] ?? 0
        this.vectors++
      }
    }
    this.blocks++
    return assets * channels * rowsPerBlock
  }
}

/** Bytes that an asset occupies: memory of the process, with its windows full, less that of the field before its first block. */
export const bytesPerAsset = (options: FieldOptions): number => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const occupied = (): number => {
    gc()
    gc()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  new Field({ ...options, assets: 1 }).step()
  const field = new Field(options)
  const made = occupied() // plans, sources and blocks of the field itself
  const rows = 4 * options.windowRows + options.hopRows
  for (let row = 0; row < rows; row += options.rowsPerBlock) field.step()
  const bytes = occupied() - made
  if (field.vectors === 0) throw new Error('no window closed')
  return bytes / options.assets
}
