// JSON and NDJSON bodies → readings. Before a body is parsed its depth and its number of values are known, so that parsing cannot cost
// more than the body is worth. What JSON.parse would hide (a key given twice, bytes that are no UTF-8) sends a reading to quarantine.

import { isUtf8 } from 'node:buffer'
import { AndonError, messageOf } from '@andon/kit'
import { elementsOf } from '../json-payload.ts'
import { checkReading, refusal } from '../reading.ts'
import type { RawReading } from '../reading.ts'
import { columnsOfJson, isColumnar } from './http-columns.ts'
import { maxDepth, maxReadings, maxValues } from './http-content.ts'
import type { Content } from './http-content.ts'
import { keyFault, scanJson } from './http-json-scan.ts'
import type { JsonScan } from './http-json-scan.ts'

/** One reading, an array of them, or columns. Throws when the body is no JSON at all, too deep or too large. */
export const jsonContent = (body: Buffer): Content => {
  const scan = scanJson(body)
  checkSize(scan)
  const value = parsed(body)
  const isSuspicious = isSuspect(body, scan, value)
  if (isColumnar(value)) {
    const fault = isSuspicious ? hiddenFault(value, body) : undefined
    if (fault !== undefined) throw new AndonError(fault.code, fault.message, { status: 400 })
    return { columns: [columnsOfJson(value)], bytes: body.length }
  }
  if (!Array.isArray(value)) return { readings: [rawReading(value, () => body, isSuspicious)], bytes: body.length }
  const elements: Elements = { body }
  const readings = value.map((one: unknown, index) => new Element(one, index, elements))
  return { readings: isSuspicious ? readings.map((one) => rawReading(one.value, () => one.bytes(), true)) : readings, bytes: body.length }
}

/** One reading per line; a bad line leaves the others as they are. Empty lines do not count. */
export const ndjsonContent = (body: Buffer): Content => {
  const readings: RawReading[] = []
  const size = { commas: 0 }
  for (let from = 0; from < body.length;) {
    const newline = body.indexOf(0x0a, from)
    const to = newline < 0 ? body.length : newline
    const line = body.subarray(from, to)
    from = to + 1
    if (isBlank(line)) continue
    if (readings.length === maxReadings) throw tooMany(`more than ${maxReadings} lines`)
    readings.push(lineReading(line, size))
    if (size.commas >= maxValues) throw tooMany(`more than ${maxValues} values`)
  }
  if (readings.length === 0) throw new AndonError('ANDON_INGEST_NO_BODY', 'The body holds no line; expected readings', { status: 400 })
  return { readings, bytes: body.length }
}

const lineReading = (line: Buffer, size: { commas: number }): RawReading => {
  const bytes = () => line
  try {
    const scan = scanJson(line)
    size.commas += scan.commas
    checkSize(scan)
    const value = parsed(line)
    return rawReading(value, bytes, isSuspect(line, scan, value))
  } catch (error) {
    if (!(error instanceof AndonError)) throw error
    return { value: undefined, bytes, refused: refusal(error.code, error.message, {}) }
  }
}

const rawReading = (value: unknown, bytes: () => Buffer, isSuspicious: boolean): RawReading => {
  const refused = isSuspicious ? hiddenFault(value, bytes()) : undefined
  return refused === undefined ? { value, bytes } : { value, bytes, refused }
}

/** One of an array: its bytes are looked for when somebody asks, and then for all of them. */
class Element implements RawReading {
  readonly value: unknown
  readonly #index: number
  readonly #elements: Elements

  constructor(value: unknown, index: number, elements: Elements) {
    this.value = value
    this.#index = index
    this.#elements = elements
  }

  bytes(): Buffer {
    const { body } = this.#elements
    return (this.#elements.slices ??= elementsOf(body))[this.#index] ?? body
  }
}

interface Elements {
  readonly body: Buffer
  slices?: Buffer[]
}

// True when a closer look at the bytes of each reading is due. Rare: a scan sees as many colons as the parsed values have keys.
const isSuspect = (body: Buffer, scan: JsonScan, value: unknown): boolean =>
  scan.hasEscapes || scan.colons !== keysIn(value) || !isUtf8(body)

/** Keys of all objects in a value; a number that no scan counts when one is `__proto__`. */
const keysIn = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  let keys = 0
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') keys += keysIn(item)
    return keys
  }
  for (const key in value) {
    if (key === '__proto__') return Number.NaN
    keys++
    const item = (value as Record<string, unknown>)[key]
    if (typeof item === 'object') keys += keysIn(item)
  }
  return keys
}

const hiddenFault = (value: unknown, bytes: Buffer) => {
  const utf8Fault = isUtf8(bytes) ? undefined : 'found bytes that are not UTF-8, expected UTF-8'
  if (utf8Fault !== undefined) return refusal('ANDON_INGEST_NOT_UTF8', `Reading: ${utf8Fault}`, {})
  const fault = keyFault(bytes)
  if (fault === undefined) return undefined
  // A number that is given twice names no reading.
  const identity = ['source', 'epoch', 'seq'].includes(fault.key) ? {} : checkReading(value)
  return refusal('ANDON_INGEST_BAD_KEY', `${fault.key}: found ${fault.found}, expected each field once and under its own name`, identity)
}

const parsed = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    const found =
      body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 'it starts with a byte order mark' : messageOf(error).slice(0, 200)
    throw new AndonError(
      'ANDON_INGEST_NOT_JSON',
      `Expected a reading or an array of readings in JSON (one per line: application/x-ndjson), found: ${found}`,
      { status: 400 },
    )
  }
}

const checkSize = ({ depth, commas, topCommas }: JsonScan): void => {
  if (depth > maxDepth) {
    throw new AndonError('ANDON_INGEST_TOO_DEEP', `JSON: found more than ${maxDepth} levels, expected at most ${maxDepth}`, { status: 400 })
  }
  if (topCommas >= maxReadings) throw tooMany(`${topCommas + 1} readings`)
  if (commas >= maxValues) throw tooMany(`${commas + 1} values`)
}

const tooMany = (found: string) =>
  new AndonError(
    'ANDON_INGEST_TOO_MANY',
    `Body: found ${found}, expected at most ${maxReadings} readings and ${maxValues} values. Send smaller batches, or upload a file.`,
    { status: 413 },
  )

const isBlank = (line: Buffer): boolean => line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)
