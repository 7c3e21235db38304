// Compiled Avro against avsc: the same bytes, the same values, the same refusals, over random schemas and values.

import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkCompatibility } from '@andon/schemas'
import type { AvroSchema } from '@andon/schemas'
import { compileDecoder, compileResolver } from '../../src/avro/decoder.ts'
import { compileEncoder } from '../../src/avro/encoder.ts'
import { AvroError } from '../../src/avro/errors.ts'
import { parseSchema } from '../../src/avro/schema.ts'
import { constantStrings } from '../../src/avro/write-runtime.ts'
import { evolved, recordSchemas, schemas, values } from './arbitraries.ts'
import type { Json } from './arbitraries.ts'
import { avscType, plain } from './codec-oracle.ts'

const slab = Buffer.alloc(1024 * 1024)

const encoded = (schema: unknown, value: unknown): Buffer => Buffer.from(slab.subarray(7, compileEncoder(schema)(value, slab, 7)))

/** A schema and a few values of it. */
const withValues = (from: fc.Arbitrary<Json>) =>
  from.chain((schema) =>
    fc.record({ schema: fc.constant(schema), list: fc.array(values(parseSchema(schema)), { minLength: 1, maxLength: 4 }) }),
  )

test('values are written byte for byte as avsc writes them, and read as avsc reads them', () => {
  fc.assert(
    fc.property(withValues(fc.oneof(schemas, recordSchemas)), ({ schema, list }) => {
      const type = avscType(schema)
      const [encode, decode] = [compileEncoder(schema), compileDecoder(schema)]
      for (const value of list) {
        const theirs = type.toBuffer(value)
        const end = encode(value, slab, 3)
        assert.equal(slab.subarray(3, end).toString('hex'), theirs.toString('hex'))
        assert.deepEqual(decode(slab, 3, end), plain(type.fromBuffer(theirs)))
      }
    }),
    { numRuns: 400 },
  )
})

/** What avsc makes of it; undefined where it refuses the pair. */
const avscResolver = (writer: Json, reader: Json) => {
  const [theirs, ours] = [avscType(writer), avscType(reader)]
  try {
    return { ours, resolver: ours.createResolver(theirs) }
  } catch {
    return undefined
  }
}

const attempt = <T>(run: () => T): T | AvroError => {
  try {
    return run()
  } catch (error) {
    assert.ok(error instanceof AvroError, String(error))
    return error
  }
}

/** Reordered or dropped fields may have taken a type's definition with them. */
const isSchema = (schema: Json): boolean => {
  try {
    avscType(schema)
    return true
  } catch {
    return false
  }
}

/** A writer's schema, values of it, and a reader that came out of it by random changes. */
const pairs = fc
  .record({ written: withValues(recordSchemas), changes: fc.array(fc.nat(1000), { minLength: 50, maxLength: 50 }) })
  .map(({ written: { schema, list }, changes }) => {
    let next = 0
    return { writer: schema, list, reader: evolved(schema, (choices) => (changes[next++ % changes.length] as number) % choices) }
  })
  .filter(({ reader }) => isSchema(reader))

test("a reader's values of a writer's records are avsc's, and refused pairs are refused by both", () => {
  const seen = { resolved: 0, refused: 0 }
  fc.assert(
    fc.property(pairs, ({ writer, reader, list }) => {
      const theirs = avscResolver(writer, reader)
      const ours = attempt(() => compileResolver(writer, reader))
      const isCompatible = checkCompatibility(reader as AvroSchema, writer as AvroSchema).length === 0
      assert.equal(ours instanceof AvroError, !isCompatible, 'the registry and the resolver judge alike')
      assert.equal(ours instanceof AvroError, theirs === undefined)
      if (ours instanceof AvroError || theirs === undefined) {
        seen.refused += 1
        return
      }
      seen.resolved += 1
      for (const value of list) {
        const bytes = encoded(writer, value)
        assert.deepEqual(ours(bytes, 0, bytes.length), plain(theirs.ours.fromBuffer(bytes, theirs.resolver)))
      }
    }),
    { numRuns: 600 },
  )
  assert.ok(seen.resolved > 50 && seen.refused > 20, JSON.stringify(seen))
})

const junk = fc.constantFrom<unknown>(undefined, null, true, 5, 1.5, Number.NaN, 2 ** 53, 'x', 5n, {}, () => 1)

/** The value with something else in one place. */
const damaged = (value: unknown, junkValue: unknown, pick: (choices: number) => number): unknown => {
  const isInner = typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && Object.keys(value).length > 0
  if (!isInner || pick(4) === 0) return junkValue
  const names = Object.keys(value)
  const name = names[pick(names.length)] as string
  const inner = damaged((value as Record<string, unknown>)[name], junkValue, pick)
  if (Array.isArray(value)) return value.with(Number(name), inner)
  return { ...value, [name]: inner }
}

/** avsc throws where it compares a bigint with an int. */
const isValidToAvsc = (schema: Json, value: unknown): boolean => {
  try {
    return avscType(schema).isValid(value)
  } catch {
    return false
  }
}

test('a value is refused exactly when avsc calls it invalid', () => {
  const seen = { valid: 0, invalid: 0 }
  fc.assert(
    fc.property(
      withValues(recordSchemas),
      junk,
      fc.array(fc.nat(1000), { minLength: 20, maxLength: 20 }),
      ({ schema, list }, bad, choices) => {
        let next = 0
        const value = damaged(list[0], bad, (count) => (choices[next++ % choices.length] as number) % count)
        const isValid = isValidToAvsc(schema, value)
        seen[isValid ? 'valid' : 'invalid'] += 1
        const end = attempt(() => compileEncoder(schema)(value, slab, 0))
        assert.equal(end instanceof AvroError, !isValid)
        if (end instanceof AvroError) assert.equal(end.fault, 'value')
      },
    ),
    { numRuns: 500 },
  )
  assert.ok(seen.valid > 20 && seen.invalid > 100, JSON.stringify(seen))
})

test('a slab that is too small is not written beyond its end, and the answer says how many bytes are missing', () => {
  fc.assert(
    fc.property(withValues(recordSchemas), fc.nat(), ({ schema, list }, cut) => {
      const encode = compileEncoder(schema)
      const whole = encoded(schema, list[0])
      const room = cut % (whole.length + 1)
      const memory = Buffer.alloc(whole.length + 20, 0xa5)
      const small = memory.subarray(4, 6 + room)
      const end = encode(list[0], small, 2)
      assert.equal(end, room < whole.length ? room - whole.length : 2 + whole.length)
      if (end > 0) assert.ok(small.subarray(2, end).equals(whole))
      assert.ok(memory.subarray(6 + room).every((byte) => byte === 0xa5) && memory.subarray(0, 6).every((byte) => byte === 0xa5))
    }),
    { numRuns: 200 },
  )
})

test('every type stops at the end of the slab, wherever that is', () => {
  const types = ['boolean', 'int', 'long', 'float', 'double', 'bytes', 'string', { type: 'fixed', name: 'F', size: 50 }]
  const schema = { type: 'record', name: 'R', fields: types.map((type, i) => ({ name: `f${i}`, type })) }
  const value = {
    f0: true,
    f1: -1e9,
    f2: 2 ** 52,
    f3: 1,
    f4: 2,
    f5: Buffer.alloc(100, 1),
    f6: `${'x'.repeat(70)}ä`,
    f7: Buffer.alloc(50, 2),
  }
  const encode = compileEncoder(schema)
  const whole = encoded(schema, value)
  for (let room = 0; room < whole.length; room += 1) {
    const memory = Buffer.alloc(whole.length + 20, 0xa5)
    assert.equal(encode(value, memory.subarray(0, room), 0), room - whole.length)
    assert.ok(memory.subarray(room).every((byte) => byte === 0xa5))
  }
})

test('a record that is cut short or goes on ends in an error', () => {
  fc.assert(
    fc.property(withValues(recordSchemas), fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 5 }), ({ schema, list }, cut, extra) => {
      const decode = compileDecoder(schema)
      const whole = encoded(schema, list[0])
      const longer = Buffer.concat([whole, extra])
      const more = attempt(() => decode(longer, 0, longer.length))
      assert.ok(more instanceof AvroError && more.fault === 'undecodable')
      if (whole.length === 0) return
      // The bytes that were cut off still stand behind the end: a decoder that looks there would find a whole record.
      const less = attempt(() => decode(whole, 0, cut % whole.length))
      assert.ok(less instanceof AvroError && less.fault !== 'value' && less.fault !== 'schema')
    }),
    { numRuns: 300 },
  )
})

test('longs are exact in the whole range of safe integers that avsc takes, also where avsc is not', () => {
  const schema = 'long'
  const [encode, decode] = [compileEncoder(schema), compileDecoder(schema)]
  const largest = 2 ** 53 - 2
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: -largest, max: largest }), fc.constantFrom(largest, -largest, -(2 ** 52) - 1)), (value) => {
      const end = encode(value, slab, 0)
      assert.equal(decode(slab, 0, end), value)
      // Zigzag as the specification has it, in integers of any size.
      let zigzag = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value)
      for (let at = 0; at < end; at += 1, zigzag >>= 7n) assert.equal(slab[at], Number(zigzag & 127n) | (zigzag > 127n ? 128 : 0))
    }),
  )
  for (const value of [2 ** 53 - 1, 2 ** 53, -(2 ** 53) + 1, 1e300, Number.POSITIVE_INFINITY, 0.5])
    assert.throws(() => encode(value, slab, 0), { name: 'AvroError' })
})

test('a long beyond what a number holds is refused, but read as a double it is rounded', () => {
  const [decode, rounded] = [compileDecoder('long'), compileResolver('long', 'double')]
  for (const value of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
    const bytes = zigzagOf(value)
    assert.throws(() => decode(bytes, 0, bytes.length), { fault: 'undecodable' })
    assert.equal(rounded(bytes, 0, bytes.length), Number(value))
  }
})

const zigzagOf = (value: bigint): Buffer => {
  const bytes: number[] = []
  let rest = value < 0n ? -2n * value - 1n : 2n * value
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return Buffer.from([...bytes, Number(rest)])
}

test('strings that repeat, collide or change by one byte are read as they are', () => {
  const schema = { type: 'array', items: 'string' }
  const decode = compileDecoder(schema)
  const few = fc.constantFrom('press-1', 'press-2', 'qress-1', '', 'ä', 'x'.repeat(32), 'x'.repeat(33), 'Aa', 'BB')
  fc.assert(
    fc.property(fc.array(fc.oneof(few, fc.string({ unit: 'grapheme', maxLength: 40 })), { maxLength: 300 }), (list) => {
      const bytes = encoded(schema, list)
      assert.deepEqual(decode(bytes, 0, bytes.length), list)
    }),
  )
})

test('a text of any length, with and without characters beyond ASCII, is written as Avro has it', () => {
  const [encode, decode] = [compileEncoder('string'), compileDecoder('string')]
  for (let length = 0; length < 300; length++)
    for (const text of ['a'.repeat(length), `${'a'.repeat(length)}ä`, `ä${'a'.repeat(length)}`]) {
      const end = encode(text, slab, 5)
      const bytes = Buffer.from(slab.subarray(5, end))
      assert.deepEqual(bytes, Buffer.from(avscType('string').toBuffer(text)))
      assert.equal(decode(bytes, 0, bytes.length), text)
      assert.equal(encode(text, Buffer.alloc(bytes.length - 1), 0), -1)
    }
})

test('a list that comes again is the one read before, frozen; one that differs, however little, is read as it is', () => {
  const lists = { texts: { type: 'array', items: 'string' }, numbers: { type: 'array', items: 'long' } }
  const schema = { type: 'record', name: 'R', fields: Object.entries(lists).map(([name, type]) => ({ name, type })) }
  const decode = compileDecoder(schema) as (bytes: Buffer, at: number, end: number) => { texts: string[]; numbers: number[] }
  const texts = fc.array(fc.constantFrom('a', 'b', 'ab', '', 'ä', 'x'.repeat(40)), { maxLength: 4 })
  const numbers = fc.array(fc.constantFrom(0, 1, -1, 64, 2 ** 40), { maxLength: 3 })
  fc.assert(
    fc.property(fc.array(fc.record({ texts, numbers }), { minLength: 1, maxLength: 300 }), (values) => {
      for (const value of values) {
        const bytes = encoded(schema, value)
        assert.deepEqual(decode(bytes, 0, bytes.length), { ...value })
        assert.throws(() => decode(bytes, 0, bytes.length - 1), AvroError)
      }
    }),
  )
  const bytes = encoded(schema, { texts: ['v'], numbers: [] })
  const one = compileDecoder(schema) as typeof decode
  const [first, second] = [one(bytes, 0, bytes.length), one(bytes, 0, bytes.length)]
  assert.equal(second.texts, first.texts)
  assert.throws(() => first.texts.push('more'), TypeError)
})

test('a constant array of strings is written as any other, and cannot change', () => {
  const schema = { type: 'record', name: 'R', fields: [{ name: 'names', type: { type: 'array', items: 'string' } }] }
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 100 }), { maxLength: 200 }), (list) => {
      const constant = constantStrings([...list])
      const expected = encoded(schema, { names: list })
      for (let times = 0; times < 2; times++) assert.deepEqual(encoded(schema, { names: constant }), expected)
      assert.throws(() => (constant as string[]).push('more'), TypeError)
      const short = Buffer.alloc(Math.floor(expected.length / 2))
      assert.equal(compileEncoder(schema)({ names: constant }, short, 0), short.length - expected.length)
    }),
  )
})
