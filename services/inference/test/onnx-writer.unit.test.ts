import assert from 'node:assert/strict'
import test from 'node:test'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { OnnxModel } from '../src/learning/onnx-writer.ts'

const model: OnnxModel = {
  name: 'g',
  nodes: [{ op: 'ReduceMax', inputs: ['x'], outputs: ['y'], attributes: { axes: [1], keepdims: 0 } }],
  initializers: [{ name: 'c', dims: [2], data: Float64Array.of(1, -2.5) }],
  inputs: [{ name: 'x', type: 'double', dims: ['N', 300] }],
  outputs: [{ name: 'y', type: 'double', dims: ['N'] }],
  metadata: { 'andon.kind': 'test' },
}

/** Fields of a message as (number, value); lengths are checked by reading to the end. */
const fields = (bytes: Uint8Array): Map<number, (number | Uint8Array)[]> => {
  const reader = new BinaryReader(bytes)
  const out = new Map<number, (number | Uint8Array)[]>()
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    const value = wireType === 0 ? Number(reader.uint64()) : reader.bytes()
    out.set(field, [...(out.get(field) ?? []), value])
  }
  return out
}
const text = (value: number | Uint8Array | undefined): string => Buffer.from(value as Uint8Array).toString()

test('a model has the field numbers of onnx.proto', () => {
  const top = fields(writeOnnx(model))
  assert.deepEqual(top.get(1), [9], 'ir_version')
  assert.deepEqual(fields(top.get(8)![0] as Uint8Array).get(2), [17], 'opset version')
  assert.equal(text(fields(top.get(14)![0] as Uint8Array).get(2)![0]), 'test', 'metadata value')
  const graph = fields(top.get(7)![0] as Uint8Array)
  const node = fields(graph.get(1)![0] as Uint8Array)
  assert.deepEqual([text(node.get(1)![0]), text(node.get(2)![0]), text(node.get(4)![0])], ['x', 'y', 'ReduceMax'])
  const [axes, keepdims] = node.get(5)!.map((bytes) => fields(bytes as Uint8Array))
  assert.deepEqual([text(axes!.get(1)![0]), axes!.get(8), axes!.get(20)], ['axes', [1], [7]])
  assert.deepEqual([text(keepdims!.get(1)![0]), keepdims!.get(3), keepdims!.get(20)], ['keepdims', [0], [2]])
  const constant = fields(graph.get(5)![0] as Uint8Array)
  assert.deepEqual([constant.get(1), constant.get(2), text(constant.get(8)![0])], [[2], [11], 'c'])
  assert.equal(Buffer.from(constant.get(9)![0] as Uint8Array).readDoubleLE(8), -2.5)
})

test('numbers of any size survive the wire form', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (dim) => {
      const bytes = writeOnnx({ ...model, initializers: [{ name: 'c', dims: [dim], data: new Float64Array(0) }] })
      const graph = fields(fields(bytes).get(7)![0] as Uint8Array)
      assert.deepEqual(fields(graph.get(5)![0] as Uint8Array).get(1), [dim])
    }),
  )
})

test('equal models give equal bytes', () => {
  assert.deepEqual(writeOnnx(model), writeOnnx(structuredClone(model)))
})
