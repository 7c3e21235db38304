// Tables of a file as people write them: CSV with any separator, quotes, decimal commas, byte order marks and encodings, packed or
// not, and Parquet. Rows come in chunks, so a file of any length needs little memory; what is wrong names its line and column.

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet'
import type { ParquetParsers } from 'hyparquet'
import { AndonError, messageOf } from '@andon/kit/errors'

export const fault = (message: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_FEATURES_FILE', message, { status: 400, ...(cause === undefined ? {} : { cause }) })

/** Text, or what a Parquet file holds. */
export type Cell = unknown

export interface TableChunk {
  readonly rows: readonly (readonly Cell[])[]
  /** Line in the file (row, of a Parquet file), from 1. */
  readonly lineOf: (row: number) => number
}

export interface Table {
  readonly file: string
  readonly names: readonly string[]
  /** `1,5` is one and a half. */
  readonly hasDecimalComma: boolean
  /** Rows of a Parquet file, bytes of another: what a progress bar counts. */
  readonly size: number
  /** From the first row on, every time it is called. `onRead` hears how much of `size` has been read. */
  chunks(onRead?: (done: number) => void): AsyncGenerator<TableChunk>
}

export const openTable = async (file: string): Promise<Table> => {
  try {
    return file.endsWith('.parquet') ? await openParquet(file) : await openCsv(file)
  } catch (error) {
    if (error instanceof AndonError) throw error
    throw fault(`${file}: ${wordsOf(error)}`, error)
  }
}

const wordsOf = (error: unknown): string => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file.'
  if (code === 'EISDIR') return 'is a folder.'
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read.'
  if (code?.startsWith('Z_') === true) return 'is called .gz and cannot be unpacked; is it whole?'
  if (/^parquet|PAR1/i.test(messageOf(error))) return `is called .parquet and cannot be read as such: ${messageOf(error)}`
  return messageOf(error)
}

// --- CSV ---

interface Dialect {
  readonly encoding: 'utf-8' | 'utf-16le' | 'windows-1252'
  readonly separator: string
  readonly hasDecimalComma: boolean
  /** Names of the columns, where the first line has them. */
  readonly names: readonly string[]
  /** Lines before the first row: what an export says of itself, names, units. */
  readonly skipped: number
}

const HEAD_BYTES = 256 * 1024
/** Lines before the names that an export may have, and what no text has. */
const MOST_PREAMBLE = 20
const NO_TEXT = /[\p{Cc}\uFFFD]/gu
const BREAKS = /[\t\r\n\f\v]/g
const SEPARATORS = [';', '\t', '|', ',']

const openCsv = async (file: string): Promise<Table> => {
  const { bytes, size } = await headOf(file)
  const dialect = dialectOf(file, bytes, bytes.length < HEAD_BYTES)
  return {
    file,
    names: dialect.names,
    hasDecimalComma: dialect.hasDecimalComma,
    size,
    chunks: (onRead) => csvChunks(file, dialect, onRead),
  }
}

const headOf = async (file: string): Promise<{ bytes: Buffer; size: number }> => {
  const handle = await open(file)
  const { size } = await handle.stat()
  await handle.close()
  const parts: Buffer[] = []
  let length = 0
  for await (const part of bytesOf(file)) {
    parts.push(part)
    length += part.length
    if (length >= HEAD_BYTES) break
  }
  return { bytes: Buffer.concat(parts).subarray(0, HEAD_BYTES), size }
}

async function* bytesOf(file: string, onRead?: (done: number) => void): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { highWaterMark: 256 * 1024 })
  if (onRead !== undefined) source.on('data', () => onRead(source.bytesRead))
  const bytes = file.endsWith('.gz') ? source.pipe(createGunzip()) : source
  source.once('error', (error: Error) => bytes.destroy(error))
  try {
    yield* bytes as AsyncIterable<Buffer>
  } finally {
    source.destroy()
  }
}

const encodingOf = (bytes: Buffer, isWhole: boolean): Dialect['encoding'] => {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: !isWhole })
    return 'utf-8'
  } catch {
    return 'windows-1252'
  }
}

const dialectOf = (file: string, bytes: Buffer, isWhole: boolean): Dialect => {
  const encoding = encodingOf(bytes, isWhole)
  const text = new TextDecoder(encoding).decode(bytes)
  const end = isWhole ? text.length : lineEnd(text, text.length)
  const sample = text.slice(0, end)
  if (text.startsWith('PK\u0003\u0004')) throw fault(`${file} is a workbook or a zip archive; save the sheet as CSV.`)
  if ((sample.slice(0, 4096).replaceAll(BREAKS, '').match(NO_TEXT)?.length ?? 0) > 8)
    throw fault(`${file} is no text: CSV, .gz of it, or .parquet can be read.`)
  const separator = separatorOf(sample)
  const all = recordsOf(sample, separator, 1).rows
  const preamble = preambleOf(all)
  const records = all.slice(preamble)
  const first = records[0]
  if (first === undefined) throw fault(`${file} has no rows.`)
  const isHead = first.some((field) => field.trim() !== '' && Number.isNaN(numberOf(field, true)) && !isMissing(field))
  const names = first.map((field, i) => (isHead ? field.trim() : '') || `column${i + 1}`)
  names.forEach((name, i) => {
    const twin = names.indexOf(name)
    if (twin !== i) names[i] = `${name} (${i + 1})`
  })
  const hasUnits = isHead && records.length > 2 && isWords(records[1] as string[]) && !isWords(records[2] as string[])
  const hasDecimalComma = isDecimalComma(isHead ? records.slice(1) : records)
  return { encoding, separator, hasDecimalComma, names, skipped: preamble + (isHead ? 1 : 0) + (hasUnits ? 1 : 0) }
}

/** Lines of fewer fields than the table has, before it begins. */
const preambleOf = (records: readonly (readonly string[])[]): number => {
  const width = usualOf(records.slice(0, 100).map(({ length }) => length))
  const at = records.findIndex(({ length }) => length === width)
  return width > 1 && at > 0 && at <= MOST_PREAMBLE && records.slice(0, at).every(({ length }) => length < width) ? at : 0
}

/** A line without any digit at the beginning of a field: names or units. */
const isWords = (record: readonly string[]): boolean =>
  record.some((field) => field.trim() !== '') && record.every((field) => !/^\s*[-+.]?\d/.test(field) && !/^\s*nan\s*$/i.test(field))

const usualOf = (counts: readonly number[]): number => {
  const times = new Map<number, number>()
  for (const count of counts) times.set(count, (times.get(count) ?? 0) + 1)
  return [...times].toSorted(([a, x], [b, y]) => y - x || b - a)[0]?.[0] ?? 1
}

/** Most lines of one number of fields; of equals the one that people do not also write inside numbers. */
const separatorOf = (sample: string): string => {
  const lines = sample.split(/\r\n|\n|\r/, 40).filter((line) => line !== '')
  const unquoted = lines.map((line) => line.replaceAll(/"(?:[^"]|"")*"/g, ''))
  let best = ','
  let bestShare = 0
  for (const separator of SEPARATORS) {
    const counts = unquoted.map((line) => line.split(separator).length)
    const usual = usualOf(counts)
    if (usual < 2) continue
    const share = counts.filter((count) => count === usual).length / counts.length
    if (share > bestShare) [best, bestShare] = [separator, share]
  }
  return best
}

/** Where fields are `1,5` and none is `1.5`. */
const isDecimalComma = (records: readonly (readonly string[])[]): boolean => {
  let [commas, points] = [0, 0]
  for (const record of records.slice(0, 500))
    for (const field of record) {
      if (/^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$/.test(field)) commas++
      else if (/^\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*$/.test(field)) points++
    }
  return commas > points
}

const ROWS_PER_CHUNK = 4096

async function* csvChunks(file: string, dialect: Dialect, onRead?: (done: number) => void): AsyncGenerator<TableChunk> {
  const { separator, names, skipped } = dialect
  const decoder = new TextDecoder(dialect.encoding)
  let rest = ''
  let line = 1
  let left = skipped
  const take = function* (text: string): Generator<TableChunk> {
    const { rows, lines, nextLine } = recordsOf(text, separator, line)
    line = nextLine
    const from = Math.min(left, rows.length)
    left -= from
    for (let row = from; row < rows.length; row++) {
      const fields = rows[row] as string[]
      if (fields.length === names.length) continue
      // A separator at the end of a line is no further field.
      if (fields.length === names.length + 1 && fields.at(-1)?.trim() === '') fields.pop()
      else throw fault(`${file}:${lines(row)}: expected ${names.length} fields as in the first line, found ${fields.length}.`)
    }
    for (let at = from; at < rows.length; at += ROWS_PER_CHUNK) {
      const start = at
      yield { rows: rows.slice(at, at + ROWS_PER_CHUNK), lineOf: (row) => lines(start + row) }
    }
  }
  for await (const bytes of bytesOf(file, onRead)) {
    const text = rest + decoder.decode(bytes, { stream: true })
    const end = lineEnd(text, text.length)
    rest = text.slice(end)
    if (end > 0) yield* take(text.slice(0, end))
    if (rest.length > 64 * 1024 * 1024) throw fault(`${file}:${line}: a quotation mark is opened and never closed.`)
  }
  rest += decoder.decode()
  if (rest !== '') yield* take(rest)
}

/** The end of the last whole line up to `to`: one that is not inside quotation marks. */
const lineEnd = (text: string, to: number): number => {
  const isQuoted = text.includes('"')
  if (!isQuoted) {
    const at = text.lastIndexOf('\n', to - 1)
    return at >= 0 ? at + 1 : text.includes('\r') ? Math.max(0, text.lastIndexOf('\r', to - 2) + 1) : 0
  }
  let isOpen = false
  let end = 0
  for (let i = 0; i < to; i++) {
    const code = text.charCodeAt(i)
    if (code === 34) isOpen = !isOpen
    else if (code === 10 && !isOpen) end = i + 1
  }
  return end
}

interface Records {
  readonly rows: string[][]
  readonly lines: (row: number) => number
  readonly nextLine: number
}

/** Whole lines → fields. Without quotation marks a split will do. */
const recordsOf = (text: string, separator: string, line: number): Records => {
  if (!text.includes('"')) {
    const all = text.split(text.includes('\n') ? '\n' : '\r')
    const rows: string[][] = []
    const skipped: number[] = []
    for (let i = 0; i < all.length; i++) {
      let one = all[i] as string
      if (one.endsWith('\r')) one = one.slice(0, -1)
      if (one === '') skipped.push(rows.length)
      else rows.push(one.split(separator))
    }
    const nextLine = line + all.length - (all.at(-1) === '' ? 1 : 0)
    return { rows, nextLine, lines: (row) => line + row + skipped.filter((at) => at <= row).length }
  }
  const records = parse(text, {
    delimiter: separator,
    skipEmptyLines: true,
    relaxColumnCount: true,
    relaxQuotes: true,
    info: true,
  }) as unknown as {
    record: string[]
    info: { lines: number }
  }[]
  return {
    rows: records.map(({ record }) => record),
    lines: (row) => line - 1 + (records[row]?.info.lines ?? 1),
    nextLine: line + (text.match(/\n/g)?.length ?? 0),
  }
}

// --- cells ---

const MISSING = new Set(['', 'nan', 'na', 'n/a', '#n/a', 'null', 'none', 'nil', '-', '--', '?', 'inf', '-inf', 'infinity', '-infinity'])

export const isMissing = (text: string): boolean => MISSING.has(text.trim().toLowerCase())

/** A number as it is written, with either decimal mark and with marks between thousands; NaN where it is none. */
export const numberOf = (text: string, hasDecimalComma: boolean): number => {
  if (!hasDecimalComma) {
    const value = text === '' ? Number.NaN : Number(text)
    if (value === value || !text.includes(',')) return Number.isFinite(value) && text.trim() !== '' ? value : Number.NaN
    return /^\s*[+-]?\d{1,3}(,\d{3})+(\.\d*)?\s*$/.test(text) ? Number(text.replaceAll(',', '')) : Number.NaN
  }
  if (/^\s*[+-]?\d{1,3}(\.\d{3})+(,\d*)?\s*$/.test(text)) return Number(text.replaceAll('.', '').replace(',', '.'))
  const value = text.trim() === '' ? Number.NaN : Number(text.replace(',', '.'))
  return Number.isFinite(value) ? value : Number.NaN
}

/** A cell as the file has it. */
export const textOf = (cell: Cell): string => {
  if (typeof cell === 'string') return cell
  if (typeof cell === 'number' || typeof cell === 'bigint' || typeof cell === 'boolean') return String(cell)
  return cell instanceof Date ? cell.toISOString() : ''
}

/** What a cell holds: a number (NaN where it is missing), or a text. */
export const valueOf = (cell: Cell, hasDecimalComma: boolean): number | string => {
  if (typeof cell === 'string') {
    const value = numberOf(cell, hasDecimalComma)
    if (value === value) return value
    if (isMissing(cell)) return Number.NaN
    const word = cell.trim().toLowerCase()
    if (word === 'true') return 1
    return word === 'false' ? 0 : cell
  }
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : Number.NaN
  if (typeof cell === 'bigint') return Number(cell)
  if (typeof cell === 'boolean') return cell ? 1 : 0
  return cell instanceof Date ? cell.toISOString() : Number.NaN
}

// --- Parquet ---

/** A Date would cut microseconds off. */
const isoOfUs = (us: bigint): string => {
  const [seconds, rest] = [us / 1_000_000n, us % 1_000_000n]
  const [whole, fraction] = rest < 0n ? [seconds - 1n, rest + 1_000_000n] : [seconds, rest]
  return `${new Date(Number(whole) * 1000).toISOString().slice(0, 19)}.${String(fraction).padStart(6, '0')}Z`
}

const parsers = {
  timestampFromMicroseconds: isoOfUs,
  timestampFromNanoseconds: (ns: bigint): string => isoOfUs(ns / 1000n),
} as object as ParquetParsers

const openParquet = async (path: string): Promise<Table> => {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  const names = metadata.schema.filter(({ num_children: children }, i) => i > 0 && children === undefined).map(({ name }) => name)
  if (names.length === 0 || metadata.num_rows === 0n) throw fault(`${path} has no rows.`)
  async function* chunks(onRead?: (done: number) => void): AsyncGenerator<TableChunk> {
    let rowStart = 0
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows)
      const columns = new Map<string, Map<number, ArrayLike<Cell>>>()
      await parquetRead({
        file,
        metadata,
        rowStart,
        rowEnd: rowStart + rows,
        parsers,
        onChunk: ({ columnName, columnData, rowStart: at }) => {
          const parts = columns.get(columnName) ?? new Map<number, ArrayLike<Cell>>()
          parts.set(at, columnData as ArrayLike<Cell>)
          columns.set(columnName, parts)
        },
      })
      const readers = names.map((name) => reader([...(columns.get(name) ?? new Map<number, ArrayLike<Cell>>())]))
      for (let from = rowStart; from < rowStart + rows; from += ROWS_PER_CHUNK) {
        const first = from
        const length = Math.min(ROWS_PER_CHUNK, rowStart + rows - from)
        yield { rows: Array.from({ length }, (_, row) => readers.map((read) => read(first + row))), lineOf: (row) => first + row + 1 }
        onRead?.(from + length)
      }
      rowStart += rows
    }
  }
  return { file: path, names, hasDecimalComma: false, size: Number(metadata.num_rows), chunks }
}

/** Rows are asked for in ascending order. */
const reader = (parts: readonly (readonly [number, ArrayLike<Cell>])[]): ((row: number) => Cell) => {
  const sorted = parts.toSorted(([a], [b]) => a - b)
  let at = 0
  return (row) => {
    while (at + 1 < sorted.length && (sorted[at + 1] as (typeof sorted)[number])[0] <= row) at++
    const part = sorted[at]
    return part === undefined ? null : part[1][row - part[0]]
  }
}
