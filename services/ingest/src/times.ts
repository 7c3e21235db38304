// How senders write a time → microseconds since 1970, UTC. Pure.

import type { TimeFormat } from '@andon/schemas'

/** Microseconds, or what is expected instead. */
export type ReadTime = (value: unknown) => number | string

const dayMs = 86_400_000
// Outside these a number counts in another unit than the file says.
const earliestUs = Date.UTC(2000, 0) * 1000
const latestUs = Date.UTC(2200, 0) * 1000

const isoForm = /^(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?$/
const decimalForm = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/

const unitsPerSecond = { s: 1, ms: 1e3, us: 1e6, ns: 1e9 } as const

/** Reads times of one format; `timezone` is for ISO 8601 texts without an offset, which are refused without it. */
export const timeReader = (format: TimeFormat, timezone?: string): ReadTime => {
  const read = format === 'iso8601' ? isoReader(timezone) : numberReader(unitsPerSecond[format])
  return (value) => {
    const timeUs = read(value)
    if (typeof timeUs === 'string' || (timeUs >= earliestUs && timeUs < latestUs)) return timeUs
    return `a time between the years 2000 and 2200 (as ${format} it is ${yearOf(timeUs)})`
  }
}

const yearOf = (timeUs: number): string => {
  const date = new Date(timeUs / 1000)
  return Number.isNaN(date.getTime()) ? 'beyond any calendar' : `in the year ${date.getUTCFullYear()}`
}

const numberReader =
  (perSecond: number): ReadTime =>
  (value) => {
    if (typeof value === 'bigint') return perSecond === 1e9 ? Number(value / 1000n) : Number(value) * (1e6 / perSecond)
    // More digits than a double keeps: nanoseconds are cut as text.
    if (typeof value === 'string' && perSecond === 1e9 && /^\d{16,20}$/.test(value)) return Number(value.slice(0, -3))
    const number = typeof value === 'string' && decimalForm.test(value.trim()) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isFinite(number)) return 'a number'
    return Math.round((number / perSecond) * 1e6)
  }

const isoReader = (timezone: string | undefined): ReadTime => {
  const toUtcMs = timezone === undefined ? undefined : zonedReader(timezone)
  return (value) => {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'a valid date' : value.getTime() * 1000
    const parts = typeof value === 'string' ? isoForm.exec(value.trim()) : null
    if (parts === null) return 'a text like 2026-11-23T08:15:00.250Z (ISO 8601)'
    const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', offset] = parts
    const secondsMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
    const micros = Number(fraction.padEnd(6, '0').slice(0, 6))
    // A leap second is the first one of the next minute.
    if (!isCalendar(secondsMs, Number(month), Number(day)) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) {
      return 'a date and a time of day that exist'
    }
    if (offset !== undefined) return (secondsMs - offsetMs(offset)) * 1000 + micros
    if (toUtcMs === undefined) return 'an offset (Z, +02:00), or a timezone in the source file'
    const utcMs = toUtcMs(secondsMs)
    return utcMs === undefined ? `a time that exists in ${timezone} (clocks go forward over it)` : utcMs * 1000 + micros
  }
}

// Seconds may carry over midnight only by a leap second.
const isCalendar = (ms: number, month: number, day: number): boolean => {
  const date = new Date(ms - 1000)
  const same = new Date(ms)
  return (same.getUTCMonth() + 1 === month && same.getUTCDate() === day) || (date.getUTCMonth() + 1 === month && date.getUTCDate() === day)
}

const offsetMs = (offset: string): number => {
  if (offset === 'Z' || offset === 'z') return 0
  const digits = offset.slice(1).replace(':', '')
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || '0')
  return (offset.startsWith('-') ? -minutes : minutes) * 60_000
}

/** Wall clock of a zone → UTC. The hour that comes twice in autumn is its first one; undefined for the one that is skipped in spring. */
const zonedReader = (timezone: string): ((localMs: number) => number | undefined) => {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  // Zones change their offset at full quarters of an hour.
  const quarterMs = 900_000
  const offsets = new Map<number, number>()
  const offsetAt = (utcMs: number): number => {
    const quarter = Math.floor(utcMs / quarterMs)
    let offset = offsets.get(quarter)
    if (offset === undefined) {
      const at = quarter * quarterMs
      const part: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {}
      for (const { type, value } of format.formatToParts(at)) part[type] = Number(value)
      offset = Date.UTC(part.year!, part.month! - 1, part.day, part.hour, part.minute, part.second) - at
      if (offsets.size > 10_000) offsets.clear()
      offsets.set(quarter, offset)
    }
    return offset
  }
  return (localMs) => {
    const fits = [offsetAt(localMs - dayMs), offsetAt(localMs + dayMs)].filter((offset) => offsetAt(localMs - offset) === offset)
    return fits.length === 0 ? undefined : localMs - Math.max(...fits)
  }
}
