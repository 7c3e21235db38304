// avsc types with two changes: bytes may be written from any Uint8Array, and a damaged array length ends in an error
// instead of a loop over billions of items. They lean on avsc's underscored methods, hence its pinned version.

import avsc from 'avsc'
import type { Schema, Type } from 'avsc'
import type { AvroRecord } from '@andon/schemas'

type Tap = { buf: Buffer; pos: number; readLong(): number; skipLong(): void; isValid(): boolean }
type Check = (value: unknown, ...rest: unknown[]) => boolean
type Write = (tap: Tap, value: unknown) => void
type Inner = { _read(tap: Tap): unknown; _check: Check; _write: Write }

const methodsOf = (type: { prototype: object }): Inner => type.prototype as Inner
const bytesMethods = methodsOf(avsc.types.BytesType)
const unionMethods = methodsOf(avsc.types.UnwrappedUnionType)

const asBuffer = (value: unknown): unknown =>
  value instanceof Uint8Array && !Buffer.isBuffer(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value

class AnyBytesType extends avsc.types.BytesType {
  _check(value: unknown, ...rest: unknown[]): boolean {
    return bytesMethods._check.call(this, asBuffer(value), ...rest)
  }

  _write(tap: Tap, value: unknown): void {
    bytesMethods._write.call(this, tap, asBuffer(value))
  }
}

/** A union with a bytes branch, e.g. nullable bytes. */
class AnyBytesUnionType extends avsc.types.UnwrappedUnionType {
  _check(value: unknown, ...rest: unknown[]): boolean {
    return unionMethods._check.call(this, asBuffer(value), ...rest)
  }

  _write(tap: Tap, value: unknown): void {
    unionMethods._write.call(this, tap, asBuffer(value))
  }
}

class BoundedArrayType extends avsc.types.ArrayType {
  /** As avsc reads an array; also called with a resolver as `this`. */
  _read(this: { itemsType: Inner }, tap: Tap): unknown[] {
    const values: unknown[] = []
    for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
      if (count < 0) {
        count = -count
        tap.skipLong()
      }
      // An item takes at least a byte, so no honest block has more items than the buffer has bytes left.
      if (!(count <= tap.buf.length - tap.pos)) throw new RangeError(`array of ${count} items in ${tap.buf.length - tap.pos} bytes`)
      for (; count > 0; count -= 1) values.push(this.itemsType._read(tap))
    }
    return values
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
  if (kind === 'bytes') return new AnyBytesType()
  return kind === 'array' ? new BoundedArrayType(schema, options) : undefined
}

/** The avsc type of a record schema. Longs are exact from -2^52 to 2^53-1 (avsc doubles them for zigzag); names live in a registry of their own, so two versions of a record do not clash. */
export const avroType = (schema: AvroRecord | Schema): Type =>
  avsc.Type.forSchema(schema as Schema, { registry: {}, typeHook: typeHook as never })
