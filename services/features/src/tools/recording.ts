// A recording from a CSV or Parquet file: columns of numbers over time, and the blocks that ingest would have made of them.

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { AndonError, messageOf } from '@andon/kit/errors'
import { nearest } from '@andon/schemas'
import type { Block } from '@andon/schemas'
import { usualStepUs } from './plot.ts'

export interface RecordedColumn {
  readonly name: string
  /** UCUM, as far as the head says it (`Pressure [bar]`), else 1. */
  readonly unit: string
  /** NaN = missing. */
  readonly values: Float64Array
}

export interface Recording {
  readonly rows: number
  /** Event time per row, microseconds UTC, in the order of the file. */
  readonly timesUs: Float64Array
  /** Column that the times come from; null: they were counted from the sample rate. */
  readonly timeColumn: string | null
  readonly columns: readonly RecordedColumn[]
  /** Columns that hold no numbers. */
  readonly skipped: readonly string[]
}

export interface ReadingOptions {
  readonly timeColumn?: string | undefined
  /** Where no column holds times: elements per second, counted from `startUs`. */
  readonly sampleRateHz?: number | undefined
  readonly startUs?: number | undefined
  /** Units by column. */
  readonly units?: Readonly<Record<string, string>> | undefined
}

/** Reads the file; a name that ends in .gz is unpacked. Throws ANDON_FEATURES_FILE with what is wrong and where. */
export const readRecording = async (file: string, options: ReadingOptions = {}): Promise<Recording> => {
  try {
    const table = file.endsWith('.parquet') ? await readParquetFile(file) : await readCsvFile(file)
    return recordingOf(file, table, options)
  } catch (error) {
    if (error instanceof AndonError) throw error
    throw fault(`${file}: ${messageOf(error)}`, error)
  }
}

const fault = (message: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_FEATURES_FILE', message, { status: 400, ...(cause === undefined ? {} : { cause }) })

/** Numbers, or texts where something else than a number is in a column. */
interface RawColumn {
  readonly name: string
  readonly numbers: Growing
  /** First texts that are no numbers; all of them while the column may hold times. */
  readonly texts: (string | undefined)[]
  hasTexts: boolean
}

class Growing {
  values: Float64Array = new Float64Array(4096)
  length = 0

  push(value: number): void {
    if (this.length === this.values.length) {
      const longer = new Float64Array(this.length * 2)
      longer.set(this.values)
      this.values = longer
    }
    this.values[this.length++] = value
  }
}

const rawColumn = (name: string): RawColumn => ({ name, numbers: new Growing(), texts: [], hasTexts: false })

const MISSING = new Set(['', 'nan', 'na', 'null', 'none', '-'])

const add = (column: RawColumn, text: string, hasDecimalComma: boolean): void => {
  const word = text.trim()
  const value = MISSING.has(word.toLowerCase()) ? Number.NaN : Number(hasDecimalComma ? word.replace(',', '.') : word)
  if (Number.isNaN(value) && !MISSING.has(word.toLowerCase())) {
    column.hasTexts = true
    column.texts[column.numbers.length] = word
  }
  column.numbers.push(value)
}

const readCsvFile = async (file: string): Promise<RawColumn[]> => {
  const isPacked = file.endsWith('.gz')
  const head = isPacked ? '' : await firstLine(file)
  const delimiter = isPacked ? [';', '\t', ','] : [delimiterOf(head)]
  const source = createReadStream(file)
  const bytes = isPacked ? source.pipe(createGunzip()) : source
  source.once('error', (error: Error) => bytes.destroy(error))
  const rows = bytes.pipe(parse({ bom: true, delimiter, skipEmptyLines: true, relaxColumnCount: true, info: true }))
  bytes.once('error', (error: Error) => rows.destroy(error))
  let columns: RawColumn[] | undefined
  const hasDecimalComma = !delimiter.includes(',')
  for await (const { record, info } of rows as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
    if (columns === undefined) {
      const isHead = record.some((field) => field.trim() !== '' && Number.isNaN(Number(field.replace(',', '.'))))
      columns = record.map((field, i) => rawColumn(isHead ? field.trim() || `column${i + 1}` : `column${i + 1}`))
      if (isHead) continue
    }
    if (record.length !== columns.length)
      throw fault(`${file}:${info.lines}: expected ${columns.length} fields as in the first line, found ${record.length}.`)
    for (let i = 0; i < columns.length; i++) add(columns[i] as RawColumn, record[i] as string, hasDecimalComma)
  }
  if (columns === undefined || columns[0]?.numbers.length === 0) throw fault(`${file} has no rows.`)
  return columns
}

const firstLine = async (file: string): Promise<string> => {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, 0)
    return buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? ''
  } finally {
    await handle.close()
  }
}

const delimiterOf = (head: string): string => [';', '\t', ','].toSorted((a, b) => head.split(b).length - head.split(a).length)[0] as string

const readParquetFile = async (path: string): Promise<RawColumn[]> => {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const columns = new Map<string, RawColumn>()
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    for (const row of await parquetReadObjects({ file, metadata, rowStart, rowEnd }))
      for (const [name, value] of Object.entries(row)) {
        const column = columns.get(name) ?? rawColumn(name)
        columns.set(name, column)
        addValue(column, value)
      }
    rowStart = rowEnd
  }
  if (columns.size === 0) throw fault(`${path} has no rows.`)
  return [...columns.values()]
}

const addValue = (column: RawColumn, value: unknown): void => {
  if (typeof value === 'number' || typeof value === 'bigint') column.numbers.push(Number(value))
  else if (value instanceof Date) {
    column.hasTexts = true
    column.texts[column.numbers.length] = value.toISOString()
    column.numbers.push(Number.NaN)
  } else add(column, typeof value === 'string' ? value : '', false)
}

const recordingOf = (file: string, table: readonly RawColumn[], options: ReadingOptions): Recording => {
  const names = table.map(({ name }) => name)
  const rows = table[0]?.numbers.length ?? 0
  const time = timeColumnOf(file, table, options)
  const timesUs = time === undefined ? counted(file, names, rows, options) : timesOf(file, time)
  const columns: RecordedColumn[] = []
  const skipped: string[] = []
  for (const column of table) {
    if (column === time) continue
    const values = column.numbers.values.subarray(0, rows)
    const { name, unit } = nameAndUnit(column.name)
    if (column.hasTexts || !values.some((value) => !Number.isNaN(value))) skipped.push(column.name)
    else columns.push({ name, unit: options.units?.[name] ?? options.units?.[column.name] ?? unit, values })
  }
  for (const name of Object.keys(options.units ?? {}))
    if (!columns.some((each) => each.name === name))
      throw fault(`--unit ${name}: ${file} has no such column; the nearest is ${nearest(name, names)}.`)
  if (columns.length === 0) throw fault(`${file}: no column holds numbers; found ${names.join(', ')}.`)
  return { rows, timesUs, timeColumn: time?.name ?? null, columns, skipped }
}

/** `Pressure [bar]` and `Pressure (bar)` name their unit. */
const nameAndUnit = (text: string): { name: string; unit: string } => {
  const [, name, unit] = /^(.+?)\s*[[(]([^\])]+)[\])]$/.exec(text) ?? []
  return name === undefined || unit === undefined ? { name: text, unit: '1' } : { name, unit: unit === '°C' ? 'Cel' : unit }
}

const TIME_NAME = /^(time|timestamp|datetime|date[ _-]?time|date|ts|t|zeit|zeitstempel|epoch)([ _-]?(us|ms|ns|s|utc))?$/i

/** By --time, else by its name, else the first column that holds dates. */
const timeColumnOf = (file: string, table: readonly RawColumn[], { timeColumn }: ReadingOptions): RawColumn | undefined => {
  if (timeColumn !== undefined) {
    const found = table.find(({ name }) => name === timeColumn)
    if (found !== undefined) return found
    const names = table.map(({ name }) => name)
    throw fault(`--time: ${file} has no column ${timeColumn}; the nearest is ${nearest(timeColumn, names)}.`)
  }
  return (
    table.find(({ name }) => TIME_NAME.test(name.trim())) ??
    table.find((column) => column.hasTexts && parseDate(column.texts[0] ?? '') !== undefined)
  )
}

/** ISO 8601 with or without a zone (UTC then), with T or a space. */
const parseDate = (text: string): number | undefined => {
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?\d\d)?$/.exec(text)
  if (found === null) return undefined
  const [, date, clock = '00:00:00', fraction = '', zone = 'Z'] = found
  const ms = Date.parse(`${date}T${clock.length === 5 ? `${clock}:00` : clock}${zone}`)
  return Number.isNaN(ms) ? undefined : ms * 1000 + Math.round(Number(`0.${fraction || '0'}`) * 1e6)
}

const timesOf = (file: string, { name, numbers, texts, hasTexts }: RawColumn): Float64Array => {
  const times = new Float64Array(numbers.length)
  const factor = hasTexts ? 1 : microsecondsOf(name, numbers)
  for (let row = 0; row < numbers.length; row++) {
    const timeUs = hasTexts ? parseDate(texts[row] ?? '') : Math.round((numbers.values[row] as number) * factor)
    if (timeUs === undefined || !Number.isFinite(timeUs))
      throw fault(`${file}: row ${row + 1}: expected a time in ${name} (2026-11-23T08:00:00Z, or a number), found "${texts[row] ?? ''}".`)
    times[row] = timeUs
  }
  return times
}

/** By the ending of the name, else by size: a date in ns, us, ms or s; small numbers are seconds. */
const microsecondsOf = (name: string, { values, length }: Growing): number => {
  const ending = /(?:us|ms|ns)$/i.exec(name.trim())?.[0].toLowerCase()
  if (ending === 'us') return 1
  if (ending === 'ms') return 1000
  if (ending === 'ns') return 0.001
  const largest = Math.abs(values[length - 1] as number)
  if (largest > 1e17) return 0.001
  if (largest > 1e14) return 1
  return largest > 1e11 ? 1000 : 1e6
}

const counted = (file: string, names: readonly string[], rows: number, { sampleRateHz, startUs = 0 }: ReadingOptions): Float64Array => {
  if (sampleRateHz === undefined)
    throw fault(
      `${file}: no column holds times (found ${names.join(', ')}). Name it with --time <column>, or give --sample-rate <Hz> for rows at equal distances.`,
    )
  return Float64Array.from({ length: rows }, (_, row) => startUs + Math.round((row * 1e6) / sampleRateHz))
}

// --- blocks ---

export const SOURCE = 'file'

/** Which columns go together into blocks. */
export interface BlockLayout {
  readonly channels: readonly RecordedColumn[]
  /** Elements per row of a waveform; 1 for single values. */
  readonly width: number
  readonly sampleRateHz: number | null
  readonly sourceId: string
}

const ROWS_PER_BLOCK = 100

/** Blocks in the order of the file, as ingest would have made them had the rows come one after the other. */
export const blocksOf = (recording: Recording, { channels, width, sampleRateHz, sourceId }: BlockLayout): Block[] => {
  const rows = Math.floor(recording.rows / width)
  const timeOf = (row: number): number => recording.timesUs[row * width] as number
  // A block ends where the file pauses, as it would have: what comes behind the pause was not there yet.
  const longestUs = 5 * width * usualStepUs(recording.timesUs)
  const blocks: Block[] = []
  for (let from = 0; from < rows;) {
    let to = from + 1
    while (to < rows && to - from < ROWS_PER_BLOCK && timeOf(to) > timeOf(to - 1) && timeOf(to) - timeOf(to - 1) <= longestUs) to++
    blocks.push(blockOf(recording, { channels, width, sampleRateHz, sourceId }, from, to))
    from = to
  }
  return blocks
}

const blockOf = (recording: Recording, { channels, width, sampleRateHz, sourceId }: BlockLayout, from: number, to: number): Block => {
  const rows = to - from
  const samples = new Float64Array(channels.length * rows * width)
  channels.forEach(({ values }, at) => samples.set(values.subarray(from * width, to * width), at * rows * width))
  const times = new BigInt64Array(rows)
  for (let row = 0; row < rows; row++) times[row] = BigInt(recording.timesUs[(from + row) * width] as number)
  return {
    sourceId,
    epoch: 1,
    seqFrom: from,
    seqTo: to - 1,
    withheld: [],
    rows,
    channels: channels.map(({ name }) => name),
    units: channels.map(({ unit }) => unit),
    dtype: 'f64',
    width,
    samples: Buffer.from(samples.buffer),
    timesUs: Buffer.from(times.buffer),
    qualities: Buffer.alloc(0),
    sampleRateHz,
    sensitivity: null,
    recordedUs: null,
    receivedUs: recording.timesUs[(to - 1) * width] as number,
    historical: false,
    skewUs: 0,
    door: '',
    deviceId: null,
    certificateSha256: null,
    lateness: '',
    retentionDays: [],
    downsampling: [],
    errorBounds: [],
    burst: null,
    correction: null,
  }
}
