// Points in time as people type them: `2026-11-23T08:00:00Z`, `now`, or `-10m` for ten minutes ago.

import { AndonError } from '@andon/kit/errors'

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A length of time such as `90s`, `10m`, `24h` or `7d`, in ms; undefined when the text is none. */
export const parseSpanMs = (text: string): number | undefined => {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? []
  return count === undefined || unit === undefined ? undefined : Number(count) * (unitMs[unit] as number)
}

/** Log time in ms UTC: an ISO 8601 date with or without time, `now`, or a span before it (`10m`, `-10m`). Throws ANDON_CLI_TIME. */
export const parseTimeMs = (option: string, text: string, nowMs: number): number => {
  if (text === 'now') return nowMs
  const spanMs = parseSpanMs(text.replace(/^-/, ''))
  if (spanMs !== undefined) return Math.floor(nowMs - spanMs)
  const timeMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isFinite(timeMs)) return timeMs
  throw new AndonError(
    'ANDON_CLI_TIME',
    `${option}: expected a time (2026-11-23T08:00:00Z), now, or a span before now (10m, 24h, 7d), found "${text}".`,
    { status: 400 },
  )
}
