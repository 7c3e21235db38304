// A file of failures → rows as the actions door takes them: CSV with a header, or one JSON object per line. A row that cannot be read is
// told with its line and what was expected; the others go on.

import { parse as parseCsv } from 'csv-parse/sync'
import { messageOf } from '@andon/kit/errors'

/** A failure as `POST /v1/failures` takes it. */
export type FailureRow = Readonly<Record<string, string>>

export type ReadRow = { readonly line: number; readonly body: FailureRow } | { readonly line: number; readonly problem: string }

const REQUIRED = ['asset', 'at'] as const
const COLUMNS = [
  ...REQUIRED,
  'mode',
  'mechanism',
  'cause',
  'detection',
  'component',
  'workOrder',
  'note',
  'kind',
  'restored',
  'failureId',
  'source',
]
const TIMES = ['at', 'restored'] as const
const KINDS = ['failure', 'intervention']

/** Reads a file's text; throws when no row of it can be read: an unknown column, or a CSV that is none. */
export const readFailureRows = (file: string, text: string): ReadRow[] => {
  const plain = text.replace(/^\uFEFF/, '')
  return file.endsWith('.csv') ? csvRows(file, plain) : jsonRows(plain)
}

const csvRows = (file: string, text: string): ReadRow[] => {
  const [head = ''] = text.split(/\r?\n/, 1)
  const delimiter = [',', ';', '\t'].toSorted((a, b) => head.split(b).length - head.split(a).length)[0] as string
  type Parsed = { record: string[]; info: { lines: number } }
  let rows: Parsed[]
  try {
    rows = parseCsv(text, { delimiter, info: true, relax_column_count: true, skip_empty_lines: true, trim: true }) as unknown as Parsed[]
  } catch (error) {
    throw new RangeError(`${file}: expected a CSV with a header (${messageOf(error)})`)
  }
  const [header, ...others] = rows
  const columns = header?.record ?? []
  const unknown = columns.find((name) => !COLUMNS.includes(name))
  if (unknown !== undefined) throw new RangeError(`${file}:1: expected columns among ${COLUMNS.join(', ')}, found ${unknown}`)
  const missing = REQUIRED.find((name) => !columns.includes(name))
  if (missing !== undefined) throw new RangeError(`${file}:1: expected a column ${missing}`)
  return others.map(({ record, info }) => {
    if (record.length !== columns.length) return { line: info.lines, problem: `expected ${columns.length} fields, found ${record.length}` }
    return rowOf(info.lines, Object.fromEntries(columns.map((name, at) => [name, record[at] ?? ''])))
  })
}

const jsonRows = (text: string): ReadRow[] =>
  text.split(/\r?\n/).flatMap((line, index) => {
    if (line.trim() === '') return []
    const number = index + 1
    let given: unknown
    try {
      given = JSON.parse(line)
    } catch {
      return [{ line: number, problem: 'expected a JSON object' }]
    }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return [{ line: number, problem: 'expected a JSON object' }]
    const unknown = Object.keys(given).find((name) => !COLUMNS.includes(name))
    if (unknown !== undefined) return [{ line: number, problem: `expected fields among ${COLUMNS.join(', ')}, found ${unknown}` }]
    const odd = Object.entries(given).find(([, value]) => value !== null && typeof value !== 'string' && typeof value !== 'number')
    if (odd !== undefined) return [{ line: number, problem: `${odd[0]}: expected text` }]
    const fields = Object.entries(given as Record<string, string | number | null>).map(([name, value]) => [name, String(value ?? '')])
    return [rowOf(number, Object.fromEntries(fields) as Record<string, string>)]
  })

/** Empty fields are left out; times become ISO 8601 in UTC. */
const rowOf = (line: number, fields: Readonly<Record<string, string>>): ReadRow => {
  const body = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
  const missing = REQUIRED.find((name) => body[name] === undefined)
  if (missing !== undefined) return { line, problem: `${missing}: expected a value` }
  if (body['kind'] !== undefined && !KINDS.includes(body['kind']))
    return { line, problem: `kind: expected ${KINDS.join(' or ')}, found ${body['kind']}` }
  for (const name of TIMES) {
    const given = body[name]
    if (given === undefined) continue
    const atMs = timeMs(given)
    if (atMs === undefined) return { line, problem: `${name}: expected a time with a zone like 2026-11-23T08:00:00Z, found ${given}` }
    body[name] = new Date(atMs).toISOString()
  }
  return { line, body }
}

/** A local time without a zone would mean another moment on another machine. */
const timeMs = (text: string): number | undefined => {
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)$/.test(text)) return undefined
  const parsed = Date.parse(text.replace(' ', 'T').replaceAll(' ', ''))
  return Number.isFinite(parsed) ? parsed : undefined
}
