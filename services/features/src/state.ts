// What features remembers per telemetry partition, and its encoding: one self-contained snapshot per asset, and one for
// partition time under a reserved key. Restored after a crash it gives the same vectors with the same ids.

import type { KeyedState } from '@andon/kit'
import { newAsset } from './asset-windows.ts'
import type { AssetWindows, Window } from './asset-windows.ts'
import { roomOf, samplesWithRoom } from './chunk.ts'
import type { Chunk } from './chunk.ts'
import { startOfTime } from './partition-time.ts'
import type { PartitionTime } from './partition-time.ts'
import type { SourceClock } from './source-clock.ts'

/** Key of partition time; no asset id starts with #. */
export const TIME_KEY = '#time'

/** All memory of one partition. */
export interface PartitionMemory {
  time: PartitionTime
  readonly assets: Map<string, AssetWindows>
  /** Keys changed since their last snapshot. */
  readonly changed: Set<string>
}

export const newMemory = (): PartitionMemory => ({ time: startOfTime(), assets: new Map(), changed: new Set() })

/** Keeps an asset's windows and marks them changed. */
export const remember = (memory: PartitionMemory, assetId: string, asset: AssetWindows): void => {
  memory.assets.set(assetId, asset)
  memory.changed.add(assetId)
}

/** Largest part of an asset's state in one changelog record, which may have 1 MiB. */
const PART_BYTES = 768 * 1024
const PART_HEADER_BYTES = 12

/**
 * An asset's state lies under its id, what is too long for one record under `<id>#1`, `<id>#2`, ... All parts of a
 * snapshot are written together and carry its number, so a part that a shorter snapshot left behind is not taken for a newer one.
 */
export const keyedState = (memory: PartitionMemory): KeyedState => {
  const taken = new Map<string, Uint8Array[]>()
  const arrived = new Map<string, Uint8Array[]>()
  const partsOf = (assetId: string): Uint8Array[] => {
    const known = taken.get(assetId)
    if (known !== undefined) return known
    const asset = memory.assets.get(assetId) ?? newAsset()
    asset.snapshots++
    const parts = split(encodeAsset(asset), asset.snapshots)
    taken.set(assetId, parts)
    return parts
  }
  return {
    version: 1,
    *dirty() {
      taken.clear()
      for (const key of memory.changed) {
        if (key === TIME_KEY) yield key
        else for (const at of partsOf(key).keys()) yield partKey(key, at)
      }
    },
    snapshot(key) {
      const [assetId, at] = assetAndPart(key)
      memory.changed.delete(assetId)
      if (key === TIME_KEY) return encode(memory.time, [])
      return partsOf(assetId)[at] ?? new Uint8Array(PART_HEADER_BYTES)
    },
    restore(key, state, version) {
      if (version !== 1) throw new RangeError(`features state of ${key} has version ${version}, expected 1`)
      if (key === TIME_KEY) {
        memory.time = decode<PartitionTime>(state).header
        return
      }
      const [assetId, at] = assetAndPart(key)
      const parts = arrived.get(assetId) ?? []
      parts[at] = Uint8Array.from(state)
      arrived.set(assetId, parts)
      const whole = joined(parts)
      if (whole !== undefined) memory.assets.set(assetId, decodeAsset(whole))
    },
    describe: (key) => {
      const asset = memory.assets.get(key)
      return asset && { partitionTimeUs: memory.time.timeUs, ...describeAsset(asset) }
    },
  }
}

const partKey = (assetId: string, at: number): string => (at === 0 ? assetId : `${assetId}#${at}`)

const assetAndPart = (key: string): [string, number] => {
  const at = key.lastIndexOf('#')
  return at <= 0 ? [key, 0] : [key.slice(0, at), Number(key.slice(at + 1))]
}

/** Each part: number of the snapshot (f64), count of parts (uint32), bytes. */
const split = (state: Uint8Array, snapshot: number): Uint8Array[] => {
  const count = Math.max(1, Math.ceil(state.byteLength / PART_BYTES))
  return Array.from({ length: count }, (_, i) => {
    const bytes = state.subarray(i * PART_BYTES, (i + 1) * PART_BYTES)
    const part = Buffer.alloc(PART_HEADER_BYTES + bytes.byteLength)
    part.writeDoubleLE(snapshot, 0)
    part.writeUInt32LE(count, 8)
    part.set(bytes, PART_HEADER_BYTES)
    return part
  })
}

/** The state, once every part of the snapshot that the first one names has arrived. */
const joined = (parts: readonly (Uint8Array | undefined)[]): Uint8Array | undefined => {
  const first = parts[0]
  if (first === undefined) return undefined
  const snapshotOf = (part: Uint8Array) => Buffer.from(part.buffer, part.byteOffset, part.byteLength).readDoubleLE(0)
  const count = Buffer.from(first.buffer, first.byteOffset, first.byteLength).readUInt32LE(8)
  const own: Uint8Array[] = []
  for (let at = 0; at < count; at++) {
    const part = parts[at]
    if (part === undefined || snapshotOf(part) !== snapshotOf(first)) return undefined
    own.push(part.subarray(PART_HEADER_BYTES))
  }
  return Buffer.concat(own)
}

// Layout: length of the header (uint32, little-endian), header (JSON), then the numeric columns it lists, each aligned to 8 bytes.

type Column = Float64Array | Float32Array | Uint8Array
interface ColumnPlace {
  readonly type: 'f64' | 'f32' | 'u8'
  readonly length: number
}

const aligned = (bytes: number): number => (bytes + 7) & ~7

const encode = (header: unknown, columns: readonly Column[]): Uint8Array => {
  const places: ColumnPlace[] = columns.map((column) => ({
    type: column instanceof Float64Array ? 'f64' : column instanceof Float32Array ? 'f32' : 'u8',
    length: column.length,
  }))
  const text = Buffer.from(JSON.stringify({ header, places }))
  const bytes = Buffer.alloc(aligned(4 + text.length) + columns.reduce((sum, column) => sum + aligned(column.byteLength), 0))
  bytes.writeUInt32LE(text.length, 0)
  text.copy(bytes, 4)
  let at = aligned(4 + text.length)
  for (const column of columns) {
    bytes.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at)
    at += aligned(column.byteLength)
  }
  return bytes
}

const decode = <T>(state: Uint8Array): { header: T; columns: Column[] } => {
  const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength)
  const textLength = bytes.readUInt32LE(0)
  const { header, places } = JSON.parse(bytes.toString('utf8', 4, 4 + textLength)) as { header: T; places: ColumnPlace[] }
  let at = aligned(4 + textLength)
  const columns = places.map(({ type, length }) => {
    const size = length * (type === 'f64' ? 8 : type === 'f32' ? 4 : 1)
    const own = new Uint8Array(bytes.subarray(at, at + size)).buffer
    at += aligned(size)
    return type === 'f64' ? new Float64Array(own) : type === 'f32' ? new Float32Array(own) : new Uint8Array(own)
  })
  return { header, columns }
}

/** Open windows with what they hold, without the samples themselves. */
const describeAsset = ({ windows, sources, ...rest }: AssetWindows) => ({
  ...rest,
  sources: [...sources].map(([source, clock]) => ({ source, ...clock })),
  windows: windows.map(({ chunks, ...window }) => ({
    ...window,
    rows: chunks.reduce((sum, { rows }) => sum + rows, 0),
    chunks: chunks.map(({ seqs: _seqs, timesUs, recordedUs: _recorded, qualities: _qualities, samples: _samples, ...chunk }) => ({
      ...chunk,
      firstUs: timesUs[0] ?? null,
      lastUs: timesUs[chunk.rows - 1] ?? null,
    })),
  })),
})

/** The columns say how many rows there are. */
type ChunkHeader = Omit<Chunk, 'rows' | 'seqs' | 'timesUs' | 'recordedUs' | 'qualities' | 'samples'>
type AssetHeader = Omit<AssetWindows, 'sources' | 'windows'> & {
  readonly sources: [string, SourceClock][]
  readonly windows: (Omit<Window, 'chunks'> & { readonly chunks: ChunkHeader[] })[]
}

const encodeAsset = (asset: AssetWindows): Uint8Array => {
  const columns: Column[] = []
  const windows = asset.windows.map((window) => ({
    ...window,
    chunks: window.chunks.map((chunk) => {
      const { rows, seqs, timesUs, recordedUs, qualities, samples, ...header } = chunk
      for (const column of [seqs, timesUs, recordedUs, qualities]) columns.push(column.subarray(0, rows))
      columns.push(rows === roomOf(chunk) ? samples : samplesWithRoom(chunk, rows))
      return header
    }),
  }))
  return encode({ ...asset, sources: [...asset.sources], windows }, columns)
}

const decodeAsset = (state: Uint8Array): AssetWindows => {
  const { header, columns } = decode<AssetHeader>(state)
  let at = 0
  const next = <T extends Column>(): T => columns[at++] as T
  return {
    ...header,
    corrections: (header as Partial<AssetHeader>).corrections ?? [], // snapshots of the first version have none
    sources: new Map(header.sources),
    windows: header.windows.map((window) => ({
      ...window,
      chunks: window.chunks.map((chunk) => ({
        ...chunk,
        rows: (columns[at] as Column).length,
        seqs: next<Float64Array>(),
        timesUs: next<Float64Array>(),
        recordedUs: next<Float64Array>(),
        qualities: next<Uint8Array>(),
        samples: next<Float32Array | Float64Array>(),
      })),
    })),
  }
}
