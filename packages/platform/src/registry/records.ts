// Records of `_schemas` as Confluent's registry and Karapace write them, so that either can take over the topic with every id.
// Keys are compared byte by byte when the topic is compacted: their properties keep this order.

export type Level = 'NONE' | 'BACKWARD' | 'BACKWARD_TRANSITIVE' | 'FORWARD' | 'FORWARD_TRANSITIVE' | 'FULL' | 'FULL_TRANSITIVE'
export const LEVELS: readonly string[] = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
]

export type Mode = 'READWRITE' | 'READONLY' | 'READONLY_OVERRIDE' | 'IMPORT'
export const MODES: readonly string[] = ['READWRITE', 'READONLY', 'READONLY_OVERRIDE', 'IMPORT']

/** One version of a subject. */
export interface SchemaValue {
  readonly subject: string
  readonly version: number
  readonly id: number
  /** Schema text, compact JSON. */
  readonly schema: string
  readonly deleted: boolean
}

/** What one record says. `null` values remove what an earlier record said. */
export type Entry =
  | { readonly kind: 'schema'; readonly subject: string; readonly version: number; readonly value: SchemaValue | null }
  | { readonly kind: 'config'; readonly subject: string | null; readonly level: Level | null }
  | { readonly kind: 'mode'; readonly subject: string | null; readonly mode: Mode | null }
  /** Soft-deletes all versions up to this one. */
  | { readonly kind: 'delete-subject'; readonly subject: string; readonly version: number | null }
  | { readonly kind: 'noop' }

/** Key and value of the record that says it. */
export const encodeEntry = (entry: Entry): { key: string; value: Buffer | null } => {
  const record = (key: object, value: object | null) => ({
    key: JSON.stringify(key),
    value: value === null ? null : Buffer.from(JSON.stringify(value)),
  })
  switch (entry.kind) {
    case 'schema':
      return record({ keytype: 'SCHEMA', subject: entry.subject, version: entry.version, magic: 1 }, entry.value)
    case 'config':
      return record(
        { keytype: 'CONFIG', subject: entry.subject, magic: 0 },
        entry.level === null ? null : { subject: entry.subject, compatibilityLevel: entry.level },
      )
    case 'mode':
      return record(
        { keytype: 'MODE', subject: entry.subject, magic: 0 },
        entry.mode === null ? null : { subject: entry.subject, mode: entry.mode },
      )
    case 'delete-subject':
      return record(
        { keytype: 'DELETE_SUBJECT', subject: entry.subject, magic: 0 },
        entry.version === null ? null : { subject: entry.subject, version: entry.version },
      )
    case 'noop':
      return record({ keytype: 'NOOP', magic: 0 }, null)
  }
}

/** What a record says; undefined for kinds this registry has no use for (contexts, clusters, other schema languages). */
export const decodeEntry = (key: string | null, value: Buffer | null): Entry | undefined => {
  const name = parse(key ?? '')
  const body = value === null ? null : parse(value.toString('utf8'))
  if (name === undefined || body === undefined) return undefined
  const subject = text(name['subject'])
  switch (name['keytype']) {
    case 'SCHEMA':
      return subject === undefined ? undefined : schemaEntry(subject, Number(name['version']), body)
    case 'CONFIG':
      return { kind: 'config', subject: subject ?? null, level: member<Level>(LEVELS, body?.['compatibilityLevel']) }
    case 'MODE':
      return { kind: 'mode', subject: subject ?? null, mode: member<Mode>(MODES, body?.['mode']) }
    case 'DELETE_SUBJECT':
      return subject === undefined
        ? undefined
        : { kind: 'delete-subject', subject, version: body === null ? null : Number(body['version']) }
    case 'NOOP':
      return { kind: 'noop' }
    default:
      return undefined
  }
}

type Json = Record<string, unknown>

const schemaEntry = (subject: string, version: number, body: Json | null): Entry | undefined => {
  if (body === null) return { kind: 'schema', subject, version, value: null }
  const schema = text(body['schema'])
  const isAvro = body['schemaType'] === undefined || body['schemaType'] === 'AVRO'
  if (schema === undefined || !isAvro) return undefined
  return {
    kind: 'schema',
    subject,
    version,
    value: { subject, version, id: Number(body['id']), schema, deleted: body['deleted'] === true },
  }
}

const parse = (json: string): Json | undefined => {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? (value as Json) : undefined
  } catch {
    return undefined
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

const member = <T extends string>(words: readonly string[], value: unknown): T | null =>
  typeof value === 'string' && words.includes(value) ? (value as T) : null
