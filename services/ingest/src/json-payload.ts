// Bytes of a delivery → its readings, not yet checked: JSON with one or an array of them, NDJSON with one per line. Each keeps its bytes.

import type { Format, RawReading } from './reading.ts'

/**
 * Splits a payload into its readings. JSON holds one reading or an array of them, NDJSON one per line.
 * Undefined when a JSON payload cannot be parsed at all; a bad NDJSON line is one reading with value undefined.
 */
export const readingsOf = (payload: Buffer, format: Format): RawReading[] | undefined => {
  if (format === 'ndjson') return linesOf(payload)
  let parsed: unknown
  try {
    parsed = JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined
  }
  if (!Array.isArray(parsed)) return [{ value: parsed, bytes: () => payload }]
  let slices: Buffer[] | undefined
  return parsed.map((value: unknown, index) => ({ value, bytes: () => (slices ??= elementsOf(payload))[index] ?? payload }))
}

const linesOf = (payload: Buffer): RawReading[] => {
  const readings: RawReading[] = []
  for (let from = 0; from < payload.length;) {
    const newline = payload.indexOf(0x0a, from)
    const to = newline < 0 ? payload.length : newline
    const line = payload.subarray(from, to)
    from = to + 1
    const text = line.toString('utf8').trim()
    if (text === '') continue
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      value = undefined
    }
    readings.push({ value, bytes: () => line })
  }
  return readings
}

/** The original bytes of each element of a well-formed JSON array. */
export const elementsOf = (payload: Buffer): Buffer[] => {
  const elements: Buffer[] = []
  let depth = 0
  let inString = false
  let from = 0
  for (let at = 0; at < payload.length; at++) {
    const byte = payload[at]
    if (inString) {
      if (byte === 0x5c) at++
      else if (byte === 0x22) inString = false
      continue
    }
    if (byte === 0x22) inString = true
    const opens = byte === 0x5b || byte === 0x7b
    const closes = byte === 0x5d || byte === 0x7d
    if (depth === 1 && (byte === 0x2c || (closes && byte === 0x5d))) {
      const element = trimmed(payload.subarray(from, at))
      if (element.length > 0) elements.push(element) // empty only in an empty array
      from = at + 1
    }
    if (opens && ++depth === 1) from = at + 1
    if (closes) depth--
  }
  return elements
}

const trimmed = (bytes: Buffer): Buffer => {
  let from = 0
  let to = bytes.length
  while (from < to && bytes[from]! <= 0x20) from++
  while (to > from && bytes[to - 1]! <= 0x20) to--
  return bytes.subarray(from, to)
}
