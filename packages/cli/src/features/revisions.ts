// Which records of a range are the newest of their window, and from when to when the others were. Readers keep the highest
// order of a window, so does this. Memory: the windows of one share of the range, and a few numbers per superseded record.

import { HEADER, type LogRecord, type Order, compareOrders, parseOrder } from '@andon/kit'
import type { Vector } from '@andon/schemas'

/** What became of a record in the range. */
export type Standing =
  /** The newest of its window at the end of the range. */
  | { readonly kind: 'newest' }
  /** It was the newest until another one was known. */
  | { readonly kind: 'superseded'; readonly knownToUs: number }
  /** A copy of the one before it, or an older revision that came later: it never was the newest. */
  | { readonly kind: 'repeat' | 'outranked' }

const NEWEST: Standing = { kind: 'newest' }

/** Windows that one pass over the range remembers, 100 to 200 bytes each. */
export const WINDOWS_PER_PASS = 1 << 19

const FREE = -1
const [REPEAT, OUTRANKED] = [-1, -2]

export class Revisions {
  private readonly pairs = new Map<string, number>()
  private readonly share: { readonly index: number; readonly of: number }
  private count = 0
  private slots = slotsFor(1 << 10)
  private readonly ended: Map<number, Ended>

  /** Remembers windows of one share of all; `earlier` are the passes over the other shares, so that all of them are known in the end. */
  constructor(share: { readonly index: number; readonly of: number }, earlier?: Revisions) {
    this.share = share
    this.ended = earlier?.ended ?? new Map<number, Ended>()
  }

  /** Takes a vector; those of a partition in their order. */
  note(record: LogRecord, assetId: string, vector: Vector, knownFromUs: number): void {
    const pair = this.pairOf(record.partition, assetId, vector.featureSet)
    const hash = hashOf(pair, vector.windowEndUs)
    if (this.share.of > 1 && (hash >>> 21) % this.share.of !== this.share.index) return
    const order = orderOf(record)
    const id = Number.parseInt(vector.vectorId.replaceAll('-', '').slice(0, 13), 16)
    const { slots } = this
    const at = find(slots, hash, pair, vector.windowEndUs)
    if (slots.pairs[at] === FREE) {
      put(slots, at, pair, vector.windowEndUs, record.offset, order, id)
      if (++this.count * 2 > slots.pairs.length) this.slots = grown(slots)
      return
    }
    const kept = keptOrder(slots, at)
    const compared = compareOrders(order, kept)
    if (slots.revisionIds[at] === id && !isPromotion(order, kept)) {
      this.endedOf(record.partition).add(record.offset, REPEAT)
      if (compared > 0) putOrder(slots, at, order)
    } else if (compared <= 0) this.endedOf(record.partition).add(record.offset, OUTRANKED)
    else {
      this.endedOf(record.partition).add(slots.offsets[at] as number, knownFromUs)
      put(slots, at, pair, vector.windowEndUs, record.offset, order, id)
    }
  }

  standingOf({ partition, offset }: LogRecord): Standing {
    const end = this.ended.get(partition)?.at(offset)
    if (end === undefined) return NEWEST
    if (end === REPEAT) return { kind: 'repeat' }
    return end === OUTRANKED ? { kind: 'outranked' } : { kind: 'superseded', knownToUs: end }
  }

  private endedOf(partition: number): Ended {
    const known = this.ended.get(partition)
    if (known !== undefined) return known
    const created = new Ended()
    this.ended.set(partition, created)
    return created
  }

  /** A number for an asset and a feature set: all partitions of a window's asset are one, but a run may have others. */
  private pairOf(partition: number, assetId: string, featureSet: string): number {
    const name = `${partition} ${assetId} ${featureSet}`
    const known = this.pairs.get(name)
    if (known !== undefined) return known
    this.pairs.set(name, this.pairs.size)
    return this.pairs.size - 1
  }
}

/** A promoted vector has the id that it had, and counts again: an undo brings an earlier content back. */
const isPromotion = (order: Order, kept: Order): boolean => order.promotion > kept.promotion

const orderOf = (record: LogRecord): Order =>
  parseOrder(record.header(HEADER.order)) ?? { promotion: 0, leaderEpoch: record.leaderEpoch, offset: record.offset, index: 0 }

/** Offsets of records that are not the newest, and what ended them; sorted when they are asked for. */
class Ended {
  private offsets: Float64Array = new Float64Array(64)
  private ends: Float64Array = new Float64Array(64)
  private length = 0
  private isSorted = true

  add(offset: number, end: number): void {
    if (this.length === this.offsets.length) {
      this.offsets = longer(this.offsets)
      this.ends = longer(this.ends)
    }
    this.isSorted &&= this.length === 0 || offset > (this.offsets[this.length - 1] as number)
    this.offsets[this.length] = offset
    this.ends[this.length++] = end
  }

  at(offset: number): number | undefined {
    if (!this.isSorted) this.sort()
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.offsets[middle] as number) < offset) low = middle + 1
      else high = middle
    }
    return low < this.length && this.offsets[low] === offset ? this.ends[low] : undefined
  }

  private sort(): void {
    const { offsets, ends, length } = this
    const by = Float64Array.from({ length }, (_, i) => i).sort((a, b) => (offsets[a] as number) - (offsets[b] as number))
    this.offsets = Float64Array.from(by, (i) => offsets[i] as number)
    this.ends = Float64Array.from(by, (i) => ends[i] as number)
    this.isSorted = true
  }
}

const longer = (column: Float64Array): Float64Array => {
  const all = new Float64Array(column.length * 2)
  all.set(column)
  return all
}

/** An open-addressing table of windows in columns. */
interface Slots {
  readonly pairs: Int32Array
  readonly endsUs: Float64Array
  readonly offsets: Float64Array
  readonly revisionIds: Float64Array
  readonly promotions: Int32Array
  readonly leaderEpochs: Int32Array
  readonly orderOffsets: Float64Array
  readonly indices: Int32Array
}

const slotsFor = (length: number): Slots => ({
  pairs: new Int32Array(length).fill(FREE),
  endsUs: new Float64Array(length),
  offsets: new Float64Array(length),
  revisionIds: new Float64Array(length),
  promotions: new Int32Array(length),
  leaderEpochs: new Int32Array(length),
  orderOffsets: new Float64Array(length),
  indices: new Int32Array(length),
})

const hashOf = (pair: number, endUs: number): number => {
  let hash = Math.imul(pair + 0x9e3779b9, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15) ^ (endUs % 4_294_967_296), 0xc2b2ae35)
  hash = Math.imul(hash ^ (hash >>> 13) ^ Math.floor(endUs / 4_294_967_296), 0x27d4eb2f)
  return (hash ^ (hash >>> 16)) >>> 0
}

const find = ({ pairs, endsUs }: Slots, hash: number, pair: number, endUs: number): number => {
  const mask = pairs.length - 1
  let at = hash & mask
  while (pairs[at] !== FREE && (pairs[at] !== pair || endsUs[at] !== endUs)) at = (at + 1) & mask
  return at
}

const put = (slots: Slots, at: number, pair: number, endUs: number, offset: number, order: Order, id: number): void => {
  slots.pairs[at] = pair
  slots.endsUs[at] = endUs
  slots.offsets[at] = offset
  slots.revisionIds[at] = id
  putOrder(slots, at, order)
}

const putOrder = (slots: Slots, at: number, order: Order): void => {
  slots.promotions[at] = order.promotion
  slots.leaderEpochs[at] = order.leaderEpoch
  slots.orderOffsets[at] = order.offset
  slots.indices[at] = order.index
}

const keptOrder = ({ promotions, leaderEpochs, orderOffsets, indices }: Slots, at: number): Order => ({
  promotion: promotions[at] as number,
  leaderEpoch: leaderEpochs[at] as number,
  offset: orderOffsets[at] as number,
  index: indices[at] as number,
})

const grown = (old: Slots): Slots => {
  const slots = slotsFor(old.pairs.length * 2)
  for (let i = 0; i < old.pairs.length; i++) {
    const pair = old.pairs[i] as number
    if (pair === FREE) continue
    const endUs = old.endsUs[i] as number
    const at = find(slots, hashOf(pair, endUs), pair, endUs)
    put(slots, at, pair, endUs, old.offsets[i] as number, keptOrder(old, i), old.revisionIds[i] as number)
  }
  return slots
}
