// Reads one plant document: YAML or JSON text, or an object, checked against its shape. The first fault
// is reported with file, line, path, what was found, what is expected and what to do.

import { LineCounter, isCollection, isMap, parseDocument } from 'yaml'
import type { Document } from 'yaml'
import type { z } from 'zod'
import { nearest } from './nearest.ts'

type Path = readonly PropertyKey[]

/** One fault in a document; `message` is the whole sentence for people. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError'
  readonly code = 'ANDON_DOCUMENT_INVALID'
  readonly file: string
  readonly line: number | undefined
  readonly path: string
  readonly found: string
  readonly expected: string
  /** Where in the line, from 1; of texts that are no YAML. */
  readonly column: number | undefined

  constructor(file: string, line: number | undefined, path: string, found: string, expected: string, others = 0, column?: number) {
    const place = line === undefined ? file : `${file}:${line}`
    const more = others === 0 ? '' : ` (and ${others} more)`
    super(
      `${place}: ${path || 'the document'}: expected ${expected}, found ${found}. Correct this value and apply the document again${more}.`,
    )
    this.file = file
    this.line = line
    this.path = path
    this.found = found
    this.expected = expected
    this.column = column
  }
}

/** Where a document comes from and how its placeholders are filled. */
export interface ReadOptions {
  /** Named in errors. */
  readonly file?: string | undefined
  /** Added to NNNN in every `{port:NNNN}`. Default 0. */
  readonly portOffset?: number | undefined
}

/** A fault that a shape cannot express, e.g. a reference to a line that does not exist. */
export interface Fault {
  readonly path: Path
  readonly expected: string
  /** The key itself should not be there. */
  readonly isKey?: boolean
}

/** Where a text says something: lines and columns count from 1, `source` is the offending value as it is written. */
export interface Place {
  readonly line: number
  readonly column: number
  /** Characters before the value. */
  readonly offset: number
  readonly source: string
}

/** A text that is open for checking: its value, and where each part of it is written. */
export interface OpenDocument {
  readonly value: unknown
  /** The value at a path, or its key; of what is not there, the nearest thing around it. */
  placeOf(path: Path, part?: 'key' | 'value'): Place
  at(offset: number): Pick<Place, 'line' | 'column'>
}

/** Opens YAML for checks that report every fault. Throws a DocumentError where it is no YAML. */
export const openYaml = (text: string, file: string): OpenDocument => {
  const lines = new LineCounter()
  const document = parsed(text, file, lines)
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  return {
    value: document.toJS() as unknown,
    at,
    placeOf(path, part = 'value') {
      const [start, end] = spanOf(document, path, part)
      return { ...at(start), offset: start, source: text.slice(start, end) }
    },
  }
}

/** Every fault that a shape and its further rules find in a value, unknown keys first. */
export const allFaults = <T extends z.ZodType>(
  shape: T,
  value: unknown,
  rules: (value: z.output<T>) => readonly Fault[] = () => [],
): (Fault & { readonly found: string })[] => {
  const result = shape.safeParse(value)
  const faults = result.success ? rules(result.data) : faultsOf(shape, result.error.issues)
  return faults.map((fault) => ({ ...fault, found: describe(valueAt(value, fault.path)) }))
}

/** Replaces `{port:NNNN}` by NNNN + offset. */
export const resolvePorts = (text: string, offset: number): string =>
  text.replaceAll(/\{port:(\d+)\}/g, (_, port: string) => String(Number(port) + offset))

/** Checks text or an object against a shape and its further rules; throws a DocumentError for the first fault. */
export const readDocument = <T extends z.ZodType>(
  shape: T,
  source: unknown,
  options: ReadOptions = {},
  rules: (value: z.output<T>) => readonly Fault[] = () => [],
): z.output<T> => {
  const file = options.file ?? 'document'
  const offset = options.portOffset ?? 0
  const place = typeof source === 'string' ? openText(resolvePorts(source, offset), file) : openObject(source, offset)
  const parsed = shape.safeParse(place.value)
  const faults = parsed.success ? rules(parsed.data) : faultsOf(shape, parsed.error.issues)
  const [first] = faults
  if (first !== undefined) {
    const found = describe(valueAt(place.value, first.path))
    throw new DocumentError(file, place.lineOf(first.path), pathText(first.path), found, first.expected, faults.length - 1)
  }
  return (parsed as { data: z.output<T> }).data
}

interface Opened {
  readonly value: unknown
  lineOf(path: Path): number | undefined
}

const parsed = (text: string, file: string, lines: LineCounter): Document.Parsed => {
  const document = parseDocument(text, { lineCounter: lines })
  const [error] = document.errors
  if (error === undefined) return document
  const what = error.message.split('\n', 1)[0] ?? error.message
  const { line, col } = lines.linePos(error.pos[0])
  throw new DocumentError(file, line, '', what.replace(/ at line \d+.*$/, ''), 'well-formed YAML', 0, col)
}

const openText = (text: string, file: string): Opened => {
  const lines = new LineCounter()
  const document = parsed(text, file, lines)
  return { value: document.toJS() as unknown, lineOf: (path) => lineOf(document, lines, path) }
}

const openObject = (source: unknown, offset: number): Opened => ({
  value: offset === 0 && !JSON.stringify(source)?.includes('{port:') ? source : JSON.parse(resolvePorts(JSON.stringify(source), offset)),
  lineOf: () => undefined,
})

/** Line of a path as errors write it (`features[0].channel`) in the text of a document. */
export const lineAt = (text: string, path: string): number | undefined => {
  const lines = new LineCounter()
  const keys = path.split(/[.[\]]+/).filter((key) => key !== '')
  return lineOf(
    parseDocument(text, { lineCounter: lines }),
    lines,
    keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key)),
  )
}

/** Line of the value, or of the nearest thing around it that exists. */
const lineOf = (document: Document.Parsed, lines: LineCounter, path: Path): number | undefined => {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const parent = document.getIn(path.slice(0, depth - 1), true)
    const key = path[depth - 1]
    const pair = isMap(parent) && depth > 0 ? parent.items.find((item) => String(item.key) === String(key)) : undefined
    const start = rangeStart(pair?.key) ?? rangeStart(document.getIn(path.slice(0, depth), true))
    if (start !== undefined) return lines.linePos(start).line
  }
  return undefined
}

/** Characters from and to which a value or its key is written. */
const spanOf = (document: Document.Parsed, path: Path, part: 'key' | 'value'): readonly [number, number] => {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const parent = document.getIn(path.slice(0, depth - 1), true)
    const key = path[depth - 1]
    const pair = isMap(parent) && depth > 0 ? parent.items.find((item) => String(item.key) === String(key)) : undefined
    // of what is missing, the key around it is told
    const isThere = part === 'value' && depth === path.length
    const span = isThere
      ? rangeOf(document.getIn(path.slice(0, depth), true))
      : (rangeOf(pair?.key) ?? rangeOf(document.getIn(path.slice(0, depth), true)))
    if (span !== undefined) return span
  }
  return [0, 0]
}

const rangeOf = (node: unknown): readonly [number, number] | undefined => {
  const range = typeof node === 'object' && node !== null ? (node as { range?: readonly number[] | null }).range : undefined
  return range?.[0] === undefined || range[1] === undefined ? undefined : [range[0], range[1]]
}

const rangeStart = (node: unknown): number | undefined => {
  if (isCollection(node) || (typeof node === 'object' && node !== null && 'range' in node)) {
    return (node as { range?: readonly number[] | null }).range?.[0]
  }
  return undefined
}

const valueAt = (value: unknown, path: Path): unknown => {
  let at = value
  for (const key of path) at = typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined
  return at
}

const describe = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

export const pathText = (path: Path): string =>
  path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}${text === '' ? '' : '.'}${String(key)}`), '')

/** A key that is unknown comes first: what is missing beside it is often what it was meant to be. */
const faultsOf = (shape: z.core.$ZodType, issues: readonly z.core.$ZodIssue[]): Fault[] => {
  const isUnknownKey = ({ code }: z.core.$ZodIssue): boolean => code === 'unrecognized_keys'
  return [...issues.filter(isUnknownKey), ...issues.filter((issue) => !isUnknownKey(issue))].flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => unknownKey(shape, issue.path, key)) : [faultOf(issue)],
  )
}

const unknownKey = (shape: z.core.$ZodType, path: Path, key: string): Fault => ({
  path: [...path, key],
  expected: `no such key; the nearest known one is ${nearest(key, keysAt(shape, path))}`,
  isKey: true,
})

/** Keys that a shape knows at a path, of all its alternatives. */
const keysAt = (shape: z.core.$ZodType, path: Path): string[] => {
  const { def } = (shape as z.core.$ZodTypes)._zod
  const [key, ...rest] = path
  switch (def.type) {
    case 'optional':
    case 'default':
    case 'nullable':
      return keysAt(def.innerType, path)
    case 'union':
      return [...new Set(def.options.flatMap((option) => keysAt(option, path)))]
    case 'array':
      return key === undefined ? [] : keysAt(def.element, rest)
    case 'record':
      return key === undefined ? [] : keysAt(def.valueType, rest)
    case 'object': {
      if (key === undefined) return Object.keys(def.shape)
      const inner = def.shape[String(key)]
      return inner === undefined ? [] : keysAt(inner, rest)
    }
    default:
      return []
  }
}

const faultOf = (issue: z.core.$ZodIssue): Fault => {
  const path = issue.path
  switch (issue.code) {
    case 'invalid_type':
      return { path, expected: /^[aeiou]/.test(issue.expected) ? `an ${issue.expected}` : `a ${issue.expected}` }
    case 'invalid_value':
      return { path, expected: issue.values.map((value) => JSON.stringify(value)).join(' or ') }
    case 'invalid_union':
      return { path, expected: issue.message.replace(/^.*Expected /, '').replaceAll(' | ', ' or ') }
    case 'too_small':
      return { path, expected: `${sized(issue.origin)} ${issue.inclusive === false ? 'above' : 'of at least'} ${issue.minimum}` }
    case 'too_big':
      return { path, expected: `${sized(issue.origin)} ${issue.inclusive === false ? 'below' : 'of at most'} ${issue.maximum}` }
    default:
      return { path, expected: issue.message }
  }
}

const sized = (origin: string): string => {
  if (origin === 'array' || origin === 'set') return 'a list with a length'
  return origin === 'string' ? 'a text with a length' : 'a number'
}
