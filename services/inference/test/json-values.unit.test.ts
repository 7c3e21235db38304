// Tensors as JSON and back, for any shape and datatype that JSON can hold.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { bytesOf, flatJson, nestedJson, parseExact, shapeOf } from '../src/backends/json-values.ts'
import { packBytes } from '../src/tensors/bytes.ts'
import { elementCount, pack } from '../src/tensors/tensors.ts'
import type { NumericDatatype } from '../src/tensors/tensors.ts'

const integers: Readonly<Record<string, [bigint, bigint]>> = {
  UINT8: [0n, 255n],
  UINT16: [0n, 65535n],
  UINT32: [0n, 2n ** 32n - 1n],
  UINT64: [0n, 2n ** 64n - 1n],
  INT8: [-128n, 127n],
  INT16: [-(2n ** 15n), 2n ** 15n - 1n],
  INT32: [-(2n ** 31n), 2n ** 31n - 1n],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
}

const bytesArbitrary = (count: number): fc.Arbitrary<{ datatype: NumericDatatype | 'BYTES'; bytes: Uint8Array }> => {
  const exactly = { minLength: count, maxLength: count }
  const numeric = (datatype: NumericDatatype, each: fc.Arbitrary<number | bigint | boolean>) =>
    fc.array(each, exactly).map((values) => ({ datatype, bytes: pack(datatype, values) }))
  return fc.oneof(
    ...Object.entries(integers).map(([name, [min, max]]) => numeric(name as NumericDatatype, fc.bigInt({ min, max }))),
    numeric('BOOL', fc.boolean()),
    numeric('FP32', fc.float({ noNaN: true, noDefaultInfinity: true })),
    numeric('FP64', fc.double({ noNaN: true, noDefaultInfinity: true })),
    fc.array(fc.string({ unit: 'grapheme' }), exactly).map((texts) => ({
      datatype: 'BYTES' as const,
      bytes: packBytes(texts.map((text) => Buffer.from(text))),
    })),
  )
}

const tensor = fc
  .array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 })
  .chain((shape) => bytesArbitrary(elementCount(shape)).map((rest) => ({ shape, ...rest })))

test('a tensor survives JSON, nested and flat', () => {
  fc.assert(
    fc.property(tensor, ({ datatype, shape, bytes }) => {
      const nested = parseExact(nestedJson({ datatype, shape, bytes }))
      assert.deepEqual(new Uint8Array(bytesOf('x', datatype, shape, nested, 'there')), new Uint8Array(bytes))
      if (!shape.includes(0)) assert.deepEqual(shapeOf(nested), shape)
      if (shape.length > 0) {
        const flat = parseExact(flatJson({ datatype, bytes }))
        assert.deepEqual(new Uint8Array(bytesOf('x', datatype, shape, flat, 'there')), new Uint8Array(bytes))
      }
    }),
    { numRuns: 500 },
  )
})

test('whatever JSON an answer has becomes a tensor of its size or an error of ours', () => {
  const shape = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 })
  const datatype = fc.constantFrom(...(Object.keys(integers) as NumericDatatype[]), 'BOOL' as const, 'FP32' as const, 'BYTES' as const)
  fc.assert(
    fc.property(fc.jsonValue(), shape, datatype, (value, dims, type) => {
      try {
        const bytes = bytesOf('x', type, dims, value, 'there')
        if (type !== 'BYTES') assert.equal(bytes.byteLength % Math.max(1, elementCount(dims)), 0)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ANDON_INFERENCE_SERVER_ANSWER_WRONG', String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
