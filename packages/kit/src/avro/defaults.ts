// Default values as source text: an expression that makes a fresh value each time it is evaluated.

import { AvroError } from './errors.ts'
import { branchName } from './schema.ts'
import type { AvroNode } from './schema.ts'
import { quoted } from './source.ts'
import type { Source } from './source.ts'

/**
 * The expression of a default, given as the JSON of the schema. A union's default is one of its first branch; bytes are
 * text with one character per byte. Throws an AvroError (`schema`) when the JSON is no value of the type.
 */
export const defaultSource = (node: AvroNode, json: unknown, source: Source): string => {
  switch (node.kind) {
    case 'null':
      if (json === null) return 'null'
      break
    case 'boolean':
      if (typeof json === 'boolean') return String(json)
      break
    case 'int':
      if (typeof json === 'number' && (json | 0) === json) return number(json)
      break
    case 'long':
      if (typeof json === 'number' && Number.isSafeInteger(json)) return number(json)
      break
    case 'float':
    case 'double':
      if (typeof json === 'number') return number(json)
      break
    case 'string':
      if (typeof json === 'string') return quoted(json)
      break
    case 'enum':
      if (typeof json === 'string' && node.symbols.includes(json)) return quoted(json)
      break
    case 'bytes':
      if (typeof json === 'string') return `copy(${source.constant(Buffer.from(json, 'latin1'))})`
      break
    case 'fixed':
      if (typeof json === 'string' && json.length === node.size) return `copy(${source.constant(Buffer.from(json, 'latin1'))})`
      break
    case 'array':
      if (Array.isArray(json)) return `[${json.map((item) => defaultSource(node.items, item, source)).join(', ')}]`
      break
    case 'map':
      if (isObject(json))
        return object(Object.entries(json).map(([key, value]) => [key, defaultSource(node.values, value, source)] as const))
      break
    case 'record':
      if (isObject(json))
        return object(
          node.fields.map(({ name, node: type, default: value }) => {
            const given = json[name] === undefined ? value : json[name]
            if (given === undefined) throw mismatch(node, json)
            return [name, defaultSource(type, given, source)] as const
          }),
        )
      break
    case 'union': {
      const [first] = node.branches as [AvroNode]
      const value = defaultSource(first, json, source)
      return node.isWrapped && first.kind !== 'null' ? object([[branchName(first), value]]) : value
    }
  }
  throw mismatch(node, json)
}

/** An object literal; the key `__proto__` of a map is a key like any other. */
export const object = (entries: readonly (readonly [string, string])[]): string =>
  `{ ${entries.map(([key, value]) => `${key === '__proto__' ? `[${quoted(key)}]` : quoted(key)}: ${value}`).join(', ')} }`

const number = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

const isObject = (json: unknown): json is Record<string, unknown> => typeof json === 'object' && json !== null && !Array.isArray(json)

const mismatch = (node: AvroNode, json: unknown): AvroError =>
  new AvroError('schema', `Not an Avro schema: the default ${JSON.stringify(json).slice(0, 100)} is no ${branchName(node)}`)
