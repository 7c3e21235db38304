// OPC UA values as servers send them, the odd ones included: what each becomes, and that nothing else does.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readingsOfValues, valueOf } from '../src/opcua-values.ts'
import type { DataValueLike, NodeChannel } from '../src/opcua-values.ts'
import { checkReading, isRefusal } from '../src/reading.ts'

const channel: NodeChannel = { channel: 'temperatureC', node: 'ns=2;s=t', scale: 1, offset: 0 }
const file = { id: 'oven', asset: 'oven', width: 2 }
const receivedUs = 1_795_000_000_000_000
const sourceTimestamp = new Date(receivedUs / 1000 - 5)
const good = { value: 0, name: 'Good' }

const variant = (dataType: number, value: unknown, arrayType = 0) => ({ dataType, arrayType, value })
const of = (value: DataValueLike['value'], extra: Partial<DataValueLike> = {}): DataValueLike => ({
  value,
  statusCode: good,
  sourceTimestamp,
  ...extra,
})
const double = (value: unknown) => variant(11, value)
const read = (original: DataValueLike) => valueOf(channel, original, receivedUs)
/** What the core makes of it: the value and quality of the row, or the code of the refusal. */
const outcome = (original: DataValueLike): unknown => {
  const [raw] = readingsOfValues([read(original)], file)
  if (raw!.refused !== undefined) return raw!.refused.code
  const reading = checkReading(raw!.value)
  return isRefusal(reading) ? reading.code : [reading.values!['temperatureC'], reading.quality]
}

const notANumber = 'ANDON_INGEST_OPCUA_NOT_A_NUMBER'
const badField = 'ANDON_INGEST_BAD_FIELD'
const uncertain = { value: 0x4092_0000, name: 'UncertainInitialValue' }
const bad = { value: 0x8004_0000, name: 'BadSensorFailure' }
const circular: { self?: unknown } = {}
circular.self = circular

const table: readonly (readonly [name: string, original: DataValueLike, expected: unknown])[] = [
  ['a double', of(double(1.5)), [1.5, 0]],
  ['a float', of(variant(10, 0.25)), [0.25, 0]],
  ['a negative int16', of(variant(4, -2)), [-2, 0]],
  ['a byte', of(variant(3, 255)), [255, 0]],
  ['an sbyte', of(variant(2, -128)), [-128, 0]],
  ['a uint16', of(variant(5, 65_535)), [65_535, 0]],
  ['an int32', of(variant(6, -2_147_483_648)), [-2_147_483_648, 0]],
  ['a uint32', of(variant(7, 4_294_967_295)), [4_294_967_295, 0]],
  ['true', of(variant(1, true)), [1, 0]],
  ['false', of(variant(1, false)), [0, 0]],
  ['an int64 of -1', of(variant(8, [0xffff_ffff, 0xffff_ffff])), [-1, 0]],
  ['a uint64 of 2^32', of(variant(9, [1, 0])), [4_294_967_296, 0]],
  ['the largest uint64', of(variant(9, [0xffff_ffff, 0xffff_ffff])), [2 ** 64, 0]],
  ['minus zero', of(double(-0)), [0, 0]],
  ['the smallest double', of(double(5e-324)), [5e-324, 0]],
  ['an uncertain value', of(double(2), { statusCode: uncertain }), [2, 1]],
  ['a bad value with a number', of(double(2), { statusCode: bad }), [2, 2]],
  ['a bad value without one', of(null, { statusCode: bad }), [null, 2]],
  ['an uncertain null', of(variant(0, null), { statusCode: uncertain }), [null, 1]],
  ['a good null', of(variant(0, null)), [null, 0]],
  ['no variant at all', of(undefined), [null, 0]],
  ['a bad text', of(variant(12, 'x'), { statusCode: bad }), [null, 2]],
  ['a bad NaN', of(double(Number.NaN), { statusCode: bad }), [null, 2]],
  ['an uncertain infinity', of(double(Number.POSITIVE_INFINITY), { statusCode: uncertain }), [null, 1]],
  ['a status of severity 3, which no one may send', of(double(1), { statusCode: { value: 0xc000_0000, name: 'Odd' } }), [1, 2]],
  ['a status below zero', of(double(1), { statusCode: { value: -2_147_221_504, name: 'BadSensorFailure' } }), [1, 2]],
  ['overflow on a good value', of(double(1), { statusCode: { value: 0x0000_0480, name: 'Good#Overflow' } }), [1, 1]],
  ['overflow on a bad value', of(double(1), { statusCode: { value: 0x8004_0480, name: 'BadSensorFailure#Overflow' } }), [1, 2]],
  ['the overflow bit without its type', of(double(1), { statusCode: { value: 0x0000_0080, name: 'Good' } }), [1, 0]],
  ['high and low limit bits', of(double(1), { statusCode: { value: 0x0000_0700, name: 'Good#LimitConstant' } }), [1, 0]],
  ['NaN with a good status', of(double(Number.NaN)), notANumber],
  ['infinity', of(double(Number.POSITIVE_INFINITY)), notANumber],
  ['minus infinity', of(variant(10, Number.NEGATIVE_INFINITY)), notANumber],
  ['a text', of(variant(12, 'hot')), notANumber],
  ['a text that looks like a number', of(variant(12, '12.5')), notANumber],
  ['a date', of(variant(13, sourceTimestamp)), notANumber],
  ['a guid', of(variant(14, '00000000-0000-0000-0000-000000000000')), notANumber],
  ['bytes', of(variant(15, Buffer.alloc(4))), notANumber],
  ['xml', of(variant(16, '<a/>')), notANumber],
  ['a node id', of(variant(17, 'ns=0;i=1')), notANumber],
  ['an expanded node id', of(variant(18, 'svr=1;ns=0;i=1')), notANumber],
  ['a status code as a value', of(variant(19, good)), notANumber],
  ['a qualified name', of(variant(20, { name: 'x' })), notANumber],
  ['a localised text', of(variant(21, { text: '12', locale: 'de' })), notANumber],
  ['an extension object', of(variant(22, { typeId: 'ns=3;i=1', x: 1 })), notANumber],
  ['an extension object that refers to itself', of(variant(22, circular)), notANumber],
  ['a data value in a value', of(variant(23, {})), notANumber],
  ['a variant in a variant', of(variant(24, double(1))), notANumber],
  ['diagnostics', of(variant(25, {})), notANumber],
  ['a type that does not exist', of(variant(99, 1)), notANumber],
  ['an array of one double', of(variant(11, [1], 1)), notANumber],
  ['an empty array', of(variant(11, [], 1)), notANumber],
  ['an array of a million', of(variant(11, new Float64Array(1_000_000), 1)), notANumber],
  ['a matrix', of(variant(11, [1, 2, 3, 4], 2)), notANumber],
  ['a double that is a text', of(double('1')), notANumber],
  ['a double that is an object', of(double({})), notANumber],
  ['a double that is missing', of(double(undefined)), notANumber],
  ['a bool that is a number', of(variant(1, 1)), notANumber],
  ['an int64 of one half', of(variant(8, [1])), notANumber],
  ['an int64 of three', of(variant(8, [1, 2, 3])), notANumber],
  ['an int64 of texts', of(variant(8, ['a', 'b'])), notANumber],
  ['a uint64 that is a number', of(variant(9, 5)), notANumber],
  ['a source time of 1601', of(double(1), { sourceTimestamp: new Date(-11_644_473_600_000) }), badField],
  ['a source time of 1970', of(double(1), { sourceTimestamp: new Date(0) }), badField],
  ['the last source time there is', of(double(1), { sourceTimestamp: new Date(8_640_000_000_000_000) }), badField],
  ['an invalid source time', of(double(1), { sourceTimestamp: new Date(Number.NaN) }), [1, 0]],
  ['no source time', of(double(1), { sourceTimestamp: null }), [1, 0]],
]

for (const [name, original, expected] of table) test(`OPC UA: ${name}`, () => assert.deepEqual(outcome(original), expected))

test('the source time counts to the microsecond; without one the server’s, and else the time of receipt', () => {
  const serverTimestamp = new Date(receivedUs / 1000 - 3)
  assert.equal(read(of(double(1), { sourcePicoseconds: 123_456_789 })).timeUs, receivedUs - 5000 + 123)
  assert.equal(read(of(double(1), { sourceTimestamp: null, serverTimestamp, serverPicoseconds: 7_000_000 })).timeUs, receivedUs - 3000 + 7)
  assert.equal(read(of(double(1), { sourceTimestamp: null })).timeUs, receivedUs)
})

test('a channel’s scale, offset and unit go with its values, and a refused value takes none with it', () => {
  const scaled = { ...channel, channel: 'speedRpm', scale: 0.5, offset: 10, unit: '/min' }
  const values = [valueOf(scaled, of(double(4)), receivedUs), read(of(variant(12, 'x'))), read(of(double(1)))]
  const readings = readingsOfValues(values, file)
  assert.equal(readings.length, 2)
  assert.deepEqual(readings[0]!.value, {
    source: 'oven:oven',
    asset: 'oven',
    timeUs: receivedUs - 5000,
    quality: 0,
    values: { speedRpm: 12, temperatureC: 1 },
    units: { speedRpm: '/min' },
  })
  assert.match(readings[1]!.bytes().toString(), /"node":"ns=2;s=t","status":"Good".*"value":"x"/)
})

test('the same value at another time, or with another status, has another identity; the same again has the same', () => {
  const keyOf = (statusCode: DataValueLike['statusCode']) => readingsOfValues([read(of(double(1), { statusCode }))], file)[0]!.key
  assert.equal(keyOf(good), keyOf({ value: 0x480, name: 'Good#Overflow' }))
  assert.notEqual(keyOf(good), keyOf(uncertain))
  const keyAt = (ms: number) => readingsOfValues([read(of(double(1), { sourceTimestamp: new Date(ms) }))], file)[0]!.key
  assert.notEqual(keyAt(receivedUs / 1000), keyAt(receivedUs / 1000 + 1))
})

test('whatever a server sends becomes a finite number, a missing value or a refusal, each value once', () => {
  const original = fc.record({
    value: fc.option(
      fc.record({ dataType: fc.integer({ min: -1, max: 40 }), arrayType: fc.constantFrom(0, 0, 0, 1, 2), value: fc.anything() }),
    ),
    statusCode: fc.record({ value: fc.integer(), name: fc.string() }),
    sourceTimestamp: fc.option(fc.date()),
    sourcePicoseconds: fc.option(fc.integer()),
  })
  fc.assert(
    fc.property(fc.array(original, { maxLength: 8 }), (originals) => {
      const readings = readingsOfValues(originals.map(read), file)
      let count = 0
      for (const { value, refused, bytes } of readings) {
        assert.ok(bytes().length > 0)
        if (refused !== undefined) count++
        else
          for (const each of Object.values((value as { values: Record<string, unknown> }).values)) {
            count++
            assert.ok(each === null || Number.isFinite(each))
          }
      }
      assert.equal(count, originals.length)
    }),
    { numRuns: 300 },
  )
})
