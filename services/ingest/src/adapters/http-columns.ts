// The columnar JSON body → columns: `{source, epoch?, seq?, asset?, timesUs: […], channels: {id: […]}, units?: {id: unit}, qualities?: […]}`.
// What is wrong with the whole is 400; what is wrong with a row sends that row to quarantine.

import { AndonError } from '@andon/kit'
import type { ReadingColumns } from '../columns.ts'
import { refusal } from '../reading.ts'
import type { Refusal } from '../reading.ts'

type Fields = Readonly<Record<string, unknown>>

/** True when a parsed body is meant as columns. */
export const isColumnar = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'timesUs' in value && 'channels' in value

const known = new Set(['source', 'epoch', 'seq', 'asset', 'timesUs', 'channels', 'units', 'qualities'])

/** Throws ANDON_INGEST_BAD_COLUMNS (400). */
export const columnsOfJson = (body: Fields): ReadingColumns => {
  for (const name in body) if (!known.has(name)) throw badColumns(name, 'a field', `only ${[...known].join(', ')}`)
  const { timesUs, channels, units } = body
  if (!Array.isArray(timesUs)) throw badColumns('timesUs', timesUs, 'a list of times, microseconds since 1970, UTC')
  const rows = timesUs.length
  const lists = objectOf('channels', channels)
  const ids = Object.keys(lists)
  const source = body['source']
  if (typeof source !== 'string') throw badColumns('source', source, 'the id of the source')
  const asset = optional(body, 'asset', (value) => typeof value === 'string' && value !== '', 'an asset id, or nothing')
  const seqFrom = optional(body, 'seq', isCount, 'the number of the first row, an integer ≥ 0, or nothing')
  const epoch = optional(body, 'epoch', isCount, 'an integer ≥ 0, or nothing')
  if (epoch !== undefined && seqFrom === undefined)
    throw badColumns('seq', undefined, 'the number of the first row, since an epoch is given')

  const refused = new Map<number, Refusal>()
  const refuse = (row: number, field: string, found: unknown, expected: string) => {
    const seq = seqFrom === undefined ? {} : { epoch: (epoch as number | undefined) ?? 0, seq: (seqFrom as number) + row }
    refused.set(row, refusal('ANDON_INGEST_BAD_FIELD', `${field}: found ${shown(found)}, expected ${expected}`, { source, ...seq }))
  }
  const numbers = (field: string, list: unknown, into: Float64Array, at: number, isOptional: boolean) => {
    if (!Array.isArray(list) || list.length !== rows) {
      throw badColumns(field, Array.isArray(list) ? `a list of ${list.length}` : list, `a list of ${rows}, as timesUs has`)
    }
    for (let row = 0; row < rows; row++) {
      const value: unknown = list[row]
      if (typeof value === 'number' && Number.isFinite(value)) into[at + row] = value
      else {
        into[at + row] = Number.NaN
        if (value !== null || !isOptional)
          refuse(row, `${field}[${row}]`, value, isOptional ? 'a finite number, or null for a missing one' : 'a number')
      }
    }
  }

  const times = new Float64Array(rows)
  numbers('timesUs', timesUs, times, 0, false)
  const values = new Float64Array(rows * ids.length)
  ids.forEach((id, channel) => numbers(`channels.${id}`, lists[id], values, channel * rows, true))
  const qualities = qualitiesOf(body['qualities'], rows, numbers)
  return {
    source,
    ...(asset === undefined ? {} : { asset: asset as string }),
    ...(epoch === undefined ? {} : { epoch: epoch as number }),
    ...(seqFrom === undefined ? {} : { seqFrom: seqFrom as number }),
    rows,
    channels: ids,
    ...(units === undefined || units === null ? {} : { units: unitsOf(objectOf('units', units), ids) }),
    timesUs: times,
    values,
    ...(qualities === undefined ? {} : { qualities }),
    ...(refused.size === 0 ? {} : { refused }),
    bytesOf: (row) => {
      const value = (list: unknown) => (list as unknown[])[row]
      const cells = Object.fromEntries(ids.map((id) => [id, value(lists[id])]))
      const seq = seqFrom === undefined ? {} : { epoch, seq: (seqFrom as number) + row }
      const quality = body['qualities'] === undefined ? {} : { quality: value(body['qualities']) }
      return Buffer.from(JSON.stringify({ source, asset, ...seq, timeUs: value(timesUs), ...quality, values: cells }))
    },
  }
}

const qualitiesOf = (
  list: unknown,
  rows: number,
  numbers: (field: string, list: unknown, into: Float64Array, at: number, isOptional: boolean) => void,
): Uint8Array | undefined => {
  if (list === undefined || list === null) return undefined
  const qualities = new Float64Array(rows)
  numbers('qualities', list, qualities, 0, false)
  // What is no quality becomes one that is refused.
  return Uint8Array.from(qualities, (quality) => (quality === 0 || quality === 1 || quality === 2 ? quality : 255))
}

const unitsOf = (units: Fields, ids: readonly string[]): (string | undefined)[] => {
  for (const id in units) {
    if (!ids.includes(id)) throw badColumns(`units.${id}`, 'a unit', `units of channels that are there: ${ids.join(', ')}`)
    if (typeof units[id] !== 'string') throw badColumns(`units.${id}`, units[id], 'a unit in UCUM')
  }
  return ids.map((id) => units[id] as string | undefined)
}

const objectOf = (field: string, value: unknown): Fields => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw badColumns(field, value, 'an object by channel id')
}

const optional = (body: Fields, field: string, isGood: (value: unknown) => boolean, expected: string): unknown => {
  const value = body[field] ?? undefined
  if (value === undefined || isGood(value)) return value
  throw badColumns(field, value, expected)
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

const shown = (value: unknown): string => {
  if (typeof value === 'number') return String(value)
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

const badColumns = (field: string, found: unknown, expected: string) =>
  new AndonError('ANDON_INGEST_BAD_COLUMNS', `${field}: found ${shown(found)}, expected ${expected}`, { status: 400 })
