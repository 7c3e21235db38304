// Avro schema → columns: some fields of many records, as numbers and byte ranges in typed arrays. No object, string or
// copy is made per record; what was not asked for is stepped over.

import { AvroError } from './errors.ts'
import { maxEmptyValues } from './limits.ts'
import { readRuntime } from './read-runtime.ts'
import { branchName, parseSchema } from './schema.ts'
import type { AvroNode, RecordNode } from './schema.ts'
import { length, SkipSource, varint } from './skip.ts'
import { compiling, quoted, Source } from './source.ts'

/**
 * Fields by path (`block.seqFrom`; a path leads through nullable records). Numbers are booleans (0, 1), ints, longs,
 * floats, doubles and enums (index of the symbol); ranges are strings, bytes and fixed (their content) and arrays, maps
 * and records (their encoding).
 */
export interface ColumnFields {
  readonly numbers: readonly string[]
  readonly ranges: readonly string[]
}

/** Where a range lies in the bytes its record was added from. */
export interface Ranges {
  /** First byte; -1 where the record has no such field, or null. */
  readonly at: Int32Array
  readonly length: Int32Array
}

/** Rows in typed arrays, of which the first `count` entries are valid. Arrays are replaced when they are full: ask again after add. */
export interface Columns {
  readonly count: number
  /** Adds the record in bytes[at, end), which must hold it and nothing else. Throws an AvroError as a Decoder does; nothing is added then. */
  add(bytes: Uint8Array, at: number, end: number): void
  /** Forgets the rows, keeps the memory. */
  clear(): void
  /** NaN where the record has no such field, or null. */
  numbers(path: string): Float64Array
  ranges(path: string): Ranges
}

/**
 * Compiles columns of records written with a schema. A field that the schema lacks is empty in every row; a path that
 * leads to another kind of value than asked for throws an AvroError (`schema`).
 */
export const compileColumns = (schema: unknown, fields: ColumnFields): Columns => compiling(() => compile(schema, fields))

const compile = (schema: unknown, fields: ColumnFields): Columns => {
  const source = new Source(readRuntime)
  const columns = new ColumnSource(source, fields)
  const node = parseSchema(schema)
  const body = columns.read(node, '')
  columns.finish()
  source.add(`let at = 0, depth = 0, budget = 0, count = 0, size = 1024
${columns.declarations()}
const columns = {
  get count() {
    return count
  },
  clear: () => {
    count = 0
  },
  numbers: (path) => numbers[path](),
  ranges: (path) => ranges[path](),
  add: (b, p, end) => {
    if (count === size) grow()
    let n = 0
    depth = 0
    budget = end - p + ${maxEmptyValues}
    ${body}
    if (p !== end) throw p > end ? truncated() : leftOver(end - p)
    count += 1
  },
}`)
  return source.build('columns') as Columns
}

/** Variables of a column: one array for numbers, two for ranges. */
interface Column {
  readonly path: string
  readonly isNumber: boolean
  readonly name: string
}

class ColumnSource {
  private readonly columns: readonly Column[]
  private readonly source: Source
  private readonly skips: SkipSource

  constructor(source: Source, { numbers, ranges }: ColumnFields) {
    this.source = source
    this.skips = new SkipSource(source)
    const column = (isNumber: boolean) => (path: string) => ({ path, isNumber, name: source.fresh('c') })
    this.columns = [...numbers.map(column(true)), ...ranges.map(column(false))]
  }

  finish(): void {
    this.skips.finish()
  }

  declarations(): string {
    const arrays = this.columns.flatMap(({ isNumber, name }) =>
      isNumber ? [{ array: name, type: 'Float64Array' }] : ['a', 'l'].map((part) => ({ array: `${name}${part}`, type: 'Int32Array' })),
    )
    const accessors = (isNumber: boolean, value: (name: string) => string): string =>
      this.columns
        .filter((column) => column.isNumber === isNumber)
        .map(({ path, name }) => `${quoted(path)}: () => ${value(name)}`)
        .join(', ')
    return `let ${['none', ...arrays.map(({ array, type }) => `${array} = new ${type}(size)`)].join(', ')}
const numbers = { ${accessors(true, (name) => name)} }
const ranges = { ${accessors(false, (name) => `({ at: ${name}a, length: ${name}l })`)} }
const grow = () => {
  size *= 2
  ${arrays.map(({ array, type }) => `{ const old = ${array}; ${array} = new ${type}(size); ${array}.set(old) }`).join('\n  ')}
}`
  }

  /** Statements that move `p` past a value and fill the columns in it. */
  read(node: AvroNode, path: string): string {
    const column = this.columns.find((each) => each.path === path)
    const inside = this.inside(path)
    if (column === undefined && inside.length === 0) return this.skips.skip(node)
    if (node.kind === 'union') {
      const index = this.source.fresh('i')
      const cases = node.branches.map((branch, i) => `if (${index} === ${i}) {\n${this.read(branch, path)}\n}`)
      return `let ${index}\n${varint(index, 'readInt')}\n${cases.join(' else ')} else throw badBranch(${index})`
    }
    if (node.kind === 'record' && column?.isNumber === false && inside.length > 0)
      return `${column.name}a[count] = p\n${this.record(node, path)}\n${column.name}l[count] = p - ${column.name}a[count]`
    if (column !== undefined) return `${column.isNumber ? this.number(node, column) : this.range(node, column)}\n${this.missing(inside)}`
    return node.kind === 'record' ? this.record(node, path) : `${this.skips.skip(node)}\n${this.missing(inside)}`
  }

  private record(node: RecordNode, path: string): string {
    const names = node.fields.map(({ name }) => (path === '' ? name : `${path}.${name}`))
    const lacking = this.inside(path).filter((column) => !names.some((name) => column.path === name || column.path.startsWith(`${name}.`)))
    const fields = node.fields.map((field, i) => `{\n${this.read(field.node, names[i] as string)}\n}`)
    return `${this.missing(lacking)}\n${fields.join('\n')}`
  }

  private number(node: AvroNode, column: Column): string {
    const to = `${column.name}[count]`
    switch (node.kind) {
      case 'null':
        return this.missing([column])
      case 'boolean':
        return `${to} = b[p++] !== 0 ? 1 : 0`
      case 'int':
      case 'enum':
        return `${varint('n', 'readInt')}\n${to} = n`
      case 'long':
        return `${varint('n', 'readLong')}\n${to} = n`
      case 'float':
        return `f4[0] = b[p]; f4[1] = b[p + 1]; f4[2] = b[p + 2]; f4[3] = b[p + 3]\np += 4\n${to} = f32[0]`
      case 'double':
        return `${Array.from({ length: 8 }, (_, i) => `f8[${i}] = b[p + ${i}]`).join('; ')}\np += 8\n${to} = f64[0]`
      default:
        throw new AvroError('schema', `${column.path} is asked for as a number, it is ${branchName(node)}`)
    }
  }

  private range(node: AvroNode, { path, name }: Column): string {
    const [at, lengths] = [`${name}a[count]`, `${name}l[count]`]
    switch (node.kind) {
      case 'null':
        return `${at} = -1\n${lengths} = -1`
      case 'string':
      case 'bytes':
        return `${length}\n${at} = p\n${lengths} = n\np += n`
      case 'fixed':
      case 'array':
      case 'map':
      case 'record':
        return `${at} = p\n${this.skips.skip(node)}\n${lengths} = p - ${at}`
      default:
        throw new AvroError('schema', `${path} is asked for as a range, it is ${branchName(node)}`)
    }
  }

  private inside(path: string): readonly Column[] {
    return path === '' ? this.columns : this.columns.filter((column) => column.path.startsWith(`${path}.`))
  }

  private missing(columns: readonly Column[]): string {
    return columns.map(({ isNumber, name }) => (isNumber ? `${name}[count] = NaN` : `${name}a[count] = ${name}l[count] = -1`)).join('\n')
  }
}
