// Plain data with packed numbers as JSON text: every Float64Array becomes `{"f64": base64 of its little-endian bytes}`, and comes back bit
// by bit, with infinities and NaN.

import { Buffer } from 'node:buffer'

export const toPackedJson = (value: unknown): string =>
  JSON.stringify(value, (_key, each: unknown) => (each instanceof Float64Array ? { f64: packed(each) } : each))

/** Throws a RangeError where packed bytes are no whole numbers of 8 bytes. */
export const fromPackedJson = (text: string): unknown =>
  JSON.parse(text, (_key, each: unknown) => {
    if (each === null || typeof each !== 'object' || !('f64' in each) || typeof each.f64 !== 'string') return each
    return unpacked(each.f64)
  })

const packed = (values: Float64Array): string => {
  const view = new DataView(new ArrayBuffer(values.length * 8))
  values.forEach((value, i) => view.setFloat64(i * 8, value, true))
  return Buffer.from(view.buffer).toString('base64')
}

const unpacked = (text: string): Float64Array => {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length % 8 !== 0) throw new RangeError(`packed numbers have ${bytes.length} bytes, expected a multiple of 8`)
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(i * 8))
}
