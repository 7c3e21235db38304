// avsc's view of our schemas. Records are written and read by compiled code (avro/); avsc explains a value that does not
// fit, and is the second opinion in tests. Bytes may come from any Uint8Array, which leans on avsc's underscored methods,
// hence its pinned version.

import avsc from 'avsc'
import type { Schema, Type } from 'avsc'
import type { AvroRecord } from '@andon/schemas'

type Check = (value: unknown, ...rest: unknown[]) => boolean
type Write = (tap: unknown, value: unknown) => void
type Inner = { _check: Check; _write: Write }

const methodsOf = (type: { prototype: object }): Inner => type.prototype as Inner
const bytesMethods = methodsOf(avsc.types.BytesType)
const unionMethods = methodsOf(avsc.types.UnwrappedUnionType)

const asBuffer = (value: unknown): unknown =>
  value instanceof Uint8Array && !Buffer.isBuffer(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value

class AnyBytesType extends avsc.types.BytesType {
  _check(value: unknown, ...rest: unknown[]): boolean {
    return bytesMethods._check.call(this, asBuffer(value), ...rest)
  }

  _write(tap: unknown, value: unknown): void {
    bytesMethods._write.call(this, tap, asBuffer(value))
  }
}

/** A union with a bytes branch, e.g. nullable bytes. */
class AnyBytesUnionType extends avsc.types.UnwrappedUnionType {
  _check(value: unknown, ...rest: unknown[]): boolean {
    return unionMethods._check.call(this, asBuffer(value), ...rest)
  }

  _write(tap: unknown, value: unknown): void {
    unionMethods._write.call(this, tap, asBuffer(value))
  }
}

const typeHook = (schema: Schema, options: object): Type | undefined => {
  if (Array.isArray(schema)) {
    const hasBytes = schema.some((branch) => branch === 'bytes' || (branch as { type?: unknown } | null)?.type === 'bytes')
    return hasBytes
      ? new AnyBytesUnionType(schema.map((branch) => avsc.Type.forSchema(branch as Schema, options)) as never, options)
      : undefined
  }
  if (schema === 'bytes') return new AnyBytesType()
  const kind = typeof schema === 'object' && schema !== null ? (schema as { type?: unknown }).type : undefined
  return kind === 'bytes' ? new AnyBytesType() : undefined
}

/** The avsc type of a record schema. Names live in a registry of their own, so two versions of a record do not clash. */
export const avroType = (schema: AvroRecord | Schema): Type =>
  avsc.Type.forSchema(schema as Schema, { registry: {}, typeHook: typeHook as never })

const types = new WeakMap<AvroRecord, Type>()

/** What is wrong with a value: path, expected type, what is there; undefined when avsc cannot tell. */
export const whyInvalid = (schema: AvroRecord, value: unknown): string | undefined => {
  let first: string | undefined
  try {
    const type = types.get(schema) ?? avroType(schema)
    types.set(schema, type)
    type.isValid(value, {
      errorHook: (path, found, expected) => {
        first ??= `${path.join('.')}: expected ${String(expected)}, found ${shown(found)}`
      },
    })
  } catch {
    // A value that contains itself, or a bigint where avsc expects an int.
  }
  return first
}

const shown = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'nothing'
  } catch {
    return typeof value === 'bigint' ? `${value}n` : `a value of type ${typeof value}`
  }
}
