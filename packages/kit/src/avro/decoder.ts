// Avro schemas → a function that reads records written with one schema as values of another (or the same): straight-line
// code, object literals with the reader's fields in the reader's order, strings that repeat made once. Whatever the bytes
// say, nothing is allocated that is not backed by bytes, and everything ends in a value or an AvroError.

import { defaultSource, object } from './defaults.ts'
import { maxEmptyValues } from './limits.ts'
import { readRuntime } from './read-runtime.ts'
import { Resolution, writtenAs } from './resolution.ts'
import { branchName, minimumBytes, parseSchema } from './schema.ts'
import type { AvroNode, EnumNode, RecordNode, UnionNode } from './schema.ts'
import { LastList } from './lists.ts'
import { blocks, enter, leave, length, SkipSource, varint } from './skip.ts'
import { compiling, Source } from './source.ts'
import { FieldStrings } from './strings.ts'

/**
 * The value in bytes[at, end), which must hold it and nothing else. Throws an AvroError: `truncated` when the value goes
 * on after `end`, `undecodable` when the bytes contradict the schema or some are left over. The value has no part in
 * the buffer: bytes are copied. Lists of numbers and texts may be those of an earlier value: those are frozen.
 */
export type Decoder = (bytes: Buffer, at: number, end: number) => unknown

export interface DecoderOptions {
  /** Bytes of the value are views of the buffer, not copies: valid as long as the buffer stays as it is. */
  readonly lendsBytes?: boolean
}

/** Reads what was written with the schema. Throws an AvroError (`schema`) when it is none or over the limits. */
export const compileDecoder = (schema: unknown, options: DecoderOptions = {}): Decoder =>
  compiling(() => {
    const node = parseSchema(schema)
    return compile(node, node, options)
  })

/**
 * Reads what was written with `writer` as `reader` has it: fields by name or alias, defaults where nothing was written,
 * promotions, branches, default symbols. Throws an AvroError (`schema`) that says where, when it cannot.
 */
export const compileResolver = (writer: unknown, reader: unknown, options: DecoderOptions = {}): Decoder =>
  compiling(() => compile(parseSchema(writer), parseSchema(reader), options))

const compile = (writer: AvroNode, reader: AvroNode, { lendsBytes }: DecoderOptions): Decoder => {
  const source = new Source(readRuntime)
  const decoder = new DecoderSource(source, new Resolution(writer, reader), lendsBytes === true ? 'lendBytes' : 'copyBytes')
  const body = decoder.read(writer, reader, 'value')
  decoder.finish()
  source.add(`let at = 0, depth = 0, budget = 0
const decode = (b, p, end) => {
  let n = 0, value
  depth = 0
  budget = end - p + ${maxEmptyValues}
  ${body}
  if (p !== end) throw p > end ? truncated() : leftOver(end - p)
  return value
}`)
  return source.build('decode') as Decoder
}

class DecoderSource {
  private readonly functions = new Map<RecordNode, Map<RecordNode, string>>()
  private readonly waiting: [RecordNode, RecordNode][] = []
  private readonly skips: SkipSource
  private readonly source: Source
  private readonly resolution: Resolution
  private readonly takeBytes: 'copyBytes' | 'lendBytes'

  constructor(source: Source, resolution: Resolution, takeBytes: 'copyBytes' | 'lendBytes') {
    this.takeBytes = takeBytes
    this.source = source
    this.skips = new SkipSource(source)
    this.resolution = resolution
  }

  /** Functions of the records met so far, and of those in them. */
  finish(): void {
    for (let pair = this.waiting.pop(); pair !== undefined; pair = this.waiting.pop()) this.record(...pair)
    this.skips.finish()
  }

  /** Statements that read the writer's type at `p` and leave the reader's value in variable `v`. */
  read(writer: AvroNode, reader: AvroNode, v: string): string {
    if (writer.kind === 'union') return this.union(writer, reader, v)
    if (reader.kind === 'union') {
      const branch = this.resolution.branchFor(writer, reader.branches) as AvroNode
      return this.branch(writer, branch, reader.isWrapped, v)
    }
    switch (writer.kind) {
      case 'null':
        return `${v} = null`
      case 'boolean':
        return `${v} = b[p++] !== 0`
      case 'int':
        return varint(v, 'readInt')
      case 'long':
        return varint(v, reader.kind === 'long' ? 'readLong' : 'readRounded')
      case 'float':
        return `${loads('f4', 4)}\n${v} = f32[0]`
      case 'double':
        return `${loads('f8', 8)}\n${v} = f64[0]`
      case 'bytes':
      case 'string':
        if (reader.kind === 'string') return this.text(v, this.source.constant(new FieldStrings()))
        return `${length}\n${v} = ${this.takeBytes}(b, p, n)\np += n`
      case 'fixed':
        return `if (${writer.size} > end - p) throw truncated()\n${v} = ${this.takeBytes}(b, p, ${writer.size})\np += ${writer.size}`
      case 'enum':
        return this.symbol(writer, reader as EnumNode, v)
      case 'array':
        return this.array(writer.items, (reader as typeof writer).items, v)
      case 'map':
        return this.map(writer.values, (reader as typeof writer).values, v)
      case 'record':
        return `${v} = ${this.functionOf(writer, reader as RecordNode)}(b, p, end)\np = at`
    }
  }

  private text(v: string, strings: string): string {
    return `${length}\n${v} = ${strings}.read(b, p, n)\np += n`
  }

  private union(writer: UnionNode, reader: AvroNode, v: string): string {
    const index = this.source.fresh('i')
    const cases = writer.branches.map((branch, i) => {
      const isSame = writer === reader
      const body = isSame ? this.branch(branch, branch, writer.isWrapped, v) : this.read(branch, reader, v)
      return `if (${index} === ${i}) {\n${body}\n}`
    })
    return `let ${index}\n${varint(index, 'readInt')}\n${cases.join(' else ')} else throw badBranch(${index})`
  }

  private branch(writer: AvroNode, reader: AvroNode, isWrapped: boolean, v: string): string {
    const wrap = isWrapped && reader.kind !== 'null' ? `\n${v} = ${object([[branchName(reader), v]])}` : ''
    return this.read(writer, reader, v) + wrap
  }

  private symbol(writer: EnumNode, reader: EnumNode, v: string): string {
    const symbols = writer.symbols.map((symbol) => (reader.symbols.includes(symbol) ? symbol : reader.default))
    return `${varint('n', 'readInt')}\n${v} = ${this.source.constant(symbols)}[n]\nif (${v} === undefined) throw badSymbol(n)`
  }

  private array(writer: AvroNode, reader: AvroNode, v: string): string {
    const [list, item] = [this.source.fresh('a'), this.source.fresh('v')]
    const isText = reader.kind === 'string' && (writer.kind === 'string' || writer.kind === 'bytes')
    const read = isText
      ? this.text(item, `${this.source.constant(listStrings())}[${list}.length & ${LIST_FIELDS - 1}]`)
      : this.read(writer, reader, item)
    const body = `let ${item}\n${read}\n${list}.push(${item})`
    const items = `const ${list} = []\n${blocks(this.source, minimumBytes(writer), body)}`
    if (!REPEATABLE.has(reader.kind)) return `${items}\n${v} = ${list}`
    const [last, from] = [this.source.constant(new LastList()), this.source.fresh('p')]
    return `if (${last}.isAt(b, p)) {
  p += ${last}.length
  ${v} = ${last}.value
} else {
  const ${from} = p
  ${items}
  ${v} = ${list}
  ${last}.keep(b, ${from}, p, ${list})
}`
  }

  private map(writer: AvroNode, reader: AvroNode, v: string): string {
    const [map, key, item] = [this.source.fresh('m'), this.source.fresh('s'), this.source.fresh('v')]
    const strings = this.source.constant(new FieldStrings())
    const body = `${length}
const ${key} = ${strings}.read(b, p, n)
p += n
let ${item}
${this.read(writer, reader, item)}
if (${key} === '__proto__') setOwn(${map}, ${key}, ${item})
else ${map}[${key}] = ${item}`
    return `const ${map} = {}\n${blocks(this.source, 1 + minimumBytes(writer), body)}\n${v} = ${map}`
  }

  private functionOf(writer: RecordNode, reader: RecordNode): string {
    const known = this.functions.get(writer) ?? new Map<RecordNode, string>()
    this.functions.set(writer, known)
    let name = known.get(reader)
    if (name === undefined) {
      name = this.source.fresh('r')
      known.set(reader, name)
      this.waiting.push([writer, reader])
    }
    return name
  }

  private record(writer: RecordNode, reader: RecordNode): void {
    const wanted = reader.fields.map((field) => ({ field, written: writtenAs(field, writer), v: this.source.fresh('v') }))
    const steps = writer.fields.map((written) => {
      const readers = wanted.filter((each) => each.written === written)
      if (readers.length === 0) return this.skips.skip(written.node)
      // A field that two fields are read from is read twice.
      const from = this.source.fresh('p')
      const reads = readers.map(({ field, v }) => `let ${v}\n${this.read(written.node, field.node, v)}`)
      return readers.length === 1 ? reads[0] : `const ${from} = p\n${reads.join(`\np = ${from}\n`)}`
    })
    const values = wanted.map(
      ({ field, written, v }) => [field.name, written === undefined ? defaultSource(field.node, field.default, this.source) : v] as const,
    )
    const name = this.functionOf(writer, reader)
    this.source.add(`const ${name} = (b, p, end) => {
${enter(writer)}${steps.join('\n')}
${leave(writer)}return ${object(values)}
}`)
  }
}

/** Items that nobody can change: a list of them may be handed out again. */
const REPEATABLE: ReadonlySet<AvroNode['kind']> = new Set(['string', 'enum', 'boolean', 'int', 'long', 'float', 'double'])

/** Items of a list have a memory each: lists repeat as a whole. */
const LIST_FIELDS = 8
const listStrings = (): FieldStrings[] => Array.from({ length: LIST_FIELDS }, () => new FieldStrings())

const loads = (to: string, bytes: number): string => Array.from({ length: bytes }, (_, i) => `${to}[${i}] = b[p++]`).join('\n')
