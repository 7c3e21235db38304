// A payload that we do not define → readings, as its source file maps it. Pure. What cannot be mapped becomes a refused reading that names
// source file, field, found and expected; the readings beside it are untouched. Whether assets and channels exist is checked later, by the
// plant file, like any reading.

import type { PayloadMapping } from '@andon/schemas'
import { csvRows } from './csv-payload.ts'
import { compileField, show } from './mapping-fields.ts'
import type { Arrival, Field, Scope } from './mapping-fields.ts'
import { elementsOf } from './json-payload.ts'
import { refusal } from './reading.ts'
import type { RawReading } from './reading.ts'
import { timeReader } from './times.ts'

export type { Arrival } from './mapping-fields.ts'

export interface Mapping {
  /** Id of its source file. */
  readonly id: string
  /** A payload of format json, ndjson, csv or number. At least one reading, refused when the payload is unreadable. */
  ofPayload(payload: Buffer, arrival: Arrival): RawReading[]
  /** A record that the door has decoded (Avro, Parquet, a CSV row as an object). `bytes` goes to quarantine with refused readings. */
  ofRecord(record: unknown, arrival: Arrival, bytes: () => Buffer): RawReading[]
}

/** What a mapped reading could not become. */
class Unmappable extends Error {}

/** @param file its id, named in refusals and in default source ids. */
export const compileMapping = (mapping: PayloadMapping, file: { readonly id: string }): Mapping => {
  const toReading = readingMapper(mapping, file.id)
  const each = mapping.each === undefined ? undefined : compileField(mapping.each, false)

  const readings = (root: unknown, arrival: Arrival, bytes: () => Buffer): RawReading[] => {
    if (each === undefined) return [toReading({ root, item: root, key: '', arrival }, bytes)]
    const list = each({ root, item: root, key: '', arrival })
    if (typeof list !== 'object' || list === null) {
      return [unreadable(file.id, `field ${mapping.each}: found ${show(list)}, expected the list of readings`, bytes)]
    }
    return Object.entries(list).map(([key, item]) => toReading({ root, item, key, arrival }, alone(root, mapping.each!, key, item, bytes)))
  }

  const ofJson = (payload: Buffer, arrival: Arrival): RawReading[] => {
    let root: unknown
    try {
      root = JSON.parse(payload.toString('utf8'))
    } catch {
      return [unreadable(file.id, `found ${show(payload.toString('latin1'))}, expected JSON`, () => payload)]
    }
    if (each !== undefined || !Array.isArray(root)) return readings(root, arrival, () => payload)
    let slices: Buffer[] | undefined
    return root.flatMap((item: unknown, index) => readings(item, arrival, () => (slices ??= elementsOf(payload))[index] ?? payload))
  }

  const ofCsv = (payload: Buffer, arrival: Arrival): RawReading[] => {
    const { delimiter = ',', columns } = mapping.csv ?? {}
    const rows = csvRows(payload, delimiter)
    const header = columns === undefined ? rows.shift() : undefined
    const names = columns ?? header?.fields.map((name) => name.trim()) ?? []
    if (rows.length === 0) return [unreadable(file.id, 'found no rows below the line of column names', () => payload)]
    return rows.map(({ fields, bytes }) => {
      const whole = () => (header === undefined ? bytes : Buffer.concat([header.bytes, bytes]))
      if (fields.length === 0) return unreadable(file.id, 'found a quote that is never closed', whole)
      if (fields.length !== names.length) {
        return unreadable(file.id, `found a row of ${fields.length} fields, expected ${names.length}`, whole)
      }
      const row = Object.fromEntries(names.map((name, index) => [name, fields[index]]))
      return toReading({ root: row, item: row, key: '', arrival }, whole)
    })
  }

  const ofPayload = (payload: Buffer, arrival: Arrival): RawReading[] => {
    if (payload.length === 0) return [unreadable(file.id, 'found an empty payload', () => payload)]
    switch (mapping.format) {
      case 'json':
        return ofJson(payload, arrival)
      case 'ndjson':
        return linesOf(payload).flatMap((line) => ofJson(line, arrival))
      case 'csv':
        return ofCsv(payload, arrival)
      case 'number':
        return readings(payload.toString('utf8').trim(), arrival, () => payload)
      default:
        return [unreadable(file.id, `this door does not decode ${mapping.format}; expected json, ndjson, csv or number`, () => payload)]
    }
  }
  return { id: file.id, ofPayload, ofRecord: readings }
}

const unreadable = (fileId: string, what: string, bytes: () => Buffer): RawReading => ({
  value: undefined,
  bytes,
  refused: refusal('ANDON_INGEST_MAPPING', `sources/${fileId}: ${what}`, {}),
})

const linesOf = (payload: Buffer): Buffer[] => {
  const lines: Buffer[] = []
  for (let from = 0; from < payload.length;) {
    const newline = payload.indexOf(0x0a, from)
    const to = newline < 0 ? payload.length : newline
    const line = payload.subarray(from, to)
    if (line.toString('latin1').trim() !== '') lines.push(line)
    from = to + 1
  }
  return lines
}

// A payload with this one reading in it: what goes to quarantine can be mapped again by itself.
const alone = (root: unknown, each: string, key: string, item: unknown, bytes: () => Buffer) => (): Buffer => {
  try {
    const path = each
      .replace(/^\$\.?/, '')
      .split('.')
      .filter((name) => name !== '')
    const list = Array.isArray(path.reduce((at, name) => (at as Record<string, unknown>)[name], root as unknown)) ? [item] : { [key]: item }
    return Buffer.from(JSON.stringify(replaced(root, path, list)))
  } catch {
    return bytes() // nested too deeply for JSON, or a record that JSON cannot write
  }
}

const replaced = (at: unknown, [name, ...rest]: string[], value: unknown): unknown => {
  if (name === undefined) return value
  const inner = replaced((at as Record<string, unknown>)[name], rest, value)
  return Array.isArray(at) ? at.with(Number(name), inner) : { ...(at as object), [name]: inner }
}

type MapReading = (scope: Scope, bytes: () => Buffer) => RawReading

const readingMapper = (mapping: PayloadMapping, fileId: string): MapReading => {
  const isRow = mapping.format === 'csv' || mapping.format === 'parquet'
  const field = (path: string): Field => compileField(path, isRow)
  const decimalComma = mapping.csv?.decimal === ','
  const asset = text(mapping.asset, field)
  const source = mapping.source === undefined ? undefined : text(mapping.source, field)
  const time = mapping.time && {
    ...mapping.time,
    of: field(mapping.time.field),
    read: timeReader(mapping.time.format, mapping.time.timezone),
  }
  const epoch = mapping.epoch && count(mapping.epoch.field, field)
  const seq = mapping.seq && count(mapping.seq.field, field)
  const quality = mapping.quality && qualityOf(mapping.quality, field)
  const values = mapping.long === undefined ? wide(mapping.channels, field, decimalComma) : long(mapping.long, field, decimalComma)

  return (scope, bytes) => {
    const known: Known = {}
    try {
      known.asset = asset(scope)
      // Numbers first: a reading that is refused for something else has its number withheld from the block.
      if (source !== undefined) known.source = source(scope)
      if (seq !== undefined) {
        known.source ??= defaultSource(scope, known.asset, fileId)
        known.epoch = epoch?.(scope) ?? 0
        known.seq = seq(scope)
      }
      const timeUs = time === undefined ? scope.arrival.receivedUs : timeOf(time, scope)
      const { values: sampled, units } = values(scope)
      known.source ??= defaultSource(scope, known.asset, fileId, mapping.long && Object.keys(sampled)[0])
      const value = { ...known, timeUs, values: sampled, ...(units && { units }), ...(quality && { quality: quality(scope) }) }
      return { value, bytes }
    } catch (error) {
      if (!(error instanceof Unmappable)) throw error
      return { value: undefined, bytes, refused: refusal('ANDON_INGEST_MAPPING', `sources/${fileId}: ${error.message}`, known) }
    }
  }
}

interface Known {
  asset?: string
  source?: string
  epoch?: number
  seq?: number
}

const fail = (path: string, value: unknown, expected: string): never => {
  throw new Unmappable(`field ${path}: found ${show(value)}, expected ${expected}`)
}

// A block is rows of one layout and one source, so channels that come one by one are sources of their own.
const defaultSource = ({ arrival }: Scope, assetId: string, fileId: string, channel?: string): string => {
  const stream = channel === undefined ? '' : `.${channel.replaceAll(/[^A-Za-z0-9._-]/g, '-')}`
  return arrival.deviceId === undefined ? `${assetId}:${fileId}${stream}` : `${arrival.deviceId}:${fileId}.${assetId}${stream}`
}

type TextOf = PayloadMapping['asset']

const text = (of: TextOf, field: (path: string) => Field): ((scope: Scope) => string) => {
  if ('id' in of) return () => of.id
  const read = field(of.field)
  const translate = translator(of.field, of.map)
  return (scope) => translate(read(scope))
}

/** A word or number as text, through the map if there is one. */
const translator = (path: string, map: Readonly<Record<string, string>> | undefined): ((value: unknown) => string) => {
  const words = map && new Map(Object.entries(map))
  return (value) => {
    const word = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
    if (typeof word !== 'string' || word === '') return fail(path, value, 'a text or a number')
    if (words === undefined) return word
    return (
      words.get(word) ?? fail(path, value, `one of the map: ${[...words.keys()].slice(0, 10).join(', ')}${words.size > 10 ? ', …' : ''}`)
    )
  }
}

const count = (path: string, field: (path: string) => Field): ((scope: Scope) => number) => {
  const read = field(path)
  return (scope) => {
    const value = read(scope)
    const number = typeof value === 'bigint' || (typeof value === 'string' && /^\d{1,16}$/.test(value)) ? Number(value) : value
    return Number.isSafeInteger(number) && (number as number) >= 0 ? (number as number) : fail(path, value, 'an integer ≥ 0')
  }
}

const timeOf = ({ field: path, of, read }: { field: string; of: Field; read: ReturnType<typeof timeReader> }, scope: Scope): number => {
  const value = of(scope)
  const timeUs = read(value)
  return typeof timeUs === 'string' ? fail(path, value, timeUs) : timeUs
}

const qualityOf = ({ field: path, good, uncertain }: NonNullable<PayloadMapping['quality']>, field: (path: string) => Field) => {
  const read = field(path)
  const marks = new Map([...uncertain.map((word) => [String(word), 1] as const), ...good.map((word) => [String(word), 0] as const)])
  return (scope: Scope): number => {
    const value = read(scope)
    if (value === undefined || value === null) return 1
    return typeof value === 'object' ? 2 : (marks.get(String(value as string | number | boolean)) ?? 2)
  }
}

interface Sampled {
  readonly values: Record<string, number | null>
  readonly units: Readonly<Record<string, string>> | undefined
}

const wide = (channels: PayloadMapping['channels'], field: (path: string) => Field, decimalComma: boolean) => {
  const columns = Object.entries(channels).map(([channel, { field: path, scale, offset }]) => ({
    channel,
    path,
    read: field(path),
    sample: sampler(path, scale, offset, decimalComma),
  }))
  const named = Object.entries(channels).flatMap(([channel, { unit }]) => (unit === undefined ? [] : [[channel, unit] as const]))
  const units = named.length === 0 ? undefined : Object.fromEntries(named)
  return (scope: Scope): Sampled => {
    const values: Record<string, number | null> = {}
    let isAny = false
    for (const { channel, read, sample } of columns) {
      const value = sample(read(scope))
      values[channel] = value
      isAny ||= value !== null
    }
    if (!isAny) fail(columns.map(({ path }) => path).join(', '), undefined, 'a value in at least one of them')
    return { values, units }
  }
}

const long = (of: NonNullable<PayloadMapping['long']>, field: (path: string) => Field, decimalComma: boolean) => {
  const readChannel = field(of.channel)
  const translate = translator(of.channel, of.map)
  const readValue = field(of.value)
  const sample = sampler(of.value, of.scale, of.offset, decimalComma)
  return (scope: Scope): Sampled => {
    const channel = translate(readChannel(scope))
    return { values: { [channel]: sample(readValue(scope)) }, units: of.unit === undefined ? undefined : { [channel]: of.unit } }
  }
}

const plainNumber = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/

/** Null for a missing value; text that is a number, and true and false (1 and 0), are taken. */
const sampler = (path: string, scale: number, offset: number, decimalComma: boolean) => {
  const isPlain = scale === 1 && offset === 0
  return (value: unknown): number | null => {
    if (value === undefined || value === null) return null
    let number: unknown = value
    if (typeof value === 'string') {
      const trimmed = decimalComma ? value.trim().replace(',', '.') : value.trim()
      if (trimmed === '') return null
      number = plainNumber.test(trimmed) ? Number(trimmed) : value
    } else if (typeof value === 'boolean' || typeof value === 'bigint') number = Number(value)
    if (typeof number !== 'number' || !Number.isFinite(number)) return fail(path, value, 'a finite number')
    const scaled = isPlain ? number : number * scale + offset
    return Number.isFinite(scaled) ? scaled : fail(path, value, 'a number that scale and offset leave finite')
  }
}
