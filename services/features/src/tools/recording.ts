// A recording from a CSV or Parquet file: columns of numbers over time, and the blocks that ingest would have made of them.

import { AndonError, messageOf } from '@andon/kit/errors'
import { nearest } from '@andon/schemas'
import type { Block } from '@andon/schemas'
import { usualStepUs } from './plot.ts'
import { type Cell, type Table, fault, openTable, valueOf } from './table.ts'
import { TIME_NAME, timeFormOf } from './times.ts'

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
    return recordingOf(file, await readTable(await openTable(file)), options)
  } catch (error) {
    if (error instanceof AndonError) throw error
    throw fault(`${file}: ${messageOf(error)}`, error)
  }
}

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

/** Reads all chunks of a table into columns. */
const readTable = async (table: Table): Promise<RawColumn[]> => {
  const columns = table.names.map(rawColumn)
  for await (const { rows } of table.chunks())
    for (const row of rows) for (let i = 0; i < columns.length; i++) add(columns[i] as RawColumn, row[i], table.hasDecimalComma)
  if (columns[0]?.numbers.length === 0) throw fault(`${table.file} has no rows.`)
  return columns
}

const add = (column: RawColumn, cell: Cell, hasDecimalComma: boolean): void => {
  const value = valueOf(cell, hasDecimalComma)
  if (typeof value === 'string') {
    column.hasTexts = true
    column.texts[column.numbers.length] = value.trim()
    column.numbers.push(Number.NaN)
  } else column.numbers.push(value)
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
export const nameAndUnit = (text: string): { name: string; unit: string } => {
  const [, name, unit] = /^(.+?)\s*[[(]([^\])]+)[\])]$/.exec(text) ?? []
  return name === undefined || unit === undefined ? { name: text, unit: '1' } : { name, unit: unit === '°C' ? 'Cel' : unit }
}

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
    table.find((column) => column.hasTexts && timeFormOf(column.name, [column.texts[0] ?? '']) !== undefined)
  )
}

const timesOf = (file: string, { name, numbers, texts, hasTexts }: RawColumn): Float64Array => {
  const times = new Float64Array(numbers.length)
  const cellOf = (row: number): string | number => (hasTexts ? (texts[row] ?? '') : (numbers.values[row] as number))
  const first = Array.from({ length: Math.min(numbers.length, 1000) }, (_, row) => cellOf(row))
  const parse = timeFormOf(name, hasTexts ? first : [...first, cellOf(numbers.length - 1)])?.parse
  for (let row = 0; row < numbers.length; row++) {
    const timeUs = parse?.(cellOf(row))
    if (timeUs === undefined || !Number.isFinite(timeUs))
      throw fault(`${file}: row ${row + 1}: expected a time in ${name} (2026-11-23T08:00:00Z, or a number), found "${texts[row] ?? ''}".`)
    times[row] = timeUs
  }
  return times
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

/** Rows `from` … `to` - 1 as a block. */
export const blockOf = (
  recording: Pick<Recording, 'timesUs'>,
  { channels, width, sampleRateHz, sourceId }: BlockLayout,
  from: number,
  to: number,
): Block => {
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
