// Avro records → TypeScript interfaces. For each record two shapes: `Name` is what a reader gets (all fields
// there), `NameInput` is what a writer may give (fields with an Avro default may be left out; avsc writes the default).

import type { AvroRecord, AvroSchema } from './avro.ts'

const scalars: Record<string, string> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
}

const capitalised = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

class Interfaces {
  readonly #code = new Map<string, string>()

  get text(): string {
    return [...this.#code.values()].join('\n')
  }

  typeOf(schema: AvroSchema, input: boolean): string {
    if (Array.isArray(schema)) {
      const branches = schema.map((branch) => this.typeOf(branch, input))
      return [...branches.filter((branch) => branch !== 'null'), ...branches.filter((branch) => branch === 'null')].join(' | ')
    }
    if (typeof schema === 'string') {
      if (schema === 'bytes') return input ? 'Uint8Array' : 'Buffer'
      const named = schema.split('.').at(-1) ?? schema
      return scalars[schema] ?? (input && this.#code.has(named) ? `${named}Input` : named)
    }
    switch (schema.type) {
      case 'record':
      case 'error':
        this.add(schema)
        return input ? `${schema.name}Input` : schema.name
      case 'enum':
        return schema.symbols.map((symbol) => `'${symbol}'`).join(' | ')
      case 'array':
        return `readonly ${this.#element(schema.items, input)}[]`
      case 'map':
        return `Readonly<Record<string, ${this.typeOf(schema.values, input)}>>`
      case 'fixed':
        return input ? 'Uint8Array' : 'Buffer'
      default:
        return this.typeOf(schema.type, input)
    }
  }

  add(record: AvroRecord): void {
    const code = this.#interfaces(record)
    const known = this.#code.get(record.name)
    if (known !== undefined && known !== code) throw new Error(`Record ${record.name} is defined twice with different fields`)
    this.#code.set(record.name, code)
  }

  #interfaces(record: AvroRecord): string {
    const read: string[] = []
    const written: string[] = []
    for (const field of record.fields) {
      const doc = field.doc === undefined ? [] : [`  /** ${field.doc.replaceAll('*/', '* /')} */`]
      read.push(...doc, `  readonly ${field.name}: ${this.typeOf(field.type, false)}`)
      const optional = field.default !== undefined
      written.push(`  readonly ${field.name}${optional ? '?' : ''}: ${this.typeOf(field.type, true)}${optional ? ' | undefined' : ''}`)
    }
    return [
      ...(record.doc === undefined ? [] : [`/** ${record.doc} */`]),
      `export interface ${record.name} {`,
      ...read,
      '}',
      '',
      `/** What a writer of ${record.name} gives; a field left out takes its Avro default. */`,
      `export interface ${record.name}Input {`,
      ...written,
      '}',
      '',
    ].join('\n')
  }

  #element(items: AvroSchema, input: boolean): string {
    const type = this.typeOf(items, input)
    return /[ |]/.test(type) ? `(${type})` : type
  }
}

/** The content of generated/types.ts for the given schemas, by file name without ending. */
export const generateTypes = (schemas: Readonly<Record<string, AvroRecord>>): string => {
  const interfaces = new Interfaces()
  for (const schema of Object.values(schemas)) interfaces.add(schema)
  const names = Object.keys(schemas)
  return [
    '// Generated from schemas/avro by `npm run generate`. Change the schema, not this file.',
    '// long and timestamp-micros are numbers (exact below 2^53), bytes are Buffers that may be views into a fetch buffer.',
    '',
    interfaces.text,
    '/** Record as read, by schema name. */',
    'export interface Records {',
    ...names.map((name) => `  readonly ${name}: ${capitalised(name)}`),
    '}',
    '',
    '/** Record as written, by schema name. */',
    'export interface RecordInputs {',
    ...names.map((name) => `  readonly ${name}: ${capitalised(name)}Input`),
    '}',
    '',
    "/** Schema names: the shared topics, and `changelog` for every service's private one. */",
    `export const schemaNames = [${names.map((name) => `'${name}'`).join(', ')}] as const`,
    '',
  ].join('\n')
}
