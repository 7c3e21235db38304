// May data of a writer's type be read as a reader's? Avro's schema resolution rules (specification 1.12), as
// @andon/schemas' compatibility check has them, decided for all pairs of types before any code is made. Each pair is
// judged once, so a hostile schema costs no more than its size times the reader's.

import { AvroError } from './errors.ts'
import { branchName } from './schema.ts'
import type { AvroField, AvroNode, RecordNode } from './schema.ts'

const maxPairs = 200_000
const maxRounds = 1000

const promotions: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
}

interface Pair {
  readonly writer: AvroNode
  readonly reader: AvroNode
  fits: boolean
}

/** What is known about one writer's schema and one reader's. */
export class Resolution {
  private readonly pairs = new Map<AvroNode, Map<AvroNode, Pair>>()
  private readonly all: Pair[] = []
  private rounds = 0

  /** Throws an AvroError (`schema`) that says where, when the reader cannot read what the writer writes. */
  constructor(writer: AvroNode, reader: AvroNode) {
    // A pair is taken to fit until something in it does not; recursive types settle after a few rounds.
    this.fits(writer, reader)
    for (const pair of this.all) pair.fits = this.judge(pair.writer, pair.reader)
    while (this.settle()) this.rounds += 1
    if (!this.fits(writer, reader)) throw new AvroError('schema', this.explain(writer, reader, ''))
  }

  /** One round, inner types first; whether anything changed. */
  private settle(): boolean {
    if (this.rounds > maxRounds) throw new AvroError('schema', 'The schemas are too entangled to be compared')
    const before = this.all.length
    const wrong = this.all.toReversed().filter((pair) => {
      if (!pair.fits || this.judge(pair.writer, pair.reader)) return false
      pair.fits = false
      return true
    })
    return wrong.length > 0 || this.all.length > before
  }

  /** Whether the pair resolves. */
  fits(writer: AvroNode, reader: AvroNode): boolean {
    if (isPrimitive(writer) && isPrimitive(reader))
      return writer.kind === reader.kind || promotions[reader.kind]?.includes(writer.kind) === true
    const known = this.pairs.get(writer) ?? new Map<AvroNode, Pair>()
    this.pairs.set(writer, known)
    let pair = known.get(reader)
    if (pair === undefined) {
      if (this.all.length >= maxPairs) throw new AvroError('schema', 'The schemas are too large to be compared')
      pair = { writer, reader, fits: true }
      known.set(reader, pair)
      this.all.push(pair)
    }
    return pair.fits
  }

  /** The branch of a reader's union that takes a writer's type: the first that fits. */
  branchFor(writer: AvroNode, branches: readonly AvroNode[]): AvroNode | undefined {
    return branches.find((branch) => this.fits(writer, branch))
  }

  private judge(writer: AvroNode, reader: AvroNode): boolean {
    if (writer === reader) return true
    if (writer.kind === 'union') return writer.branches.every((branch) => this.fits(branch, reader))
    if (reader.kind === 'union') return this.branchFor(writer, reader.branches) !== undefined
    if (writer.kind === 'array' && reader.kind === 'array') return this.fits(writer.items, reader.items)
    if (writer.kind === 'map' && reader.kind === 'map') return this.fits(writer.values, reader.values)
    if (writer.kind === 'fixed' && reader.kind === 'fixed') return sameName(writer, reader) && writer.size === reader.size
    if (writer.kind === 'enum' && reader.kind === 'enum')
      return sameName(writer, reader) && (reader.default !== undefined || writer.symbols.every((symbol) => reader.symbols.includes(symbol)))
    if (writer.kind !== 'record' || reader.kind !== 'record' || !sameName(writer, reader)) return false
    return reader.fields.every((field) => {
      const written = writtenAs(field, writer)
      return written === undefined ? field.default !== undefined : this.fits(written.node, field.node)
    })
  }

  /** The innermost place that does not fit. */
  private explain(writer: AvroNode, reader: AvroNode, path: string): string {
    if (writer.kind === 'union') {
      const wrong = writer.branches.find((branch) => !this.fits(branch, reader))
      if (wrong !== undefined) return this.explain(wrong, reader, path)
    }
    if (writer.kind === 'array' && reader.kind === 'array') return this.explain(writer.items, reader.items, `${path}[]`)
    if (writer.kind === 'map' && reader.kind === 'map') return this.explain(writer.values, reader.values, `${path}[]`)
    if (writer.kind === 'record' && reader.kind === 'record' && sameName(writer, reader)) {
      for (const field of reader.fields) {
        const inner = path === '' ? field.name : `${path}.${field.name}`
        const written = writtenAs(field, writer)
        if (written === undefined && field.default === undefined) return `${inner} is not written and has no default`
        if (written !== undefined && !this.fits(written.node, field.node)) return this.explain(written.node, field.node, inner)
      }
    }
    return `${path === '' ? 'the record' : path}: the writer has ${branchName(writer)}, the reader expects ${branchName(reader)}`
  }
}

/** The writer's field that a reader's field is read from: by name, else by alias. */
export const writtenAs = (field: AvroField, writer: RecordNode): AvroField | undefined =>
  writer.fields.find(({ name }) => name === field.name) ?? writer.fields.find(({ name }) => field.aliases.includes(name))

const sameName = (writer: { name: string }, reader: { name: string; aliases: readonly string[] }): boolean =>
  unqualified(writer.name) === unqualified(reader.name) || reader.aliases.includes(writer.name)

const unqualified = (full: string): string => full.slice(full.lastIndexOf('.') + 1)

const isPrimitive = (node: AvroNode): boolean => !('name' in node) && !('items' in node) && !('values' in node) && !('branches' in node)
