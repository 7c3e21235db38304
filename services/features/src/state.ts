// What features remembers per telemetry partition, and its encoding: one self-contained snapshot per asset, and under
// reserved keys partition time and the plans that assets share. Restored after a crash it gives the same vectors with the same ids.

import type { KeyedState } from '@andon/kit'
import type { AbsentAssets } from './absent-assets.ts'
import { derive, newAsset } from './asset-windows.ts'
import type { AssetWindows } from './asset-windows.ts'
import { Lane } from './lanes.ts'
import type { LaneColumns, LaneKind } from './lanes.ts'
import { startOfTime } from './partition-time.ts'
import type { PartitionTime } from './partition-time.ts'
import { bodyDigest, bodyOf } from './plan-identity.ts'
import type { PlanBody } from './plan-identity.ts'
import type { AssetPlan } from './plan.ts'
import type { SourceClock } from './source-clock.ts'
import { tidy } from './window-memory.ts'

/** Key of partition time; no asset id starts with #. */
export const TIME_KEY = '#time'
/** Key of the assets that never sent anything. */
export const ABSENT_KEY = '#absent'
/** Keys of what assets of a class share of their plans, by its digest. */
const PLAN_KEY = '#plan:'

const VERSION = 2

/** All memory of one partition. */
export interface PartitionMemory {
  time: PartitionTime
  readonly assets: Map<string, AssetWindows>
  absent: AbsentAssets
  /** Bodies of the plans that stored assets name. */
  readonly plans: Map<string, PlanBody>
  /** Keys changed since their last snapshot. */
  readonly changed: Set<string>
  /** The assets in the order of their ids; undefined = to be made. */
  sorted: readonly (readonly [assetId: string, asset: AssetWindows])[] | undefined
}

export const newMemory = (): PartitionMemory => ({
  time: startOfTime(),
  assets: new Map(),
  absent: new Map(),
  plans: new Map(),
  changed: new Set(),
  sorted: undefined,
})

/** Keeps an asset's windows and marks them changed. */
export const remember = (memory: PartitionMemory, assetId: string, asset: AssetWindows): void => {
  put(memory, assetId, asset)
  memory.changed.add(assetId)
}

const put = (memory: PartitionMemory, assetId: string, asset: AssetWindows): void => {
  if (memory.assets.get(assetId) === asset) return
  memory.assets.set(assetId, asset)
  memory.sorted = undefined
}

/** The assets in the order of their ids: what ticks give follows from the records alone. */
export const sortedAssets = (memory: PartitionMemory): readonly (readonly [assetId: string, asset: AssetWindows])[] =>
  (memory.sorted ??= [...memory.assets].toSorted(([a], [b]) => (a < b ? -1 : 1)))

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
  /** Assets that arrived before a plan they name. */
  const waiting = new Map<string, Map<string, StoredAsset>>()
  const partsOf = (assetId: string): Uint8Array[] => {
    const known = taken.get(assetId)
    if (known !== undefined) return known
    const asset = memory.assets.get(assetId) ?? newAsset()
    asset.snapshots++
    tidy(asset)
    for (const plan of asset.plans) {
      const digest = bodyDigest(plan)
      if (memory.plans.has(digest)) continue
      memory.plans.set(digest, bodyOf(plan))
      memory.changed.add(PLAN_KEY + digest)
    }
    const parts = split(encodeAsset(asset), asset.snapshots)
    taken.set(assetId, parts)
    return parts
  }
  const admit = (assetId: string, stored: StoredAsset): void => {
    const missing = stored.header.plans.find(({ body }) => !memory.plans.has(body))
    if (missing === undefined) {
      put(memory, assetId, decodeAsset(stored, memory.plans))
      return
    }
    const others = waiting.get(missing.body) ?? new Map<string, StoredAsset>()
    waiting.set(missing.body, others.set(assetId, stored))
  }
  return {
    version: VERSION,
    *dirty() {
      taken.clear()
      const keys = [...memory.changed].flatMap((key) => (key.startsWith('#') ? [] : partsOf(key).map((_, at) => partKey(key, at))))
      yield* [...memory.changed].filter((key) => key.startsWith('#'))
      yield* keys
    },
    snapshot(key) {
      const [assetId, at] = assetAndPart(key)
      memory.changed.delete(assetId)
      if (key === TIME_KEY) return encode(memory.time, [])
      if (key === ABSENT_KEY) return encode([...memory.absent], [])
      if (key.startsWith(PLAN_KEY)) return encode(memory.plans.get(key.slice(PLAN_KEY.length)) ?? null, [])
      return partsOf(assetId)[at] ?? new Uint8Array(PART_HEADER_BYTES)
    },
    restore(key, state, version) {
      if (version !== VERSION) throw new RangeError(`features state of ${key} has version ${version}, expected ${VERSION}`)
      if (key === TIME_KEY) {
        memory.time = decode<PartitionTime>(state).header
        return
      }
      if (key === ABSENT_KEY) {
        memory.absent = new Map(decode<[string, number | null][]>(state).header)
        return
      }
      if (key.startsWith(PLAN_KEY)) {
        const digest = key.slice(PLAN_KEY.length)
        const body = decode<PlanBody | null>(state).header
        if (body === null) return
        memory.plans.set(digest, body)
        const assets = waiting.get(digest) ?? []
        waiting.delete(digest)
        for (const [assetId, stored] of assets) admit(assetId, stored)
        return
      }
      const [assetId, at] = assetAndPart(key)
      const parts = arrived.get(assetId) ?? []
      parts[at] = Uint8Array.from(state)
      arrived.set(assetId, parts)
      const whole = joined(parts)
      if (whole !== undefined) admit(assetId, decode<AssetHeader>(whole))
    },
    describe: (key) => {
      if (key.startsWith(PLAN_KEY)) return memory.plans.get(key.slice(PLAN_KEY.length))
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

/** What holds for the asset and what its lanes hold, without the samples themselves. */
const describeAsset = ({
  plans,
  sources,
  lanes,
  dueUs,
  revisableUntilUs: _until,
  silentFromUs: _silent,
  quietUntilUs: _quiet,
  isToClear: _clear,
  ...rest
}: AssetWindows) => ({
  ...rest,
  nextWindowClosesUs: Number.isFinite(dueUs) ? dueUs : null,
  plans: plans.map(({ featureSet, digest, plantDigest }) => ({ featureSet, digest, plantDigest })),
  sources: [...sources].map(([source, clock]) => ({ source, ...clock })),
  lanes: lanes.map((lane) => ({
    ...kindOf(lane),
    plan: lane.plan,
    rows: lane.rows,
    firstUs: lane.rows === 0 ? null : lane.timesUs[lane.from],
    lastUs: lane.rows === 0 ? null : lane.timesUs[lane.to - 1],
  })),
})

const kindOf = ({ sourceId, channels, width, dtype, sampleRateHz, historical, isRecorded }: Lane): LaneKind => ({
  sourceId,
  channels,
  width,
  dtype,
  sampleRateHz,
  historical,
  isRecorded,
})

type LaneHeader = LaneKind & {
  readonly plan: number
  readonly firstNumber: number
  readonly epoch: number
  /** Null = no such row. */
  readonly oddUs: number | null
}
type AssetHeader = Omit<
  AssetWindows,
  'plans' | 'sources' | 'lanes' | 'dueUs' | 'revisableUntilUs' | 'silentFromUs' | 'settledUs' | 'quietUntilUs' | 'isToClear'
> & {
  readonly plans: readonly { readonly body: string; readonly sources: readonly string[]; readonly plantDigest: string }[]
  readonly sources: [string, SourceClock][]
  readonly lanes: LaneHeader[]
}
interface StoredAsset {
  readonly header: AssetHeader
  readonly columns: Column[]
}

const encodeAsset = (asset: AssetWindows): Uint8Array => {
  const {
    plans,
    sources,
    lanes,
    dueUs: _due,
    revisableUntilUs: _until,
    silentFromUs: _silent,
    settledUs: _settled,
    quietUntilUs: _quiet,
    isToClear: _clear,
    ...rest
  } = asset
  const columns: Column[] = []
  const header: AssetHeader = {
    ...rest,
    plans: plans.map((plan) => ({ body: bodyDigest(plan), sources: plan.sources, plantDigest: plan.plantDigest })),
    sources: [...sources],
    lanes: lanes.map((lane) => {
      const { timesUs, numbers, epochs, qualities, recordedUs, samples } = lane.columns()
      columns.push(timesUs, numbers, epochs, qualities, recordedUs, samples)
      const { plan, epoch, oddUs } = lane
      return { ...kindOf(lane), plan, epoch, firstNumber: lane.base + lane.from, oddUs: Number.isFinite(oddUs) ? oddUs : null }
    }),
  }
  return encode(header, columns)
}

const decodeAsset = ({ header, columns }: StoredAsset, bodies: ReadonlyMap<string, PlanBody>): AssetWindows => {
  const plans = header.plans.map(({ body, ...own }): AssetPlan => ({ ...(bodies.get(body) as PlanBody), ...own }))
  let at = 0
  const next = <T extends Column>(): T => columns[at++] as T
  const lanes = header.lanes.map((stored) => {
    const lane = new Lane(stored, stored.plan, plans[stored.plan] as AssetPlan)
    const held: LaneColumns = {
      timesUs: next(),
      numbers: next(),
      epochs: next(),
      qualities: next(),
      recordedUs: next(),
      samples: next(),
    }
    lane.restore(held, stored.firstNumber, stored.epoch, stored.oddUs ?? Number.NEGATIVE_INFINITY)
    return lane
  })
  const asset: AssetWindows = { ...newAsset(), ...header, plans, sources: new Map(header.sources), lanes }
  derive(asset)
  return asset
}
