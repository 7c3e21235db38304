// Random Avro schemas, values of them, and readers that a writer's schema may have turned into, for property tests.

import fc from 'fast-check'
import { branchName, parseSchema } from '../../src/avro/schema.ts'
import type { AvroNode } from '../../src/avro/schema.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A schema before its types have names: `ref` stands for a type defined earlier. */
type Sketch = string | { ref: number } | { union: Sketch[] } | { array: Sketch } | { map: Sketch } | Named
type Named = { fixed: number } | { symbols: number } | { fields: { type: Sketch; seed: number }[] }

const primitives = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string']

const sketch: fc.Arbitrary<Sketch> = fc.letrec<{ any: Sketch; leaf: Sketch; record: Sketch }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc.record({ array: tie('any') }),
    fc.record({ map: tie('any') }),
    fc.record({ union: fc.array(tie('any'), { minLength: 1, maxLength: 4 }) }),
    tie('record'),
  ),
  leaf: fc.oneof(
    { arbitrary: fc.constantFrom(...primitives), weight: 8 },
    fc.record({ ref: fc.nat() }),
    fc.record({ fixed: fc.integer({ min: 0, max: 20 }) }),
    fc.record({ symbols: fc.integer({ min: 1, max: 5 }) }),
  ),
  record: fc.record({ fields: fc.array(fc.record({ type: tie('any'), seed: fc.nat() }), { maxLength: 5 }) }),
})).any

interface Naming {
  readonly defined: string[]
  readonly open: Set<string>
}

/** Gives names; a union loses branches it may not have, and a record that would contain itself contains a list of itself. */
const named = (given: Sketch, naming: Naming, inUnion = false): Json => {
  if (typeof given === 'string') return given
  if ('ref' in given) {
    const name = naming.defined[given.ref % Math.max(1, naming.defined.length)]
    if (name === undefined) return 'int'
    return naming.open.has(name) && !inUnion ? { type: 'array', items: name } : name
  }
  if ('array' in given) return { type: 'array', items: named(given.array, naming) }
  if ('map' in given) return { type: 'map', values: named(given.map, naming) }
  if ('union' in given) {
    const branches: Json[] = []
    for (const each of given.union) {
      const known = naming.defined.length
      const branch = typeof each === 'object' && 'union' in each ? 'null' : named(each, naming, true)
      if (branches.some((other) => kindOf(other) === kindOf(branch))) naming.defined.length = known
      else branches.push(branch)
    }
    // Somewhere a recursive value has to end.
    return branches.includes('null') ? branches : ['null', ...branches]
  }
  const name = `test.T${naming.defined.length}`
  naming.defined.push(name)
  if ('fixed' in given) return { type: 'fixed', name, size: given.fixed }
  if ('symbols' in given) return { type: 'enum', name, symbols: Array.from({ length: given.symbols }, (_, i) => `S${i}`) }
  naming.open.add(name)
  const fields = given.fields.map(({ type }, i) => ({ name: `f${i}`, type: named(type, naming) }))
  naming.open.delete(name)
  return { type: 'record', name, fields }
}

const kindOf = (schema: Json): string => {
  if (typeof schema === 'string') return schema
  const { type, name } = schema as { type: string; name?: string }
  return name ?? type
}

/** Schemas of every type, recursive ones too; unions have a null branch. */
export const schemas: fc.Arbitrary<Json> = sketch.map((each) => named(each, { defined: [], open: new Set() }))

/** Schemas of records, fields with defaults among them. */
export const recordSchemas: fc.Arbitrary<Json> = fc.array(fc.record({ type: sketch, seed: fc.nat() }), { maxLength: 6 }).chain((fields) => {
  const schema = named({ fields }, { defined: [], open: new Set() }) as { fields: { [key: string]: Json }[] }
  const withDefaults = schema.fields.map((field) => {
    const value = defaultsOf(field['type'] as Json)
    if (value === undefined) return fc.constant(field)
    return fc.option(value, { nil: undefined, freq: 2 }).map((each) => (each === undefined ? field : { ...field, default: each }))
  })
  return fc.tuple(...withDefaults).map((all) => ({ ...schema, fields: all }) as Json)
})

/** Defaults of a type that can have any: one that refers to types outside it is left alone, one that contains itself has none. */
const defaultsOf = (type: Json): fc.Arbitrary<Json> | undefined => {
  try {
    return defaults(parseSchema(type))
  } catch {
    return undefined
  }
}

const latin1 = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

/** JSON of a default of the type. */
export const defaults = (node: AvroNode, depth = 0): fc.Arbitrary<Json> => {
  switch (node.kind) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'int':
    case 'long':
      return fc.integer()
    case 'float':
    case 'double':
      return fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
    case 'string':
      return fc.string()
    case 'bytes':
      return latin1
    case 'fixed':
      return fc.constant('x'.repeat(node.size))
    case 'enum':
      return fc.constantFrom(...node.symbols)
    case 'array':
      return depth > 2 ? fc.constant([]) : fc.array(defaults(node.items, depth + 1), { maxLength: 2 })
    case 'map':
      return depth > 2 ? fc.constant({}) : fc.dictionary(keys, defaults(node.values, depth + 1), { maxKeys: 2, noNullPrototype: true })
    case 'union':
      return defaults(node.branches[0] as AvroNode, depth)
    case 'record':
      if (depth > 4) throw new RangeError(`${node.name} contains itself`)
      return fc.record(Object.fromEntries(node.fields.map((field) => [field.name, defaults(field.node, depth + 1)])), {
        noNullPrototype: true,
      })
  }
}

const keys = fc.string({ unit: 'grapheme', maxLength: 5 }).filter((key) => key !== '__proto__')

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ maxLength: 200 }),
  fc.constantFrom('', 'press-1', 'ä'.repeat(40)),
)

/** Longs that are exact on both sides. */
export const longs = fc.oneof(
  fc.integer({ min: -(2 ** 52), max: 2 ** 53 - 2 }),
  fc.integer(),
  fc.constantFrom(0, -1, 63, 64, -64, -65, 2 ** 30, -(2 ** 30), -(2 ** 30) - 1, 2 ** 31, 2 ** 53 - 2, -(2 ** 52)),
)

/** Values of a type; unions that need it are wrapped, fields with a default may be absent. */
export const values = (node: AvroNode, depth = 0): fc.Arbitrary<unknown> => {
  switch (node.kind) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'int':
      return fc.oneof(fc.integer(), fc.integer({ min: -200, max: 200 }))
    case 'long':
      return longs
    case 'float':
      return fc.float()
    case 'double':
      return fc.double()
    case 'string':
      return text
    case 'bytes':
      return fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
    case 'fixed':
      return fc.uint8Array({ minLength: node.size, maxLength: node.size }).map((bytes) => Buffer.from(bytes))
    case 'enum':
      return fc.constantFrom(...node.symbols)
    case 'array':
      return isDeep(depth) ? fc.constant([]) : fc.array(values(node.items, depth + 1), { maxLength: 3 })
    case 'map':
      return isDeep(depth) ? fc.constant({}) : fc.dictionary(keys, values(node.values, depth + 1), { maxKeys: 3, noNullPrototype: true })
    case 'union': {
      const branches = isDeep(depth) ? node.branches.filter(({ kind }) => kind === 'null') : node.branches
      return fc.oneof(
        ...branches.map((branch) =>
          values(branch, depth + 1).map((value) => (node.isWrapped && branch.kind !== 'null' ? { [branchName(branch)]: value } : value)),
        ),
      )
    }
    case 'record':
      return fc.record(Object.fromEntries(node.fields.map((field) => [field.name, values(field.node, depth + 1)])), {
        requiredKeys: node.fields.filter((field) => field.default === undefined).map(({ name }) => name),
        noNullPrototype: true,
      })
  }
}

const isDeep = (depth: number): boolean => depth > 5

const promoted: Readonly<Record<string, readonly string[]>> = {
  int: ['long', 'float', 'double', 'string'],
  long: ['float', 'double', 'int'],
  float: ['double', 'long'],
  string: ['bytes', 'int'],
  bytes: ['string'],
}

/** A later version of a schema, compatible or not: `pick` decides each change. */
export const evolved = (schema: Json, pick: (choices: number) => number): Json => {
  if (typeof schema === 'string') {
    const choices = promoted[schema]
    return choices !== undefined && pick(6) === 0 ? (choices[pick(choices.length)] as string) : schema
  }
  if (Array.isArray(schema)) {
    const branches = schema.map((branch) => evolved(branch, pick))
    if (pick(4) === 0) branches.reverse()
    const distinct = branches.filter((branch, i) => branches.findIndex((other) => kindOf(other) === kindOf(branch)) === i)
    return pick(6) === 0 && distinct.length > 1 ? distinct.slice(1) : distinct
  }
  const { type, items, values: inner, fields, symbols } = schema as { [key: string]: Json }
  switch (type) {
    case 'array':
      return { type, items: evolved(items as Json, pick) }
    case 'map':
      return { type, values: evolved(inner as Json, pick) }
    case 'enum': {
      const kept = (symbols as string[]).slice(pick(4) === 0 ? 1 : 0)
      const all = kept.length === 0 || pick(3) === 0 ? [...kept, 'ADDED'] : kept
      return { ...(schema as object), symbols: all, ...(pick(2) === 0 ? { default: all[0] as string } : {}) }
    }
    case 'record': {
      const changed = (fields as { [key: string]: Json }[]).flatMap((field) => {
        const inside = { ...field, type: evolved(field['type'] as Json, pick) }
        if (field['default'] !== undefined && JSON.stringify(inside.type) !== JSON.stringify(field['type']))
          delete (inside as { default?: Json }).default
        const name = field['name'] as string
        const what = pick(8)
        if (what === 0) return []
        if (what === 1) return [{ ...inside, name: `${name}Renamed`, aliases: [name] }]
        if (what === 2) return [inside, { name: `${name}New`, type: ['null', 'string'], default: null }]
        if (what === 3) return [{ name: `${name}List`, type: { type: 'array', items: 'int' }, default: [1, 2] }, inside]
        return [Array.isArray(inside.type) || what > 4 ? inside : { ...inside, type: nullable(inside.type), default: undefined as never }]
      })
      const kept = changed.map((field) => Object.fromEntries(Object.entries(field).filter(([, value]) => value !== undefined)))
      return { ...(schema as object), fields: pick(3) === 0 ? kept.reverse() : kept }
    }
    default:
      return schema
  }
}

const nullable = (type: Json): Json => (kindOf(type) === 'null' ? ['null', 'int'] : ['null', type])
