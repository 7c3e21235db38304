// avsc as the second opinion on compiled code.

import avsc from 'avsc'
import type { Type } from 'avsc'

/** The avsc type of a schema. Throws what avsc throws. */
export const avscType = (schema: unknown): Type => avsc.Type.forSchema(schema as avsc.Schema, { registry: {} })

/** Records and branches of avsc as plain objects. */
export const plain = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}
