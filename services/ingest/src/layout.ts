// What rows with the same channels of one asset share. A source sends the same channels again and again, so a layout is made once
// and recognised by its object: neither a map nor a list of channels is made per reading.

import type { Asset, Channel } from '@andon/schemas'
import { subjectOf } from './door-memory.ts'
import { samplingOf } from './down-sampling.ts'
import type { Sampling } from './down-sampling.ts'

/** An asset of the plant file, ready to be looked things up in. Another plant file makes others. */
export interface KnownAsset {
  readonly id: string
  readonly channels: ReadonlyMap<string, Channel>
  /** Its channel ids, for messages. */
  readonly list: string
}

export interface Layout {
  readonly asset: KnownAsset
  readonly sourceId: string
  readonly channels: readonly Channel[]
  /** Channel ids in the order in which the sender names them. */
  readonly ids: readonly string[]
  /** Units of the block: the plant's. */
  readonly units: readonly string[]
  /** Where the sender has other units than the plant. */
  readonly conversion: Conversions | undefined
  /** Days per channel, 0 = as long as the topic's; empty when no channel says so. */
  readonly retentionDays: readonly number[]
  /** Undefined where every row is kept. */
  readonly sampling: Sampling | undefined
  /** Least and greatest value per channel: its range, else every finite number. */
  readonly lows: Float64Array
  readonly highs: Float64Array
  /** What the door remembers its rows under that have neither number nor key; their times tell them apart. */
  readonly subject: string
}

/** Value of the plant = sender's value · factor + offset, per channel. */
export interface Conversions {
  readonly from: readonly (string | undefined)[]
  readonly factors: Float64Array
  readonly offsets: Float64Array
}

export const knownAsset = (asset: Asset): KnownAsset => ({
  id: asset.id,
  channels: new Map(asset.channels.map((channel) => [channel.id, channel])),
  list: asset.channels.map((channel) => channel.id).join(', '),
})

export const layoutOf = (asset: KnownAsset, sourceId: string, channels: readonly Channel[], conversion?: Conversions): Layout => ({
  asset,
  sourceId,
  channels,
  ids: channels.map(({ id }) => id),
  units: channels.map(({ unit }) => unit),
  conversion,
  retentionDays: channels.some(({ retentionDays }) => retentionDays !== undefined)
    ? channels.map(({ retentionDays }) => retentionDays ?? 0)
    : [],
  sampling: samplingOf(channels),
  lows: Float64Array.from(channels, ({ range }) => range?.[0] ?? -Number.MAX_VALUE),
  highs: Float64Array.from(channels, ({ range }) => range?.[1] ?? Number.MAX_VALUE),
  subject: subjectOf('time', sourceId, asset.id, ...channels.map(({ id }) => id)),
})

/** True when a row of this layout can stand in a block of that one: nothing it brings would be lost. */
export const isWithin = (layout: Layout, block: Layout): boolean =>
  layout === block ||
  (layout.asset === block.asset &&
    layout.sourceId === block.sourceId &&
    (layout.sampling === undefined) === (block.sampling === undefined) &&
    layout.ids.every((id) => block.ids.includes(id)))
