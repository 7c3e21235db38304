import assert from 'node:assert/strict'
import test from 'node:test'
import type { InferTensorContents, ModelInferRequest } from '@andon/schemas/inference'
import { InferTensorContents as Contents } from '@andon/schemas/inference'
import fc from 'fast-check'
import { countBytes, packBytes, unpackBytes } from '../../src/tensors/bytes.ts'
import { readInputs } from '../../src/tensors/contents.ts'
import { checkSize } from '../../src/tensors/size.ts'
import { unpack } from '../../src/tensors/tensors.ts'
import type { NumericDatatype } from '../../src/tensors/tensors.ts'

type Input = ModelInferRequest['inputs'][number]
const input = (datatype: string, contents?: Partial<InferTensorContents>, shape: bigint[] = [2n]): Input => ({
  name: 'x',
  datatype,
  shape,
  parameters: {},
  contents: contents === undefined ? undefined : Contents.fromPartial(contents),
})
const typed = (datatype: string, contents?: Partial<InferTensorContents>) =>
  readInputs({ inputs: [input(datatype, contents)], rawInputContents: [] })[0]!

test('typed contents of every datatype become the little-endian bytes that raw contents would have', () => {
  const cases: [NumericDatatype, Partial<InferTensorContents>, (number | bigint)[]][] = [
    ['BOOL', { boolContents: [true, false] }, [1, 0]],
    ['UINT8', { uintContents: [0, 255] }, [0, 255]],
    ['UINT16', { uintContents: [1, 65535] }, [1, 65535]],
    ['UINT32', { uintContents: [1, 4294967295] }, [1, 4294967295]],
    ['UINT64', { uint64Contents: [1n, 2n ** 64n - 1n] }, [1n, 2n ** 64n - 1n]],
    ['INT8', { intContents: [-128, 127] }, [-128, 127]],
    ['INT16', { intContents: [-32768, 32767] }, [-32768, 32767]],
    ['INT32', { intContents: [-2147483648, 2147483647] }, [-2147483648, 2147483647]],
    ['INT64', { int64Contents: [-(2n ** 63n), 2n ** 63n - 1n] }, [-(2n ** 63n), 2n ** 63n - 1n]],
    ['FP32', { fp32Contents: [1.5, NaN] }, [1.5, NaN]],
    ['FP64', { fp64Contents: [0.1, -Infinity] }, [0.1, -Infinity]],
  ]
  for (const [datatype, contents, values] of cases) {
    const tensor = typed(datatype, contents)
    assert.deepEqual(unpack(datatype, tensor.bytes), values, datatype)
    checkSize(tensor)
  }
  const text = typed('BYTES', { bytesContents: [Buffer.from('é'), new Uint8Array()] })
  assert.deepEqual([...text.bytes], [2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0])
  checkSize(text)
})

test('what typed contents cannot say is refused with tensor, expected and got', () => {
  assert.throws(() => typed('FP16', { fp32Contents: [1, 2] }), /input x: expected FP16 in raw_input_contents, got fp32_contents/)
  assert.throws(() => typed('BF16'), /input x: expected BF16 in raw_input_contents, got none/)
  assert.throws(() => typed('FP32', { fp64Contents: [1] }), /expected FP32 values in fp32_contents, got fp64_contents/)
  assert.throws(() => typed('UINT8', { uintContents: [1, 256] }), /expected UINT8 values from 0 to 255, got 256/)
  assert.throws(() => typed('INT8', { intContents: [-129] }), /expected INT8 values from -128 to 127, got -129/)
  assert.throws(() => typed('COMPLEX'), /input x: expected one of the datatypes .*, got COMPLEX/)
})

test('raw contents are one entry per input and the only ones', () => {
  const raw = new Uint8Array(8)
  assert.equal(readInputs({ inputs: [input('FP32')], rawInputContents: [raw] })[0]!.bytes, raw)
  assert.throws(
    () => readInputs({ inputs: [input('FP32')], rawInputContents: [raw, raw] }),
    /raw_input_contents: expected one entry per input, 1, got 2/,
  )
  assert.throws(
    () => readInputs({ inputs: [input('FP32', { fp32Contents: [1, 2] })], rawInputContents: [raw] }),
    /input x: expected raw_input_contents only, got contents as well/,
  )
  assert.equal(
    readInputs({ inputs: [input('FP32', {})], rawInputContents: [raw] })[0]!.bytes,
    raw,
    'a message of contents may lie there empty',
  )
})

test('a tensor is as long as its shape says, or the message says how long it should be', () => {
  const sized = (datatype: string, shape: number[], bytes: number): (() => void) => {
    return () => checkSize({ name: 'x', datatype, shape, bytes: new Uint8Array(bytes) })
  }
  sized('FP16', [2, 3], 12)()
  sized('FP32', [0, 2 ** 52], 0)()
  sized('INT64', [], 8)()
  assert.throws(sized('FP16', [2, 3], 13), /input x: expected 12 bytes for shape \[2, 3\], got 13 bytes/)
  assert.throws(sized('FP32', [2 ** 62], 4), /input x: expected dimensions of 0 and above, got \[4611686018427388000\]/)
  assert.throws(sized('FP32', [-1], 4), /expected dimensions of 0 and above, got \[-1\]/)
  assert.throws(sized('FP32', [2 ** 52, 2 ** 52], 4), /input x: expected .* bytes for shape/)
  assert.throws(sized('FP12', [1], 4), /expected a datatype of the protocol, got FP12/)
  assert.throws(sized('BYTES', [2], 4), /input x: expected 2 elements for shape \[2\], got 1 elements/)
  assert.throws(sized('BYTES', [1], 7), /one at byte 4 of 7 that ends after the tensor/)
})

test('BYTES elements come back as they were packed, and bytes that are none are said to be broken', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (elements) => {
      const packed = packBytes(elements)
      assert.deepEqual(
        unpackBytes(packed).map((each) => [...each]),
        elements.map((each) => [...each]),
      )
      assert.deepEqual(countBytes(packed), { count: elements.length })
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      if (countBytes(bytes).brokenAt === undefined) assert.deepEqual(packBytes(unpackBytes(bytes)), bytes)
      else assert.throws(() => unpackBytes(bytes), /ends after the tensor/)
    }),
  )
})
