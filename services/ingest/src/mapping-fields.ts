// Where a mapping finds a value: in the reading, in the whole payload, or in the topic it came on. Pure.

/** What a payload came with. */
export interface Arrival {
  /** Levels of the topic or subject, or what the wildcards of a file name stand for: `{0}`, `{1}`… */
  readonly levels?: readonly string[] | undefined
  /** Levels that have a name: `{machine}`. */
  readonly names?: Readonly<Record<string, string>> | undefined
  /** The time of readings whose mapping names none, microseconds UTC. */
  readonly receivedUs: number
  /** The device that showed a certificate; its id then leads the default source ids. */
  readonly deviceId?: string | undefined
}

/** One reading in its payload. */
export interface Scope {
  readonly root: unknown
  readonly item: unknown
  /** Key or index under which `each` found it. */
  readonly key: string
  readonly arrival: Arrival
}

/** The value of a field; undefined when there is none. Reads own properties only. */
export type Field = (scope: Scope) => unknown

/** @param isRow the field is a column's name, dots and all. */
export const compileField = (path: string, isRow: boolean): Field => {
  if (/\{\w+\}/.test(path)) return compileTemplate(path)
  if (isRow) return ({ item }) => own(item, path)
  if (path === '$') return ({ root }) => root
  if (path === '.') return ({ item }) => item
  if (path.startsWith('$.')) {
    const walk = compilePath(path.slice(2))
    return ({ root }) => walk(root)
  }
  const walk = compilePath(path)
  return ({ item }) => walk(item)
}

const compilePath = (path: string): ((from: unknown) => unknown) => {
  const names = path.split('.')
  if (names.length === 1) return (from) => own(from, path)
  return (from) => {
    const literal = own(from, path)
    if (literal !== undefined) return literal
    let at = from
    for (const name of names) at = own(at, name)
    return at
  }
}

const own = (from: unknown, name: string): unknown =>
  typeof from === 'object' && from !== null && Object.hasOwn(from, name) ? (from as Record<string, unknown>)[name] : undefined

const compileTemplate = (path: string): Field => {
  const parts = path.split(/\{(\w+)\}/) // text, capture, text, capture, …
  return (scope) => {
    let text = ''
    for (const [index, part] of parts.entries()) {
      const piece = index % 2 === 0 ? part : captured(part, scope)
      if (piece === undefined) return undefined
      text += piece
    }
    return text
  }
}

const captured = (part: string, { key, arrival }: Scope): string | undefined => {
  if (part === 'key') return key
  if (/^\d+$/.test(part)) return arrival.levels?.[Number(part)]
  const named = own(arrival.names, part)
  return typeof named === 'string' ? named : undefined
}

/** A value for people, short however large it is. */
export const show = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value !== 'string') return String(value as number | bigint | boolean)
  const text = JSON.stringify(value.slice(0, 80))
  return value.length > 80 ? `${text.slice(0, -1)}…"` : text
}
