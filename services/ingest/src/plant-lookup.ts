// What the plant file says about a reading: which asset its source belongs to, whether its channels exist, their units and ranges.
// Pure; a new plant file makes a new lookup. Source → asset bindings that devices brought themselves are kept in `bound`.

import type { Asset, Channel, Plant } from '@andon/schemas'
import type { Reading, Refusal } from './reading.ts'
import { refusal } from './reading.ts'

/** A reading with its place in the plant. */
export interface Placed {
  readonly reading: Reading
  readonly assetId: string
  /** Channels of the row: the reading's, in the plant's order. */
  readonly channels: readonly Channel[]
}

export interface PlantLookup {
  /** Asset of a source: as the plant file names it, else as the source's first reading did. */
  assetOf(source: string): string | undefined
  /** Checks a reading against the plant. One source feeds one asset, since its numbers are one sequence. */
  place(reading: Reading): Placed | Refusal
}

interface KnownAsset {
  readonly id: string
  readonly channels: ReadonlyMap<string, Channel>
  readonly list: string
}

/** @param bound source → asset of sources that the plant file does not name; filled as readings arrive, shared over plant changes. */
export const plantLookup = (plant: Plant, bound: Map<string, string>): PlantLookup => {
  const assets = new Map<string, KnownAsset>(plant.assets.map((asset) => [asset.id, known(asset)]))
  const named = new Map<string, string>(plant.assets.flatMap((asset) => asset.sources.map((source) => [source, asset.id] as const)))

  const assetOf = (source: string) => named.get(source) ?? bound.get(source)

  const place = (reading: Reading): Placed | Refusal => {
    const bySource = assetOf(reading.source)
    const assetId = reading.asset ?? bySource
    if (assetId === undefined) {
      return refusal(
        'ANDON_INGEST_UNKNOWN_SOURCE',
        `source: ${reading.source} is not named by plant.yaml, and the reading names no asset`,
        reading,
      )
    }
    const asset = assets.get(assetId)
    if (asset === undefined) return refusal('ANDON_INGEST_UNKNOWN_ASSET', `asset: plant.yaml has no asset ${assetId}`, reading)
    if (bySource !== undefined && bySource !== assetId) {
      return refusal('ANDON_INGEST_SOURCE_OF_ANOTHER_ASSET', `asset: ${reading.source} belongs to ${bySource}, not to ${assetId}`, reading)
    }
    const channels: Channel[] = []
    const { values, waveform } = reading
    for (const id in values ?? { [waveform?.channel ?? '']: null }) {
      const channel = asset.channels.get(id)
      if (channel === undefined) {
        return refusal('ANDON_INGEST_UNKNOWN_CHANNEL', `${assetId} has no channel ${id}; plant.yaml names ${asset.list}`, reading)
      }
      const fault = values === undefined ? waveformFault(channel, reading) : scalarFault(channel, values[id] ?? null, reading)
      if (fault !== undefined) return fault
      channels.push(channel)
    }
    if (bySource === undefined) bound.set(reading.source, assetId)
    return { reading, assetId, channels }
  }
  return { assetOf, place }
}

const known = (asset: Asset): KnownAsset => ({
  id: asset.id,
  channels: new Map(asset.channels.map((channel) => [channel.id, channel])),
  list: asset.channels.map((channel) => channel.id).join(', '),
})

const scalarFault = (channel: Channel, value: number | null, reading: Reading): Refusal | undefined => {
  if (channel.kind !== 'scalar') {
    return refusal('ANDON_INGEST_WRONG_KIND', `${channel.id} is a waveform channel; send it as "waveform", not in "values"`, reading)
  }
  const { range } = channel
  if (range === undefined || value === null || (value >= range[0] && value <= range[1])) return undefined
  return outOfRange(channel, value, range, reading)
}

const waveformFault = (channel: Channel, reading: Reading): Refusal | undefined => {
  const { waveform } = reading
  if (channel.kind !== 'waveform' || waveform === undefined) {
    return refusal('ANDON_INGEST_WRONG_KIND', `${channel.id} is a scalar channel; send it in "values", not as "waveform"`, reading)
  }
  const { range } = channel
  const bytes = waveform.f32
  for (let at = 0; at < bytes.length; at += 4) {
    const value = bytes.readFloatLE(at)
    if (!Number.isFinite(value)) {
      return refusal('ANDON_INGEST_BAD_FIELD', `waveform.f32: element ${at / 4} is ${value}, expected a finite number`, reading)
    }
    if (range !== undefined && (value < range[0] || value > range[1])) return outOfRange(channel, value, range, reading)
  }
  return undefined
}

const outOfRange = (channel: Channel, value: number, range: readonly [number, number], reading: Reading): Refusal =>
  refusal('ANDON_INGEST_OUT_OF_RANGE', `${channel.id}: found ${value}, expected ${range[0]} to ${range[1]} ${channel.unit}`, reading)
