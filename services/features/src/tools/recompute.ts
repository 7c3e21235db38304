// A vector once more, from the samples that it names, through the engine. Pure: vector, plan and blocks in, both sides out.

import { rangesWithout, samplesDigest, vectorId as idOf } from '@andon/kit'
import type { Block, Features } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { type CorrectedRange, supersededOf } from '../corrections.ts'
import type { AssetPlan } from '../plan.ts'
import { type EmittedVector, blockRecord, emittedFrom, tickRecord } from './engine.ts'

export type Vector = NonNullable<Features['vector']>
export type Range = Vector['ranges'][number]

/** A number of the vector on both sides; null = it is not there, or could not be computed. */
export interface ComparedNumber {
  readonly name: string
  readonly inVector: number | null
  readonly again: number | null
  readonly isEqual: boolean
}

/** Something else that the vector says, as text. */
export interface ComparedField {
  readonly field: string
  readonly inVector: string
  readonly again: string
  readonly isEqual: boolean
}

export interface Recomputed {
  readonly numbers: readonly ComparedNumber[]
  readonly fields: readonly ComparedField[]
  /** Samples that the vector names and no block on the log has. */
  readonly missing: readonly Range[]
}

/** Long enough that nothing is final before everything is in. */
const FOREVER_US = 1e13

/** Computes the window of the vector from these blocks, in the order of the log, and compares. */
export const recompute = async (assetId: string, vector: Vector, plan: AssetPlan, blocks: readonly Block[]): Promise<Recomputed> => {
  const restricted = blocks.flatMap((block) => restrict(block, vector.ranges))
  const sources = [...new Set(restricted.map(({ sourceId }) => sourceId))]
  // Every source is waited for, so that no order of blocks closes the window before all of its samples are in.
  const patient: AssetPlan = { ...plan, sources, latenessUs: FOREVER_US, graceUs: 0 }
  let again: EmittedVector | undefined
  for await (const emitted of emittedFrom(patient, recordsOf(assetId, vector, restricted), vector.baselineEpochUs))
    if ('vector' in emitted && emitted.vector.windowEndUs === vector.windowEndUs && emitted.vector.names.length > 0) again = emitted.vector
  return {
    numbers: compareNumbers(vector, again),
    fields: compareFields(assetId, vector, again),
    missing: blocks.reduce<readonly Range[]>(rangesWithout, vector.ranges),
  }
}

function* recordsOf(assetId: string, vector: Vector, blocks: readonly Block[]) {
  let newestUs = 0
  for (const block of blocks) {
    // As if each block had come when its newest row was new: what closes the window are the ticks behind the last one.
    const receivedUs = newestOf(block) ?? block.receivedUs
    newestUs = Math.max(newestUs, receivedUs)
    yield blockRecord(assetId, { ...block, receivedUs })
  }
  yield tickRecord(Math.max(newestUs, vector.windowEndUs) + (vector.windowEndUs - vector.windowStartUs) + 1_000_000)
}

const newestOf = ({ timesUs }: Block): number | undefined => {
  const times = timesOf(timesUs)
  return times.length === 0 ? undefined : Math.max(...times)
}

const timesOf = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(bytes.byteLength / 8) }, (_, i) => Number(view.getBigInt64(i * 8, true)))
}

const isIn = (ranges: readonly Range[], { sourceId, epoch }: Block, seq: number): boolean =>
  ranges.some((range) => range.sourceId === sourceId && range.epoch === epoch && range.seqFrom <= seq && seq <= range.seqTo)

/** Numbers of a block's rows: those between its ends that it does not withhold. */
const numbersOf = ({ seqFrom, seqTo, withheld }: Block): number[] => {
  const left = new Set(withheld)
  const numbers: number[] = []
  for (let seq = seqFrom; seq <= seqTo; seq++) if (!left.has(seq)) numbers.push(seq)
  return numbers
}

/** The rows of a block that lie in the ranges, as a block; a correction without any is kept for what it supersedes. */
const restrict = (block: Block, ranges: readonly Range[]): Block[] => {
  const numbers = numbersOf(block)
  const kept = numbers.flatMap((seq, row) => (isIn(ranges, block, seq) ? [row] : []))
  if (kept.length === 0 && block.correction === null) return []
  if (kept.length === block.rows) return [block]
  const size = block.dtype === 'f32' ? 4 : 8
  const rowBytes = block.width * size
  const pick = (bytes: Uint8Array, width: number, from = 0): Buffer[] =>
    kept.map((row) => Buffer.from(bytes.subarray(from + row * width, from + (row + 1) * width)))
  const samples = block.channels.flatMap((_, channel) => pick(block.samples, rowBytes, channel * block.rows * rowBytes))
  const keptNumbers = new Set(kept.map((row) => numbers[row] as number))
  return [
    {
      ...block,
      rows: kept.length,
      withheld: [...block.withheld, ...numbers.filter((seq) => !keptNumbers.has(seq))].toSorted((a, b) => a - b),
      samples: Buffer.concat(samples),
      timesUs: Buffer.concat(pick(block.timesUs, 8)),
      qualities: block.qualities.length === 0 ? block.qualities : Buffer.concat(pick(block.qualities, 1)),
      recordedUs: block.recordedUs === null ? null : Buffer.concat(pick(block.recordedUs, 8)),
    },
  ]
}

const numberOf = (names: readonly string[], values: Float64Array, name: string): number | null => {
  const value = values[names.indexOf(name)]
  return value === undefined || Number.isNaN(value) ? null : value
}

const compareNumbers = (vector: Vector, again: EmittedVector | undefined): ComparedNumber[] => {
  const [values, anew] = [readDoubles(vector.values), again === undefined ? new Float64Array(0) : readDoubles(again.values)]
  const names = [...new Set([...vector.names, ...(again?.names ?? [])])]
  return names.map((name) => {
    const [inVector, recomputed] = [numberOf(vector.names, values, name), numberOf(again?.names ?? [], anew, name)]
    // A number that one side does not even name differs, though neither has a value.
    const isNamed = vector.names.includes(name) && again?.names.includes(name) === true
    return { name, inVector, again: recomputed, isEqual: isNamed && Object.is(inVector, recomputed) }
  })
}

export const healthText = (health: Vector['health']): string =>
  health.length === 0 ? 'nothing suspected' : health.map(({ channel, flags }) => `${channel}: ${flags.join(', ')}`).join('; ')

const compareFields = (assetId: string, vector: Vector, again: EmittedVector | undefined): ComparedField[] => {
  const id = idOf(vector.featureSetDigest, assetId, vector.windowEndUs, vector.revision, samplesDigest(vector.ranges))
  const fields: [string, string, string][] = [['vectorId', vector.vectorId, id]]
  if (again !== undefined)
    fields.push(
      ['window', `${vector.windowStartUs} to ${vector.windowEndUs}`, `${again.windowStartUs} to ${again.windowEndUs}`],
      ['regime', vector.regime ?? 'none', again.regime ?? 'none'],
      ['machine off', String(vector.machineOff), String(again.machineOff)],
      ['health', healthText(vector.health), healthText((again.health ?? []) as Vector['health'])],
      ['missing', vector.missing.join(', ') || 'nothing', (again.missing ?? []).join(', ') || 'nothing'],
      ['uncertain rows', String(vector.uncertainRows), String(again.uncertainRows)],
      ['bad rows', String(vector.badRows), String(again.badRows)],
      ['quality', vector.quality, again.quality ?? 'good'],
    )
  return fields.map(([field, inVector, anew]) => ({ field, inVector, again: anew, isEqual: inVector === anew }))
}

/** Rows and elements of a channel that went into a scale of the window. */
export interface SampleCount {
  readonly rows: number
  readonly elements: number
}

const BAD = 2

/** Good samples of a channel at a scale, counted from the blocks. */
export const countSamples = (vector: Vector, plan: AssetPlan, blocks: readonly Block[], channel: number, scale: number): SampleCount => {
  const { id } = plan.channels[channel]!
  const { length } = plan.scales[scale]!
  const corrections = blocks.flatMap(({ sourceId, correction }): CorrectedRange[] =>
    correction === null ? [] : [{ sourceId, fromUs: correction.fromUs, toUs: correction.toUs, channels: correction.channels }],
  )
  const seen = new Set<string>()
  const rows: { timeUs: number; elements: number }[] = []
  for (const block of blocks.flatMap((each) => restrict(each, vector.ranges))) {
    const at = block.channels.indexOf(id)
    if (at < 0) continue
    const isSuperseded = supersededOf(corrections, block.sourceId, id)
    const numbers = numbersOf(block)
    timesOf(block.timesUs).forEach((timeUs, row) => {
      const identity = `${block.sourceId} ${block.epoch} ${numbers[row]}`
      if (seen.has(identity)) return
      seen.add(identity)
      if ((block.qualities[row] ?? 0) >= BAD || isSuperseded?.(timeUs) === true || timeUs >= vector.windowEndUs) return
      if ('us' in length && timeUs < vector.windowEndUs - length.us) return
      if (areFinite(block, at, row)) rows.push({ timeUs, elements: block.width })
    })
  }
  const kept = 'rows' in length ? rows.toSorted((a, b) => a.timeUs - b.timeUs).slice(-length.rows) : rows
  return { rows: kept.length, elements: kept.reduce((sum, { elements }) => sum + elements, 0) }
}

const areFinite = ({ samples, dtype, width, rows }: Block, channel: number, row: number): boolean => {
  const view = new DataView(samples.buffer, samples.byteOffset, samples.byteLength)
  const from = (channel * rows + row) * width
  for (let i = from; i < from + width; i++)
    if (!Number.isFinite(dtype === 'f32' ? view.getFloat32(i * 4, true) : view.getFloat64(i * 8, true))) return false
  return true
}
