// The JSON of scoring requests, byte by byte: exact values, any nesting, any order of keys, and errors that say where.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readInferJson } from '../../src/doors/http-json.ts'
import { unpackBytes } from '../../src/tensors/bytes.ts'
import { unpack } from '../../src/tensors/tensors.ts'
import type { NumericDatatype } from '../../src/tensors/tensors.ts'

const request = (datatype: string, count: number, data: string): Buffer =>
  Buffer.from(`{"inputs":[{"name":"x","datatype":"${datatype}","shape":[${count}],"data":${data}}]}`)

const read = (datatype: NumericDatatype, count: number, data: string): (number | bigint)[] =>
  unpack(datatype, readInferJson(request(datatype, count, data)).inputs[0]!.data!)

/** A decimal as writers make them, and as they do not. */
const decimal = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(String),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc
    .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 24n }), fc.stringMatching(/^\d{1,22}$/), fc.integer({ min: -40, max: 40 }))
    .map(([isNegative, whole, fraction, exponent]) => `${isNegative ? '-' : ''}${whole}.${fraction}e${exponent}`),
)

test('FP64 values are the doubles that JavaScript reads', () => {
  fc.assert(
    fc.property(fc.array(decimal, { minLength: 1 }), (texts) => {
      const values = texts.map(Number)
      fc.pre(values.every(Number.isFinite))
      assert.deepEqual(read('FP64', texts.length, `[${texts.join(',')}]`), values)
    }),
    { numRuns: 2000 },
  )
})

test('FP32 values are those doubles, rounded once more', () => {
  fc.assert(
    fc.property(fc.array(decimal, { minLength: 1 }), (texts) => {
      const values = texts.map((text) => Math.fround(Number(text)))
      fc.pre(values.every(Number.isFinite))
      assert.deepEqual(read('FP32', texts.length, `[${texts.join(',')}]`), values)
    }),
    { numRuns: 2000 },
  )
})

test('decimals next to the middle between two floats or doubles are read whole', () => {
  // The first 15 digits of the second one lie below the middle between 1 and the next float, the whole number above it.
  const floats = ['16777217.0000000000000000000000001', '1.000000059604645', '1.0000000596046448', '16777216.9999999999999999999999999']
  assert.deepEqual(
    read('FP32', 4, `[${floats.join()}]`),
    floats.map((text) => Math.fround(Number(text))),
  )
  const doubles = [
    '9007199254740993',
    '9007199254740992.9999',
    '9007199254740993.001',
    '0.1000000000000000055',
    '1.7976931348623157e308',
    '5e-324',
  ]
  assert.deepEqual(read('FP64', 6, `[${doubles.join()}]`), doubles.map(Number))
})

test('64-bit integers are exact', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1 }), (values) =>
      assert.deepEqual(read('INT64', values.length, `[${values.join()}]`), values),
    ),
  )
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1 }), (values) =>
      assert.deepEqual(read('UINT64', values.length, `[${values.join()}]`), values),
    ),
  )
  assert.deepEqual(read('INT64', 4, '[-1,999999999999999,-999999999999999,1000000000000000]'), [
    -1n,
    999999999999999n,
    -999999999999999n,
    1000000000000000n,
  ])
})

test('small integers hold their range and refuse what is outside', () => {
  for (const [datatype, least, most] of [
    ['UINT8', 0, 255],
    ['INT8', -128, 127],
    ['UINT16', 0, 65535],
    ['INT16', -32768, 32767],
    ['UINT32', 0, 4294967295],
    ['INT32', -2147483648, 2147483647],
  ] as const) {
    assert.deepEqual(read(datatype, 2, `[${least},${most}]`), [least, most])
    for (const outside of [least - 1, most + 1])
      assert.throws(() => read(datatype, 1, `[${outside}]`), {
        message: `input x: expected ${datatype} values from ${least} to ${most}, got ${outside}`,
      })
  }
  assert.throws(() => read('UINT64', 1, '[-1]'), /input x: expected UINT64 values from 0, got -1/)
  assert.throws(() => read('UINT64', 1, '[18446744073709551616]'), /got 18446744073709551616/)
  assert.throws(() => read('INT64', 1, '[-9223372036854775809]'), /got -9223372036854775809/)
})

test('lists of any nesting are read row by row, texts with and without escapes byte by byte', () => {
  assert.deepEqual(read('INT32', 6, ' [ [1, 2] ,\n[[3] ,4], [5,6], [] ] '), [1, 2, 3, 4, 5, 6])
  assert.deepEqual(read('BOOL', 4, '[true,false,1,0]'), [1, 0, 1, 0])
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (texts) => {
      const { data } = readInferJson(request('BYTES', texts.length, JSON.stringify(texts))).inputs[0]!
      assert.deepEqual(
        unpackBytes(data!).map((each) => Buffer.from(each).toString('utf8')),
        texts,
      )
    }),
  )
})

test('not-a-number and infinities are read as Triton, Python and stricter writers write them', () => {
  const [nan, none, ...rest] = read('FP32', 6, '[NaN,null,Infinity,-Infinity,Inf,-Inf]') as number[]
  assert.ok(Number.isNaN(nan) && Number.isNaN(none))
  assert.deepEqual(rest, [Infinity, -Infinity, Infinity, -Infinity])
  assert.ok(Object.is((read('FP64', 1, '[-0.0]') as number[])[0], -0))
})

test('keys come in any order, unknown ones are passed over, and parameters keep their types', () => {
  const body = Buffer.from(
    '{"outputs":[{"parameters":{"classification":3},"name":"y"}],"new":{"a":[1,{"b":"]"}]},"inputs":[{"data":[[1],[2]],"more":null,"shape":[2,1],"parameters":{"k":"v"},"datatype":"FP32","name":"x"}],"parameters":{"priority":18446744073709551615,"a":1.5,"b":true,"c":"t","list":[1],"none":null},"id":"7"}',
  )
  const { id, parameters, inputs, outputs } = readInferJson(body)
  assert.equal(id, '7')
  assert.deepEqual(parameters, { priority: 18446744073709551615n, a: 1.5, b: true, c: 't' })
  assert.deepEqual(outputs, [{ name: 'y', parameters: { classification: 3n } }])
  assert.deepEqual(unpack('FP32', inputs[0]!.data!), [1, 2])
  assert.deepEqual(inputs[0]!.parameters, { k: 'v' })
  assert.equal(Object.getPrototypeOf(readInferJson(Buffer.from('{"parameters":{"__proto__":"x"}}')).parameters), Object.prototype)
})

test('what does not fit names tensor, expected and got', () => {
  const refusals: [string, RegExp][] = [
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[1,2,3]}]}', /input x: expected 4 values for shape \[2, 2\], got 3/],
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1,2,3]}]}', /expected 1 values for shape \[1\], got 3/],
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[9007199254740991],"data":[1]}]}', /expected 9007199254740991 values .* got 1/],
    [
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[-1],"data":[1]}]}',
      /input x: expected a shape of whole numbers from 0, got \[-1\]/,
    ],
    ['{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}', /input x: expected a shape such as \[1, 9\], got none/],
    ['{"inputs":[{"name":"x","shape":[1],"data":[1]}]}', /input x: expected one of the datatypes .* got none/],
    ['{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}', /input 0: expected a name, got none/],
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["1"]}]}', /input x: expected FP32 values, got the text "1"/],
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1e39]}]}', /input x: expected FP32 values, got 1e39/],
    ['{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1e999]}]}', /input x: expected FP64 values, got 1e999/],
    ['{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[1.0]}]}', /input x: expected INT64 values, whole numbers, got 1.0/],
    ['{"inputs":[{"name":"x","datatype":"BOOL","shape":[1],"data":[2]}]}', /input x: expected BOOL values, true or false, got 2/],
    ['{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":[2]}]}', /input x: expected BYTES values, texts, got 2/],
    ['{"inputs":[{"name":"x","datatype":"FP16","shape":[1],"data":[1]}]}', /receiving FP16 data via JSON is not supported/],
    ['{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":{"a":1}}]}', /input x: expected data, a list of values, got an object/],
    ['{"id":{}}', /id: expected a text, got an object/],
    ['{"inputs":7}', /inputs: expected a list, got 7/],
    ['{"outputs":[{}]}', /outputs: expected a name, got none/],
  ]
  for (const [body, message] of refusals) assert.throws(() => readInferJson(Buffer.from(body)), message, body)
})

test('malformed JSON is refused with its place, whatever is cut off or put in', () => {
  assert.throws(() => readInferJson(Buffer.from('')), /malformed JSON, expected a JSON object with inputs at byte 0, got the end/)
  assert.throws(() => readInferJson(Buffer.from('[1]')), /at byte 0, got "\["/)
  assert.throws(() => readInferJson(Buffer.from('{"a":1} x')), /expected the end at byte 8/)
  for (const data of ['[1,]', '[,1]', '[1 2]', '[1', '[01]', '[1.]', '[1e]', '[.5]', '[+1]', '[[1]', '[1]]', '[1}', '[-]', '["a'])
    assert.throws(() => readInferJson(request('FP32', 1, data)), { code: /INVALID/ }, data)
  const whole = request('FP32', 3, '[1.5,[2,3]]').toString()
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (cut) => {
      assert.throws(() => readInferJson(Buffer.from(whole.slice(0, cut))), /malformed JSON|expected/)
      // What follows the announced end is not read.
      assert.throws(() => readInferJson(Buffer.from(whole), cut), /malformed JSON|expected/)
    }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.uint8Array({ minLength: 1, maxLength: 3 }), (at, bytes) => {
      const changed = Buffer.concat([Buffer.from(whole.slice(0, at)), bytes, Buffer.from(whole.slice(at))])
      try {
        readInferJson(changed)
      } catch (error) {
        assert.match(String((error as { code?: unknown }).code), /^ANDON_INFERENCE_INVALID_(?:TENSOR|REQUEST)$/)
      }
    }),
  )
  assert.throws(() => readInferJson(Buffer.from(`{"a":${'['.repeat(100_000)}`)), /at most 32 deep/)
  assert.throws(() => readInferJson(request('FP32', 1, '['.repeat(100_000))), /at most 32 deep/)
})
