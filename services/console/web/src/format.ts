// Numbers, times and ages as the design asks: three significant digits, plant time first, a unit after every value.

import { unitText } from '@andon/schemas/units'

const narrow = '\u202f'

export const number = (value: number): string => {
  if (!Number.isFinite(value)) return 'no value'
  const rounded = Number(value.toPrecision(3))
  return rounded.toLocaleString('en', { maximumFractionDigits: 6 }).replaceAll(',', narrow).replace('-', '\u2212')
}

export const withUnit = (value: number, unit: string): string => {
  const shown = unitText(unit)
  return shown === '' ? number(value) : `${number(value)}${narrow}${shown}`
}

export const range = (low: number | null, high: number | null): string => {
  if (low === null && high === null) return 'not learnt'
  if (low === null) return `≤ ${number(high as number)}`
  if (high === null) return `≥ ${number(low)}`
  return `${number(low)} to ${number(high)}`
}

export const percent = (share: number): string => `${Math.round(share * 100)}${narrow}%`

export const clock = (us: number, timeZone: string, withZone = false): string =>
  new Date(us / 1000).toLocaleTimeString('en-GB', {
    timeZone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    ...(withZone ? { timeZoneName: 'short' } : {}),
  })

export const day = (us: number, timeZone: string): string =>
  new Date(us / 1000).toLocaleDateString('en-GB', { timeZone, day: 'numeric', month: 'short', year: 'numeric' })

export const age = (ms: number): string => {
  const s = Math.max(0, ms / 1000)
  if (s < 10) return `${s.toFixed(1)} s`
  if (s < 90) return `${Math.round(s)} s`
  if (s < 5400) return `${Math.round(s / 60)} min`
  if (s < 172_800) return `${Math.round(s / 3600)} h`
  return `${Math.round(s / 86_400)} d`
}

export const countdown = (ms: number): string => {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s >= 36_000) return `${Math.floor(s / 3600)} h`
  return `${String(Math.floor(s / 60)).padStart(2, '0')}:${String(s % 60).padStart(2, '0')}`
}

export const bytes = (n: number): string => (n >= 1e6 ? `${number(n / 1e6)}${narrow}MB` : `${number(n / 1e3)}${narrow}kB`)

export const short = (id: string): string => (id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id)

export const priorityName = (severity: number): string => ['', 'Critical', 'High', 'Medium', 'Low'][severity] ?? 'Low'

export const plural = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`

/** Ratios are of squared distances; people are told distances: 2 = twice as far from normal as the line. */
export const timesTheLine = (ratio: number): number => Math.sqrt(Math.max(0, ratio))
