// Source text that steps over values: what a reader does not want is never made.

import { maxRecursion } from './limits.ts'
import { minimumBytes } from './schema.ts'
import type { AvroNode, RecordNode } from './schema.ts'
import type { Source } from './source.ts'

/** Statements that read a varint at `p` into `v`; what is longer than a byte goes through a function of the runtime. */
export const varint = (v: string, read: 'readInt' | 'readLong' | 'readRounded'): string => `${v} = b[p++]
if (${v} < 128) ${v} = (${v} >>> 1) ^ -(${v} & 1)
else if (b[p] < 128) {
  ${v} = (${v} & 127) | (b[p++] << 7)
  ${v} = (${v} >>> 1) ^ -(${v} & 1)
} else {
  ${v} = ${read}(b, p - 1)
  while (b[p++] > 127);
}`

/** Statements that read the length of a string or of bytes into `n`, and refuse one beyond `end`. */
export const length = `${varint('n', 'readLong')}\nif (n < 0 || n > end - p) throw badLength(n, end - p)`

/** Statements at the start of a record's function: nesting and number of records are bounded. */
export const enter = (record: RecordNode): string =>
  `let n = 0\nif (--budget < 0) throw tooMany()\n${record.isRecursive ? `if (++depth > ${maxRecursion}) throw tooDeep()\n` : ''}`

export const leave = (record: RecordNode): string => `${record.isRecursive ? 'depth -= 1\n' : ''}at = p\n`

/**
 * Statements that run `item` for each item of an array or map. No count is believed that the bytes left cannot hold;
 * `sized` says what to do with a block that states its bytes.
 */
export const blocks = (source: Source, itemBytes: number, item: string, sized = 'while (b[p++] > 127);'): string => {
  const count = source.fresh('c')
  const isTooMany = itemBytes > 0 ? `${count} * ${itemBytes} > end - p` : `(budget -= ${count}) < 0`
  return `let ${count}
for (;;) {
  ${varint(count, 'readLong')}
  if (${count} === 0) break
  if (${count} < 0) {
    ${count} = -${count}
    ${sized}
  }
  if (${isTooMany}) throw badCount(${count}, end - p)
  for (; ${count} > 0; ${count}--) {
    ${item}
  }
}`
}

/** Makes skipping statements, and one function per record that is skipped. */
export class SkipSource {
  private readonly functions = new Map<RecordNode, string>()
  private readonly waiting: RecordNode[] = []
  private readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  /** Functions of the records met so far, and of those in them. */
  finish(): void {
    for (let record = this.waiting.pop(); record !== undefined; record = this.waiting.pop()) {
      const fields = record.fields.map(({ node }) => this.skip(node))
      this.source.add(`const ${this.functionOf(record)} = (b, p, end) => {\n${enter(record)}${fields.join('\n')}\n${leave(record)}}`)
    }
  }

  /** Statements that move `p` past a value of the type. */
  skip(node: AvroNode): string {
    switch (node.kind) {
      case 'null':
        return ''
      case 'boolean':
        return 'p += 1'
      case 'int':
      case 'long':
      case 'enum':
        return 'while (b[p++] > 127);'
      case 'float':
        return 'p += 4'
      case 'double':
        return 'p += 8'
      case 'fixed':
        return `p += ${node.size}`
      case 'bytes':
      case 'string':
        return `${length}\np += n`
      case 'array':
        return `{\n${blocks(this.source, minimumBytes(node.items), this.skip(node.items), sized)}\n}`
      case 'map':
        return `{\n${blocks(this.source, 1 + minimumBytes(node.values), `${length}\np += n\n${this.skip(node.values)}`, sized)}\n}`
      case 'union': {
        const cases = node.branches.map((branch, index) => `if (n === ${index}) {\n${this.skip(branch)}\n}`)
        return `${varint('n', 'readInt')}\n${cases.join(' else ')} else throw badBranch(n)`
      }
      case 'record':
        return `${this.functionOf(node)}(b, p, end)\np = at`
    }
  }

  private functionOf(record: RecordNode): string {
    const known = this.functions.get(record)
    if (known !== undefined) return known
    const name = this.source.fresh('q')
    this.functions.set(record, name)
    this.waiting.push(record)
    return name
  }
}

/** A block that states its bytes is jumped over. */
const sized = `${length}\np += n\ncontinue`
