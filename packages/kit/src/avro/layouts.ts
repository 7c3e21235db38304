// Layouts of telemetry blocks: the same few, over and over. Their bytes are compared with those seen before, so channel
// names are decoded once and equal layouts are one object.

import type { Ranges } from './columns.ts'
import { compileDecoder } from './decoder.ts'
import { AvroError } from './errors.ts'

/** What a block's packed samples are. */
export interface BlockLayout {
  readonly channels: readonly string[]
  readonly units: readonly string[]
  readonly dtype: 'f32' | 'f64'
}

/** Encoded channels and units, and the text of dtype, in one row. */
export interface LayoutRanges {
  readonly channels: Ranges
  readonly units: Ranges
  readonly dtype: Ranges
}

const most = 10_000
const slots = 256
const readNames = compileDecoder({ type: 'array', items: 'string' }) as (bytes: Buffer, at: number, end: number) => string[]

/** A layout seen before: the bytes from the first channel to the end of dtype, and where its parts lie in them. */
interface Seen {
  readonly bytes: DataView
  readonly channelsLength: number
  readonly unitsAt: number
  readonly unitsLength: number
  readonly dtypeAt: number
  readonly layout: BlockLayout
}

export class Layouts {
  /** By lengths, which tell most layouts of a plant apart; the last one seen of each slot. */
  private readonly seen: (Seen | undefined)[] = Array.from({ length: slots })
  private readonly byText = new Map<string, BlockLayout>()

  /** The layout that lies in a record; `view` is one of all `bytes`. Throws an AvroError when it is none. */
  of(bytes: Buffer, view: DataView, { channels, units, dtype }: LayoutRanges): BlockLayout {
    const from = channels.at[0] as number
    const channelsLength = channels.length[0] as number
    const unitsAt = (units.at[0] as number) - from
    const unitsLength = units.length[0] as number
    const dtypeAt = (dtype.at[0] as number) - from
    const size = dtypeAt + (dtype.length[0] as number)
    const slot = (channelsLength * 31 + unitsLength) & (slots - 1)
    const last = this.seen[slot]
    if (
      last !== undefined &&
      last.channelsLength === channelsLength &&
      last.unitsAt === unitsAt &&
      last.unitsLength === unitsLength &&
      last.dtypeAt === dtypeAt &&
      isSame(view, from, size, last.bytes)
    )
      return last.layout
    const parts = [partOf(bytes, channels), partOf(bytes, units), partOf(bytes, dtype)] as const
    const text = parts.map((part) => part.toString('hex')).join()
    const layout = this.byText.get(text) ?? parse(...parts)
    if (this.byText.size >= most) this.byText.clear()
    this.byText.set(text, layout)
    // A writer that has the three in another order is read this way every time.
    const isInOrder = from >= 0 && unitsAt >= channelsLength && dtypeAt >= unitsAt + unitsLength
    if (isInOrder) this.seen[slot] = { bytes: copyOf(bytes, from, size), channelsLength, unitsAt, unitsLength, dtypeAt, layout }
    return layout
  }
}

const parse = (channels: Buffer, units: Buffer, dtype: Buffer): BlockLayout => {
  const element = dtype.toString()
  if (element !== 'f32' && element !== 'f64') throw new AvroError('undecodable', `a block of dtype ${element}, expected f32 or f64`)
  return Object.freeze({
    channels: Object.freeze(readNames(channels, 0, channels.length)),
    units: Object.freeze(readNames(units, 0, units.length)),
    dtype: element,
  })
}

const partOf = (bytes: Buffer, { at, length }: Ranges): Buffer => bytes.subarray(at[0], (at[0] as number) + (length[0] as number))

const copyOf = (bytes: Buffer, at: number, length: number): DataView =>
  new DataView(Uint8Array.from(bytes.subarray(at, at + length)).buffer)

/** Four bytes at a time, the last four once more: the comparison is most of what an unchanged layout costs. */
const isSame = (view: DataView, from: number, size: number, kept: DataView): boolean => {
  if (kept.byteLength !== size || size < 4) return false
  const last = size - 4
  for (let i = 0; i < last; i += 4) if (kept.getInt32(i) !== view.getInt32(from + i)) return false
  return kept.getInt32(last) === view.getInt32(from + last)
}
