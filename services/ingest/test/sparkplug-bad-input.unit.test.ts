// What a broken or hostile edge node may send: each gets one clear refusal or is ignored by rule, and a good metric beside it is kept.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EdgeNode } from '../src/sparkplug/edge-node.ts'
import { BadPayload, readPayload } from '../src/sparkplug/payload.ts'
import { sparkplugTopic } from '../src/sparkplug/topic.ts'
import { birth, data, encode, encodeRaw, refusals, rows, startMs, tell } from './sparkplug-node.ts'

const channels = ['temp', 'press', 'i8', 'u8', 'i16', 'u32', 'i64', 'u64', 'f', 'b', 's', 'ds', 't', 'dt', 'x']
const feedsOf = () => [
  {
    source: 'oven',
    asset: 'oven',
    channels: new Map(channels.map((channel) => [channel, { channel, scale: 1, offset: 0 }])),
    units: undefined,
  },
]
const newNode = () => new EdgeNode({ reorderMs: 250, feedsOf })

/** A node with a metric of every type, alias = number of the type. */
const typed = () => {
  const edge = newNode()
  const types = { i8: 1, i16: 2, i64: 4, u8: 5, u32: 7, u64: 8, f: 9, b: 11, s: 12, dt: 13, ds: 16, t: 19, x: 99 }
  const metrics = Object.entries(types).map(([name, datatype]) => ({ name, alias: 100 + datatype, datatype, isNull: true }))
  const outcome = tell(edge, 'NBIRTH', encodeRaw({ timestamp: startMs, seq: 0, metrics: [bdSeq(0), temp, press, ...metrics] }))
  assert.equal(rows(outcome).length, 1)
  return edge
}

const bdSeq = (value: number) => ({ name: 'bdSeq', datatype: 8, longValue: value })
const temp = { name: 'temp', alias: 1, datatype: 10, doubleValue: 20 }
const press = { name: 'press', alias: 2, datatype: 3, intValue: 1 }
const good = { alias: 1, timestamp: startMs, doubleValue: 42 }
const message = (metric: object, extra: object = {}) =>
  encodeRaw({ timestamp: startMs, seq: 1, metrics: [{ timestamp: startMs, ...metric }, good], ...extra })
const metricOfType = (type: number, value: object) => message({ alias: 100 + type, ...value })
const huge = { low: -1, high: -1, unsigned: true }

/** Data messages whose first metric is bad and whose second is good: expected text of the refusal. */
const badMetrics: Record<string, [Buffer, RegExp]> = {
  'Int8 above its range': [metricOfType(1, { intValue: 300 }), /i8: found 300, expected 8 bits/],
  'Int8 with the bits of an Int16': [metricOfType(1, { intValue: 0xff00 }), /i8: found 65280, expected 8 bits/],
  'Int16 above its range': [metricOfType(2, { intValue: 70_000 }), /i16: found 70000, expected 16 bits/],
  'UInt8 above its range': [metricOfType(5, { intValue: 256 }), /u8: found 256, expected 8 bits/],
  'UInt8 that is negative': [metricOfType(5, { intValue: 0xffffffff }), /u8: found 4294967295, expected 8 bits/],
  'UInt32 above its range': [metricOfType(7, { longValue: 2 ** 40 }), /u32: found 1099511627776, expected 32 bits/],
  'UInt64 at its end': [metricOfType(8, { longValue: huge }), /u64: found 18446744073709551615, expected at most 2\^53/],
  'UInt64 just above 2^53': [metricOfType(8, { longValue: { low: 1, high: 0x200000, unsigned: true } }), /found 9007199254740993/],
  'Int64 at its lower end': [metricOfType(4, { longValue: { low: 0, high: -0x80000000, unsigned: true } }), /found -9223372036854775808/],
  'Int64 at its upper end': [metricOfType(4, { longValue: { low: -1, high: 0x7fffffff, unsigned: true } }), /found 9223372036854775807/],
  'a Double that is NaN': [message({ alias: 1, doubleValue: Number.NaN }), /temp: found NaN, expected a finite number/],
  'a Double that is infinite': [message({ alias: 1, doubleValue: Number.POSITIVE_INFINITY }), /temp: found Infinity/],
  'a Float that is NaN': [metricOfType(9, { floatValue: Number.NaN }), /f: found NaN/],
  'a Float that is minus infinity': [metricOfType(9, { floatValue: Number.NEGATIVE_INFINITY }), /f: found -Infinity/],
  'a Float sent as a double': [metricOfType(9, { doubleValue: 1 }), /f: found doubleValue, expected a value of type Float/],
  'a Double sent as an int': [message({ alias: 1, intValue: 1 }), /temp: found intValue, expected a value of type Double/],
  'a Double sent as a boolean': [message({ alias: 1, booleanValue: true }), /temp: found booleanValue/],
  'an Int32 sent as a double': [message({ alias: 2, doubleValue: 1.5 }), /press: found doubleValue, expected a value of type Int32/],
  'an Int32 sent as text': [message({ alias: 2, stringValue: '7' }), /press: found stringValue/],
  'an Int32 sent as bytes': [message({ alias: 2, bytesValue: Buffer.from('7') }), /press: found bytesValue/],
  'a Boolean sent as an int': [metricOfType(11, { intValue: 1 }), /b: found intValue, expected a value of type Boolean/],
  'a metric without a value that is not null': [message({ alias: 1 }), /temp: found no value, expected a value of type Double/],
  'a String that is mapped': [metricOfType(12, { stringValue: 'x' }), /s: found a String, expected a number or a Boolean/],
  'a DateTime that is mapped': [metricOfType(13, { longValue: startMs }), /dt: found a DateTime, expected a number/],
  'a DataSet that is mapped': [metricOfType(16, { datasetValue: { numOfColumns: 1 } }), /ds: found a DataSet, expected a number/],
  'a Template that is mapped': [metricOfType(19, { templateValue: { version: '1' } }), /t: found a Template, expected a number/],
  'a type nobody knows': [metricOfType(99, { intValue: 1 }), /x: found a type 99, expected a number/],
  'a time that no clock has': [message({ alias: 1, timestamp: huge, doubleValue: 1 }), /temp: found no time/],
  'an alias of nobody': [message({ alias: 999, doubleValue: 1 }), /alias 999: no birth announced it/],
  'an alias above 2^53': [message({ alias: huge, doubleValue: 1 }), /alias 18446744073709551615: no birth/],
  'a name of nobody': [message({ name: 'other', doubleValue: 1 }), /other: no birth announced it/],
  'an empty name': [message({ name: '', doubleValue: 1 }), /: no birth announced it/],
  'neither name nor alias': [message({ doubleValue: 1 }), /alias none: no birth announced it/],
  'a name that objects have': [message({ name: '__proto__', doubleValue: 1 }), /__proto__: no birth announced it/],
  'another name of objects': [message({ name: 'constructor', doubleValue: 1 }), /constructor: no birth announced it/],
  'a name with NUL': [message({ name: 'temp\u0000', doubleValue: 1 }), /no birth announced it/],
  'a name of 100 000 characters': [message({ name: 'n'.repeat(100_000), doubleValue: 1 }), /no birth announced it/],
}

for (const [name, [payload, expected]] of Object.entries(badMetrics)) {
  test(`refused alone: ${name}`, () => {
    const edge = typed()
    const outcome = tell(edge, 'NDATA', payload)
    assert.equal(refusals(outcome).length, 1)
    assert.match(refusals(outcome)[0]!.message, expected)
    assert.deepEqual(
      rows(outcome).map(({ values }) => values),
      [{ temp: 42 }],
    )
    const numbers = outcome.readings.map(({ value, refused }) => refused?.seq ?? (value as { seq?: number } | undefined)?.seq)
    assert.deepEqual(new Set(numbers).size, numbers.length)
  })
}

const nested = (depth: number, fieldTag: number[]): Buffer => {
  let inner = Buffer.alloc(0)
  for (let level = 0; level < depth; level++) inner = delimited(fieldTag, delimited([0x12], inner)) as Buffer<ArrayBuffer>
  return inner
}
const delimited = (tag: number[], body: Buffer): Buffer => {
  const length: number[] = []
  for (let rest = body.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    if (rest <= 0x7f) break
  }
  return Buffer.concat([Buffer.from([...tag, ...length]), body])
}
const seqOne = Buffer.from([0x18, 1])
const timestamp = encodeRaw({ timestamp: startMs })
const goodMetric = encodeRaw({ metrics: [good] })
const withMetric = (metric: Buffer) => Buffer.concat([timestamp, seqOne, delimited([0x12], metric), goodMetric])

/** Whole messages of which nothing can be used. */
const badMessages: Record<string, [type: string, payload: Buffer, expected: RegExp]> = {
  'text instead of a payload': ['NDATA', Buffer.from('{"temp":1}'), /not a Sparkplug B payload/],
  'a payload of nothing': ['NDATA', Buffer.alloc(0), /seq: found none/],
  'a payload that ends in a varint': ['NDATA', Buffer.from([0x08, 0xff]), /ends in the middle/],
  'a payload that ends in a metric': ['NDATA', data(1).subarray(0, data(1).length - 3), /ends in the middle/],
  'a length beyond the end': ['NDATA', Buffer.from([0x12, 0xff, 0xff, 0xff, 0x7f]), /ends in the middle/],
  'a length above 2^53': ['NDATA', Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), /ends in the middle/],
  'a varint without end': ['NDATA', Buffer.alloc(64, 0xff), /longer than 10 bytes/],
  'wire type 7': ['NDATA', Buffer.from([0x0f, 0]), /wire type 7/],
  'wire type 6': ['NDATA', Buffer.from([0x0e, 0]), /wire type 6/],
  'a group': ['NDATA', Buffer.from([0x0b, 0x0c]), /it has a group/],
  'groups in groups without end': ['NDATA', Buffer.alloc(100_000, 0x0b), /it has a group/],
  zeros: ['NDATA', Buffer.alloc(1000), /seq: found none|not a Sparkplug/],
  'a payload of 2 MiB': ['NDATA', Buffer.alloc(2 << 20, 0x12), /expected at most 1048576/],
  '30 000 metrics': ['NDATA', Buffer.concat(Array.from({ length: 30_000 }, () => Buffer.from([0x12, 0]))), /more than 20000 metrics/],
  'no seq': ['NDATA', encodeRaw({ timestamp: startMs, metrics: [good] }), /seq: found none/],
  'a seq of 256': ['NDATA', encodeRaw({ timestamp: startMs, seq: 256, metrics: [good] }), /seq: found one above 255/],
  'a seq of 2^64 - 1': ['NDATA', encodeRaw({ timestamp: startMs, seq: huge, metrics: [good] }), /seq: found one above 255/],
  'a birth without bdSeq': ['NBIRTH', encodeRaw({ timestamp: startMs + 1, seq: 0, metrics: [temp] }), /bdSeq: found none/],
  'a birth with a bdSeq of 256': [
    'NBIRTH',
    encodeRaw({ timestamp: startMs + 1, seq: 0, metrics: [bdSeq(256), temp] }),
    /bdSeq: found none/,
  ],
  'a birth with a text as bdSeq': [
    'NBIRTH',
    encodeRaw({ timestamp: startMs + 1, seq: 0, metrics: [{ name: 'bdSeq', datatype: 12, stringValue: '0' }] }),
    /bdSeq: found none/,
  ],
  'a birth with seq 1': ['NBIRTH', birth({ seq: 1 }), /seq: found 1, expected 0/],
  'a birth without a time': ['NBIRTH', encodeRaw({ seq: 0, metrics: [bdSeq(0)] }), /timestamp: found none/],
  'a birth in the year 300 000': ['NBIRTH', encodeRaw({ timestamp: huge, seq: 0, metrics: [bdSeq(0)] }), /timestamp: found none/],
  'a birth with a metric without a name': ['NBIRTH', birth({ metrics: [{ type: 'Double', value: 1 }] }), /without a name/],
  'a birth with a name twice': ['NBIRTH', birth({ metrics: [{ name: 'temp', type: 'Double', value: 1 }] }), /temp: found twice/],
  'a birth with an alias twice': [
    'NBIRTH',
    birth({ metrics: [{ name: 'x', alias: 1, type: 'Double', value: 1 }] }),
    /alias 1, which temp has/,
  ],
  'a birth without datatypes': [
    'NBIRTH',
    encodeRaw({ timestamp: startMs + 1, seq: 0, metrics: [bdSeq(0), { name: 'temp', doubleValue: 1 }] }),
    /temp: found no datatype/,
  ],
  'a death without bdSeq': ['NDEATH', encode({ timestamp: startMs }), /bdSeq: found none/],
  'a death that is text': ['NDEATH', Buffer.from('dead'), /not a Sparkplug B payload/],
}

for (const [name, [type, payload, expected]] of Object.entries(badMessages)) {
  test(`refused whole: ${name}`, () => {
    const edge = typed()
    const outcome = tell(edge, type, payload)
    assert.equal(refusals(outcome).length, 1)
    assert.match(refusals(outcome)[0]!.message, expected)
    assert.match(refusals(outcome)[0]!.code, /^ANDON_INGEST_SPARKPLUG_/)
    assert.ok(outcome.readings[0]!.bytes().equals(payload))
    assert.equal(edge.isAlive, true)
    assert.deepEqual(rows(tell(edge, 'NDATA', data(1, 42)))[0]?.values, { temp: 42 })
  })
}

test('templates and property sets of any depth cost nothing, and the metric beside them is kept', () => {
  const template = nested(20_000, [0x92, 0x01])
  const properties = nested(20_000, [0x4a])
  for (const deep of [template, properties]) {
    const unmapped = Buffer.concat([Buffer.from([0x10, 0x65]), deep]) // alias 101, an Int8
    const outcome = tell(typed(), 'NDATA', withMetric(unmapped))
    assert.deepEqual(
      rows(outcome).map(({ values }) => values),
      [{ temp: 42 }],
    )
  }
})

test('metrics that are not mapped are left out, whatever they are', () => {
  const edge = new EdgeNode({
    reorderMs: 250,
    feedsOf: () => [{ ...feedsOf()[0]!, channels: new Map([['temp', { channel: 'temp', scale: 1, offset: 0 }]]) }],
  })
  const metrics = [
    bdSeq(0),
    temp,
    { name: 'note', alias: 5, datatype: 12, stringValue: 'x' },
    { name: 'tpl', datatype: 19, templateValue: {} },
  ]
  assert.deepEqual(tell(edge, 'NBIRTH', encodeRaw({ timestamp: startMs, seq: 0, metrics })).readings.length, 1)
  const outcome = tell(edge, 'NDATA', message({ alias: 5, stringValue: 'y' }))
  assert.deepEqual([outcome.readings.length, refusals(outcome)], [1, []])
})

test('integers are read in every way they are written', () => {
  const values = (type: number, value: object) => rows(tell(typed(), 'NDATA', metricOfType(type, value)))[0]?.values
  assert.deepEqual(values(1, { intValue: 0xff }), { i8: -1, temp: 42 })
  assert.deepEqual(values(1, { intValue: 0xffffffff }), { i8: -1, temp: 42 })
  assert.deepEqual(values(2, { intValue: 0x8000 }), { i16: -32_768, temp: 42 })
  assert.deepEqual(values(7, { longValue: 0xffffffff }), { u32: 4_294_967_295, temp: 42 })
  assert.deepEqual(values(7, { intValue: 0xffffffff }), { u32: 4_294_967_295, temp: 42 })
  assert.deepEqual(values(4, { longValue: huge }), { i64: -1, temp: 42 })
  assert.deepEqual(values(11, { booleanValue: true }), { b: 1, temp: 42 })
  assert.deepEqual(values(9, { isNull: true }), { f: null, temp: 42 })
})

test('topics of others are nobody’s', () => {
  const others = ['spAv1.0/G/NDATA/N', 'spBv1.0/G/NCMD/N', 'spBv1.0/STATE/h', 'spBv1.0/G/NDATA', 'spBv1.0/G/NDATA/N/D', 'spBv1.0/G/DDATA/N']
  const odd = ['spBv1.0/G/DDATA/N/', 'spBv1.0//NDATA/N', 'spBv1.0/G/NDATA/', 'spBv1.0/G/DDATA/N/D/E', '', 'spBv1.0/G/ndata/N']
  for (const topic of [...others, ...odd]) assert.equal(sparkplugTopic(topic), undefined)
})

test('whatever bytes come, there is a payload or a reason, and the node lives on', () => {
  const edge = typed()
  const types = ['NBIRTH', 'NDATA', 'NDEATH', 'DBIRTH', 'DDATA', 'DDEATH']
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...types), (bytes, type) => {
      try {
        readPayload(Buffer.from(bytes))
      } catch (error) {
        assert.ok(error instanceof BadPayload)
      }
      tell(edge, type, Buffer.from(bytes), startMs, type.startsWith('D') ? 'D' : undefined)
    }),
    { numRuns: 1000 },
  )
})

test('a good payload with some bytes changed gives readings or refusals, never an exception', () => {
  const whole = message({ alias: 2, intValue: 7, properties: { keys: ['Quality'], values: [{ type: 3, intValue: 192 }] } })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
      const bytes = Buffer.from(whole)
      for (const [at, byte] of changes) bytes[at] = byte
      const edge = typed()
      const { readings } = tell(edge, 'NDATA', bytes)
      for (const { value, refused } of readings)
        assert.ok(
          refused !== undefined ||
            Object.values((value as { values: object }).values).every((each) => each === null || Number.isFinite(each)),
        )
    }),
    { numRuns: 1000 },
  )
})
