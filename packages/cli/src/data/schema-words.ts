// Schemas in words: what changed between two of them, and which field a compatibility fault points at.

import type { AvroRecord, AvroSchema } from '@andon/schemas'

type AvroField = AvroRecord['fields'][number]

const typeWords = (schema: AvroSchema): string => {
  if (typeof schema === 'string') return schema
  if (Array.isArray(schema)) return schema.map(typeWords).join(' or ')
  switch (schema.type) {
    case 'record':
    case 'error':
    case 'enum':
    case 'fixed':
      return `${schema.type} ${schema.name}`
    case 'array':
      return `list of ${typeWords(schema.items)}`
    case 'map':
      return `map of ${typeWords(schema.values)}`
    default:
      return 'logicalType' in schema && schema.logicalType !== undefined ? schema.logicalType : schema.type
  }
}

const defaultWords = (field: AvroField): string => ('default' in field ? `, default ${JSON.stringify(field.default)}` : ', no default')

/** Named types inside a schema, and the one record, enum or list behind nulls and containers. */
const innerOf = (schema: AvroSchema): AvroSchema => {
  if (Array.isArray(schema)) return innerOf(schema.find((branch) => branch !== 'null') ?? 'null')
  if (typeof schema === 'object' && schema.type === 'array') return innerOf(schema.items)
  if (typeof schema === 'object' && schema.type === 'map') return innerOf(schema.values)
  return schema
}

/** What a reader of `before` meets in `after`: one line per difference, empty when they say the same. */
export const diffSchemas = (before: AvroRecord, after: AvroRecord): string[] => diffRecords(before, after, '')

const diffRecords = (before: AvroRecord, after: AvroRecord, path: string): string[] => {
  const lines: string[] = []
  if (before.name !== after.name) lines.push(`record ${path || before.name} is now called ${after.name}`)
  for (const field of after.fields) {
    const name = path === '' ? field.name : `${path}.${field.name}`
    const old = before.fields.find((each) => each.name === field.name) ?? before.fields.find((each) => field.aliases?.includes(each.name))
    if (old === undefined) lines.push(`added field ${name}: ${typeWords(field.type)}${defaultWords(field)}`)
    else lines.push(...diffFields(old, field, name))
  }
  for (const field of before.fields) {
    const isKept = after.fields.some((each) => each.name === field.name || each.aliases?.includes(field.name))
    if (!isKept) lines.push(`removed field ${path === '' ? field.name : `${path}.${field.name}`}: ${typeWords(field.type)}`)
  }
  return lines
}

const diffFields = (before: AvroField, after: AvroField, name: string): string[] => {
  const lines: string[] = []
  if (before.name !== after.name) lines.push(`renamed field ${before.name} to ${name} (with an alias)`)
  if (typeWords(before.type) !== typeWords(after.type))
    lines.push(`field ${name} was ${typeWords(before.type)}, is ${typeWords(after.type)}`)
  if ('default' in before !== 'default' in after || JSON.stringify(before.default) !== JSON.stringify(after.default))
    lines.push(`field ${name} had ${defaultWords(before).slice(2)}, has ${defaultWords(after).slice(2)}`)
  if (before.doc !== after.doc) lines.push(`field ${name} is described anew: ${after.doc ?? '(no longer)'}`)
  const [inner, innerAfter] = [innerOf(before.type), innerOf(after.type)]
  if (typeof inner !== 'object' || typeof innerAfter !== 'object' || Array.isArray(inner) || Array.isArray(innerAfter)) return lines
  if (inner.type === 'record' && innerAfter.type === 'record') lines.push(...diffRecords(inner, innerAfter, name))
  if (inner.type === 'enum' && innerAfter.type === 'enum') {
    const added = innerAfter.symbols.filter((symbol) => !inner.symbols.includes(symbol))
    const gone = inner.symbols.filter((symbol) => !innerAfter.symbols.includes(symbol))
    if (added.length > 0) lines.push(`${name} may now be ${added.join(', ')}`)
    if (gone.length > 0) lines.push(`${name} can no longer be ${gone.join(', ')}`)
  }
  return lines
}

/** The field a path of checkCompatibility points at, by names: /fields/2/type/fields/0 → vector.values. Empty for the record itself. */
export const fieldAt = (schema: AvroSchema, path: string): string => {
  const names: string[] = []
  let at: AvroSchema | undefined = schema
  const known = new Map<string, AvroRecord>()
  const remember = (each: AvroSchema): void => {
    const inner = innerOf(each)
    if (typeof inner !== 'object' || Array.isArray(inner) || inner.type !== 'record') return
    known.set(inner.name, inner)
    for (const field of inner.fields) remember(field.type)
  }
  remember(schema)
  const tokens = path.split('/').slice(1)
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] !== 'fields') continue
    const inner: AvroSchema | undefined = at === undefined ? undefined : innerOf(at)
    const record: AvroSchema | undefined = typeof inner === 'string' ? known.get(inner.slice(inner.lastIndexOf('.') + 1)) : inner
    if (typeof record !== 'object' || Array.isArray(record) || record.type !== 'record') break
    const field: AvroField | undefined = record.fields[Number(tokens[i + 1])]
    if (field === undefined) break
    names.push(field.name)
    at = field.type
  }
  return names.join('.')
}
