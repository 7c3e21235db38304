// What the plant file says about a reading: which asset its source belongs to, whether its channels exist, their units and ranges.
// A new plant file makes a new lookup. Source → asset bindings that devices brought themselves are kept in `bound`.

import type { Channel, Plant } from '@andon/schemas'
import type { Device } from './adapters/source.ts'
import type { ReadingColumns } from './columns.ts'
import { conversionOf } from '@andon/schemas/ucum'
import { knownAsset, layoutOf } from './layout.ts'
import type { Conversions, KnownAsset, Layout } from './layout.ts'
import type { Reading, Refusal, Waveform } from './reading.ts'
import { firstOf, isRefusal, refusal } from './reading.ts'

export interface PlantLookup {
  /** Asset of a source: as the plant file names it, else as the source's first reading did, of the last hundred thousand such sources. */
  assetOf(source: string): string | undefined
  /**
   * Checks a reading against the plant and, where its sender showed a certificate, against what that device may do. The values
   * are left in `row`, in the layout's order and the plant's units; NaN = missing. One source feeds one asset, since its numbers are one sequence.
   */
  place(reading: Reading, row: Float64Array, device?: Device): Layout | Refusal
  /** The same for columns, but for their values, which stay in the sender's units: a layout, or why no row of them can be taken. */
  placeColumns(columns: ReadingColumns, device?: Device): Layout | Refusal
  /** True when the plant has this asset with all of these channels. */
  knows(assetId: string, channels: readonly string[]): boolean
  /** Why a value of a layout's channel is not taken. */
  outOfRange(layout: Layout, channel: number, value: number, of: Named): Refusal
}

/** Who and what a refusal is about. */
type Named = Pick<Reading, 'source' | 'asset' | 'epoch' | 'seq'>

/** Sources whose layouts are remembered, and sources whose asset is known from their first reading alone. Senders invent names. */
const maxSources = 10_000
const maxBound = 100_000
/** Layouts remembered per source; a sender with more of them changes its channels from reading to reading. */
const layoutsPerSource = 8

interface KnownSource {
  readonly id: string
  readonly asset: KnownAsset
  /** The last one used first. */
  readonly layouts: Layout[]
}

/** @param bound source → asset of sources that the plant file does not name; filled as readings arrive, shared over plant changes. */
export const plantLookup = (plant: Plant, bound: Map<string, string>): PlantLookup => {
  const assets = new Map<string, KnownAsset>(plant.assets.map((asset) => [asset.id, knownAsset(asset)]))
  const named = new Map<string, string>(plant.assets.flatMap((asset) => asset.sources.map((source) => [source, asset.id] as const)))
  const sources = new Map<string, KnownSource>()
  let last: KnownSource | undefined

  const assetOf = (source: string) => named.get(source) ?? bound.get(source)

  const bind = (source: string, assetId: string) => {
    const [oldest] = bound.size >= maxBound ? bound.keys() : []
    if (oldest !== undefined) bound.delete(oldest)
    bound.set(source, assetId)
  }

  const knownSource = (id: string): KnownSource | undefined => {
    if (last?.id === id) return last
    const known = sources.get(id)
    if (known !== undefined) last = known
    return known
  }

  /** The asset that a reading means, when its sender may write there. */
  const assetFor = (of: Named, device: Device | undefined): KnownAsset | Refusal => {
    const { source } = of
    if (device !== undefined && !device.speaksFor(source)) {
      const message = `source: found ${source}; device ${device.id} may name itself, or itself, a colon and a stream`
      return refusal('ANDON_INGEST_NOT_YOUR_SOURCE', message, { asset: of.asset })
    }
    const bySource = assetOf(source)
    const assetId = of.asset ?? bySource
    if (assetId === undefined) {
      return refusal('ANDON_INGEST_UNKNOWN_SOURCE', `source: ${source} is not named by plant.yaml, and the reading names no asset`, of)
    }
    const asset = assets.get(assetId)
    if (asset === undefined) return refusal('ANDON_INGEST_UNKNOWN_ASSET', `asset: plant.yaml has no asset ${assetId}`, of)
    if (bySource !== undefined && bySource !== assetId) {
      return refusal('ANDON_INGEST_SOURCE_OF_ANOTHER_ASSET', `asset: ${source} belongs to ${bySource}, not to ${assetId}`, of)
    }
    if (device !== undefined && !device.feeds(assetId)) {
      return refusal('ANDON_INGEST_NOT_YOUR_ASSET', `asset: device ${device.id} may not write to ${assetId}`, of)
    }
    return asset
  }

  /** Remembers a layout with its source, which stays with this asset from now on. */
  const remember = (layout: Layout): Layout => {
    const { asset, sourceId: source } = layout
    let known = sources.get(source)
    if (known === undefined) {
      known = { id: source, asset, layouts: [] }
      if (sources.size >= maxSources) sources.clear()
      sources.set(source, known)
      if (!named.has(source)) bind(source, asset.id)
    }
    last = known
    known.layouts.unshift(layout)
    if (known.layouts.length > layoutsPerSource) known.layouts.pop()
    return layout
  }

  const channelsOf = (asset: KnownAsset, ids: readonly string[], kind: Channel['kind'], of: Named): readonly Channel[] | Refusal => {
    const channels: Channel[] = []
    for (const id of ids) {
      const channel = asset.channels.get(id)
      if (channel === undefined) {
        return refusal('ANDON_INGEST_UNKNOWN_CHANNEL', `${asset.id} has no channel ${id}; plant.yaml names ${asset.list}`, of)
      }
      if (channel.kind !== kind) return wrongKind(channel, of)
      channels.push(channel)
    }
    return channels
  }

  const placeValues = (reading: Reading, values: Readonly<Record<string, number | null>>, row: Float64Array, device?: Device) => {
    const known = knownSource(reading.source)
    if (known !== undefined && isOf(known, reading, device)) {
      const { layouts } = known
      for (let at = 0; at < layouts.length; at++) {
        const layout = layouts[at]!
        if (!hasUnits(layout, reading.units) || !fill(layout, values, row)) continue
        if (at > 0) layouts.unshift(...layouts.splice(at, 1))
        return layout
      }
    }
    // Something is new, or wrong: look at everything, and say what it is.
    const asset = assetFor(reading, device)
    if (isRefusal(asset)) return asset
    const channels = channelsOf(asset, Object.keys(values), 'scalar', reading)
    if (isRefusal(channels)) return channels
    const { units } = reading
    const conversion =
      units === undefined
        ? undefined
        : conversionsOf(
            channels,
            channels.map(({ id }) => units[id]),
            reading,
          )
    if (conversion !== undefined && isRefusal(conversion)) return conversion
    const layout = layoutOf(asset, reading.source, channels, conversion)
    for (let at = 0; at < channels.length; at++) {
      const value = converted(layout, at, values[layout.ids[at]!] ?? Number.NaN)
      if (value < layout.lows[at]! || value > layout.highs[at]!) return outOfRange(layout, at, value, reading)
    }
    fill(layout, values, row)
    return remember(layout)
  }

  const placeWaveform = (reading: Reading, waveform: Waveform, device?: Device): Layout | Refusal => {
    const asset = assetFor(reading, device)
    if (isRefusal(asset)) return asset
    const channels = channelsOf(asset, [waveform.channel], 'waveform', reading)
    if (isRefusal(channels)) return channels
    const fault = waveformFault(channels[0]!, waveform, reading)
    if (fault !== undefined) return fault
    const known = knownSource(reading.source)
    return known?.layouts.find(({ channels: [channel] }) => channel === channels[0]) ?? remember(layoutOf(asset, reading.source, channels))
  }

  return {
    assetOf,
    place: (reading, row, device) =>
      reading.waveform === undefined
        ? placeValues(reading, reading.values ?? {}, row, device)
        : placeWaveform(reading, reading.waveform, device),
    placeColumns: (columns, device) => {
      const of = firstOf(columns)
      const asset = assetFor(of, device)
      if (isRefusal(asset)) return asset
      const channels = channelsOf(asset, columns.channels, 'scalar', of)
      if (isRefusal(channels)) return channels
      const units = columns.units?.some((unit) => unit !== undefined) === true ? columns.units : undefined
      const isIt = ({ ids, conversion }: Layout) =>
        areSame(ids, columns.channels) &&
        (units === undefined ? conversion === undefined : conversion !== undefined && areSame(conversion.from, units))
      const known = knownSource(columns.source)?.layouts.find(isIt)
      if (known !== undefined) return known
      const conversion = units === undefined ? undefined : conversionsOf(channels, units, of)
      if (conversion !== undefined && isRefusal(conversion)) return conversion
      return remember(layoutOf(asset, columns.source, channels, conversion))
    },
    knows: (assetId, channels) => {
      const asset = assets.get(assetId)
      return asset !== undefined && channels.every((id) => asset.channels.has(id))
    },
    outOfRange,
  }
}

const isOf = (known: KnownSource, { source, asset }: Reading, device: Device | undefined): boolean =>
  (asset === undefined || asset === known.asset.id) && (device === undefined || (device.speaksFor(source) && device.feeds(known.asset.id)))

/** Writes the values into `row`; false when they are not exactly the layout's channels in its order, each within its range. */
const fill = (layout: Layout, values: Readonly<Record<string, number | null>>, row: Float64Array): boolean => {
  const { ids, lows, highs, conversion } = layout
  let at = 0
  for (const id in values) {
    if (ids[at] !== id) return false
    const sent = values[id]!
    const value = conversion === undefined || sent === null ? sent : converted(layout, at, sent)
    if (value === null) row[at] = Number.NaN
    else if (value >= lows[at]! && value <= highs[at]!) row[at] = value
    else return false
    at++
  }
  return at === ids.length
}

const hasUnits = ({ ids, conversion }: Layout, units: Reading['units']): boolean => {
  if (conversion === undefined || units === undefined) return conversion === undefined && units === undefined
  return ids.every((id, at) => conversion.from[at] === units[id])
}

const converted = ({ conversion }: Layout, at: number, value: number): number =>
  conversion === undefined ? value : value * conversion.factors[at]! + conversion.offsets[at]!

const conversionsOf = (channels: readonly Channel[], from: readonly (string | undefined)[], of: Named): Conversions | Refusal => {
  const factors = new Float64Array(channels.length)
  const offsets = new Float64Array(channels.length)
  for (const [at, { id, unit }] of channels.entries()) {
    const conversion = conversionOf(from[at] ?? unit, unit)
    if (conversion === undefined) {
      return refusal('ANDON_INGEST_WRONG_UNIT', `${id}: found unit ${from[at]}, expected ${unit} or a UCUM unit that converts to it`, of)
    }
    factors[at] = conversion.factor
    offsets[at] = conversion.offset
  }
  return { from, factors, offsets }
}

const areSame = (left: readonly unknown[], right: readonly unknown[]): boolean =>
  left.length === right.length && left.every((each, at) => each === right[at])

const wrongKind = (channel: Channel, of: Named): Refusal =>
  refusal(
    'ANDON_INGEST_WRONG_KIND',
    channel.kind === 'waveform'
      ? `${channel.id} is a waveform channel; send it as "waveform", not in "values"`
      : `${channel.id} is a scalar channel; send it in "values", not as "waveform"`,
    of,
  )

const waveformFault = (channel: Channel, waveform: Waveform, of: Named): Refusal | undefined => {
  const bytes = waveform.f32
  const [low, high] = channel.range ?? [-Number.MAX_VALUE, Number.MAX_VALUE]
  for (let at = 0; at < bytes.length; at += 4) {
    const value = bytes.readFloatLE(at)
    if (value >= low && value <= high) continue
    if (!Number.isFinite(value)) {
      return refusal('ANDON_INGEST_BAD_FIELD', `waveform.f32: element ${at / 4} is ${value}, expected a finite number`, of)
    }
    return rangeRefusal(channel, value, low, high, of)
  }
  return undefined
}

const outOfRange = (layout: Layout, at: number, value: number, of: Named): Refusal =>
  Number.isFinite(value)
    ? rangeRefusal(layout.channels[at]!, value, layout.lows[at]!, layout.highs[at]!, of)
    : refusal('ANDON_INGEST_BAD_FIELD', `${layout.ids[at]}: found ${value}, expected a finite number`, of)

const rangeRefusal = (channel: Channel, value: number, low: number, high: number, of: Named): Refusal =>
  refusal('ANDON_INGEST_OUT_OF_RANGE', `${channel.id}: found ${value}, expected ${low} to ${high} ${channel.unit}`, of)
