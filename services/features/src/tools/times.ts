// Times of a column as people write them: dates in the orders and with the marks that are common, with or without a zone, or numbers
// since 1970 in s, ms, us or ns. The form is decided once for a column, from its first cells.

import { AndonError } from '@andon/kit/errors'

/** Columns that hold times, by their names. */
export const TIME_NAME = /^(time|timestamp|datetime|date[ _-]?time|date|ts|t|zeit|zeitstempel|epoch)([ _-]?(us|ms|ns|s|utc))?$/i

/** Microseconds, or undefined where the cell holds no time in this form. */
export type TimeParser = (cell: string | number) => number | undefined

export type Order = 'day-first' | 'month-first'

const ISO =
  /^\s*(\d{4})[-/.](\d\d?)[-/.](\d\d?)(?:[T \-_](\d\d?)[:-](\d\d)(?:[:-](\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?\s*$/i
const LOCAL =
  /^\s*(\d\d?)([./-])(\d\d?)\2(\d{4}|\d\d)(?:[T ,]+(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([AaPp])?\.?[Mm]?\.?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?\s*$/
const COMPACT = /^\s*(\d{4})(\d\d)(\d\d)(?:T?(\d\d)(\d\d)(\d\d))\s*$/

/** Offset of a place from UTC at a local time, in ms; hours are remembered. */
export const offsetIn = (zone: string): ((localMs: number) => number) => {
  const fixed = /^([+-])(\d\d):?(\d\d)$/.exec(zone)
  if (fixed !== null) {
    const ms = (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000
    return () => ms
  }
  if (zone === 'UTC' || zone === 'Z') return () => 0
  const format = formatIn(zone)
  const at = (ms: number): number => {
    const name = format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT'
    const found = /GMT([+-])(\d\d):?(\d\d)/.exec(name)
    return found === null ? 0 : (found[1] === '-' ? -1 : 1) * (Number(found[2]) * 60 + Number(found[3])) * 60_000
  }
  const known = new Map<number, number>()
  return (localMs) => {
    const hour = Math.floor(localMs / 900_000)
    let offset = known.get(hour)
    if (offset === undefined) {
      offset = at(localMs - at(localMs))
      if (known.size > 10_000) known.clear()
      known.set(hour, offset)
    }
    return offset
  }
}

const formatIn = (zone: string): Intl.DateTimeFormat => {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  } catch (error) {
    throw new AndonError('ANDON_FEATURES_FILE', `--zone: expected a zone as Europe/Berlin or +02:00, found ${zone}.`, {
      status: 400,
      cause: error,
    })
  }
}

const unitOf = (name: string, first: number): number => {
  const ending = /(?:us|ms|ns)$/i.exec(name.trim())?.[0].toLowerCase()
  if (ending === 'us') return 1
  if (ending === 'ms') return 1000
  if (ending === 'ns') return 0.001
  const size = Math.abs(first)
  if (size > 1e17) return 0.001
  if (size > 1e14) return 1
  return size > 1e11 ? 1000 : 1e6
}

export interface TimeForm {
  readonly parse: TimeParser
  readonly kind: 'date' | 'number'
  /** In the words of a person. */
  readonly words: string
  /** Dates say no zone by themselves. */
  readonly isNaive: boolean
  /** Day or month first cannot be told from what was seen. */
  readonly isAmbiguous: boolean
}

/** From the first cells of a column; undefined when they are no times. */
export const timeFormOf = (name: string, cells: readonly (string | number)[], zone = 'UTC', known?: Order): TimeForm | undefined => {
  const texts = cells.filter((cell): cell is string => typeof cell === 'string')
  if (texts.length === 0) {
    const numbers = cells.filter((cell): cell is number => typeof cell === 'number' && cell === cell)
    if (numbers.length === 0) return undefined
    const compact = numbers.every((value) => value > 1.9e13 && value < 2.2e13 && COMPACT.test(String(value)))
    if (compact) return { parse: dateParser('day-first', zone), kind: 'date', words: 'yyyyMMddHHmmss', isNaive: true, isAmbiguous: false }
    const factor = unitOf(name, numbers.at(-1) as number)
    return {
      parse: (cell) => (typeof cell === 'number' && cell === cell ? Math.round(cell * factor) : undefined),
      kind: 'number',
      words: factor === 1e6 ? 'seconds' : factor === 1000 ? 'milliseconds' : factor === 1 ? 'microseconds' : 'nanoseconds',
      isNaive: false,
      isAmbiguous: false,
    }
  }
  const locals = texts.map((text) => LOCAL.exec(text)).filter((found) => found !== null)
  const isDayFirst = locals.some((found) => Number(found[1]) > 12)
  const isMonthFirst = locals.some((found) => Number(found[3]) > 12)
  // 1.2.2026 is the first of February wherever it is written so; 1/2/2026 is January where it comes with AM and PM or says nothing else.
  const order: Order = known ?? (isDayFirst || (!isMonthFirst && locals[0]?.[2] === '.') ? 'day-first' : 'month-first')
  const parse = dateParser(order, zone)
  if (texts.filter((text) => parse(text) !== undefined).length < 0.5 * texts.length) return undefined
  return {
    parse,
    kind: 'date',
    words: locals.length === 0 ? 'dates' : order === 'day-first' ? 'dates, the day first' : 'dates, the month first',
    isNaive: texts.some((text) => !/(Z|UTC|[+-]\d\d:?\d\d)\s*$/i.test(text.replace(/^\s*\d{4}-\d\d?-\d\d?/, ''))),
    isAmbiguous: known === undefined && locals.length > 0 && !isDayFirst && !isMonthFirst && locals[0]?.[2] !== '.',
  }
}

/** The order of day and month that a date leaves no choice of; undefined where it does. */
export const orderTold = (text: string): Order | undefined => {
  const found = LOCAL.exec(text)
  if (found === null) return undefined
  if (Number(found[1]) > 12) return 'day-first'
  return Number(found[3]) > 12 ? 'month-first' : undefined
}

const dateParser = (order: Order, zone: string): TimeParser => {
  const offset = offsetIn(zone)
  const at = (
    [year, month, day]: readonly [number, number, number],
    [hour, minute, second]: readonly [number, number, number],
    fraction: string | undefined,
    own: string | undefined,
  ): number | undefined => {
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60) return undefined
    const ms = Date.UTC(year, month - 1, day, hour, minute, second)
    const zoneMs = own === undefined ? offset(ms) : /^[+-]/.test(own) ? offsetIn(own)(0) : 0
    return (ms - zoneMs) * 1000 + (fraction === undefined ? 0 : Math.round(Number(`0.${fraction}`) * 1e6))
  }
  const n = (text: string | undefined): number => Number(text ?? 0)
  return (cell) => {
    const text = String(cell)
    const iso = ISO.exec(text)
    if (iso !== null) return at([n(iso[1]), n(iso[2]), n(iso[3])], [n(iso[4]), n(iso[5]), n(iso[6])], iso[7], iso[8])
    const local = LOCAL.exec(text)
    if (local !== null) {
      const [first, second] = [n(local[1]), n(local[3])]
      const year = (local[4] as string).length === 2 ? 2000 + n(local[4]) : n(local[4])
      const half = local[9]?.toLowerCase()
      const hour = half === undefined ? n(local[5]) : (n(local[5]) % 12) + (half === 'p' ? 12 : 0)
      const date = order === 'day-first' ? ([year, second, first] as const) : ([year, first, second] as const)
      return at(date, [hour, n(local[6]), n(local[7])], local[8], local[10])
    }
    const compact = COMPACT.exec(text)
    if (compact === null) return undefined
    return at([n(compact[1]), n(compact[2]), n(compact[3])], [n(compact[4]), n(compact[5]), n(compact[6])], undefined, undefined)
  }
}
