// CSV bodies → columns. The first row names the columns: `timeUs` or `time` (ISO 8601), then as wanted `source`, `asset`, `epoch`, `seq`,
// `quality`; every other column is a channel, `temperature[degF]` one with its unit. An empty cell is a missing value.

import { isUtf8 } from 'node:buffer'
import { AndonError } from '@andon/kit'
import type { ReadingColumns } from '../columns.ts'
import { csvRows } from '../csv-payload.ts'
import type { CsvRow } from '../csv-payload.ts'
import { refusal } from '../reading.ts'
import type { Refusal } from '../reading.ts'
import { timeReader } from '../times.ts'
import { maxReadings, maxValues } from './http-content.ts'
import type { Content } from './http-content.ts'

interface Header {
  readonly names: readonly string[]
  readonly time: number
  readonly readTime: (cell: string) => number | string
  /** Places of the columns that are no channels; -1 where there is none. */
  readonly source: number
  readonly asset: number
  readonly epoch: number
  readonly seq: number
  readonly quality: number
  readonly channels: readonly { readonly id: string; readonly unit: string | undefined; readonly at: number }[]
}

/** What a row says besides its values. */
interface Row {
  readonly index: number
  readonly source: string
  readonly asset: string | undefined
  readonly epoch: number | undefined
  readonly seq: number | undefined
  readonly timeUs: number
  readonly quality: number
  readonly cells: readonly string[]
  readonly bytes: Buffer
  readonly refused: Refusal | undefined
}

const reserved = ['time', 'timeUs', 'source', 'asset', 'epoch', 'seq', 'quality'] as const
const decimalForm = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
// UCUM writes customary units in brackets of their own; in the name of a column one pair is enough.
const customary = /^(?:degF|psi|in_i|ft_i|yd_i|mi_i|nmi_i|kn_i|lb_av|oz_av|lbf_av|gal_us|cfm_i|Btu_IT|HP|ppth|ppm|ppb)$/
const countForm = /^\d{1,15}$/

/** @param defaultSource source of the rows where no column names it: the device's id. */
export const csvContent = (body: Buffer, defaultSource: string | undefined): Content => {
  checkCsvSize(body)
  const [first, ...lines] = csvRows(body, ',')
  if (first === undefined)
    throw new AndonError('ANDON_INGEST_NO_BODY', 'The body holds no line; expected a line of column names', { status: 400 })
  const header = headerOf(first, defaultSource)
  const isText = isUtf8(body)
  const groups = grouped(lines.map((line, index) => rowOf(header, line, index, defaultSource, isText)))
  const columns = groups.map((rows) => columnsOf(header, rows, first))
  const indexes = groups.flatMap((rows) => rows.map(({ index }) => index))
  return { columns, bytes: body.length, indexOf: (row) => indexes[row]! }
}

/** Throws ANDON_INGEST_TOO_MANY (413) before a body of nothing but commas or line ends is taken apart. */
export const checkCsvSize = (body: Buffer): void => {
  let lineEnds = 0
  let commas = 0
  for (let at = 0; at < body.length; at++) {
    if (body[at] === 0x0a) lineEnds++
    else if (body[at] === 0x2c) commas++
  }
  const lines = body.at(-1) === 0x0a ? lineEnds : lineEnds + 1
  if (lines <= maxReadings + 1 && commas <= maxValues) return
  const message = `Body: found ${lines} lines and ${commas} commas, expected at most ${maxReadings} rows and ${maxValues} commas. Send smaller batches, or upload a file.`
  throw new AndonError('ANDON_INGEST_TOO_MANY', message, { status: 413 })
}

const headerOf = ({ fields }: CsvRow, defaultSource: string | undefined): Header => {
  const names = fields.map((name) => name.trim())
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw badCsv(`column ${JSON.stringify(twice)} twice`, 'each column once')
  const at = (name: (typeof reserved)[number]) => names.indexOf(name)
  const channels = names.flatMap((name, place) => {
    if ((reserved as readonly string[]).includes(name)) return []
    const [, id = name, unit = ''] = /^(.+?)\[(.*)\]$/.exec(name) ?? []
    return [{ id: id.trim(), unit: unit === '' ? undefined : customary.test(unit) ? `[${unit}]` : unit, at: place }]
  })
  if (at('time') < 0 === at('timeUs') < 0) throw badCsv(`columns ${names.join(', ').slice(0, 200)}`, 'one of time (ISO 8601) and timeUs')
  if (channels.length === 0) throw badCsv('no column of a channel', 'at least one beside time, source, asset, epoch, seq and quality')
  if (at('source') < 0 && defaultSource === undefined)
    throw badCsv('no column source', 'one, or the certificate of the device that is the source')
  if (at('epoch') >= 0 && at('seq') < 0) throw badCsv('a column epoch without seq', 'both, or neither')
  const isIso = at('time') >= 0
  return {
    names,
    time: isIso ? at('time') : at('timeUs'),
    readTime: isIso
      ? timeReader('iso8601')
      : (cell) => (countForm.test(cell) || /^\d{16}$/.test(cell) ? Number(cell) : 'microseconds since 1970, UTC'),
    source: at('source'),
    asset: at('asset'),
    epoch: at('epoch'),
    seq: at('seq'),
    quality: at('quality'),
    channels,
  }
}

const rowOf = (header: Header, line: CsvRow, index: number, defaultSource: string | undefined, isText: boolean): Row => {
  const cells = line.fields.map((cell) => cell.trim())
  const cell = (at: number): string | undefined => (at < 0 || cells[at] === '' ? undefined : cells[at])
  const count = (at: number): number | undefined => (countForm.test(cell(at) ?? '') ? Number(cell(at)) : undefined)
  const isWhole = cells.length === header.names.length && (isText || isUtf8(line.bytes))
  const source = (isWhole ? (cell(header.source) ?? defaultSource) : undefined) ?? ''
  const seq = isWhole ? count(header.seq) : undefined
  const epoch = seq === undefined ? undefined : header.epoch < 0 ? 0 : count(header.epoch)
  const time = header.readTime(cells[header.time] ?? '')
  const row = {
    index,
    source,
    asset: cell(header.asset),
    epoch: epoch === undefined ? undefined : epoch,
    seq: epoch === undefined ? undefined : seq,
    timeUs: typeof time === 'number' ? time : Number.NaN,
    quality: Number(cell(header.quality) ?? 0),
    cells,
    bytes: line.bytes,
  }
  const refuse = (code: string, message: string): Row => ({
    ...row,
    refused: refusal(code, `Row ${index + 1}: ${message}`, { ...row, source: source === '' ? undefined : source }),
  })
  const bad = (at: number, found: string | undefined, expected: string) =>
    refuse('ANDON_INGEST_BAD_FIELD', `${header.names[at]}: found ${JSON.stringify(found?.slice(0, 80) ?? '')}, expected ${expected}`)
  if (!isText && !isUtf8(line.bytes)) return refuse('ANDON_INGEST_NOT_UTF8', 'found bytes that are not UTF-8, expected UTF-8')
  if (!isWhole)
    return refuse('ANDON_INGEST_NOT_A_READING', `found ${cells.length} cells, expected ${header.names.length} as in the line of names`)
  if (source === '') return bad(header.source, '', 'the id of the source')
  if (header.seq >= 0 && cell(header.seq) !== undefined && seq === undefined)
    return bad(header.seq, cell(header.seq), 'an integer ≥ 0, or nothing')
  if (header.epoch >= 0 && seq !== undefined && epoch === undefined) return bad(header.epoch, cell(header.epoch), 'an integer ≥ 0')
  if (typeof time === 'string') return bad(header.time, cells[header.time], time)
  if (![0, 1, 2].includes(row.quality)) return bad(header.quality, cell(header.quality), '0 (good), 1 (uncertain) or 2 (bad)')
  const wrong = header.channels.find(({ at }) => cells[at] !== '' && !isNumber(cells[at]!))
  if (wrong !== undefined) return bad(wrong.at, cells[wrong.at], 'a finite decimal number, or nothing for a missing one')
  return { ...row, refused: undefined }
}

const isNumber = (cell: string): boolean => decimalForm.test(cell) && Number.isFinite(Number(cell))

/** Rows of one source, asset and epoch with numbers that follow each other, or without any; in their order. */
const grouped = (rows: readonly Row[]): Row[][] => {
  const groups: Row[][] = []
  const open = new Map<string, Row[]>()
  for (const row of rows) {
    const key = JSON.stringify([row.source, row.asset, row.epoch])
    const group = open.get(key)
    const last = group?.at(-1)
    if (group !== undefined && (row.seq === undefined || row.seq === (last?.seq ?? 0) + 1)) group.push(row)
    else {
      const started = [row]
      groups.push(started)
      open.set(key, started)
    }
  }
  return groups
}

const columnsOf = (header: Header, rows: readonly Row[], names: CsvRow): ReadingColumns => {
  const { source, asset, epoch, seq } = rows[0]!
  // A file may hold several assets: what none of these rows has is no channel of theirs.
  const used = header.channels.filter(({ at }) => rows.some(({ cells }) => (cells[at] ?? '') !== ''))
  const channels = used.length === 0 ? header.channels : used
  const values = new Float64Array(rows.length * channels.length)
  const refused = new Map<number, Refusal>()
  channels.forEach(({ at }, channel) => {
    for (let row = 0; row < rows.length; row++) {
      const cell = rows[row]!.cells[at] ?? ''
      values[channel * rows.length + row] = cell === '' ? Number.NaN : Number(cell)
    }
  })
  rows.forEach(({ refused: why }, row) => why !== undefined && refused.set(row, why))
  return {
    source,
    ...(asset === undefined ? {} : { asset }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(seq === undefined ? {} : { seqFrom: seq }),
    rows: rows.length,
    channels: channels.map(({ id }) => id),
    ...(channels.some(({ unit }) => unit !== undefined) ? { units: channels.map(({ unit }) => unit) } : {}),
    timesUs: Float64Array.from(rows, ({ timeUs }) => timeUs),
    values,
    ...(header.quality < 0 ? {} : { qualities: Uint8Array.from(rows, ({ quality }) => quality) }),
    ...(refused.size === 0 ? {} : { refused }),
    bytesOf: (row) => Buffer.concat([names.bytes, rows[row]!.bytes]),
  }
}

const badCsv = (found: string, expected: string) =>
  new AndonError('ANDON_INGEST_BAD_CSV', `Line of column names: found ${found}, expected ${expected}`, { status: 400 })
