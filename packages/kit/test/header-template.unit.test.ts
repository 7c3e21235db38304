// Header templates say what the map of the same headers says, whatever came before, and any Kafka reader understands them.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { EncodedHeaders, HEADER, emitter, parseCause, parseOrder } from '@andon/kit'
import type { Input, Output } from '@andon/kit'
import fc from 'fast-check'
import { OutputHeaders, headerMapOf, putNumber } from '../src/header-template.ts'
import type { HeaderContext } from '../src/header-template.ts'
import { BatchWriter, HeaderWriter } from '../src/log/kafka/batch-writer.ts'
import { OutputRecords } from '../src/output-records.ts'
import { jsonCodec } from './json-codec.ts'

const require = createRequire(import.meta.url)

const place = fc.record({ leaderEpoch: fc.integer({ min: -1, max: 0x7fffffff }), offset: fc.maxSafeNat() })
const order = fc.record({ promotion: fc.nat(), leaderEpoch: fc.nat(), offset: fc.maxSafeNat(), index: fc.nat() })
const few = (...texts: string[]) => fc.constantFrom(...texts)

const causeOf = (topic: string, partition: number, position: { leaderEpoch: number; offset: number }): Input<unknown> => ({
  topic,
  partition,
  position,
  key: null,
  value: {},
  id: 'cause',
  type: 'Cause',
  timestampMs: 0,
  lane: 'live',
  order: undefined,
  traceparent: undefined,
})

const output: fc.Arbitrary<Output> = fc
  .record({
    key: fc.option(few('press-1', 'läufer', 'x'.repeat(100)), { nil: null }),
    subject: fc.option(few('press-2', '産'), { nil: undefined }),
    id: fc.oneof(fc.uuid(), fc.string({ maxLength: 90 }), fc.string({ unit: 'grapheme', maxLength: 20 })),
    type: few('Vector', 'Verdict'),
    timeUs: fc.oneof(
      fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_002_000_000 }),
      fc.integer({ min: 0, max: 253_402_300_800_000_000 - 1 }),
      fc.constantFrom(-1, 253_402_300_800_000_000, 999_999, 1_000_000),
    ),
  })
  .map(({ subject, ...rest }) => ({ topic: 't', value: {}, ...rest, ...(subject === undefined ? {} : { subject }) }))

const context: fc.Arbitrary<HeaderContext> = fc.record({
  lane: few('live', 'redrive:7'),
  traceparent: fc.option(few('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', '00-aa-bb-01', 'ü'), { nil: undefined }),
  order: fc.option(order, { nil: undefined }),
  cause: fc.option(
    fc.tuple(few('telemetry', 't'.repeat(249)), fc.nat({ max: 2 }), place).map(([topic, partition, at]) => causeOf(topic, partition, at)),
    { nil: undefined },
  ),
  index: fc.nat(),
})

test('a template writes the headers that a map has, whatever it wrote before', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(output, context), { minLength: 1, maxLength: 30 }), (outputs) => {
      const headers = new OutputHeaders('features')
      const slab = Buffer.alloc(64 * 1024)
      let at = 0
      const written = outputs.map(([one, said]) => {
        const end = headers.write(slab, at, one, said)
        assert.ok(end > at)
        const block = new EncodedHeaders(slab, at, end)
        at = end
        return block
      })
      // Read afterwards: no block was touched by those after it.
      written.forEach((block, i) => assert.deepEqual(block.toMap(), headerMapOf(outputs[i]![0], 'features', outputs[i]![1])))
    }),
    { numRuns: 500 },
  )
})

test('a slab that is too small says by how much at least, and is large enough soon', () => {
  fc.assert(
    fc.property(output, context, fc.nat({ max: 400 }), (one, said, at) => {
      const headers = new OutputHeaders('features')
      let bytes = at + 10
      const tries: number[] = []
      do {
        tries.push(headers.write(Buffer.alloc(bytes), at, one, said))
        bytes -= tries.at(-1)!
      } while (tries.at(-1)! < 0)
      assert.ok(tries[0]! < 0)
      assert.ok(tries.length <= 3)
    }),
  )
})

test('a lane keeps to the bound of its templates and goes on writing the same', () => {
  const headers = new OutputHeaders('features')
  const slab = Buffer.alloc(1024)
  const said: HeaderContext = {
    lane: 'live',
    traceparent: undefined,
    order: undefined,
    cause: causeOf('telemetry', 0, { leaderEpoch: 0, offset: 1 }),
    index: 0,
  }
  for (let i = 0; i < 10_000; i++) {
    const one: Output = { topic: 't', key: `asset-${i}`, value: {}, id: 'id', type: 'Vector', timeUs: i }
    const end = headers.write(slab, 0, one, said)
    if (i % 1000 === 999) assert.deepEqual(new EncodedHeaders(slab, 0, end).toMap(), headerMapOf(one, 'features', said))
  }
})

test('whole numbers are written as JavaScript writes them', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const bytes = Buffer.alloc(20)
      assert.equal(bytes.toString('latin1', 0, putNumber(bytes, 0, value)), String(value))
    }),
  )
})

test('kafkajs reads the headers of a template', async () => {
  const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => unknown
  const decode = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
    decoder: unknown,
  ) => Promise<{ records: { headers: Record<string, Buffer> }[] }>
  await fc.assert(
    fc.asyncProperty(output, context, async (one, said) => {
      const slab = Buffer.alloc(8192)
      const templates = new OutputHeaders('features')
      const headers = new HeaderWriter()
      headers.write(new EncodedHeaders(slab, 7, templates.write(slab, 7, one, said)))
      const writer = new BatchWriter()
      writer.begin()
      writer.append(null, Buffer.from('v'), 0, headers)
      const { records } = await decode(new Decoder(Buffer.from(writer.take({ id: 1n, epoch: 0, sequence: 0 }))))
      const found = Object.fromEntries(Object.entries(records[0]!.headers).map(([name, value]) => [name, value.toString()]))
      assert.deepEqual(found, headerMapOf(one, 'features', said))
    }),
    { numRuns: 100 },
  )
})

test('lineage is read from any text as by splitting it, and from leading zeros', () => {
  const numbersIn = (text: string, separator: string): number[] | undefined => {
    const parts = text.split(separator)
    return parts.every((part) => /^-?\d+$/.test(part) && Number.isSafeInteger(Number(part))) ? parts.map(Number) : undefined
  }
  const anything = fc.oneof(
    fc.string(),
    fc
      .array(fc.oneof(fc.integer().map(String), few('', 'a', '-', '007', '1e3', '9'.repeat(20))), { maxLength: 6 })
      .map((parts) => parts.join('/')),
  )
  fc.assert(
    fc.property(anything, (text) => {
      const [topic, ...rest] = text.split('/')
      const numbers = rest.length === 4 ? numbersIn(rest.join('/'), '/') : undefined
      const [partition, leaderEpoch, offset, index] = numbers ?? []
      assert.deepEqual(parseCause(text), numbers && { topic, partition, leaderEpoch, offset, index })
      const dotted = text.replaceAll('/', '.')
      const four = dotted.split('.').length === 4 ? numbersIn(dotted, '.') : undefined
      assert.deepEqual(parseOrder(dotted), four && { promotion: four[0], leaderEpoch: four[1], offset: four[2], index: four[3] })
    }),
    { numRuns: 1000 },
  )
  assert.deepEqual(parseCause('telemetry/03/0000000002/00000000000000040/001'), {
    topic: 'telemetry',
    partition: 3,
    leaderEpoch: 2,
    offset: 40,
    index: 1,
  })
})

test('outputs carry lane, trace, order and the place of their cause, as bytes and without a map', () => {
  const cause: Input<unknown> = {
    ...causeOf('telemetry', 3, { leaderEpoch: 2, offset: 40 }),
    lane: 'redrive:7',
    order: { promotion: 1, leaderEpoch: 0, offset: 9, index: 2 },
    traceparent: '00-aa-bb-01',
    timestampMs: 99,
  }
  const vector: Output = { topic: 'features', key: 'press-1', value: { n: 1 }, id: 'v1', type: 'Vector', timeUs: 1_700_000_000_123_456 }
  const out = emitter()
  out.emit(cause, vector)
  out.emit(cause, { ...vector, order: 'own' })
  const records = new OutputRecords(jsonCodec, 'features')
  records.begin()
  const [first, second] = out.outputs.map((one) => records.record(one.cause, one.index, one.output))
  assert.ok(first!.headers instanceof EncodedHeaders && second!.headers instanceof EncodedHeaders)
  assert.deepEqual(first!.headers.toMap(), {
    [HEADER.specVersion]: '1.0',
    [HEADER.id]: 'v1',
    [HEADER.source]: 'features',
    [HEADER.type]: 'Vector',
    [HEADER.time]: '2023-11-14T22:13:20.123456Z',
    [HEADER.contentType]: 'application/avro',
    [HEADER.subject]: 'press-1',
    [HEADER.lane]: 'redrive:7',
    [HEADER.traceparent]: '00-aa-bb-01',
    [HEADER.order]: '1.0.9.2',
    [HEADER.cause]: 'telemetry/3/2/40/0',
  })
  assert.equal(second!.headers.toMap()[HEADER.order], '0.2.40.1')
  assert.equal(second!.headers.toMap()[HEADER.cause], 'telemetry/3/2/40/1')
  assert.equal(second!.timestampMs, 99)
  assert.deepEqual(jsonCodec.decode('features', Buffer.from(first!.value!)), { n: 1 })
})

test('records of one batch stay as they are when the slab grows', () => {
  const records = new OutputRecords(jsonCodec, 'features')
  const cause = causeOf('telemetry', 0, { leaderEpoch: 0, offset: 0 })
  records.begin()
  const made = Array.from({ length: 500 }, (_, n) =>
    records.record(cause, n, { topic: 'features', key: null, value: { n, text: 'x'.repeat(n) }, id: `v${n}`, type: 'Vector', timeUs: n }),
  )
  made.forEach(({ value, headers }, n) => {
    assert.equal(jsonCodec.decode<{ n: number }>('features', Buffer.from(value!)).n, n)
    assert.equal((headers as EncodedHeaders).toMap()[HEADER.id], `v${n}`)
  })
})
