// What an ONNX file says of itself, the edit of half-precision inputs and outputs, and what is refused.

import assert from 'node:assert/strict'
import test from 'node:test'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { elementType, writeOnnx } from '../src/learning/onnx-writer.ts'
import type { ElementType, OnnxModel, ValueInfo } from '../src/learning/onnx-writer.ts'
import { ioOf, readOnnx, widenHalves } from '../src/runtime/onnx-graph.ts'

const body: OnnxModel = {
  name: 'g',
  nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
  initializers: [{ name: 'w', dims: [3, 2], data: new Uint16Array(6), type: 'float16' }],
  inputs: [{ name: 'x', type: 'float16', dims: ['N', 3] }],
  outputs: [{ name: 'y', type: 'float16', dims: ['N', 2] }],
  metadata: { kind: 'test', 'long text': 'é'.repeat(500) },
}

test('a file is read as it was written', () => {
  const graph = readOnnx(writeOnnx(body))
  assert.deepEqual([graph.irVersion, graph.producer, graph.opsets.get('')], [9, 'andon', 17])
  assert.deepEqual([...graph.metadata], Object.entries(body.metadata!))
  assert.deepEqual(graph.inputs, [{ name: 'x', kind: 'tensor', elementType: 10, datatype: 'FP16', shape: ['N', 3], hasDefault: false }])
  assert.deepEqual(ioOf(graph).outputs, [{ name: 'y', datatype: 'FP16', shape: [-1, 2], graphDatatype: 'FP32' }])
})

const types = Object.keys(elementType) as ElementType[]
const values = (prefix: string): fc.Arbitrary<ValueInfo[]> =>
  fc
    .array(
      fc.record({
        type: fc.constantFrom(...types),
        dims: fc.array(fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.constantFrom('N', 'batch', 'é')), { maxLength: 5 }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    .map((list) => list.map((value, i) => ({ name: `${prefix}${i}`, ...value })))
const models = fc.record({ inputs: values('in'), outputs: values('out') }).map(({ inputs, outputs }): OnnxModel => ({
  ...body,
  nodes: [{ op: 'Something', inputs: inputs.map(({ name }) => name), outputs: outputs.map(({ name }) => name) }],
  inputs,
  outputs,
}))

test('names, types and shapes of any model come back', () => {
  fc.assert(
    fc.property(models, (model) => {
      const { inputs, outputs } = readOnnx(writeOnnx(model))
      const seen = [...inputs, ...outputs].map(({ name, elementType: type, shape }) => ({ name, type, shape }))
      assert.deepEqual(
        seen,
        [...model.inputs, ...model.outputs].map(({ name, type, dims }) => ({ name, type: elementType[type], shape: dims })),
      )
    }),
  )
})

/** Fields of a message as in the file. */
const rawFields = (message: Uint8Array): { number: number; raw: Buffer; bytes: Uint8Array }[] => {
  const reader = new BinaryReader(message)
  const fields: { number: number; raw: Buffer; bytes: Uint8Array }[] = []
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wire] = reader.tag()
    const bytes = wire === WireType.LengthDelimited ? reader.bytes() : new Uint8Array(reader.skip(wire))
    fields.push({ number, raw: Buffer.from(message.subarray(start, reader.pos)), bytes })
  }
  return fields
}

test('the edit gives every half-precision value a float32 name and a Cast, and changes no other byte', () => {
  fc.assert(
    fc.property(models, (model) => {
      const before = writeOnnx(model)
      const { bytes, inputs, outputs } = widenHalves(before)
      const isHalf = ({ type }: ValueInfo): boolean => type === 'float16' || type === 'bfloat16'
      assert.deepEqual(
        [...inputs.keys(), ...outputs.keys()],
        [...model.inputs, ...model.outputs].filter(isHalf).map(({ name }) => name),
      )
      if (inputs.size + outputs.size === 0) return assert.equal(bytes, before, 'not even a copy')
      const [was, is] = [rawFields(before), rawFields(bytes)]
      assert.deepEqual(
        is.filter(({ number }) => number !== 7).map(({ raw }) => raw),
        was.filter(({ number }) => number !== 7).map(({ raw }) => raw),
      )
      const graph = (fields: typeof was) => rawFields(fields.find(({ number }) => number === 7)!.bytes)
      const isCast = ({ raw }: { raw: Buffer }): boolean => raw.includes('andon.cast.')
      const isWire = ({ number, raw }: { number: number; raw: Buffer }): boolean =>
        (number === 11 || number === 12) && raw.includes('andon.fp32.')
      const edited = graph(is)
      assert.equal(edited.filter(isCast).length, inputs.size + outputs.size)
      const rest = edited.filter((field) => !isCast(field) && !isWire(field)).map(({ raw }) => raw)
      const halves = new Set([...inputs.keys(), ...outputs.keys()])
      const kept = graph(was).filter(({ number, bytes: value }) => !((number === 11 || number === 12) && halves.has(nameOf(value))))
      assert.deepEqual(
        rest,
        kept.map(({ raw }) => raw),
      )
      const seen = readOnnx(bytes)
      for (const [name, { wire }] of inputs) {
        const value = seen.inputs.find((each) => each.name === wire)!
        assert.deepEqual([value.datatype, value.shape], ['FP32', model.inputs.find((each) => each.name === name)!.dims])
      }
      assert.deepEqual(widenHalves(bytes).bytes, bytes, 'twice is once')
    }),
  )
})
const nameOf = (value: Uint8Array): string => Buffer.from(rawFields(value).find(({ number }) => number === 1)!.bytes).toString()

test('a name of ours that is taken already is not taken twice', () => {
  const { inputs } = widenHalves(writeOnnx({ ...body, inputs: [...body.inputs, { name: 'andon.fp32.x', type: 'float', dims: [1] }] }))
  assert.equal(inputs.get('x')!.wire, 'andon.fp321.x')
})

test('an input with a value of its own may be left out and stays as it is', () => {
  const model = writeOnnx({ ...body, inputs: [...body.inputs, { name: 'w', type: 'float16', dims: [3, 2] }] })
  assert.deepEqual(
    readOnnx(model).inputs.map(({ name, hasDefault }) => [name, hasDefault]),
    [
      ['x', false],
      ['w', true],
    ],
  )
  assert.deepEqual([...widenHalves(model).inputs.keys()], ['x'])
})

/** The model with its tensor w in a file beside it. */
const withExternal = (entries: Readonly<Record<string, string>>): Uint8Array => {
  const tensor = new BinaryWriter().tag(8, 2).string('w').tag(14, 0).int32(1)
  for (const [key, value] of Object.entries(entries))
    tensor.tag(13, 2).bytes(new BinaryWriter().tag(1, 2).string(key).tag(2, 2).string(value).finish())
  const graph = new BinaryWriter().raw(rawFields(writeOnnx({ ...body, initializers: [] })).find(({ number }) => number === 7)!.bytes)
  graph.tag(5, 2).bytes(tensor.finish())
  return new BinaryWriter().tag(1, 0).int64(9).tag(7, 2).bytes(graph.finish()).finish()
}

test('files beside the model are named with the bytes they need, and none elsewhere is', () => {
  const { externalData } = readOnnx(withExternal({ location: 'weights/model.onnx_data', offset: '4096', length: '12' }))
  assert.deepEqual(externalData, [{ location: 'weights/model.onnx_data', tensors: 1, atLeastBytes: 4108 }])
  for (const location of ['../x', '/etc/passwd', 'a/../../x', 'C:\\x', '\\\\host\\x', 'a\0b', ''])
    assert.throws(() => readOnnx(withExternal({ location })), /is not beside the model/)
  assert.throws(() => readOnnx(withExternal({ location: 'x', length: '-1' })), /external data has length "-1"/)
})

test('what is no model says so', () => {
  const model = writeOnnx(body)
  for (const [bytes, reason] of [
    [Buffer.alloc(0), /it has no graph/],
    [Buffer.from('no model'), /it is no ONNX model/],
    [model.subarray(0, model.byteLength - 10), /premature EOF/],
    [Buffer.concat([model, model]), /two graphs/],
    [writeOnnx({ ...body, outputs: [] }), /no output/],
    [writeOnnx({ ...body, inputs: [...body.inputs, ...body.inputs] }), /two inputs have the same name/],
    [Buffer.from([0x0b, 0x0c]), /is a group/],
    [Buffer.alloc(100_000, 0x0b), /it is no ONNX model/],
  ] as const)
    assert.throws(() => readOnnx(bytes), reason)
})

test('a graph nested without end is refused, not followed', () => {
  let graph: Uint8Array = new Uint8Array(0)
  for (let i = 0; i < 5000; i++) {
    const attribute = new BinaryWriter().tag(6, 2).bytes(graph).finish()
    graph = new BinaryWriter().tag(1, 2).bytes(new BinaryWriter().tag(5, 2).bytes(attribute).finish()).finish()
  }
  const whole = new BinaryWriter()
    .raw(rawFields(writeOnnx(body)).find(({ number }) => number === 7)!.bytes)
    .raw(graph)
    .finish()
  assert.throws(() => readOnnx(new BinaryWriter().tag(7, 2).bytes(whole).finish()), /nested more than/)
})

test('bytes of any kind are read or refused, in time and memory that their size allows', () => {
  const model = writeOnnx({ ...body, metadata: { a: 'b' } })
  const damaged = fc
    .array(fc.tuple(fc.nat(model.byteLength - 1), fc.oneof(fc.nat(255), fc.constantFrom(0x7f, 0x80, 0xff))), { minLength: 1, maxLength: 6 })
    .map((edits) => {
      const bytes = Buffer.from(model)
      for (const [at, value] of edits) bytes[at] = value
      return bytes
    })
  const cut = fc.nat(model.byteLength).map((length) => model.subarray(0, length))
  let read = 0
  let refused = 0
  const before = process.memoryUsage().arrayBuffers
  fc.assert(
    fc.property(fc.oneof(damaged, cut, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        readOnnx(bytes)
        const widened = widenHalves(bytes)
        assert.ok(widened.bytes.byteLength <= 3 * bytes.byteLength + 200)
        read++
      } catch (error) {
        assert.match((error as Error).message, /^it is no ONNX model: /)
        refused++
      }
    }),
    { numRuns: 10_000 },
  )
  assert.ok(read > 100 && refused > 100, `${read} read, ${refused} refused`)
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024)
})
