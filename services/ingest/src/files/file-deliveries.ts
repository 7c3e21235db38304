// Rows of a file → deliveries for the intake. Each asset's rows in a file are a source of their own, numbered in the order of the file:
// `file:<16 hex digits of the file's digest>:<asset>`, epoch 0, from 0. The same bytes give the same numbers again, so that a resumed or a
// repeated import changes nothing for readers. A row that cannot be read keeps its number. Pure.

import type { ColumnsDelivery, DoorName, ReadingsDelivery } from '../adapters/source.ts'
import type { ReadingColumns } from '../columns.ts'
import { refusal } from '../reading.ts'
import type { RawReading, Refusal } from '../reading.ts'
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

/** Deliveries of a batch; takes the rows' numbers from `assets`. The batch must stay as it is until all are settled. */
export const deliveriesOf = (
  file: FileIdentity,
  plan: ColumnPlan,
  longChannels: readonly string[],
  batch: RowBatch,
  assets: FileAssets,
): FileDelivery[] => {
  const faults = new Map(batch.faults.map((fault) => [fault.row, fault]))
  const homeless = batch.faults.filter(({ row }) => batch.assets[row]! < 0)
  return [...placedRows(file, channelsOf(plan, longChannels), batch, assets, faults), ...homelessRows(file, batch, homeless)]
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

/** Rows whose asset is known, the bad ones among them included. */
const placedRows = (
  file: FileIdentity,
  channels: Channels,
  batch: RowBatch,
  assets: FileAssets,
  faults: ReadonlyMap<number, RowFault>,
): FileDelivery[] => {
  const columns: ReadingColumns[] = []
  const rowNumbers: Int32Array[] = []
  for (const [asset, rows] of groupByAsset(batch)) {
    columns.push(columnsOf(file, channels, batch, assets, asset, rows, faults))
    rowNumbers.push(rows)
  }
  if (columns.length === 0) return []
  const delivery: ColumnsDelivery = { door: file.door, columns, bytes: bytesOf(batch) }
  const rowOf = (index: number): number => {
    let rest = index
    for (const rows of rowNumbers) {
      if (rest < rows.length) return batch.firstRow + rows[rest]!
      rest -= rows.length
    }
    throw new RangeError(`a receipt names reading ${index} of ${batch.rows}`)
  }
  return [{ delivery, rowOf }]
}

const bytesOf = ({ starts, ends, rows }: RowBatch): number => Math.max(1, ends[rows - 1]! - starts[0]!)

/** Rows of each asset, ascending, the assets in the order of their first row. */
const groupByAsset = ({ assets, rows }: RowBatch): Map<number, Int32Array> => {
  const counts = new Map<number, number>()
  for (let row = 0; row < rows;) {
    const asset = assets[row]!
    const start = row
    while (row < rows && assets[row] === asset) row++
    if (asset >= 0) counts.set(asset, (counts.get(asset) ?? 0) + row - start)
  }
  const groups = new Map<number, Int32Array>()
  const filled = new Map<number, number>()
  for (const [asset, count] of counts) groups.set(asset, new Int32Array(count))
  for (let row = 0; row < rows; row++) {
    const asset = assets[row]!
    if (asset < 0) continue
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
  faults: ReadonlyMap<number, RowFault>,
): ReadingColumns => {
  const count = rows.length
  const first = rows[0]!
  const isRun = rows[count - 1]! - first === count - 1
  const { capacity } = batch
  const used = isLong ? usedChannels(batch, rows, names.length) : undefined
  const channels = used === undefined ? names : used.map((channel) => names[channel]!)
  const timesUs = isRun ? batch.timesUs.subarray(first, first + count) : new Float64Array(count)
  const isWhole = isRun && !isLong && count === batch.rows
  const values = isWhole ? compacted(batch) : new Float64Array(count * channels.length)
  const qualities = batch.anyQuality ? new Uint8Array(count) : undefined
  if (!isRun) for (let at = 0; at < count; at++) timesUs[at] = batch.timesUs[rows[at]!]!
  if (qualities !== undefined) for (let at = 0; at < count; at++) qualities[at] = batch.qualities[rows[at]!]!
  if (used !== undefined) {
    values.fill(Number.NaN)
    for (let at = 0; at < count; at++) {
      const channel = batch.longChannels[rows[at]!]!
      if (channel >= 0) values[used.indexOf(channel) * count + at] = batch.values[rows[at]!]!
    }
  } else if (!isWhole) {
    for (let channel = 0; channel < channels.length; channel++) {
      const base = channel * capacity
      if (isRun) values.set(batch.values.subarray(base + first, base + first + count), channel * count)
      else for (let at = 0; at < count; at++) values[channel * count + at] = batch.values[base + rows[at]!]!
    }
  }
  const id = assets.ids[asset]!
  const seqFrom = assets.next[asset]!
  assets.next[asset] = seqFrom + count
  const source = sourceIdOf(sha256, id)
  const refused = new Map<number, Refusal>()
  if (faults.size > 0) {
    for (let at = 0; at < count; at++) {
      const fault = faults.get(rows[at]!)
      if (fault !== undefined)
        refused.set(at, refusal(rowFaultCode, rowMessage(batch, fault), { source, asset: id, epoch: 0, seq: seqFrom + at }))
    }
  }
  return {
    source,
    asset: id,
    epoch: 0,
    seqFrom,
    rows: count,
    channels,
    ...(units === undefined ? {} : { units: used === undefined ? units : used.map((channel) => units[channel]) }),
    timesUs,
    values,
    ...(qualities === undefined ? {} : { qualities }),
    ...(refused.size === 0 ? {} : { refused }),
    bytesOf: (row) => batch.bytesOf(rows[row]!),
  }
}

/** The values of a batch whose rows all go together, moved up in place: nothing is allocated on the usual path. */
const compacted = ({ values, capacity, channels, rows }: RowBatch): Float64Array => {
  for (let channel = 1; channel < channels && rows < capacity; channel++) {
    values.copyWithin(channel * rows, channel * capacity, channel * capacity + rows)
  }
  return values.subarray(0, channels * rows)
}

const usedChannels = ({ longChannels }: RowBatch, rows: Int32Array, channels: number): number[] => {
  const isUsed = new Uint8Array(channels)
  for (const row of rows) if (longChannels[row]! >= 0) isUsed[longChannels[row]!] = 1
  return [...isUsed.keys()].filter((channel) => isUsed[channel] === 1)
}

/** Bad rows of no known asset: without a number, as nothing says whose they are. */
const homelessRows = ({ door }: FileIdentity, batch: RowBatch, faults: readonly RowFault[]): FileDelivery[] => {
  if (faults.length === 0) return []
  const readings = faults.map((fault): RawReading => ({
    value: undefined,
    bytes: () => batch.bytesOf(fault.row),
    refused: refusal(rowFaultCode, rowMessage(batch, fault), {}),
  }))
  return [{ delivery: { door, readings, bytes: bytesOf(batch) }, rowOf: (index) => batch.firstRow + faults[index]!.row }]
}

const rowMessage = ({ firstRow }: RowBatch, fault: RowFault): string => `row ${firstRow + fault.row + 1}: ${wordsOf(fault)}`

export const rowFaultCode = 'ANDON_INGEST_FILE_ROW'

export const wordsOf = ({ field, found, expected }: RowFault): string =>
  `${field === '' ? '' : `${field}: `}found ${found}, expected ${expected}`
