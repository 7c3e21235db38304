// Sessions on the real runtime: half precision against float64, text, external data, the configuration's parameters.

import assert from 'node:assert/strict'
import test from 'node:test'
import type { TestContext } from 'node:test'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { ElementType, Initializer, OnnxModel } from '../src/learning/onnx-writer.ts'
import { openSession } from '../src/runtime/session.ts'
import type { ModelSession, SessionModel } from '../src/runtime/session.ts'
import { packBytes, unpackBytes } from '../src/tensors/bytes.ts'
import { bfloatOfFloatBits, halfOfFloatBits, narrow, widen } from '../src/tensors/half.ts'
import type { HalfDatatype } from '../src/tensors/half.ts'
import { pack, unpack } from '../src/tensors/tensors.ts'

const open = async (t: TestContext, model: SessionModel): Promise<ModelSession> => {
  const session = await openSession(model)
  t.after(() => session.release())
  return session
}

/** Numbers of a fixed sequence in [-1, 1). */
const numbers = (count: number, seed: number): Float32Array => {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  })
}

const bitsOf = (datatype: HalfDatatype, values: Float32Array): Uint16Array =>
  Uint16Array.from(new Uint32Array(values.buffer), (bits) =>
    datatype === 'FP16' ? halfOfFloatBits(bits | 0) : bfloatOfFloatBits(bits | 0),
  )

/** The values that the half type has for them. */
const rounded = (datatype: HalfDatatype, values: Float32Array): Float32Array => {
  const out = new Float32Array(values.length)
  widen(datatype, narrow(datatype, values), out)
  return out
}

const [rows, inner, columns] = [7, 24, 5]
const x = numbers(rows * inner, 1)
const w = numbers(inner * columns, 2)

/** y = x·w with half-precision input, weights and output; bfloat16 is computed as float, since the CPU has no kernel for it. */
const product = (datatype: HalfDatatype): Buffer => {
  const type: ElementType & ('float16' | 'bfloat16') = datatype === 'FP16' ? 'float16' : 'bfloat16'
  const weights: Initializer = { name: 'w', dims: [inner, columns], data: bitsOf(datatype, w), type }
  const model: OnnxModel = {
    name: 'product',
    nodes:
      datatype === 'FP16'
        ? [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }]
        : [
            { op: 'Cast', inputs: ['x'], outputs: ['xf'], attributes: { to: 1 } },
            { op: 'Cast', inputs: ['w'], outputs: ['wf'], attributes: { to: 1 } },
            { op: 'MatMul', inputs: ['xf', 'wf'], outputs: ['yf'] },
            { op: 'Cast', inputs: ['yf'], outputs: ['y'], attributes: { to: 16 } },
          ],
    initializers: [weights],
    inputs: [{ name: 'x', type, dims: ['N', inner] }],
    outputs: [{ name: 'y', type, dims: ['N', columns] }],
  }
  return writeOnnx(model)
}

for (const [datatype, epsilon] of [
  ['FP16', 2 ** -11],
  ['BF16', 2 ** -8],
] as const)
  test(`a model in ${datatype} gives what float64 gives, within the format's error`, async (t) => {
    const session = await open(t, { bytes: product(datatype) })
    assert.deepEqual(session.io.inputs, [{ name: 'x', datatype, shape: [-1, inner], graphDatatype: 'FP32' }])
    assert.deepEqual(session.io.outputs, [{ name: 'y', datatype, shape: [-1, columns], graphDatatype: 'FP32' }])
    // What a caller sends: half-precision bytes, widened in the copy into a batch.
    const values = new Float32Array(rows * inner)
    widen(datatype, narrow(datatype, x), values)
    const feed = { name: 'x', datatype: 'FP32', shape: [rows, inner], buffer: values.buffer } as const
    const { outputs } = await session.run([feed], ['y'])
    assert.equal(outputs[0]!.datatype, 'FP32')
    const y = unpack('FP32', outputs[0]!.bytes) as number[]
    const [xr, wr] = [rounded(datatype, x), rounded(datatype, w)]
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let [expected, magnitude] = [0, 0]
        for (let k = 0; k < inner; k++) {
          const term = xr[i * inner + k]! * wr[k * columns + j]!
          expected += term
          magnitude += Math.abs(term)
        }
        // Narrowed as on the way out: the runtime itself leaves out a Cast to half and back.
        const got = rounded(datatype, Float32Array.of(y[i * columns + j]!))[0]!
        // The result is rounded once to the format; sums are at worst rounded once a term.
        const bound = epsilon * Math.abs(expected) + (datatype === 'FP16' ? inner * epsilon : 1e-5) * magnitude
        assert.ok(Math.abs(got - expected) <= bound, `row ${i} column ${j}: expected ${expected}, got ${got}, bound ${bound}`)
      }
  })

test('half precision as it comes and goes, without a node between', async (t) => {
  const bytes = writeOnnx({
    name: 'same',
    nodes: [{ op: 'Identity', inputs: ['a'], outputs: ['b'] }],
    initializers: [],
    inputs: [{ name: 'a', type: 'float16', dims: ['N'] }],
    outputs: [{ name: 'b', type: 'float16', dims: ['N'] }],
  })
  const session = await open(t, { bytes })
  const every = Float32Array.of(0, -0, 65504, 2 ** -24, Infinity, -Infinity, NaN, 1 / 3)
  const buffer = rounded('FP16', every).buffer as ArrayBuffer
  const { outputs } = await session.run([{ name: 'a', datatype: 'FP32', shape: [8], buffer }], ['b'])
  assert.deepEqual(unpack('FP32', outputs[0]!.bytes), Array.from(new Float32Array(buffer)))
})

const text = writeOnnx({
  name: 'text',
  nodes: [{ op: 'Identity', inputs: ['a'], outputs: ['b'] }],
  initializers: [],
  inputs: [{ name: 'a', type: 'string', dims: ['N'] }],
  outputs: [{ name: 'b', type: 'string', dims: ['N'] }],
})

test('BYTES go in and come out as they are, and what ONNX strings cannot carry is refused', async (t) => {
  const session = await open(t, { bytes: text })
  assert.deepEqual(session.io.inputs, [{ name: 'a', datatype: 'BYTES', shape: [-1] }])
  const run = async (elements: readonly Uint8Array[]): Promise<Uint8Array[]> => {
    const packed = packBytes(elements)
    const buffer = new ArrayBuffer(packed.byteLength + 9) // longer than the tensor, which starts within
    new Uint8Array(buffer).set(packed, 4)
    const feed = { name: 'a', datatype: 'BYTES', shape: [elements.length], buffer, byteOffset: 4, byteLength: packed.byteLength } as const
    return unpackBytes((await session.run([feed], ['b'])).outputs[0]!.bytes)
  }
  const elements = ['', 'press-1', 'ü€𝄞', '\ufeffmark'].map((one) => new Uint8Array(Buffer.from(one)))
  assert.deepEqual(await run(elements), elements)
  await assert.rejects(run([Buffer.from('a\0b')]), /element 0 of a has a zero byte/)
  await assert.rejects(run([Buffer.from('a'), Buffer.from([0xff])]), /element 1 of a is not UTF-8/)
})

/** The model with one more field in its graph. */
const insertIntoGraph = (model: Uint8Array, field: Uint8Array): Uint8Array => {
  const reader = new BinaryReader(model)
  const writer = new BinaryWriter()
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wire] = reader.tag()
    if (number !== 7) {
      reader.skip(wire)
      writer.raw(model.subarray(start, reader.pos))
    } else writer.tag(7, 2).bytes(Buffer.concat([reader.bytes(), field]))
  }
  return writer.finish()
}

test('tensors in a file beside the model are found under the name the model has for it', async (t) => {
  const message = (write: (writer: BinaryWriter) => void): Uint8Array => {
    const writer = new BinaryWriter()
    write(writer)
    return writer.finish()
  }
  const entry = (key: string, value: string): Uint8Array => message((m) => m.tag(1, 2).string(key).tag(2, 2).string(value))
  const initializer = message((m) => {
    m.tag(1, 0).int64(2).tag(2, 0).int32(11).tag(8, 2).string('w')
    m.tag(13, 2).bytes(entry('location', 'weights.bin')).tag(13, 2).bytes(entry('offset', '8')).tag(13, 2).bytes(entry('length', '16'))
    m.tag(14, 0).int32(1)
  })
  const model = writeOnnx({
    name: 'sum',
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [],
    inputs: [{ name: 'x', type: 'double', dims: [2] }],
    outputs: [{ name: 'y', type: 'double', dims: [2] }],
  })
  const bytes = insertIntoGraph(
    model,
    message((m) => m.tag(5, 2).bytes(initializer)),
  )
  const data = new Uint8Array(Float64Array.of(0, 10, 20).buffer)
  const session = await open(t, { bytes, externalData: new Map([['weights.bin', data]]) })
  const feed = { name: 'x', datatype: 'FP64', shape: [2], buffer: pack('FP64', [1, 2]).buffer as ArrayBuffer } as const
  assert.deepEqual(unpack('FP64', (await session.run([feed], ['y'])).outputs[0]!.bytes), [11, 22])
  await assert.rejects(openSession({ bytes }), /weights\.bin/)
})

test('parameters that say something else than the runtime understands are refused with their name', async () => {
  for (const [parameters, message] of [
    [{ intra_op_thread_count: 'many' }, /parameter intra_op_thread_count: expected a whole number from 0 to 256, got "many"/],
    [{ inter_op_thread_count: '-1' }, /inter_op_thread_count/],
    [{ execution_mode: '2' }, /execution_mode: expected 0, 1, sequential, parallel, got "2"/],
    [{ graph_optimization_level: 'most' }, /graph_optimization_level/],
  ] as const)
    await assert.rejects(openSession({ bytes: text, parameters }), message)
  const session = await openSession({
    bytes: text,
    parameters: { intra_op_thread_count: '2', execution_mode: '1', graph_optimization_level: 'all', 'session.set_denormal_as_zero': '1' },
  })
  await session.release()
})
