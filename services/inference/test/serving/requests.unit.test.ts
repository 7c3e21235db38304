// What a model is given and gives, between callers and graph: requests that fit or are refused by name, classes, shapes, targets.

import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { classified } from '../../src/serving/classification.ts'
import { latencyOf, targetText } from '../../src/serving/latency.ts'
import { checkedRequest } from '../../src/serving/requests.ts'
import type { Signature } from '../../src/serving/requests.ts'
import { reshape } from '../../src/serving/reshape.ts'
import type { InferRequest, TensorData } from '../../src/serving/serving.ts'
import { packBytes, unpackBytes } from '../../src/tensors/bytes.ts'
import { bfloatOfFloatBits, halfOfFloatBits } from '../../src/tensors/half.ts'
import { firstNonFinite } from '../../src/tensors/non-finite.ts'
import { elementBytes } from '../../src/tensors/tensors.ts'
import type { Datatype } from '../../src/tensors/tensors.ts'

const signature: Signature = {
  model: 'press',
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2] },
    { name: 'names', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'scale', datatype: 'INT64', shape: [1], isOptional: true },
  ],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1] },
    { name: 'z', datatype: 'FP32', shape: [-1] },
  ],
  maxBatchRows: 4,
  nonFinite: 'pass',
}
const x: TensorData = { name: 'x', datatype: 'FP32', shape: [1, 2], bytes: new Uint8Array(8) }
const names: TensorData = { name: 'names', datatype: 'BYTES', shape: [1, 1], bytes: packBytes([Buffer.from('a')]) }
const check = (inputs: readonly TensorData[], changes: Partial<InferRequest> = {}, of: Partial<Signature> = {}) =>
  checkedRequest({ ...signature, ...of }, { model: 'press', version: '', id: '', parameters: {}, inputs, outputs: [], ...changes })

test('inputs come in the order of the model, and an optional one may be left out', () => {
  assert.deepEqual(check([names, x]).inputs, [x, names, undefined])
  assert.deepEqual(check([names, x]).outputs, ['y', 'z'])
  const scale: TensorData = { name: 'scale', datatype: 'INT64', shape: [1], bytes: new Uint8Array(8) }
  assert.deepEqual(check([scale, names, x]).inputs, [x, names, scale])
})

test('rows are the same in all inputs that have them', () => {
  const two = { ...x, shape: [2, 2], bytes: new Uint8Array(16) }
  assert.throws(() => check([two, names]), /input names: expected as many rows as input x has, 2, got 1 rows in \[1, 1\]/)
})

test('elements of BYTES are counted, and none ends after the tensor', () => {
  const bad = (bytes: Uint8Array): TensorData => ({ ...names, bytes })
  assert.throws(
    () => check([x, bad(packBytes([Buffer.from('a'), Buffer.from('b')]))]),
    /input names: expected 1 elements .* got 2 elements/,
  )
  assert.throws(() => check([x, bad(Uint8Array.of(200, 0, 0, 0, 1))]), /input names: expected elements of a 4-byte length/)
  assert.throws(() => check([x, bad(Uint8Array.of(1, 0))]), /input names/)
})

test('an output is asked for once', () => {
  const y = { name: 'y', classes: 0 }
  assert.deepEqual(check([x, names], { outputs: [y] }).outputs, ['y'])
  assert.throws(() => check([x, names], { outputs: [y, y] }), /outputs: expected each once, got y, y/)
})

test('priority and timeout are counts in whatever type the protocol gives them', () => {
  for (const value of [5n, 5, '5']) {
    const { priority, timeoutUs } = check([x, names], { parameters: { priority: value, timeout: value } })
    assert.deepEqual([priority, timeoutUs], [5, 5])
  }
  for (const value of [-1n, 1.5, '', 'x', true, 2n ** 63n])
    assert.throws(() => check([x, names], { parameters: { timeout: value } }), { code: 'ANDON_INFERENCE_INVALID_REQUEST' })
})

test('whatever is sent is taken as it is or refused as the caller’s fault', () => {
  const tensor = fc.record({
    name: fc.constantFrom('x', 'names', 'scale', 'w', ''),
    datatype: fc.constantFrom<Datatype[]>('FP32', 'BYTES', 'INT64', 'FP16', '' as Datatype),
    shape: fc.array(fc.oneof(fc.integer({ min: -2, max: 5 }), fc.constantFrom(2 ** 53, Number.NaN, 0.5)), { maxLength: 4 }),
    bytes: fc.uint8Array({ maxLength: 40 }),
  })
  fc.assert(
    fc.property(fc.array(tensor, { maxLength: 4 }), (inputs) => {
      try {
        const checked = check(inputs)
        checked.inputs.forEach((input, i) => {
          const spec = signature.inputs[i]!
          if (input === undefined) return assert.equal(spec.isOptional, true)
          const size = elementBytes(spec.datatype)
          if (size !== undefined) assert.equal(input.bytes.byteLength, size * input.shape.reduce((a, b) => a * b, 1))
        })
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ANDON_INFERENCE_INVALID_TENSOR', String(error))
        assert.equal((error as { status?: number }).status, 400)
      }
    }),
    { numRuns: 3000 },
  )
})

test('NaN and infinities are found in every floating type at any alignment, and nowhere else', () => {
  const floats = fc.array(fc.oneof(fc.float(), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 3e38, 1e-45)), { maxLength: 8 })
  const shifted = (bytes: Uint8Array): Uint8Array => {
    const at = new Uint8Array(bytes.byteLength + 3)
    at.set(bytes, 3)
    return at.subarray(3)
  }
  const indexOf = (values: ArrayLike<number>): number | undefined => {
    const index = Array.from(values).findIndex((value) => !Number.isFinite(value))
    return index < 0 ? undefined : index
  }
  fc.assert(
    fc.property(floats, (values) => {
      const single = Float32Array.from(values)
      const bits = new Uint32Array(single.buffer)
      assert.equal(firstNonFinite('FP32', shifted(new Uint8Array(single.buffer))), indexOf(single))
      assert.equal(firstNonFinite('FP64', shifted(new Uint8Array(Float64Array.from(values).buffer))), indexOf(values))
      const halves = Uint16Array.from(bits, halfOfFloatBits)
      const isBad = (half: number): number => ((half & 0x7c00) === 0x7c00 ? Number.NaN : 0)
      assert.equal(firstNonFinite('FP16', shifted(new Uint8Array(halves.buffer))), indexOf(Array.from(halves, isBad)))
      const brain = Uint16Array.from(bits, bfloatOfFloatBits)
      const isBadBrain = (half: number): number => ((half & 0x7f80) === 0x7f80 ? Number.NaN : 0)
      assert.equal(firstNonFinite('BF16', shifted(new Uint8Array(brain.buffer))), indexOf(Array.from(brain, isBadBrain)))
    }),
  )
  assert.equal(firstNonFinite('INT32', Uint8Array.of(255, 255, 255, 255)), undefined)
  const [many, half] = [new Float64Array(5000), new Uint16Array(20_000)]
  for (const at of [0, 2047, 2048, 4999]) {
    many[at] = Number.NaN
    half[at * 4] = 0x7c00
    assert.equal(firstNonFinite('FP64', shifted(new Uint8Array(many.buffer))), at)
    assert.equal(firstNonFinite('FP16', shifted(new Uint8Array(half.buffer))), at * 4)
    many[at] = half[at * 4] = 0
  }
  assert.equal(firstNonFinite('FP64', new Uint8Array(many.buffer)), undefined)
})

test('classes are the highest values, of equals the first, and NaN is behind everything', () => {
  const texts = (values: Float32Array | BigInt64Array, shape: number[], classes: number, isBatched: boolean): string[] => {
    const datatype = values instanceof Float32Array ? 'FP32' : 'INT64'
    const output = { name: 'y', datatype, shape, bytes: new Uint8Array(values.buffer) } as const
    return unpackBytes(classified(output, classes, isBatched, ['a']).bytes).map((bytes) => Buffer.from(bytes).toString())
  }
  assert.deepEqual(texts(Float32Array.of(1, Number.NaN, 1, 2), [4], 9, false), ['2.000000:3', '1.000000:0:a', '1.000000:2', 'nan:1'])
  assert.deepEqual(texts(Float32Array.of(2 ** 100, -Infinity, Infinity), [3], 3, false), [
    'inf:2',
    '1267650600228229401496703205376.000000:0:a',
    '-inf:1',
  ])
  assert.deepEqual(texts(BigInt64Array.of(5n, -5n, 7n, 2n ** 60n), [2, 2], 1, true), ['5:0:a', '1152921504606846976:1'])
  const text = { name: 'y', datatype: 'BYTES', shape: [1], bytes: packBytes([Buffer.from('x')]) } as const
  assert.throws(() => classified(text, 1, false), /output y: expected numbers to classify by, got BYTES/)
})

test('reshape keeps the sizes of open dimensions in order', () => {
  assert.deepEqual(reshape([5, 2, 2], [-1, 2, 2], [-1, 4]), [5, 4])
  assert.deepEqual(reshape([5, 7, 1, 3], [-1, -1, 1, -1], [-1, -1, -1, 1]), [5, 7, 3, 1])
  assert.deepEqual(reshape([5, 4], [-1, 4], [-1, 2, 2]), [5, 2, 2])
})

test('quantiles are times that were measured, and a target is kept or not', () => {
  const times = Array.from({ length: 100 }, (_, i) => 100 - i)
  const { p50Ms, p95Ms, p99Ms, isWithin } = latencyOf(times, { p95Ms: 95 })
  assert.deepEqual([p50Ms, p95Ms, p99Ms, isWithin], [50, 95, 99, true])
  const over = latencyOf(times, { p95Ms: 95, p99Ms: 98.5 })
  assert.equal(over.isWithin, false)
  assert.equal(targetText(over), 'over its latency target: p95 95.00 ms of 95 ms, p99 99.00 ms of 98.5 ms in 100 runs')
})

test('elements that the runtime cannot take are refused with the tensor and their number, and pass where another server runs the model', () => {
  const refusedAt = (elements: readonly Buffer[], isTextOnly: boolean): unknown => {
    const spec = { name: 's', datatype: 'BYTES', shape: [-1] } as const
    const tensor = { name: 's', datatype: 'BYTES', shape: [elements.length], bytes: packBytes(elements) } as const
    const signature: Signature = { model: 'm', inputs: [spec], outputs: [], maxBatchRows: 0, nonFinite: 'pass', isTextOnly }
    const request = { model: 'm', version: '', id: '', parameters: {}, inputs: [tensor], outputs: [] }
    try {
      checkedRequest(signature, request as unknown as InferRequest)
      return undefined
    } catch (error) {
      const { code, status, fields } = error as { code: string; status: number; fields: { tensor: string; got: string } }
      return [code, status, fields.tensor, fields.got]
    }
  }
  const code = 'ANDON_INFERENCE_INVALID_TENSOR'
  const [zero, broken] = [Buffer.from('a\0b'), Buffer.from([0xc3, 0x28])]
  assert.deepEqual(refusedAt([Buffer.from('ä'), Buffer.from(''), zero], true), [code, 400, 's', 'a zero byte in element 2'])
  assert.deepEqual(refusedAt([Buffer.from('a'), broken], true), [code, 400, 's', 'no UTF-8 in element 1'])
  assert.equal(refusedAt([Buffer.from('ä'), Buffer.from('')], true), undefined)
  assert.equal(refusedAt([zero, broken], false), undefined)
})
