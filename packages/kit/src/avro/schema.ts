// Avro schemas as a graph with names resolved: what the compiler works on. A schema may come from anybody who can write
// to the registry, so every name is checked and size and nesting are limited here, before any source text is made of it.

import { AvroError } from './errors.ts'

export type Primitive = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

/** One type; recursive schemas are cyclic graphs. A logical type is its base type. */
export type AvroNode = PrimitiveNode | FixedNode | EnumNode | ArrayNode | MapNode | UnionNode | RecordNode

export interface PrimitiveNode {
  readonly kind: Primitive
}

interface Named {
  /** Full name, e.g. andon.Telemetry. */
  readonly name: string
  readonly aliases: readonly string[]
}

export interface FixedNode extends Named {
  readonly kind: 'fixed'
  readonly size: number
}

export interface EnumNode extends Named {
  readonly kind: 'enum'
  readonly symbols: readonly string[]
  readonly default: string | undefined
}

export interface ArrayNode {
  readonly kind: 'array'
  readonly items: AvroNode
}

export interface MapNode {
  readonly kind: 'map'
  readonly values: AvroNode
}

/** `isWrapped`: two branches share a JavaScript type, so values are `{ branchName: value }`, as avsc has them. */
export interface UnionNode {
  readonly kind: 'union'
  readonly branches: readonly AvroNode[]
  readonly isWrapped: boolean
}

export interface RecordNode extends Named {
  readonly kind: 'record'
  readonly fields: readonly AvroField[]
  /** A type inside the record is the record itself. Every cycle of a schema has at least one such record. */
  readonly isRecursive: boolean
}

export interface AvroField {
  readonly name: string
  readonly aliases: readonly string[]
  readonly node: AvroNode
  /** JSON of the default; undefined when the field has none. */
  readonly default: unknown
}

const primitives: ReadonlySet<string> = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])
const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Types in one schema, fields and symbols included. The largest of ours has about 300. */
const maxParts = 20_000
const maxNesting = 64
const maxFixedBytes = 1024 * 1024

interface Context {
  readonly names: Map<string, AvroNode>
  /** Records whose fields are being read. */
  readonly open: Set<AvroNode>
  parts: number
}

/** The graph of a schema. Throws an AvroError (`schema`) that names what is wrong. */
export const parseSchema = (schema: unknown): AvroNode => parse(schema, '', 0, { names: new Map(), open: new Set(), parts: 0 })

/** Name of a union's branch in wrapped values and messages. */
export const branchName = (node: AvroNode): string => ('name' in node ? node.name : node.kind)

const minimums = new WeakMap<AvroNode, number>()

/** Fewest bytes a value of the type takes; a type inside itself counts as none. */
export const minimumBytes = (node: AvroNode): number => {
  if (node.kind === 'null') return 0
  if (node.kind === 'float') return 4
  if (node.kind === 'double') return 8
  if (node.kind === 'fixed') return node.size
  if (node.kind !== 'record') return 1
  const known = minimums.get(node)
  if (known !== undefined) return known
  minimums.set(node, 0)
  const bytes = node.fields.reduce((sum, field) => sum + minimumBytes(field.node), 0)
  minimums.set(node, bytes)
  return bytes
}

const parse = (schema: unknown, namespace: string, depth: number, context: Context): AvroNode => {
  count(context, 1)
  if (depth > maxNesting) throw fault(`types are nested more than ${maxNesting} deep`)
  if (typeof schema === 'string') return reference(schema, namespace, context)
  if (Array.isArray(schema)) return union(schema.map((branch) => parse(branch, namespace, depth + 1, context)))
  if (typeof schema !== 'object' || schema === null) throw fault(`${shown(schema)} is no type`)
  const { type, items, values } = schema as Record<string, unknown>
  switch (type) {
    case 'array':
      return { kind: 'array', items: parse(items, namespace, depth + 1, context) }
    case 'map':
      return { kind: 'map', values: parse(values, namespace, depth + 1, context) }
    case 'fixed':
    case 'enum':
    case 'record':
    case 'error':
      return named(schema as Record<string, unknown>, namespace, depth, context)
    default:
      return parse(type, namespace, depth + 1, context)
  }
}

const reference = (name: string, namespace: string, { names, open }: Context): AvroNode => {
  if (primitives.has(name)) return { kind: name as Primitive }
  const known = names.get(qualified(name, namespace)) ?? names.get(name)
  if (known === undefined) throw fault(`${shown(name)} is no type`)
  if (open.has(known)) (known as { isRecursive: boolean }).isRecursive = true
  return known
}

const union = (branches: readonly AvroNode[]): UnionNode => {
  if (branches.length === 0) throw fault('a union has no branches')
  if (branches.some(({ kind }) => kind === 'union')) throw fault('a union is a branch of another')
  if (new Set(branches.map(branchName)).size < branches.length) throw fault('a union has a branch twice')
  return { kind: 'union', branches, isWrapped: new Set(branches.map(valueType)).size < branches.length }
}

/** JavaScript type of a value; branches of a union that share one are told apart by name. */
const valueType = ({ kind }: AvroNode): string => {
  if (kind === 'int' || kind === 'long' || kind === 'float' || kind === 'double') return 'number'
  if (kind === 'fixed') return 'bytes'
  if (kind === 'enum') return 'string'
  return kind === 'map' ? 'record' : kind
}

const named = (schema: Record<string, unknown>, namespace: string, depth: number, context: Context): AvroNode => {
  const own = schema['namespace']
  const name = fullName(schema['name'], typeof own === 'string' ? own : namespace)
  const inner = name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : ''
  const aliases = listOf(schema['aliases']).map((alias) => qualified(String(alias), inner))
  if (context.names.has(name)) throw fault(`${name} is defined twice`)
  if (schema['type'] === 'fixed') return remember(context, fixed(name, aliases, schema['size']))
  if (schema['type'] === 'enum') return remember(context, enumeration(name, aliases, schema['symbols'], schema['default'], context))
  const fields: AvroField[] = []
  const record = remember(context, { kind: 'record', name, aliases, fields, isRecursive: false })
  const described = schema['fields']
  if (!Array.isArray(described)) throw fault(`record ${name} has no fields`)
  count(context, described.length)
  context.open.add(record)
  for (const each of described) fields.push(field(each, name, inner, depth, context))
  context.open.delete(record)
  if (new Set(fields.map((each) => each.name)).size < fields.length) throw fault(`record ${name} has a field twice`)
  return record
}

const field = (described: unknown, record: string, namespace: string, depth: number, context: Context): AvroField => {
  if (typeof described !== 'object' || described === null) throw fault(`record ${record} has a field that is ${shown(described)}`)
  const { name, type, aliases, default: value } = described as Record<string, unknown>
  const node = parse(type, namespace, depth + 1, context)
  return { name: checkedName(name), aliases: listOf(aliases).map(String), node, default: value }
}

const fixed = (name: string, aliases: readonly string[], size: unknown): FixedNode => {
  if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > maxFixedBytes)
    throw fault(`fixed ${name} has a size of ${shown(size)}, expected 0 to ${maxFixedBytes} bytes`)
  return { kind: 'fixed', name, aliases, size }
}

const enumeration = (name: string, aliases: readonly string[], described: unknown, value: unknown, context: Context): EnumNode => {
  if (!Array.isArray(described) || described.length === 0) throw fault(`enum ${name} has no symbols`)
  count(context, described.length)
  const symbols = described.map(checkedName)
  if (new Set(symbols).size < symbols.length) throw fault(`enum ${name} has a symbol twice`)
  if (value !== undefined && !symbols.includes(value as string))
    throw fault(`enum ${name} has the default ${shown(value)}, no symbol of it`)
  return { kind: 'enum', name, aliases, symbols, default: value as string | undefined }
}

const remember = <T extends AvroNode & Named>({ names }: Context, node: T): T => {
  names.set(node.name, node)
  return node
}

const count = (context: Context, parts: number): void => {
  context.parts += parts
  if (context.parts > maxParts) throw fault(`it has more than ${maxParts} parts`)
}

const qualified = (name: string, namespace: string): string => (name.includes('.') || namespace === '' ? name : `${namespace}.${name}`)

const fullName = (name: unknown, namespace: string): string => {
  if (typeof name !== 'string' || primitives.has(name)) throw fault(`${shown(name)} is no name for a type`)
  const full = qualified(name, namespace)
  full.split('.').forEach(checkedName)
  return full
}

/** `__proto__` is a valid Avro name, but a field of an object it cannot be. */
const checkedName = (name: unknown): string => {
  if (typeof name !== 'string' || !namePattern.test(name) || name === '__proto__') throw fault(`${shown(name)} is no name`)
  return name
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 100)

const fault = (what: string): AvroError => new AvroError('schema', `Not an Avro schema: ${what}`)
