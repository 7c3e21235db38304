// A Parquet file as a source of rows: one row group after the other, one page of each column at a time.

import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { parquetMetadata } from 'hyparquet'
import type { FileMetaData, RowGroup } from 'hyparquet'
import { AndonError, messageOf } from '@andon/kit'
import { numberOf, timeOf } from './cell.ts'
import { planColumns, shortened } from './column-plan.ts'
import type { FileSource } from './column-plan.ts'
import type { FileAssets } from './file-assets.ts'
import { ColumnPages, badParquet } from './parquet-pages.ts'
import type { ParquetTime } from './parquet-pages.ts'
import { RowBatch } from './row-batch.ts'
import type { Position, RowSource, SurveyedFile } from './row-source.ts'
import { within } from './within.ts'
import { RowWords } from './row-words.ts'

const maxFooterBytes = 16 * 1024 * 1024
const footerMs = 5000
/** Even times at one distance, packed as well as can be, take more room. */
const mostRowsPerByte = 100
const surveyBytes = 1024 * 1024
const magic = 'PAR1'

/** Looks at the whole file: its digest, and that its footer is one. Throws ANDON_INGEST_FILE_PARQUET. */
export const surveyParquet = async (file: FileHandle, bytes: number, onBytes: (bytes: number) => void): Promise<SurveyedFile> => {
  const metadata = await readFooter(file, bytes)
  const rows = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
  if (rows !== Number(metadata.num_rows)) throw badParquet(`The footer says ${metadata.num_rows} rows, its row groups have ${rows}`)
  if (rows > bytes * mostRowsPerByte) throw badParquet(`The footer says ${rows} rows; the file has only ${bytes} bytes`)
  const digest = createHash('sha256')
  const chunk = Buffer.allocUnsafe(surveyBytes)
  for (let at = 0; ;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
    if (bytesRead === 0) return { sha256: digest.digest('hex'), bytes: at }
    digest.update(chunk.subarray(0, bytesRead))
    at += bytesRead
    onBytes(at)
  }
}

const readFooter = async (file: FileHandle, bytes: number): Promise<FileMetaData> => {
  const tail = Buffer.alloc(8)
  if (bytes < 12) throw badParquet(`The file has ${bytes} bytes, too few for Parquet`)
  await file.read(tail, 0, 8, bytes - 8)
  const length = tail.readUInt32LE(0)
  if (tail.toString('latin1', 4) !== magic) throw badParquet('The file does not end in PAR1: it was cut off, or it is no Parquet')
  if (length > maxFooterBytes || length + 12 > bytes) throw badParquet(`The footer says it has ${length} bytes; the file has ${bytes}`)
  const footer = Buffer.from(new ArrayBuffer(length + 8))
  await file.read(footer, 0, footer.length, bytes - footer.length)
  try {
    return within(footerMs, () => parquetMetadata(footer.buffer as ArrayBuffer))
  } catch (error) {
    throw badParquet(`The footer cannot be read: ${messageOf(error)}`)
  }
}

/** Opens a surveyed file. Throws ANDON_INGEST_FILE_HEADER or _PARQUET; reading throws _PARQUET on a damaged page. */
export const openParquet = async (
  file: FileHandle,
  bytes: number,
  name: string,
  source: FileSource | undefined,
  assets: FileAssets,
): Promise<RowSource> => {
  const metadata = await readFooter(file, bytes)
  const leaves = metadata.row_groups[0]?.columns.map(({ meta_data }) => meta_data?.path_in_schema.join('.') ?? '') ?? []
  const plan = planColumns(leaves, name, source)
  const rows = Number(metadata.num_rows)
  const words = new RowWords(plan, assets)
  const take = rowTaker(plan, words, assets)
  const channels = plan.long === undefined ? plan.values.length : 1
  let open: OpenGroup | undefined

  const groupAt = async (row: number): Promise<OpenGroup> => {
    if (open !== undefined && open.row === row && row < open.end) return open
    let start = 0
    for (const group of metadata.row_groups) {
      const end = start + Number(group.num_rows)
      if (row < end) return openGroup(file, bytes, metadata, group, take.columns, start, row)
      start = end
    }
    throw badParquet(`Row ${row} is beyond the last row group`)
  }

  return {
    plan,
    start: { at: 0, row: 0 },
    end: rows,
    longChannels: () => words.channels,
    newBatch: () => new RowBatch(channels, Buffer.alloc(0)),
    read: (batch, from) =>
      decoding(async (): Promise<Position> => {
        batch.clear(from.row)
        if (from.row >= rows) return from
        open = await groupAt(from.row)
        const originals: Buffer[] = []
        let size = 0
        while (batch.rows < batch.capacity && open.row < open.end) {
          const fields = take.columns.map((column) => open!.pages.get(column)!.next())
          batch.starts[batch.rows] = size
          take.row(batch, fields)
          if (batch.faults.at(-1)?.row === batch.rows) {
            const original = Buffer.from(JSON.stringify(fields, plainJson))
            originals.push(original)
            size += original.length
          }
          batch.ends[batch.rows] = size
          batch.rows++
          open.row++
        }
        batch.bytes = Buffer.concat(originals)
        return { at: open.row, row: open.row }
      }),
    close: () => Promise.resolve(),
  }
}

interface OpenGroup {
  readonly pages: ReadonlyMap<number, ColumnPages>
  readonly end: number
  /** Row that comes next. */
  row: number
}

const openGroup = async (
  file: FileHandle,
  bytes: number,
  metadata: FileMetaData,
  group: RowGroup,
  columns: readonly number[],
  start: number,
  row: number,
): Promise<OpenGroup> => {
  const pages = new Map<number, ColumnPages>()
  for (const column of columns) {
    const about = group.columns[column]?.meta_data
    if (about === undefined) throw badParquet(`A row group has no column ${column + 1}`)
    const opened = await ColumnPages.open(file, bytes, metadata, about, Number(group.num_rows))
    opened.skip(row - start)
    pages.set(column, opened)
  }
  return { pages, end: start + Number(group.num_rows), row }
}

/** What hyparquet throws on damaged bytes becomes one clear refusal. */
const decoding = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AndonError) throw error
    throw badParquet(`The file is damaged, or uses what is not supported: ${messageOf(error)}`)
  }
}

const plainJson = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

/** Puts one row's fields, in the order of `columns`, into a batch. */
const rowTaker = (plan: RowSource['plan'], words: RowWords, assets: FileAssets) => {
  const { asset, time, quality, values, long, names } = plan
  const read = timeOf(time.format, time.timezone, '.')
  const columns: number[] = []
  const place = (column: number): number => columns.push(column) - 1
  const timeAt = place(time.column)
  const assetAt = 'column' in asset ? place(asset.column) : -1
  const constant = 'id' in asset ? assets.indexOf(asset.id) : -1
  const qualityAt = quality === undefined ? -1 : place(quality.column)
  const channelAt = long === undefined ? -1 : place(long.channelColumn)
  const measured = (long === undefined ? values : [{ ...long, column: long.valueColumn }]).map((value, slot) => ({
    slot,
    at: place(value.column),
    scale: value.scale,
    offset: value.offset,
  }))
  const fault = (batch: RowBatch, at: number, found: unknown, expected: string) =>
    batch.fault(batch.rows, names[columns[at]!] ?? '', shortened(JSON.stringify(found, plainJson) ?? 'nothing'), expected)

  const row = (batch: RowBatch, fields: readonly unknown[]): void => {
    const at = batch.rows
    const timeUs = timeFrom(fields[timeAt], read)
    if (typeof timeUs === 'string') fault(batch, timeAt, fields[timeAt], timeUs)
    else batch.timesUs[at] = timeUs
    batch.assets[at] = constant
    if (assetAt >= 0) {
      batch.assets[at] = words.asset.of(textOf(fields[assetAt]))
      if (batch.assets[at]! < 0) fault(batch, assetAt, fields[assetAt], 'the id of an asset')
    }
    batch.qualities[at] = 0
    if (qualityAt >= 0) {
      const found = words.quality.of(textOf(fields[qualityAt]))
      if (found < 0) fault(batch, qualityAt, fields[qualityAt], '0 (good), 1 (uncertain), 2 (bad) or nothing')
      else batch.qualities[at] = found
      if (found > 0) batch.anyQuality = true
    }
    if (channelAt >= 0) {
      batch.longChannels[at] = words.channel.of(textOf(fields[channelAt]))
      if (batch.longChannels[at]! < 0) fault(batch, channelAt, fields[channelAt], 'a channel of the mapping')
    }
    for (const { slot, at: from, scale, offset } of measured) {
      const value = valueFrom(fields[from])
      if (value === undefined) fault(batch, from, fields[from], 'a finite number, or nothing')
      batch.values[slot * batch.capacity + at] = (value ?? Number.NaN) * scale + offset
    }
  }
  return { columns, row }
}

const timeFrom = (value: unknown, read: (value: unknown) => number | string): number | string => {
  if (typeof value === 'object' && value !== null && 'us' in value) {
    const { us } = value as ParquetTime
    return checkedTime(us)
  }
  return read(value)
}

const checkedTime = (us: number): number | string =>
  us >= Date.UTC(2000, 0) * 1000 && us < Date.UTC(2200, 0) * 1000 ? us : 'a time between the years 2000 and 2200'

const valueFrom = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) || Number.isNaN(value) ? value : undefined
  if (value === null || value === undefined) return Number.NaN
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'boolean') return value ? 1 : 0
  return typeof value === 'string' ? numberOf(value, '.') : undefined
}

const textOf = (value: unknown): string => {
  if (typeof value === 'string') return value
  return value === null || value === undefined ? '' : JSON.stringify(value, plainJson)
}
