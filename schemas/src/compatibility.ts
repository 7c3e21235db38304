// May a reader with one schema read what a writer with another wrote? Avro's schema resolution rules
// (specification 1.12, "Schema Resolution"), decided on the schemas alone. The registry and the release check use it.

import type { AvroSchema } from './avro.ts'

export type IncompatibilityType =
  | 'NAME_MISMATCH'
  | 'TYPE_MISMATCH'
  | 'FIXED_SIZE_MISMATCH'
  | 'MISSING_ENUM_SYMBOLS'
  | 'MISSING_UNION_BRANCH'
  | 'READER_FIELD_MISSING_DEFAULT_VALUE'

/** One reason why the reader cannot read. Types are those of Avro's Java library, which Confluent's registry reports. */
export interface Incompatibility {
  readonly type: IncompatibilityType
  /** JSON pointer into the reader's schema, e.g. /fields/2/type. */
  readonly path: string
  readonly message: string
}

/** A schema with its names resolved; recursive schemas are cyclic graphs. */
type Node =
  | { kind: 'primitive'; type: string }
  | { kind: 'array' | 'map'; of: Node }
  | { kind: 'union'; branches: Node[] }
  | { kind: 'enum'; name: Name; symbols: readonly string[]; default: string | undefined }
  | { kind: 'fixed'; name: Name; size: number }
  | { kind: 'record'; name: Name; fields: Field[] }

interface Name {
  readonly full: string
  readonly aliases: readonly string[]
}

interface Field {
  readonly name: string
  readonly aliases: readonly string[]
  readonly hasDefault: boolean
  readonly node: Node
}

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

/** What the reader accepts besides its own type. */
const promotions: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
}

/** Why data written with `writer` cannot be read with `reader`; empty when it can. Throws on a schema that is none. */
export const checkCompatibility = (reader: AvroSchema, writer: AvroSchema): Incompatibility[] =>
  compare(resolve(reader, '', new Map()), resolve(writer, '', new Map()), '', new Map())

/** Why the two cannot read each other; `path` points into the schema that reads. */
export const checkFull = (left: AvroSchema, right: AvroSchema): Incompatibility[] => [
  ...checkCompatibility(left, right),
  ...checkCompatibility(right, left),
]

const unqualified = (full: string): string => full.slice(full.lastIndexOf('.') + 1)

const qualify = (name: string, namespace: string): string => (name.includes('.') || namespace === '' ? name : `${namespace}.${name}`)

const resolve = (schema: AvroSchema, namespace: string, names: Map<string, Node>): Node => {
  if (Array.isArray(schema)) return { kind: 'union', branches: schema.map((branch) => resolve(branch, namespace, names)) }
  if (typeof schema === 'string') {
    if (primitives.has(schema)) return { kind: 'primitive', type: schema }
    const known = names.get(qualify(schema, namespace)) ?? names.get(schema)
    if (known === undefined) throw new Error(`Avro schema names an unknown type: ${schema}`)
    return known
  }
  if (schema === null || typeof schema !== 'object') throw new Error(`Not an Avro schema: ${JSON.stringify(schema)}`)
  switch (schema.type) {
    case 'array':
      return { kind: 'array', of: resolve(schema.items, namespace, names) }
    case 'map':
      return { kind: 'map', of: resolve(schema.values, namespace, names) }
    case 'enum':
    case 'fixed':
    case 'record':
    case 'error': {
      const full = qualify(schema.name, schema.namespace ?? namespace)
      const inner = full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : ''
      const name = { full, aliases: (schema.aliases ?? []).map((alias) => qualify(alias, inner)) }
      if (schema.type === 'enum') return remember(names, { kind: 'enum', name, symbols: schema.symbols, default: schema.default })
      if (schema.type === 'fixed') return remember(names, { kind: 'fixed', name, size: schema.size })
      const record: Node = remember(names, { kind: 'record', name, fields: [] as Field[] })
      for (const field of schema.fields) {
        const { name: fieldName, aliases = [] } = field
        record.fields.push({ name: fieldName, aliases, hasDefault: 'default' in field, node: resolve(field.type, inner, names) })
      }
      return record
    }
    default:
      return resolve(schema.type, namespace, names)
  }
}

const remember = <T extends Node & { name: Name }>(names: Map<string, Node>, node: T): T => {
  names.set(node.name.full, node)
  return node
}

type Compared = Map<Node, Set<Node>>

const compare = (reader: Node, writer: Node, path: string, compared: Compared): Incompatibility[] => {
  // A pair under comparison is taken as compatible: a recursive schema is if everything around the recursion is.
  if (reader.kind === 'record' || writer.kind === 'record') {
    const seen = compared.get(reader) ?? new Set()
    if (seen.has(writer)) return []
    compared.set(reader, seen.add(writer))
  }
  if (writer.kind === 'union') return writer.branches.flatMap((branch) => compare(reader, branch, path, compared))
  if (reader.kind === 'union') {
    const fits = reader.branches.some((branch) => readable(branch, writer, path, compared))
    return fits ? [] : [{ type: 'MISSING_UNION_BRANCH', path, message: `reader union lacks a branch for ${label(writer)}` }]
  }
  if (reader.kind === 'primitive' && writer.kind === 'primitive') {
    const fits = reader.type === writer.type || promotions[reader.type]?.includes(writer.type) === true
    return fits ? [] : [mismatch(reader, writer, path)]
  }
  if (reader.kind === 'array' && writer.kind === 'array') return compare(reader.of, writer.of, `${path}/items`, compared)
  if (reader.kind === 'map' && writer.kind === 'map') return compare(reader.of, writer.of, `${path}/values`, compared)
  if (reader.kind === 'enum' && writer.kind === 'enum') return compareEnums(reader, writer, path)
  if (reader.kind === 'fixed' && writer.kind === 'fixed') {
    if (!sameName(reader.name, writer.name)) return [wrongName(reader, writer, path)]
    if (reader.size === writer.size) return []
    return [
      { type: 'FIXED_SIZE_MISMATCH', path: `${path}/size`, message: `reader expects ${reader.size} bytes, writer has ${writer.size}` },
    ]
  }
  if (reader.kind === 'record' && writer.kind === 'record') {
    if (!sameName(reader.name, writer.name)) return [wrongName(reader, writer, path)]
    return reader.fields.flatMap((field, index) => compareField(field, writer.fields, `${path}/fields/${index}`, compared))
  }
  return [mismatch(reader, writer, path)]
}

const compareEnums = (reader: Node & { kind: 'enum' }, writer: Node & { kind: 'enum' }, path: string): Incompatibility[] => {
  if (!sameName(reader.name, writer.name)) return [wrongName(reader, writer, path)]
  const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol))
  if (missing.length === 0 || reader.default !== undefined) return []
  return [
    { type: 'MISSING_ENUM_SYMBOLS', path: `${path}/symbols`, message: `reader lacks ${missing.join(', ')} and has no default symbol` },
  ]
}

const compareField = (field: Field, written: readonly Field[], path: string, compared: Compared): Incompatibility[] => {
  const match = written.find((each) => each.name === field.name) ?? written.find((each) => field.aliases.includes(each.name))
  if (match !== undefined) return compare(field.node, match.node, `${path}/type`, compared)
  if (field.hasDefault) return []
  return [{ type: 'READER_FIELD_MISSING_DEFAULT_VALUE', path, message: `reader field ${field.name} is not written and has no default` }]
}

/** Whether one union branch fits; a failed try leaves no trace in what was compared. */
const readable = (reader: Node, writer: Node, path: string, compared: Compared): boolean => {
  const trial = new Map([...compared].map(([node, seen]) => [node, new Set(seen)]))
  return compare(reader, writer, path, trial).length === 0
}

const sameName = (reader: Name, writer: Name): boolean =>
  unqualified(reader.full) === unqualified(writer.full) || reader.aliases.includes(writer.full)

const wrongName = (reader: { name: Name }, writer: { name: Name }, path: string): Incompatibility => ({
  type: 'NAME_MISMATCH',
  path: `${path}/name`,
  message: `reader expects ${reader.name.full}, writer has ${writer.name.full}`,
})

const mismatch = (reader: Node, writer: Node, path: string): Incompatibility => ({
  type: 'TYPE_MISMATCH',
  path,
  message: `reader expects ${label(reader)}, writer has ${label(writer)}`,
})

const label = (node: Node): string => {
  if (node.kind === 'primitive') return node.type
  return 'name' in node ? `${node.kind} ${node.name.full}` : node.kind
}
