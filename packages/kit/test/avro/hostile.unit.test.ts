// Schemas and records that mean harm, and bytes that were damaged: every one ends in a value or a typed error, at once.

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { avroSchemas, schemaNames } from '@andon/schemas'
import type { SchemaName } from '@andon/schemas'
import { compileColumns } from '../../src/avro/columns.ts'
import { compileDecoder, compileResolver } from '../../src/avro/decoder.ts'
import { compileEncoder } from '../../src/avro/encoder.ts'
import { AvroError } from '../../src/avro/errors.ts'
import { localCodec } from '../../src/codec.ts'
import { AndonError } from '../../src/errors.ts'
import { avscType, plain } from './codec-oracle.ts'

interface Golden {
  readonly name: SchemaName
  readonly schema: object
  readonly bytes: Buffer
}

const schemasFolder = new URL('../../../../schemas/', import.meta.url)
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, schemasFolder), 'utf8'))

const goldensOf = (folder: string): Golden[] =>
  schemaNames.flatMap((name) => {
    const schema = read(`${folder}avro/${name}.avsc`) as object
    return (read(`${folder}golden/${name}.json`) as { hex: string }[]).map(({ hex }) => ({ name, schema, bytes: Buffer.from(hex, 'hex') }))
  })

const releases = readdirSync(new URL('released/', schemasFolder)).map((version) => `released/${version}/`)
const slab = Buffer.alloc(1024 * 1024)

test('the golden records of today and of every release are read and written byte for byte, and read with the schemas of today', () => {
  for (const { name, schema, bytes } of ['', ...releases].flatMap(goldensOf)) {
    const value = compileDecoder(schema)(bytes, 0, bytes.length)
    const theirs = avscType(schema)
    assert.deepEqual(value, plain(theirs.fromBuffer(bytes)))
    assert.equal(slab.subarray(0, compileEncoder(schema)(value, slab, 0)).toString('hex'), bytes.toString('hex'))
    const reader = avscType(avroSchemas[name])
    assert.deepEqual(
      compileResolver(schema, avroSchemas[name])(bytes, 0, bytes.length),
      plain(reader.fromBuffer(bytes, reader.createResolver(theirs))),
    )
  }
})

const framed = (id: number, body: Uint8Array): Buffer => {
  const frame = Buffer.alloc(5)
  frame.writeInt32BE(id, 1)
  return Buffer.concat([frame, body])
}

/** One kind of damage at a place of the bytes. */
const damages: readonly ((bytes: Buffer, at: number, noise: Uint8Array) => Uint8Array)[] = [
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, noise) => Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at + noise.length)]),
  (bytes, at, noise) => Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), bytes.subarray(at)]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.alloc(40, 0xff), bytes.subarray(at)]),
  (bytes, at) => {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
    return flipped
  },
]

test('10 000 damaged records end in a value or a typed error, and memory stays where it was', async () => {
  const goldens = ['', ...releases].flatMap(goldensOf)
  const writers = Object.fromEntries(goldens.map(({ schema }, i) => [1000 + i, schema]))
  const codec = localCodec(writers)
  const seen: Record<string, number> = {}
  const before = process.memoryUsage().rss
  const damage = fc.record({
    which: fc.nat(goldens.length - 1),
    how: fc.nat(damages.length - 1),
    at: fc.nat(),
    noise: fc.uint8Array({ minLength: 1, maxLength: 12 }),
    isForeign: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(damage, async ({ which, how, at, noise, isForeign }) => {
      const { name, bytes } = goldens[which] as Golden
      const body = (damages[how] as (typeof damages)[number])(bytes, at % (bytes.length + 1), noise)
      const id = isForeign ? 1000 + which : codec.schemaId(name === 'changelog' ? 'features.changelog' : name)
      const outcome = await codec.decodeAsync(name === 'changelog' ? 'features.changelog' : name, framed(id, body)).then(
        () => 'value',
        (error: unknown) => {
          assert.ok(error instanceof AndonError, String(error))
          assert.equal(error.retriable, false)
          return error.code
        },
      )
      seen[outcome] = (seen[outcome] ?? 0) + 1
    }),
    { numRuns: 10_000 },
  )
  assert.deepEqual(Object.keys(seen).toSorted(), ['ANDON_CODEC_TRUNCATED', 'ANDON_CODEC_UNDECODABLE', 'value'], JSON.stringify(seen))
  const grownMb = (process.memoryUsage().rss - before) / 1e6
  assert.ok(grownMb < 300, `${grownMb} MB`)
})

/** Zigzag varint. */
const long = (value: number): number[] => {
  let rest = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value)
  const bytes: number[] = []
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return [...bytes, Number(rest)]
}

const refuses = (schema: unknown, bytes: readonly number[]): void => {
  const buffer = Buffer.from(bytes)
  const decode = compileDecoder(schema)
  const isTyped = (error: unknown) => error instanceof AvroError && (error.fault === 'truncated' || error.fault === 'undecodable')
  assert.throws(() => decode(buffer, 0, buffer.length), isTyped)
  // Skipping must not be fooled either.
  const wrapped = { type: 'record', name: 'Skipped', fields: [{ name: 'f', type: schema }] }
  const skip = compileResolver(wrapped, { type: 'record', name: 'Skipped', fields: [] })
  assert.throws(() => skip(buffer, 0, buffer.length), isTyped)
  assert.throws(() => compileColumns(wrapped, { numbers: [], ranges: [] }).add(buffer, 0, buffer.length), isTyped)
}

test('a header that promises 100 MB, a negative length or a count beyond the bytes is refused before anything is allocated', () => {
  const before = process.memoryUsage()
  for (const count of [100_000_000, -100_000_000, 2 ** 40, 2 ** 52, 2 ** 31]) {
    for (const items of [
      'int',
      'null',
      'double',
      'string',
      { type: 'fixed', name: 'F', size: 16 },
      { type: 'record', name: 'E', fields: [] },
    ])
      for (const type of [
        { type: 'array', items },
        { type: 'map', values: items },
      ])
        refuses(type, [...long(count), ...long(100_000_000)])
    for (const type of ['string', 'bytes']) refuses(type, [...long(count), 1, 2, 3])
  }
  refuses('string', long(-1))
  refuses(['null', 'string'], long(2))
  refuses(['null', 'string'], long(-1))
  const after = process.memoryUsage()
  assert.ok(after.arrayBuffers - before.arrayBuffers < 20e6 && after.heapUsed - before.heapUsed < 100e6)
})

test('nested arrays of nothing are bounded over the whole record', () => {
  const nested = { type: 'array', items: { type: 'array', items: 'null' } }
  const inner = [...long(60_000), 0]
  refuses(nested, [...long(1000), ...Array.from({ length: 1000 }, () => inner).flat(), 0])
})

test('a value that contains itself without end, or too deep, ends in an error when written and when read', () => {
  const list = { type: 'record', name: 'List', fields: [{ name: 'next', type: ['null', 'List'] }] }
  refuses(list, [...Array.from({ length: 500 }, () => 2), 0])
  refuses({ type: 'record', name: 'Endless', fields: [{ name: 'self', type: 'Endless' }] }, [])
  const knot: { next: unknown } = { next: null }
  knot.next = knot
  assert.throws(() => compileEncoder(list)(knot, slab, 0), { fault: 'value' })
  const deep = Array.from({ length: 150 }).reduce<unknown>((next) => ({ next }), null)
  const end = compileEncoder(list)(deep, slab, 0)
  assert.deepEqual(compileDecoder(list)(slab, 0, end), deep)
})

test('a small schema that unfolds to 2^60 records costs no more than its bytes', () => {
  let schema: unknown = { type: 'record', name: 'R0', fields: [] }
  for (let i = 1; i <= 60; i += 1)
    schema = {
      type: 'record',
      name: `R${i}`,
      fields: [
        { name: 'a', type: schema },
        { name: 'b', type: `R${i - 1}` },
      ],
    }
  refuses(schema, [])
})

const evil = [
  'a"];globalThis.stolen=1;//',
  "a'+(globalThis.stolen=1)+'",
  '`${globalThis.stolen=1}`',
  'a\\',
  'a\u2028globalThis.stolen=1',
  '*/globalThis.stolen=1/*',
  '',
  '1a',
  'a b',
  '__proto__',
]

const compilers: readonly ((schema: unknown) => unknown)[] = [
  compileEncoder,
  compileDecoder,
  (schema) => compileResolver(schema, schema),
  (schema) => compileColumns(schema, { numbers: [], ranges: [] }),
]

test('names that are none are refused wherever a schema has names, and nothing of them is ever run', () => {
  for (const name of evil) {
    const schemas: unknown[] = [
      { type: 'record', name, fields: [] },
      { type: 'record', name: 'R', fields: [{ name, type: 'int' }] },
      { type: 'enum', name: 'E', symbols: [name] },
      { type: 'fixed', name, size: 1 },
      name,
      ...(name === '' ? [] : [{ type: 'record', name: 'R', namespace: name, fields: [] }]),
    ]
    for (const schema of schemas)
      for (const compile of compilers) assert.throws(() => compile(schema), { name: 'AvroError', fault: 'schema' })
  }
  assert.equal('stolen' in globalThis, false)
})

test('text from a schema stays text: defaults, aliases and docs with code in them, reserved words as names', () => {
  const names = [
    'constructor',
    'toString',
    'hasOwnProperty',
    'class',
    'return',
    'b',
    'p',
    'end',
    'at',
    'k1',
    'v1',
    'undefined',
    'arguments',
    'eval',
  ]
  for (const text of evil) {
    const schema = {
      type: 'record',
      name: 'constructor',
      doc: text,
      aliases: [text],
      fields: [
        ...names.map((name) => ({ name, type: 'string', default: text, doc: text, aliases: [text] })),
        { name: 'map', type: { type: 'map', values: 'string' }, default: { [text]: text } },
        { name: 'kind', type: { type: 'enum', name: 'toString', symbols: ['constructor', 'class'], default: 'class' } },
      ],
    }
    const value = Object.fromEntries([
      ...names.map((name) => [name, text]),
      ['map', Object.fromEntries([[text, text]])],
      ['kind', 'constructor'],
    ])
    const end = compileEncoder(schema)({ kind: 'constructor', ...Object.fromEntries(names.map((name) => [name, undefined])) }, slab, 0)
    assert.deepEqual(compileDecoder(schema)(slab, 0, end), value)
    const empty = {
      type: 'record',
      name: 'constructor',
      fields: [{ name: 'kind', type: { type: 'enum', name: 'toString', symbols: ['class'] } }],
    }
    assert.deepEqual(compileResolver(empty, schema)(Buffer.from([0]), 0, 1), { ...value, kind: 'class' })
  }
  assert.equal('stolen' in globalThis, false)
  assert.throws(() => compileEncoder({ type: 'enum', name: 'E', symbols: ['A'] })('toString', slab, 0), { fault: 'value' })
})

test('a map key named __proto__ is a key, and changes no prototype', () => {
  const schema = { type: 'map', values: { type: 'map', values: 'int' } }
  const value = Object.fromEntries([['__proto__', Object.fromEntries([['polluted', 1]])]])
  const end = compileEncoder(schema)(value, slab, 0)
  const found = compileDecoder(schema)(slab, 0, end) as Record<string, unknown>
  assert.deepEqual(Object.keys(found), ['__proto__'])
  assert.equal(Object.getPrototypeOf(found), Object.prototype)
  assert.equal((found as { polluted?: unknown }).polluted, undefined)
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
})

const nested = (levels: number): unknown => {
  let schema: unknown = 'int'
  for (let i = 0; i < levels; i += 1) schema = { type: 'array', items: schema }
  return schema
}

const chain = (length: number): unknown => ({
  type: 'record',
  name: 'Chain',
  fields: Array.from({ length }, (_, i) => ({
    name: `f${i}`,
    type: { type: 'record', name: `R${i}`, fields: i === 0 ? [] : [{ name: 'inner', type: `R${i - 1}` }] },
  })),
})

test('schemas that are no schemas, too deep, too large or endless are refused by name of the fault', () => {
  const many = Array.from({ length: 30_000 }, (_, i) => `S${i}`)
  const refused: unknown[] = [
    null,
    undefined,
    5,
    'unknown',
    {},
    [],
    [['null']],
    ['int', 'int'],
    { type: 'array' },
    { type: 'map', values: 'nothing' },
    { type: 'fixed', name: 'F', size: 2 ** 31 },
    { type: 'fixed', name: 'F', size: -1 },
    { type: 'enum', name: 'E', symbols: many },
    { type: 'enum', name: 'E', symbols: ['A', 'A'] },
    { type: 'enum', name: 'E', symbols: ['A'], default: 'B' },
    { type: 'record', name: 'R', fields: many.map((name) => ({ name, type: 'int' })) },
    {
      type: 'record',
      name: 'R',
      fields: [
        { name: 'a', type: 'int' },
        { name: 'a', type: 'int' },
      ],
    },
    { type: 'record', name: 'int', fields: [] },
    { type: 'record', name: 'R', fields: [null] },
    nested(65),
    nested(20_000),
  ]
  for (const schema of refused)
    for (const compile of compilers) assert.throws(() => compile(schema), { name: 'AvroError', fault: 'schema' })
  for (const compile of compilers) compile(nested(60))
})

test('a chain of thousands of types is compiled or refused, and then read or refused', () => {
  for (const length of [100, 5000]) {
    const schema = chain(length)
    for (const compile of compilers) {
      try {
        compile(schema)
      } catch (error) {
        assert.ok(error instanceof AvroError && error.fault === 'schema', String(error))
      }
    }
  }
})

test("defaults that are no values of their type are refused where they are used, not in a writer's schema", () => {
  const wrong: [unknown, unknown][] = [
    ['int', 'x'],
    ['int', 1.5],
    ['string', 5],
    ['null', 0],
    [['null', 'int'], 5],
    [{ type: 'array', items: 'int' }, ['x']],
    [{ type: 'fixed', name: 'F', size: 2 }, 'x'],
    [{ type: 'enum', name: 'E', symbols: ['A'] }, 'B'],
    [{ type: 'record', name: 'I', fields: [{ name: 'a', type: 'int' }] }, {}],
  ]
  for (const [type, value] of wrong) {
    const schema = { type: 'record', name: 'R', fields: [{ name: 'f', type, default: value }] }
    assert.throws(() => compileEncoder(schema), { name: 'AvroError', fault: 'schema' })
    assert.throws(() => compileResolver({ ...schema, fields: [] }, schema), { name: 'AvroError', fault: 'schema' })
    compileResolver(schema, { ...schema, fields: [] })
  }
})
