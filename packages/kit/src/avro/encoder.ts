// Avro schema → a function that writes values of it: one straight run of stores per record, checks included, and no
// object, closure or copy per value.

import { defaultSource } from './defaults.ts'
import { AvroError } from './errors.ts'
import { maxRecursion } from './limits.ts'
import { branchName, parseSchema } from './schema.ts'
import type { AvroNode, EnumNode, RecordNode, UnionNode } from './schema.ts'
import { compiling, quoted, Source } from './source.ts'
import { writeRuntime } from './write-runtime.ts'

/**
 * Writes a value at a position of a slab and returns the position after it; when the slab is too small, minus the number
 * of bytes that are missing (the slab then holds part of the value, nothing outside it). Throws an AvroError (`value`)
 * that names the first field found wrong. A field that is undefined is written as its default.
 */
export type Encoder = (value: unknown, slab: Buffer, at: number) => number

/** Compiles a schema, once. Throws an AvroError (`schema`) when it is none or over the limits. */
export const compileEncoder = (schema: unknown): Encoder => compiling(() => compile(schema))

const compile = (schema: unknown): Encoder => {
  const source = new Source(writeRuntime)
  const emitter = new EncoderSource(source)
  const root = parseSchema(schema)
  source.add('let depth = 0')
  const body = emitter.write(root, 'value', quoted(branchName(root)))
  emitter.finish()
  source.add(`const encode = (value, b, at) => {
  depth = 0
  let p = at
  ${body}
  return p > b.length ? b.length - p : p
}`)
  return source.build('encode') as Encoder
}

class EncoderSource {
  private readonly functions = new Map<RecordNode, string>()
  private readonly waiting: RecordNode[] = []
  private readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  /** Functions of the records met so far, and of those in them. */
  finish(): void {
    for (let record = this.waiting.pop(); record !== undefined; record = this.waiting.pop()) this.record(record)
  }

  /** Statements that write expression `v` at `p`. `path` is source text: what a message calls the value. */
  write(node: AvroNode, v: string, path: string): string {
    const check = (isGood: string): string => `if (!(${isGood})) throw bad(${path})`
    switch (node.kind) {
      case 'null':
        return check(`${v} === null`)
      case 'boolean':
        return `${check(`typeof ${v} === 'boolean'`)}\nb[p++] = ${v} ? 1 : 0`
      case 'int':
        return `${check(`typeof ${v} === 'number' && ${v} === (${v} | 0)`)}\np = writeInt(b, p, ${v})`
      case 'long':
        return `${check(`isLong(${v})`)}\np = writeLong(b, p, ${v})`
      case 'float':
        return `${check(`typeof ${v} === 'number'`)}\nf32[0] = ${v}\n${stores('f4', 4)}`
      case 'double':
        return `${check(`typeof ${v} === 'number'`)}\nf64[0] = ${v}\n${stores('f8', 8)}`
      case 'string':
        return `${check(`typeof ${v} === 'string'`)}\np = writeString(b, p, ${v})`
      case 'bytes':
        return `${check(`${v} instanceof Uint8Array`)}\np = writeBytes(b, p, ${v})`
      case 'fixed':
        return `${check(`${v} instanceof Uint8Array && ${v}.length === ${node.size}`)}\np = writeFixed(b, p, ${v})`
      case 'enum':
        return this.symbol(node, v, path)
      case 'array':
        return this.array(node.items, v, path)
      case 'map':
        return this.map(node.values, v, path)
      case 'union':
        return node.isWrapped ? this.wrappedUnion(node, v, path) : this.union(node, v, path)
      case 'record':
        return `${check(`isObject(${v})`)}\np = ${this.functionOf(node)}(${v}, b, p)`
    }
  }

  private functionOf(record: RecordNode): string {
    const known = this.functions.get(record)
    if (known !== undefined) return known
    const name = this.source.fresh('w')
    this.functions.set(record, name)
    this.waiting.push(record)
    return name
  }

  private record(record: RecordNode): void {
    const fields = record.fields.map(({ name, node, default: value }) => {
      const v = this.source.fresh('v')
      const fallback = value === undefined ? '' : `if (${v} === undefined) ${v} = ${this.defaultOf(node, value)}\n`
      return `let ${v} = r[${quoted(name)}]\n${fallback}${this.write(node, v, quoted(name))}`
    })
    const guarded = (body: string): string =>
      record.isRecursive ? `if (++depth > ${maxRecursion}) throw bad(${quoted(record.name)})\n${body}\ndepth -= 1` : body
    this.source.add(`const ${this.functions.get(record)} = (r, b, p) => {\n${guarded(fields.join('\n'))}\nreturn p\n}`)
  }

  /** Scalars are written out; for the rest one value serves all records, since nothing here changes it. */
  private defaultOf(node: AvroNode, value: unknown): string {
    const text = defaultSource(node, value, this.source)
    if (!/[[{(]/.test(text) || text.startsWith('"')) return text
    const name = this.source.fresh('d')
    this.source.add(`const ${name} = ${text}`)
    return name
  }

  private symbol({ symbols }: EnumNode, v: string, path: string): string {
    const indices = this.source.constant(new Map(symbols.map((symbol, index) => [symbol, index])))
    const index = this.source.fresh('i')
    return `const ${index} = ${indices}.get(${v})\nif (${index} === undefined) throw bad(${path})\np = writeInt(b, p, ${index})`
  }

  private array(items: AvroNode, v: string, path: string): string {
    const [list, i, item] = [this.source.fresh('a'), this.source.fresh('i'), this.source.fresh('v')]
    const each = `if (${list}.length > 0) {
  p = writeInt(b, p, ${list}.length)
  for (let ${i} = 0; ${i} < ${list}.length; ${i}++) {
    const ${item} = ${list}[${i}]
    ${this.write(items, item, path)}
  }
}
b[p++] = 0`
    const checked = `if (!Array.isArray(${v})) throw bad(${path})\nconst ${list} = ${v}`
    if (items.kind !== 'string') return `${checked}\n${each}`
    const end = this.source.fresh('e')
    return `${checked}\nconst ${end} = ${list}.length === 0 ? -1 : writeConstant(b, p, ${list})\nif (${end} >= 0) p = ${end}\nelse {\n${each}\n}`
  }

  private map(values: AvroNode, v: string, path: string): string {
    const [keys, key, item] = [this.source.fresh('a'), this.source.fresh('s'), this.source.fresh('v')]
    return `if (!isObject(${v})) throw bad(${path})
const ${keys} = Object.keys(${v})
if (${keys}.length > 0) {
  p = writeInt(b, p, ${keys}.length)
  for (const ${key} of ${keys}) {
    p = writeString(b, p, ${key})
    const ${item} = ${v}[${key}]
    ${this.write(values, item, path)}
  }
}
b[p++] = 0`
  }

  /** Branches are told apart by JavaScript type; objects come last, since arrays and bytes are objects, too. */
  private union({ branches }: UnionNode, v: string, path: string): string {
    const indexed = branches.map((branch, index) => ({ branch, index }))
    const ordered = [...indexed.filter(({ branch }) => !isLast(branch)), ...indexed.filter(({ branch }) => isLast(branch))]
    const cases = ordered.map(
      ({ branch, index }) => `if (${conditionOf(branch, v)}) {\np = writeInt(b, p, ${index})\n${this.write(branch, v, path)}\n}`,
    )
    return `${cases.join(' else ')} else throw bad(${path})`
  }

  private wrappedUnion({ branches }: UnionNode, v: string, path: string): string {
    const key = this.source.fresh('s')
    const cases = branches.map((branch, index) => {
      if (branch.kind === 'null') return `if (${v} === null) {\np = writeInt(b, p, ${index})\n}`
      const inner = this.source.fresh('v')
      const name = quoted(branchName(branch))
      return `if (${key} === ${name}) {\np = writeInt(b, p, ${index})\nconst ${inner} = ${v}[${name}]\n${this.write(branch, inner, path)}\n}`
    })
    return `const ${key} = wrapped(${v})\n${cases.join(' else ')} else throw bad(${path})`
  }
}

const isLast = ({ kind }: AvroNode): boolean => kind === 'map' || kind === 'record'

const conditionOf = (branch: AvroNode, v: string): string => {
  switch (branch.kind) {
    case 'null':
      return `${v} === null`
    case 'boolean':
      return `typeof ${v} === 'boolean'`
    case 'int':
    case 'long':
    case 'float':
    case 'double':
      return `typeof ${v} === 'number'`
    case 'string':
    case 'enum':
      return `typeof ${v} === 'string'`
    case 'bytes':
    case 'fixed':
      return `${v} instanceof Uint8Array`
    case 'array':
      return `Array.isArray(${v})`
    case 'map':
    case 'record':
      return `isObject(${v})`
    case 'union':
      throw new AvroError('schema', 'Not an Avro schema: a union is a branch of another')
  }
}

const stores = (from: string, bytes: number): string => Array.from({ length: bytes }, (_, i) => `b[p++] = ${from}[${i}]`).join('\n')
