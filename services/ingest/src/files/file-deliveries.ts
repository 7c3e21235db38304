// Rows of a file → deliveries for the intake. Each asset's rows in a file are a source of their own, numbered in the order of the file:
// `file:<16 hex digits of the file's digest>:<asset>`, epoch 0, from 0. The same bytes give the same numbers again, so that a resumed or a
// repeated import changes nothing for readers. A row that cannot be read keeps its number. Pure.

import type { ColumnsDelivery, DoorName, ReadingsDelivery } from '../adapters/source.ts'
import type { ReadingColumns } from '../columns.ts'
import { refusal } from '../reading.ts'
import type { RawReading } from '../reading.ts'
import type { ColumnPlan } from './column-plan.ts'
import type { FileAssets } from './file-assets.ts'
import type { RowBatch, RowFault } from './row-batch.ts'

/** A delivery, and which rows of the file its readings are: the n-th one is row `rowOf(n)`. */
export interface FileDelivery {
  readonly delivery: ColumnsDelivery | ReadingsDelivery
  readonly rowOf: (index: number) => number
}

export const sourceIdOf = (sha256: string, asset: string): string => `file:${sha256.slice(0, 16)}:${asset}`

export interface FileIdentity {
  readonly door: DoorName
  readonly sha256: string
}

/** Deliveries in the order of the rows; takes the rows' numbers from `assets`. The batch must stay as it is until all are settled. */
export const deliveriesOf = (
  file: FileIdentity,
  plan: ColumnPlan,
  longChannels: readonly string[],
  batch: RowBatch,
  assets: FileAssets,
): FileDelivery[] => {
  const channels = channelsOf(plan, longChannels)
  const deliveries: FileDelivery[] = []
  let from = 0
  for (const fault of [...batch.faults, undefined]) {
    const to = fault?.row ?? batch.rows
    if (to > from) deliveries.push(goodRows(file, channels, batch, assets, from, to))
    if (fault !== undefined) deliveries.push(badRow(file, batch, assets, fault))
    from = to + 1
  }
  return deliveries
}

interface Channels {
  readonly names: readonly string[]
  readonly units: readonly (string | undefined)[] | undefined
  readonly isLong: boolean
}

const channelsOf = ({ values, long }: ColumnPlan, longChannels: readonly string[]): Channels => {
  if (long !== undefined) {
    return { names: longChannels, units: long.unit === undefined ? undefined : longChannels.map(() => long.unit), isLong: true }
  }
  const hasUnits = values.some(({ unit }) => unit !== undefined)
  return { names: values.map(({ channel }) => channel), units: hasUnits ? values.map(({ unit }) => unit) : undefined, isLong: false }
}

const goodRows = (file: FileIdentity, channels: Channels, batch: RowBatch, assets: FileAssets, from: number, to: number): FileDelivery => {
  const rowsByAsset = groupByAsset(batch, from, to)
  const columns: ReadingColumns[] = []
  const rowNumbers: Int32Array[] = []
  for (const [asset, rows] of rowsByAsset) {
    columns.push(columnsOf(file, channels, batch, assets, asset, rows))
    rowNumbers.push(rows)
  }
  const bytes = batch.ends[to - 1]! - batch.starts[from]!
  const delivery: ColumnsDelivery = { door: file.door, columns, bytes: Math.max(bytes, 1) }
  return {
    delivery,
    rowOf: (index) => {
      let rest = index
      for (const rows of rowNumbers) {
        if (rest < rows.length) return batch.firstRow + rows[rest]!
        rest -= rows.length
      }
      return batch.firstRow
    },
  }
}

/** Rows of each asset, ascending, the assets in the order of their first row. */
const groupByAsset = ({ assets }: RowBatch, from: number, to: number): Map<number, Int32Array> => {
  const counts = new Map<number, number>()
  for (let row = from; row < to;) {
    const asset = assets[row]!
    const start = row
    while (row < to && assets[row] === asset) row++
    counts.set(asset, (counts.get(asset) ?? 0) + row - start)
  }
  const groups = new Map<number, Int32Array>()
  const filled = new Map<number, number>()
  for (const [asset, count] of counts) groups.set(asset, new Int32Array(count))
  for (let row = from; row < to; row++) {
    const asset = assets[row]!
    const at = filled.get(asset) ?? 0
    groups.get(asset)![at] = row
    filled.set(asset, at + 1)
  }
  return groups
}

const columnsOf = (
  { sha256 }: FileIdentity,
  { names, units, isLong }: Channels,
  batch: RowBatch,
  assets: FileAssets,
  asset: number,
  rows: Int32Array,
): ReadingColumns => {
  const count = rows.length
  const first = rows[0]!
  const isRun = rows[count - 1]! - first === count - 1
  const { capacity } = batch
  const used = isLong ? usedChannels(batch, rows, names.length) : undefined
  const channels = used === undefined ? names : used.map((channel) => names[channel]!)
  const timesUs = isRun ? batch.timesUs.subarray(first, first + count) : new Float64Array(count)
  const values = isRun && !isLong && count === capacity ? batch.values : new Float64Array(count * channels.length)
  const qualities = batch.anyQuality ? new Uint8Array(count) : undefined
  if (!isRun) for (let at = 0; at < count; at++) timesUs[at] = batch.timesUs[rows[at]!]!
  if (qualities !== undefined) for (let at = 0; at < count; at++) qualities[at] = batch.qualities[rows[at]!]!
  if (used !== undefined) {
    values.fill(Number.NaN)
    for (let at = 0; at < count; at++) values[used.indexOf(batch.longChannels[rows[at]!]!) * count + at] = batch.values[rows[at]!]!
  } else if (values !== batch.values) {
    for (let channel = 0; channel < channels.length; channel++) {
      const base = channel * capacity
      if (isRun) values.set(batch.values.subarray(base + first, base + first + count), channel * count)
      else for (let at = 0; at < count; at++) values[channel * count + at] = batch.values[base + rows[at]!]!
    }
  }
  const id = assets.ids[asset]!
  const seqFrom = assets.next[asset]!
  assets.next[asset] = seqFrom + count
  return {
    source: sourceIdOf(sha256, id),
    asset: id,
    epoch: 0,
    seqFrom,
    rows: count,
    channels,
    ...(units === undefined ? {} : { units: used === undefined ? units : used.map((channel) => units[channel]) }),
    timesUs,
    values,
    ...(qualities === undefined ? {} : { qualities }),
    bytesOf: (row) => batch.bytesOf(rows[row]!),
  }
}

const usedChannels = ({ longChannels }: RowBatch, rows: Int32Array, channels: number): number[] => {
  const isUsed = new Uint8Array(channels)
  for (const row of rows) isUsed[longChannels[row]!] = 1
  return [...isUsed.keys()].filter((channel) => isUsed[channel] === 1)
}

const badRow = ({ door, sha256 }: FileIdentity, batch: RowBatch, assets: FileAssets, fault: RowFault): FileDelivery => {
  const asset = batch.assets[fault.row]!
  const id = assets.ids[asset]
  const seq = id === undefined ? undefined : assets.next[asset]!
  if (seq !== undefined) assets.next[asset] = seq + 1
  const identity = {
    source: id === undefined ? undefined : sourceIdOf(sha256, id),
    asset: id,
    epoch: seq === undefined ? undefined : 0,
    seq,
  }
  const reading: RawReading = {
    value: undefined,
    bytes: () => batch.bytesOf(fault.row),
    refused: refusal(rowFaultCode, `row ${batch.firstRow + fault.row + 1}: ${wordsOf(fault)}`, identity),
  }
  const bytes = batch.ends[fault.row]! - batch.starts[fault.row]!
  return { delivery: { door, readings: [reading], bytes: Math.max(bytes, 1) }, rowOf: () => batch.firstRow + fault.row }
}

export const rowFaultCode = 'ANDON_INGEST_FILE_ROW'

export const wordsOf = ({ field, found, expected }: RowFault): string =>
  `${field === '' ? '' : `${field}: `}found ${found}, expected ${expected}`
