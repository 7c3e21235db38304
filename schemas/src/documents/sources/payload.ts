// Which field of a message, record or row is what: shared by MQTT, NATS, Kafka, Kinesis and files.

import { z } from 'zod'
import type { Fault } from '../read.ts'

const name = z.string().min(1)

/**
 * Where a value lies.
 * - JSON and Avro: field names and indexes joined by dots (`data.values.0.temp`), from the reading; with `$.` in front, from the whole
 *   payload; `.` is the reading itself, `$` the whole payload. A field whose own name has dots is found as well.
 * - CSV and Parquet: a column's name.
 * - `{…}` takes a part of the topic, subject or file name, alone or with text around it (`{site}-{3}`): `{2}` its third level, `{machine}`
 *   a level with that name, `{key}` the key or index under which `each` found the reading.
 */
export const fieldPath = name

/** How a time is written. Numbers count from 1970 in UTC. */
export const timeFormat = z.enum(['iso8601', 's', 'ms', 'us', 'ns'])
export type TimeFormat = z.output<typeof timeFormat>

/** Asset and source: constant, or taken from a field or a part of the topic. With a map, a value that it does not have is refused. */
const assetOrField = z.union([
  z.strictObject({ id: name }),
  z.strictObject({ field: fieldPath, map: z.record(z.string(), z.string()).optional() }),
])

const words = z.array(z.union([z.string(), z.number(), z.boolean()]))
const factor = z.number().refine((value) => value !== 0, 'a number other than 0')

export const payloadMapping = z.strictObject({
  format: z.enum(['json', 'ndjson', 'csv', 'number', 'avro', 'parquet']).default('json'),
  /** How a CSV is written. Its first line names the columns, unless `columns` does. */
  csv: z
    .strictObject({
      delimiter: z.enum([',', ';', '\t', '|']).default(','),
      decimal: z.enum(['.', ',']).default('.'),
      columns: z.array(name).min(1).optional(),
    })
    .optional(),
  /** Path of the list (or the object) of readings inside one payload; without it a payload is one reading (an array: one each). */
  each: fieldPath.optional(),
  asset: assetOrField,
  /**
   * Default: the asset's id, a colon and the id of this file (`press-1:boiler-log`), and in long form without `seq` a dot and the channel.
   * When a device showed a certificate, the device's id, a colon and file, asset and channel.
   */
  source: assetOrField.optional(),
  /** Without it, the time of receipt. `timezone` (IANA) is for texts without an offset; without one they are refused. */
  time: z.strictObject({ field: fieldPath, format: timeFormat.default('iso8601'), timezone: name.optional() }).optional(),
  epoch: z.strictObject({ field: fieldPath }).optional(),
  seq: z.strictObject({ field: fieldPath }).optional(),
  /** Words that mean good and uncertain; any other means bad, and a missing one uncertain. */
  quality: z.strictObject({ field: fieldPath, good: words.min(1), uncertain: words.default([]) }).optional(),
  /** Wide form: one field per channel. `unit` as the sender has it, in UCUM: converted to the plant's. Value = field × scale + offset. */
  channels: z
    .record(name, z.strictObject({ field: fieldPath, unit: name.optional(), scale: factor.default(1), offset: z.number().default(0) }))
    .default({}),
  /** Long form: one value per reading, its channel named by a field. */
  long: z
    .strictObject({
      channel: fieldPath,
      value: fieldPath,
      /** Name as sent → channel; a name that is not in it is refused. */
      map: z.record(z.string(), z.string()).optional(),
      unit: name.optional(),
      scale: factor.default(1),
      offset: z.number().default(0),
    })
    .optional(),
})

export type PayloadMapping = z.output<typeof payloadMapping>

/** `{…}` that a mapping may use: how many levels there are at least, and which have a name. Undefined: unknown before data comes. */
export interface Captures {
  readonly levels: number
  readonly names: readonly string[]
}

/** What a mapping's shape cannot say. `path` is where the mapping stands in its document. */
export const payloadFaults = (mapping: PayloadMapping, path: Fault['path'], captures?: Captures): Fault[] => {
  const faults: Fault[] = []
  const fault = (field: Fault['path'], expected: string) => void faults.push({ path: [...path, ...field], expected })
  const { format, channels, long, time, epoch, seq, quality, each, csv } = mapping
  const isRows = format === 'csv' || format === 'parquet'
  const isWide = Object.keys(channels).length > 0

  if (!isWide && long === undefined) fault(['channels'], 'at least one channel, or long')
  if (isWide && long !== undefined) fault(['long'], 'either channels or long, not both')
  if (each !== undefined && (isRows || format === 'number')) fault(['each'], `nothing: ${format} has no lists`)
  if (csv !== undefined && format !== 'csv') fault(['csv'], 'nothing, unless format is csv')
  if (csv?.decimal === ',' && csv.delimiter === ',') fault(['csv', 'decimal'], '"." where columns are separated by commas')
  if (csv?.columns !== undefined && new Set(csv.columns).size < csv.columns.length) fault(['csv', 'columns'], 'names that are used once')
  if (epoch !== undefined && seq === undefined) fault(['epoch'], 'nothing, unless seq is given')
  if (time?.timezone !== undefined && time.format !== 'iso8601') fault(['time', 'timezone'], `nothing: ${time.format} counts in UTC`)
  if (time?.timezone !== undefined && !isTimezone(time.timezone)) fault(['time', 'timezone'], 'an IANA time zone, e.g. Europe/Berlin')
  const repeated = quality?.uncertain.find((word) => quality.good.some((good) => String(good) === String(word)))
  if (repeated !== undefined) fault(['quality', 'uncertain'], `words that are not among good (${JSON.stringify(repeated)} is)`)

  for (const [field, at] of fieldsOf(mapping)) {
    const why = captureFault(field, captures, each !== undefined)
    if (why !== undefined) fault(at, why)
    else if (format === 'number' && !field.includes('{') && field !== '$' && field !== '.') fault(at, '"$" or {…}: a number has no fields')
    else if (isRows && (field === '$' || field === '.' || field.startsWith('$.'))) fault(at, 'the name of a column')
  }
  return faults
}

/** Every field a mapping reads, with its place. */
const fieldsOf = ({ asset, source, time, epoch, seq, quality, channels, long, each }: PayloadMapping): [string, (string | number)[]][] => {
  const fields: [string | undefined, string[]][] = [
    [each, ['each']],
    ['field' in asset ? asset.field : undefined, ['asset', 'field']],
    [source !== undefined && 'field' in source ? source.field : undefined, ['source', 'field']],
    [time?.field, ['time', 'field']],
    [epoch?.field, ['epoch', 'field']],
    [seq?.field, ['seq', 'field']],
    [quality?.field, ['quality', 'field']],
    [long?.channel, ['long', 'channel']],
    [long?.value, ['long', 'value']],
    ...Object.entries(channels).map(([channel, { field }]): [string, string[]] => [field, ['channels', channel, 'field']]),
  ]
  return fields.filter((each): each is [string, string[]] => each[0] !== undefined)
}

const captureFault = (field: string, captures: Captures | undefined, hasEach: boolean): string | undefined => {
  if (/[{}]/.test(field.replaceAll(/\{\w+\}/g, ''))) return 'braces in pairs around a level: {2} or {machine}'
  for (const [, part = ''] of field.matchAll(/\{(\w+)\}/g)) {
    if (part === 'key') {
      if (!hasEach && captures !== undefined) return 'no {key}, unless each is given'
    } else if (captures !== undefined && /^\d+$/.test(part)) {
      if (Number(part) >= captures.levels) return `a level of the topic: {0} to {${captures.levels - 1}}`
    } else if (captures !== undefined && !captures.names.includes(part)) {
      return `a named level of the topic (${captures.names.join(', ') || 'it has none; write +name'})`
    }
  }
  return undefined
}

const isTimezone = (timezone: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: timezone }).format(0) !== ''
  } catch {
    return false
  }
}
