// The codec of the hot messages against the generated one, both ways, on random messages.

import assert from 'node:assert/strict'
import test from 'node:test'
import { ModelInferRequest, ModelInferResponse, ModelStreamInferResponse } from '@andon/schemas/inference'
import type { InferParameter } from '@andon/schemas/inference'
import fc from 'fast-check'
import type { InferAnswer, Parameter, TensorData } from '../../src/serving/serving.ts'
import {
  decodeInferRequest,
  decodeInferResponse,
  decodeStreamResponse,
  encodeInferRequest,
  encodeInferResponse,
  encodeStreamError,
  encodeStreamResponse,
} from '../../src/tensors/wire.ts'
import type { InferMessage } from '../../src/tensors/wire.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((each) => !each.startsWith('\uFEFF'))
const key = text.filter((each) => each !== '__proto__')
const parameter: fc.Arbitrary<Parameter> = fc.oneof(text, fc.boolean(), fc.double(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }))
const parameters = fc.dictionary(key, parameter, { maxKeys: 5, noNullPrototype: true })
const datatype = fc.constantFrom('BOOL', 'UINT8', 'INT64', 'FP16', 'BF16', 'FP32', 'FP64', 'BYTES' as const)
const tensor: fc.Arbitrary<TensorData> = fc.record({
  name: text,
  datatype,
  shape: fc.array(fc.oneof(fc.integer({ min: -1, max: 300 }), fc.maxSafeInteger()), { maxLength: 6 }),
  bytes: fc.uint8Array({ maxLength: 400 }),
})
const request: fc.Arbitrary<InferMessage> = fc.record({
  model: text,
  version: text,
  id: text,
  parameters,
  inputs: fc.array(tensor, { maxLength: 4 }),
  outputs: fc.array(fc.record({ name: text, classes: fc.nat({ max: 0x7fffffff }) }), { maxLength: 3 }),
})
const answer: fc.Arbitrary<InferAnswer> = fc.record({ model: text, version: text, parameters, outputs: fc.array(tensor, { maxLength: 4 }) })

const choiceOf = (value: Parameter): InferParameter => {
  if (typeof value === 'boolean') return { parameterChoice: { $case: 'boolParam', value } }
  if (typeof value === 'string') return { parameterChoice: { $case: 'stringParam', value } }
  if (typeof value === 'number') return { parameterChoice: { $case: 'doubleParam', value } }
  return { parameterChoice: { $case: value >= 2n ** 63n ? 'uint64Param' : 'int64Param', value } }
}
const choices = (from: Readonly<Record<string, Parameter>>): Record<string, InferParameter> =>
  Object.fromEntries(Object.entries(from).map(([name, value]) => [name, choiceOf(value)]))
const tensors = (from: readonly TensorData[]): ModelInferResponse['outputs'] =>
  from.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt), parameters: {}, contents: undefined }))
const requestMessage = ({ model, version, id, parameters, inputs, outputs }: InferMessage): ModelInferRequest => ({
  modelName: model,
  modelVersion: version,
  id,
  parameters: choices(parameters),
  inputs: tensors(inputs),
  outputs: outputs.map(({ name, classes }) => ({
    name,
    parameters: classes > 0 ? choices({ classification: BigInt(classes) }) : ({} as Record<string, InferParameter>),
  })),
  rawInputContents: inputs.map(({ bytes }) => bytes),
})
const responseMessage = (id: string, { model, version, parameters, outputs }: InferAnswer): ModelInferResponse => ({
  modelName: model,
  modelVersion: version,
  id,
  parameters: choices(parameters),
  outputs: tensors(outputs),
  rawOutputContents: outputs.map(({ bytes }) => bytes),
})
/** Buffers and arrays of bytes compare as the same. */
const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? [...value]
    : Array.isArray(value)
      ? value.map(plain)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
        : value
const same = (found: unknown, expected: unknown): void => assert.deepEqual(plain(found), plain(expected))

test('a request is read as the generated code reads it', () => {
  fc.assert(fc.property(request, (each) => same(decodeInferRequest(ModelInferRequest.encode(requestMessage(each)).finish()), each)))
})

test('a request is written so that the generated code reads it', () => {
  fc.assert(fc.property(request, (each) => same(ModelInferRequest.decode(encodeInferRequest(each)), requestMessage(each))))
})

test('an answer is written so that the generated code reads it, with room in front and as a message of a stream', () => {
  fc.assert(
    fc.property(text, answer, fc.nat({ max: 20 }), (id, each, headroom) => {
      same(ModelInferResponse.decode(encodeInferResponse(id, each, headroom).subarray(headroom)), responseMessage(id, each))
      const streamed = ModelStreamInferResponse.decode(encodeStreamResponse(id, each, headroom).subarray(headroom))
      same(streamed, { errorMessage: '', inferResponse: responseMessage(id, each) })
    }),
  )
  const refused = ModelStreamInferResponse.decode(encodeStreamError('7', 'no'))
  assert.deepEqual([refused.errorMessage, refused.inferResponse?.id], ['no', '7'])
})

test('an answer is read as the generated code reads it', () => {
  fc.assert(
    fc.property(text, answer, (id, each) => {
      same(decodeInferResponse(ModelInferResponse.encode(responseMessage(id, each)).finish()), { id, answer: each })
      same(decodeStreamResponse(encodeStreamResponse(id, each)), { error: '', response: { id, answer: each } })
    }),
  )
})

test('typed contents, unpacked shapes and unknown fields are read; raw contents are views of the message', () => {
  const typed = ModelInferRequest.fromPartial({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [2n], contents: { fp32Contents: [1, 2] } }],
  })
  assert.deepEqual([...decodeInferRequest(ModelInferRequest.encode(typed).finish()).inputs[0]!.bytes], [0, 0, 128, 63, 0, 0, 0, 64])
  const unpacked = Buffer.from([0x2a, 11, 0x0a, 1, 0x78, 0x12, 4, ...Buffer.from('BOOL'), 0x18, 2, 0x3a, 2, 1, 0, 0xf8, 0x07, 5])
  unpacked[1] = 11
  const message = decodeInferRequest(unpacked)
  assert.deepEqual(message.inputs[0]!.shape, [2])
  assert.equal(message.inputs[0]!.bytes.buffer, unpacked.buffer)
})

test('any bytes are a request or an error of status 400, and cut messages are errors', () => {
  const attempt = (bytes: Uint8Array): void => {
    try {
      decodeInferRequest(bytes)
    } catch (error) {
      assert.equal((error as { status?: number }).status, 400, String((error as Error).stack))
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt), { numRuns: 5_000 })
  fc.assert(
    fc.property(request, fc.nat(), fc.nat({ max: 255 }), (each, at, byte) => {
      const bytes = encodeInferRequest(each)
      attempt(bytes.subarray(0, at % (bytes.length + 1)))
      if (bytes.length > 0) bytes[at % bytes.length] = byte
      attempt(bytes)
    }),
    { numRuns: 2_000 },
  )
})

test('a message that names millions of entries is refused before they are made', () => {
  assert.throws(() => decodeInferRequest(Buffer.alloc(200_000, Buffer.from([0x2a, 0]))), /inputs: expected at most 4096/)
  assert.throws(() => decodeInferRequest(Buffer.alloc(200_000, Buffer.from([0x3a, 0]))), /raw_input_contents: expected at most 4096/)
  const contents = Buffer.alloc(3 << 20, Buffer.from([0x42, 0]))
  const length = (value: number): number[] => [(value & 127) | 128, ((value >> 7) & 127) | 128, ((value >> 14) & 127) | 128, value >> 21]
  const input = Buffer.concat([Buffer.from([0x2a, ...length(contents.length)]), contents])
  const message = Buffer.concat([Buffer.from([0x2a, ...length(input.length)]), input])
  assert.throws(() => decodeInferRequest(message), /expected at most 1048576 typed values, got 1572864/)
})
