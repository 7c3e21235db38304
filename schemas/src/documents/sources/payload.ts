// Which field of a message, record or row is what: shared by MQTT, NATS, Kafka, Kinesis and files.

import { z } from 'zod'

const name = z.string().min(1)

/**
 * Where a value lies. JSON and Avro: a path of field names and indexes joined by dots (`data.values.0.temp`; `$` is the whole payload).
 * CSV and Parquet: a column's name. `{…}` takes a part of the topic, subject or file name: `{2}` its third level, `{machine}` a named one.
 */
export const fieldPath = name

/** How a time is written. */
export const timeFormat = z.enum(['iso8601', 's', 'ms', 'us', 'ns'])

/** Asset and source: constant, or taken from a field or a part of the topic. */
const assetOrField = z.union([
  z.strictObject({ id: name }),
  z.strictObject({ field: fieldPath, map: z.record(z.string(), z.string()).optional() }),
])

export const payloadMapping = z.strictObject({
  format: z.enum(['json', 'ndjson', 'csv', 'number', 'avro', 'parquet']).default('json'),
  /** Path of the list of readings inside one payload; without it a payload is one reading (an array: one each). */
  each: fieldPath.optional(),
  asset: assetOrField,
  /** Default: the asset's id, a slash and the id of this file. */
  source: assetOrField.optional(),
  /** Without it, the time of receipt. */
  time: z.strictObject({ field: fieldPath, format: timeFormat.default('iso8601'), timezone: z.string().optional() }).optional(),
  epoch: z.strictObject({ field: fieldPath }).optional(),
  seq: z.strictObject({ field: fieldPath }).optional(),
  quality: z
    .strictObject({
      field: fieldPath,
      good: z.array(z.union([z.string(), z.number(), z.boolean()])).min(1),
      uncertain: z.array(z.union([z.string(), z.number(), z.boolean()])).default([]),
    })
    .optional(),
  /** Wide form: one field per channel. `unit` as the sender has it, in UCUM: converted to the plant's. */
  channels: z
    .record(name, z.strictObject({ field: fieldPath, unit: name.optional(), scale: z.number().default(1), offset: z.number().default(0) }))
    .default({}),
  /** Long form: one value per row, its channel named by a field. */
  long: z.strictObject({ channel: fieldPath, value: fieldPath, map: z.record(z.string(), z.string()).optional() }).optional(),
})

export type PayloadMapping = z.output<typeof payloadMapping>
