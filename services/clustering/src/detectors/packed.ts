// Fitted detectors and their state as JSON: number arrays travel packed (little-endian, base64), so that every bit comes back.

import { Buffer } from 'node:buffer'

const mark = 'f64'

/** Plain data with Float64Arrays in it → JSON text. Infinite and missing numbers outside arrays are not kept. */
export const packed = (value: unknown): string =>
  JSON.stringify(value, (_, item: unknown) =>
    item instanceof Float64Array ? { [mark]: Buffer.from(item.buffer, item.byteOffset, item.byteLength).toString('base64') } : item,
  )

/** The value `packed` was given. The caller knows its type. */
export const unpacked = (text: string): unknown =>
  JSON.parse(text, (_, item: unknown) => {
    if (item === null || typeof item !== 'object' || !(mark in item)) return item
    const bytes = Buffer.from(String(item[mark]), 'base64')
    return new Float64Array(Uint8Array.from(bytes).buffer)
  })
