// One field's text → number or time: the way for everything that the scanner does not read from the bytes at once. Pure.

import type { TimeFormat } from '@andon/schemas'
import { timeReader } from '../times.ts'

const numberForm = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/
const missingForm = /^(?:|nan|null)$/i

/**
 * The number a text says, as `Number` reads it; NaN for a missing one (empty, NaN, null); undefined for anything else, too large
 * numbers included. `decimal` is what stands before the fraction.
 */
export const numberOf = (text: string, decimal: '.' | ','): number | undefined => {
  const trimmed = text.trim()
  if (missingForm.test(trimmed)) return Number.NaN
  if (decimal === ',' && trimmed.includes('.')) return undefined
  const plain = decimal === ',' ? trimmed.replace(',', '.') : trimmed
  if (!numberForm.test(plain)) return undefined
  const value = Number(plain)
  return Number.isFinite(value) ? value : undefined
}

/** Reads a time; gives microseconds UTC, or what is expected instead. */
export type TimeOf = (text: unknown) => number | string

export const timeOf = (format: TimeFormat, timezone: string | undefined, decimal: '.' | ','): TimeOf => {
  const read = timeReader(format, timezone)
  if (decimal === '.' || format === 'iso8601') return read
  return (text) => read(typeof text === 'string' ? text.replace(',', '.') : text)
}
