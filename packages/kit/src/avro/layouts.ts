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

interface Seen {
  readonly channels: DataView
  readonly units: DataView
  readonly dtype: DataView
  readonly layout: BlockLayout
}

export class Layouts {
  /** By lengths, which tell most layouts of a plant apart; the last one seen of each slot. */
  private readonly seen: (Seen | undefined)[] = Array.from({ length: slots })
  private readonly byText = new Map<string, BlockLayout>()

  /** The layout that lies in a record; `view` is one of all `bytes`. Throws an AvroError when it is none. */
  of(bytes: Buffer, view: DataView, { channels, units, dtype }: LayoutRanges): BlockLayout {
    const slot = ((channels.length[0] as number) * 31 + (units.length[0] as number)) & (slots - 1)
    const last = this.seen[slot]
    if (last !== undefined && isSame(view, channels, last.channels) && isSame(view, units, last.units) && isSame(view, dtype, last.dtype))
      return last.layout
    const parts = [copyOf(bytes, channels), copyOf(bytes, units), copyOf(bytes, dtype)] as const
    const text = parts.map((part) => part.toString('hex')).join()
    const layout = this.byText.get(text) ?? parse(...parts)
    if (this.byText.size >= most) this.byText.clear()
    this.byText.set(text, layout)
    this.seen[slot] = { channels: viewOf(parts[0]), units: viewOf(parts[1]), dtype: viewOf(parts[2]), layout }
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

const copyOf = (bytes: Buffer, { at, length }: Ranges): Buffer =>
  Buffer.from(bytes.subarray(at[0], (at[0] as number) + (length[0] as number)))

/** Four bytes at a time: the comparison is most of what an unchanged layout costs. */
const isSame = (view: DataView, { at, length }: Ranges, kept: DataView): boolean => {
  const from = at[0] as number
  const size = length[0] as number
  if (kept.byteLength !== size) return false
  let i = 0
  for (; i + 4 <= size; i += 4) if (kept.getInt32(i) !== view.getInt32(from + i)) return false
  for (; i < size; i += 1) if (kept.getUint8(i) !== view.getUint8(from + i)) return false
  return true
}

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
