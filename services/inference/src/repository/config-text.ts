// A model's configuration as text: config.pbtxt, config.json or YAML → the message it is, with the line of every field. What is no
// configuration is refused with file, line, field, what is expected and what was found.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '@andon/kit'
import { nearest } from '@andon/schemas/documents/nearest'
import { ModelConfig, protoDir } from '@andon/schemas/inference'
import protobuf from 'protobufjs'
import protojson from 'protobufjs/ext/protojson.js'
import textformat from 'protobufjs/ext/textformat.js'
import { LineCounter, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import { configInvalid } from '../errors.ts'

/** Fields in snake case, indices of repeated ones, keys of maps: `['input', 0, 'dims']`, `['parameters', 'execution_mode']`. */
export type ConfigPath = readonly (string | number)[]

export interface ConfigText {
  /** Named in messages. */
  readonly file: string
  readonly config: ModelConfig
  /** True where the text says something about the field, be it the default. */
  states(path: ConfigPath): boolean
  /** The error of a fault that is found later, with the field's line. */
  fault(path: ConfigPath, expected: string, found: string): Error
}

/** Something the text says: a field with a value, or with fields of its own. A repeated field is there once per element. */
interface Node {
  readonly name: string
  readonly line: number
  readonly children?: readonly Node[]
  /** A scalar without its quotes. */
  readonly value?: string
  readonly isQuoted?: boolean
}

interface Fault {
  readonly line: number
  readonly path: ConfigPath
  readonly expected: string
  readonly found: string
}

/** What a walk along the message's type finds out. */
interface Walked {
  readonly lines: Map<string, number>
  readonly faults: Fault[]
}

type Format = 'pbtxt' | 'json' | 'yaml'

const formatOf = (file: string): Format => (file.endsWith('.json') ? 'json' : /\.ya?ml$/.test(file) ? 'yaml' : 'pbtxt')

/** The format is what the file's name ends with unless given; any other name is taken as pbtxt. */
export const readConfigText = (file: string, text: string, format: Format = formatOf(file)): ConfigText => {
  const type = modelConfigType()
  const isPbtxt = format === 'pbtxt'
  if (format === 'json') checkJson(file, text)
  const nodes = isPbtxt ? scanPbtxt(text) : scanYaml(file, text)
  const walked: Walked = { lines: new Map(), faults: [] }
  const object = walk(type, nodes, [], isPbtxt, walked)
  const [first] = walked.faults
  if (first !== undefined) throw configInvalid(file, first.line, pathText(first.path), first.expected, first.found)
  try {
    const message = isPbtxt ? textformat.fromText(type, text) : protojson.fromJson(type, object)
    return {
      file,
      config: ModelConfig.decode(type.encode(message).finish()),
      states: (path) => walked.lines.has(pathText(path)),
      fault: (path, expected, found) => configInvalid(file, lineOf(walked.lines, path), pathText(path), expected, found),
    }
  } catch (error) {
    const [, what, line] = /^(.*?)(?: \(line (\d+)\))?$/s.exec(messageOf(error)) ?? []
    throw configInvalid(file, line === undefined ? undefined : Number(line), '', 'well-formed text', what ?? messageOf(error))
  }
}

/** A configuration that nobody wrote: faults in it are faults of the model. */
export const noConfigText = (file: string): ConfigText => ({
  file,
  config: ModelConfig.fromPartial({}),
  states: () => false,
  fault: (path, expected, found) => configInvalid(file, undefined, pathText(path), expected, found),
})

export const pathText = (path: ConfigPath): string =>
  path.reduce<string>((text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`), '')

/** Line of the field, or of the nearest thing around it that the text says. */
const lineOf = (lines: ReadonlyMap<string, number>, path: ConfigPath): number | undefined => {
  for (let depth = path.length; depth > 0; depth--) {
    const line = lines.get(pathText(path.slice(0, depth)))
    if (line !== undefined) return line
  }
  return undefined
}

let loaded: protobuf.Type | undefined
const modelConfigType = (): protobuf.Type => {
  if (loaded === undefined) {
    const { root } = protobuf.parse(readFileSync(join(protoDir, 'inference/model_config.proto'), 'utf8'))
    loaded = root.resolveAll().lookupType('inference.ModelConfig')
  }
  return loaded
}

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Along the type through what the text says: notes lines, gathers faults, and gives the object in JSON form. */
const walk = (type: protobuf.Type, nodes: readonly Node[], at: ConfigPath, isPbtxt: boolean, walked: Walked): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  const seen = new Map<string, number>()
  const chosen = new Map<string, string>()
  for (const node of nodes) {
    const field = type.fieldsArray.find(({ name }) => snakeCase(name) === node.name || (!isPbtxt && name === node.name))
    if (field === undefined) {
      const known = type.fieldsArray.map(({ name }) => snakeCase(name))
      const expected = `a field of ${type.name} (did you mean ${nearest(snakeCase(node.name), known)}?)`
      walked.faults.push({ line: node.line, path: [...at, node.name], expected, found: `the unknown field ${node.name}` })
      continue
    }
    const name = snakeCase(field.name)
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    if (field instanceof protobuf.MapField) {
      object[field.name] = { ...(object[field.name] as object | undefined), ...entriesOf(field, node, [...at, name], isPbtxt, walked) }
      continue
    }
    const path = field.repeated ? [...at, name, count] : [...at, name]
    walked.lines.set(pathText([...at, name]), walked.lines.get(pathText([...at, name])) ?? node.line)
    walked.lines.set(pathText(path), node.line)
    if (!field.repeated && count > 0) {
      walked.faults.push({ line: node.line, path, expected: 'the field once', found: 'it a second time' })
      continue
    }
    const other = field.partOf === null ? undefined : chosen.get(field.partOf.name)
    if (field.partOf !== null && other !== undefined && other !== name)
      walked.faults.push({ line: node.line, path, expected: `only one of ${oneofNames(field.partOf)}`, found: `${other} as well` })
    if (field.partOf !== null) chosen.set(field.partOf.name, name)
    const value = valueOf(field, node, path, isPbtxt, walked)
    if (field.repeated) object[field.name] = [...((object[field.name] as unknown[] | undefined) ?? []), value]
    else object[field.name] = value
  }
  return object
}

const oneofNames = (oneof: protobuf.OneOf): string => oneof.oneof.map(snakeCase).join(', ')

/** pbtxt writes a map as repeated messages of a key and a value; JSON and YAML as an object. */
const entriesOf = (field: protobuf.MapField, node: Node, at: ConfigPath, isPbtxt: boolean, walked: Walked): Record<string, unknown> => {
  const fail = (expected: string, found: string): Record<string, unknown> => {
    walked.faults.push({ line: node.line, path: at, expected, found })
    return {}
  }
  walked.lines.set(pathText(at), walked.lines.get(pathText(at)) ?? node.line)
  if (node.children === undefined) return fail(isPbtxt ? '{ key: … value: … }' : 'an object', `the value ${node.value}`)
  if (!isPbtxt) {
    return Object.fromEntries(
      node.children.map((child) => [child.name, valueOf(field, child, noted(walked, [...at, child.name], child.line), isPbtxt, walked)]),
    )
  }
  const strange = node.children.find(({ name }) => name !== 'key' && name !== 'value')
  if (strange !== undefined) return fail('key and value', `the field ${strange.name}`)
  const key = node.children.find(({ name }) => name === 'key')?.value
  const value = node.children.find(({ name }) => name === 'value')
  if (key === undefined) return fail('an entry with a key', 'none')
  const path = noted(walked, [...at, key], node.line)
  return value === undefined ? {} : { [key]: valueOf(field, value, path, isPbtxt, walked) }
}

const noted = (walked: Walked, path: ConfigPath, line: number): ConfigPath => {
  walked.lines.set(pathText(path), line)
  return path
}

/** What of a field says how its values are written. */
type Valued = Pick<protobuf.Field, 'type' | 'resolvedType'>

const valueOf = (field: Valued, node: Node, path: ConfigPath, isPbtxt: boolean, walked: Walked): unknown => {
  const { resolvedType } = field
  if (resolvedType instanceof protobuf.Type) {
    if (node.children !== undefined) return walk(resolvedType, node.children, path, isPbtxt, walked)
    walked.faults.push({ line: node.line, path, expected: `{ … } with fields of ${resolvedType.name}`, found: `the value ${node.value}` })
    return {}
  }
  const expected = node.value === undefined ? scalarName(field) : mismatch(field, node, isPbtxt)
  if (expected === undefined) return jsonScalar(field, node.value!)
  walked.faults.push({ line: node.line, path, expected, found: node.value === undefined ? '{ … }' : written(node) })
  return null
}

const written = ({ value, isQuoted }: Node): string => (isQuoted === true ? JSON.stringify(value) : String(value))

const integers: Readonly<Record<string, readonly [bigint, bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
}

const scalarName = ({ type, resolvedType }: Valued): string => {
  if (resolvedType instanceof protobuf.Enum) return `one of ${Object.keys(resolvedType.values).join(', ')}`
  const range = integers[type]
  if (range !== undefined) return `an integer from ${range[0]} to ${range[1]}`
  return type === 'bool' ? 'true or false' : type === 'string' ? 'a string' : 'a number'
}

/** What is expected where the scalar is something else; undefined where it fits. */
const mismatch = (field: Valued, { value = '', isQuoted = false }: Node, isPbtxt: boolean): string | undefined => {
  const fits = (): boolean => {
    const range = integers[field.type]
    if (field.resolvedType instanceof protobuf.Enum)
      return (
        Object.hasOwn(field.resolvedType.values, value) ||
        (/^\d+$/.test(value) && field.resolvedType.valuesById[Number(value)] !== undefined)
      )
    if (field.type === 'string') return isQuoted || !isPbtxt
    if (isPbtxt && isQuoted) return false
    if (range !== undefined) return /^-?(0x[0-9a-f]+|\d+)$/i.test(value) && isWithin(value, range)
    if (field.type === 'bool') return isPbtxt ? /^(true|false|t|f|True|False|0|1)$/.test(value) : /^(true|false)$/.test(value)
    return value !== '' && Number.isFinite(Number(value.replace(/f$/i, '')))
  }
  return fits() ? undefined : `${scalarName(field)}${field.type === 'string' ? ' in quotes' : ''}`
}

const isWithin = (text: string, [least, greatest]: readonly [bigint, bigint]): boolean => {
  const value = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
  return value >= least && value <= greatest
}

const jsonScalar = ({ type, resolvedType }: Valued, value: string): unknown => {
  if (resolvedType instanceof protobuf.Enum) return /^\d+$/.test(value) ? Number(value) : value
  if (type === 'bool') return value === 'true'
  return integers[type] === undefined && type !== 'string' ? Number(value) : value
}

/** YAML, and JSON as a part of it. */
const scanYaml = (file: string, text: string): Node[] => {
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, version: '1.2' })
  const [error] = document.errors
  if (error !== undefined) {
    const what = error.message.split('\n', 1)[0]!.replace(/ at line \d+.*$/, '')
    throw configInvalid(
      file,
      counter.linePos(error.pos[0]).line,
      '',
      file.endsWith('.json') ? 'well-formed JSON' : 'well-formed YAML',
      what,
    )
  }
  const lineAt = (node: unknown): number => counter.linePos((node as { range?: readonly number[] | null }).range?.[0] ?? 0).line
  const nodesOf = (name: string, value: unknown, line: number): Node[] => {
    if (isSeq(value)) return value.items.flatMap((item) => nodesOf(name, item, lineAt(item)))
    if (isMap(value))
      return [{ name, line, children: value.items.flatMap((pair) => nodesOf(String(pair.key), pair.value, lineAt(pair.key))) }]
    if (!isScalar(value) || value.value === null) return [] // as if it were not there
    const written = value.value as string | number | bigint | boolean
    return [{ name, line, value: String(written), isQuoted: typeof written === 'string' }]
  }
  if (document.contents === null) return []
  const [root] = nodesOf('', document.contents, 1)
  if (root?.children === undefined || !isMap(document.contents))
    throw configInvalid(file, 1, '', 'an object with the fields of a model configuration', 'something else')
  return [...root.children]
}

/** YAML takes more than JSON does. */
const checkJson = (file: string, text: string): void => {
  try {
    JSON.parse(text)
  } catch (error) {
    const line = /line (\d+)/.exec(messageOf(error))?.[1]
    throw configInvalid(file, line === undefined ? undefined : Number(line), '', 'well-formed JSON', messageOf(error))
  }
}

/** Only as far as the lines and shapes of fields go; whether it is text format at all the parser decides. */
const scanPbtxt = (text: string): Node[] => {
  const tokens = [...text.matchAll(/#[^\n]*|\n|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w.+-]+|[{}<>[\]:,;]/g)]
  let [at, line] = [0, 1]
  const peek = (): string | undefined => {
    for (; at < tokens.length; at++) {
      const token = tokens[at]![0]
      if (token === '\n') line++
      else if (!token.startsWith('#')) return token
    }
    return undefined
  }
  const take = (): string | undefined => {
    const token = peek()
    at++
    return token
  }
  const isString = (token: string | undefined): boolean => token?.startsWith('"') === true || token?.startsWith("'") === true
  const value = (name: string, here: number): Node => {
    if (peek() === '{' || peek() === '<') {
      take()
      return { name, line: here, children: fields() }
    }
    const first = take() ?? ''
    if (!isString(first)) return { name, line: here, value: first, isQuoted: false }
    let whole = first.slice(1, -1)
    while (isString(peek())) whole += take()!.slice(1, -1)
    return { name, line: here, value: whole, isQuoted: true }
  }
  const fields = (): Node[] => {
    const nodes: Node[] = []
    for (;;) {
      const name = peek()
      const here = line
      take()
      if (name === undefined || name === '}' || name === '>') return nodes
      if (!/^\w/.test(name)) continue
      if (peek() === ':') take()
      if (peek() === '[') {
        take()
        while (peek() !== undefined && peek() !== ']') {
          nodes.push(value(name, line))
          if (peek() === ',') take()
        }
        take()
      } else nodes.push(value(name, here))
    }
  }
  return fields()
}
