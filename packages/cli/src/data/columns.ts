// Records as rows of a table: lineage columns, the record's own fields, and the bytes as they were. One column model, from
// which each file format derives its schema. An import reads the lineage and the bytes; the fields are for people and tools.

import { HEADER, type LogRecord, parseCause, parseOrder } from '@andon/kit'
import { schemaIdOf } from '@andon/kit/dead-letters'
import { AndonError } from '@andon/kit/errors'
import { type AvroRecord, type AvroSchema, type SchemaName, avroSchemas, schemaOfTopic } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import { readFloats, readLongs } from './readable.ts'

export type ColumnType =
  | 'boolean'
  | 'int'
  | 'long'
  | 'double'
  | 'string'
  | 'bytes'
  /** Number of ms or microseconds since 1970, UTC. */
  | 'timestamp-ms'
  | 'timestamp-us'
  | { readonly list: Column }
  | { readonly struct: readonly Column[] }

export interface Column {
  readonly name: string
  readonly type: ColumnType
  readonly nullable: boolean
}

/** Values by column name: numbers, strings, booleans, byte arrays, lists and objects; null where there is none. */
export type Row = Readonly<Record<string, unknown>>

const column = (name: string, type: ColumnType, nullable = true): Column => ({ name, type, nullable })

/** Where the record lies and what caused it; `headers` (JSON, in order) and `value_bytes` are the record as it was. */
export const lineageColumns: readonly Column[] = [
  column('topic', 'string', false),
  column('partition', 'int', false),
  column('offset', 'long', false),
  column('leader_epoch', 'int', false),
  column('timestamp', 'timestamp-ms', false),
  column('key', 'string'),
  column('ce_id', 'string'),
  column('ce_type', 'string'),
  column('ce_time', 'string'),
  column('lane', 'string'),
  column('cause_topic', 'string'),
  column('cause_partition', 'int'),
  column('cause_leader_epoch', 'int'),
  column('cause_offset', 'long'),
  column('cause_index', 'int'),
  column('order_promotion', 'int'),
  column('order_leader_epoch', 'int'),
  column('order_offset', 'long'),
  column('order_index', 'int'),
  column('run', 'string'),
  column('traceparent', 'string'),
  column('schema_id', 'int'),
  column('headers', 'string', false),
  column('value_bytes', 'bytes'),
]

/** Packed fields and what they hold, by path within the topic's record. */
const packed: Readonly<Record<string, { readonly of: ColumnType; readonly read: (bytes: Uint8Array, within: Fields) => unknown }>> = {
  'telemetry.block.samples': {
    of: 'double',
    read: (bytes, block) => [...(block['dtype'] === 'f32' ? readFloats(bytes) : readDoubles(bytes))],
  },
  'telemetry.block.timesUs': { of: 'timestamp-us', read: readLongs },
  'telemetry.block.recordedUs': { of: 'timestamp-us', read: readLongs },
  'telemetry.block.qualities': { of: 'int', read: (bytes) => [...bytes] },
  'features.vector.values': { of: 'double', read: (bytes) => [...readDoubles(bytes)] },
  'predictions.values': { of: 'double', read: (bytes) => [...readDoubles(bytes)] },
  'predictions.verdicts.contributions': { of: 'double', read: (bytes) => [...readDoubles(bytes)] },
}

type Fields = Readonly<Record<string, unknown>>

const schemaNameOf = (topic: string): SchemaName => {
  const name = schemaOfTopic(topic)
  if (name !== undefined) return name
  throw new AndonError('ANDON_CLI_TOPIC_SCHEMA', `Topic ${topic} has no schema of this mesh, so it cannot be turned into columns.`)
}

const lineageNames = new Set(lineageColumns.map(({ name }) => name))

/** Column of a record's field; one that is called like a lineage column is told apart. */
const columnName = (field: string): string => (lineageNames.has(field) ? `value_${field}` : field)

/** All columns of a topic's records. */
export const columnsOf = (topic: string): Column[] => {
  const name = schemaNameOf(topic)
  const fields = new ColumnsOfSchema().fields(avroSchemas[name], name)
  return [...lineageColumns, ...fields.map((field) => ({ ...field, name: columnName(field.name), nullable: true }))]
}

/** Avro to columns; a named type that occurs again is given by its name. */
class ColumnsOfSchema {
  private readonly named = new Map<string, AvroRecord>()

  fields(record: AvroRecord, path: string): Column[] {
    this.named.set(record.name, record)
    return record.fields.map(({ name, type }) => this.column(name, type, path))
  }

  private column(name: string, schema: AvroSchema, path: string): Column {
    const nullable = Array.isArray(schema) && schema.includes('null')
    const [inner] = Array.isArray(schema) ? schema.filter((branch) => branch !== 'null') : [schema]
    return { name, nullable, type: this.type(inner as AvroSchema, `${path}.${name}`) }
  }

  private type(schema: AvroSchema, path: string): ColumnType {
    const numbers = packed[path]
    if (numbers !== undefined) return { list: column('element', numbers.of, false) }
    if (typeof schema === 'string') {
      const known = this.named.get(schema.slice(schema.lastIndexOf('.') + 1))
      return known === undefined ? primitive(schema, path) : this.type(known, path)
    }
    if (Array.isArray(schema)) throw new AndonError('ANDON_CLI_TOPIC_SCHEMA', `${path} is a union of several types; columns need one.`)
    switch (schema.type) {
      case 'record':
      case 'error':
        return { struct: this.fields(schema, path) }
      case 'array':
        return { list: { name: 'element', nullable: false, type: this.type(schema.items, path) } }
      case 'enum':
        return 'string'
      default:
        if ('logicalType' in schema && schema.logicalType === 'timestamp-micros') return 'timestamp-us'
        return primitive(schema.type, path)
    }
  }
}

const primitive = (type: string, path: string): ColumnType => {
  switch (type) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'double':
    case 'string':
    case 'bytes':
      return type
    case 'float':
      return 'double'
    default:
      throw new AndonError('ANDON_CLI_TOPIC_SCHEMA', `${path} has type ${type}, which has no column type.`)
  }
}

/** The row of a record; `decoded` undefined where it could not be decoded: its fields are null then. Bytes are copied. */
export const rowOf = (record: LogRecord, decoded: unknown): Row => {
  const cause = parseCause(record.header(HEADER.cause))
  const order = parseOrder(record.header(HEADER.order))
  const name = schemaNameOf(record.topic)
  const fields = decoded === undefined || decoded === null ? {} : (unpack(decoded, name) as Fields)
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    leader_epoch: record.leaderEpoch,
    timestamp: record.timestampMs,
    key: record.key,
    ce_id: record.header(HEADER.id) ?? null,
    ce_type: record.header(HEADER.type) ?? null,
    ce_time: record.header(HEADER.time) ?? null,
    lane: record.header(HEADER.lane) ?? null,
    cause_topic: cause?.topic ?? null,
    cause_partition: cause?.partition ?? null,
    cause_leader_epoch: cause?.leaderEpoch ?? null,
    cause_offset: cause?.offset ?? null,
    cause_index: cause?.index ?? null,
    order_promotion: order?.promotion ?? null,
    order_leader_epoch: order?.leaderEpoch ?? null,
    order_offset: order?.offset ?? null,
    order_index: order?.index ?? null,
    run: record.header(HEADER.run) ?? null,
    traceparent: record.header(HEADER.traceparent) ?? null,
    schema_id: schemaIdOf(record.value) ?? null,
    headers: JSON.stringify(record.headers()),
    value_bytes: record.value === null ? null : Buffer.from(record.value),
    ...Object.fromEntries(avroSchemas[name].fields.map((field) => [columnName(field.name), fields[field.name] ?? null])),
  }
}

const unpack = (value: unknown, path: string): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map((each) => unpack(each, path))
  const within = value as Fields
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => {
      const numbers = packed[`${path}.${name}`]
      return [name, numbers !== undefined && each instanceof Uint8Array ? numbers.read(each, within) : unpack(each, `${path}.${name}`)]
    }),
  )
}

/** What an import needs of a row. */
export interface StoredRow {
  readonly partition: number
  readonly timestampMs: number
  readonly key: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly value: Uint8Array | null
}

export const storedColumns = ['partition', 'timestamp', 'key', 'headers', 'value_bytes'] as const

/** The record of a row that one of our formats gave back. Throws ANDON_CLI_FILE for a row that no export wrote. */
export const storedRow = (row: Row): StoredRow => {
  const { partition, timestamp, key, headers, value_bytes: value } = row
  const timestampMs = timestamp instanceof Date ? timestamp.getTime() : Number(timestamp)
  if (typeof headers !== 'string' || !Number.isSafeInteger(timestampMs) || !Number.isSafeInteger(Number(partition)))
    throw new AndonError('ANDON_CLI_FILE', 'The file is no export of a topic: it lacks partition, timestamp, headers or value_bytes.')
  return {
    partition: Number(partition),
    timestampMs,
    key: typeof key === 'string' ? key : null,
    headers: JSON.parse(headers) as Record<string, string>,
    value: value instanceof Uint8Array ? value : null,
  }
}
