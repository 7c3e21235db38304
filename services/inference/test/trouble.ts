// A model that does what it is asked to: score, run for as long as it is told, or take as much memory. y = x·w, after x has been turned
// once in itself `spins` times and `grows` floats have been made. Without either it is an ordinary small model.

import { writeOnnx } from '../src/learning/onnx-writer.ts'
import type { Batch, RuntimeModel } from '../src/runtime/runner.ts'
import { pack } from '../src/tensors/tensors.ts'

const WIDTH = 8
const turned = Float64Array.from({ length: WIDTH * WIDTH }, (_, i) => ((Math.floor(i / WIDTH) + 1) % WIDTH === i % WIDTH ? 1 : 0))

const bytes = writeOnnx({
  name: 'trouble',
  nodes: [
    {
      op: 'Loop',
      inputs: ['spins', '', 'x'],
      outputs: ['spun'],
      attributes: {
        body: {
          name: 'spin',
          nodes: [
            { op: 'Identity', inputs: ['goes'], outputs: ['goes_on'] },
            { op: 'MatMul', inputs: ['state', 'turned'], outputs: ['next'] },
          ],
          initializers: [],
          inputs: [
            { name: 'i', type: 'int64', dims: [] },
            { name: 'goes', type: 'bool', dims: [] },
            { name: 'state', type: 'double', dims: [1, WIDTH] },
          ],
          outputs: [
            { name: 'goes_on', type: 'bool', dims: [] },
            { name: 'next', type: 'double', dims: [1, WIDTH] },
          ],
        },
      },
    },
    { op: 'ConstantOfShape', inputs: ['grows'], outputs: ['grown'] },
    { op: 'ReduceSum', inputs: ['grown'], outputs: ['nothing'], attributes: { keepdims: 0 } },
    { op: 'Cast', inputs: ['nothing'], outputs: ['zero'], attributes: { to: 11 } },
    { op: 'MatMul', inputs: ['spun', 'w'], outputs: ['product'] },
    { op: 'Add', inputs: ['product', 'zero'], outputs: ['y'] },
  ],
  initializers: [
    { name: 'turned', dims: [WIDTH, WIDTH], data: turned },
    { name: 'w', dims: [WIDTH, 2], data: Float64Array.from({ length: WIDTH * 2 }, (_, i) => Math.sin(i + 1)) },
  ],
  inputs: [
    { name: 'x', type: 'double', dims: [1, WIDTH] },
    { name: 'spins', type: 'int64', dims: [1] },
    { name: 'grows', type: 'int64', dims: [1] },
  ],
  outputs: [{ name: 'y', type: 'double', dims: [1, 2] }],
})

export const troubleModel: RuntimeModel = {
  label: 'trouble version 1',
  digest: 'trouble',
  bytes,
  instances: 1,
  maxBatchRows: 0,
  parameters: {},
  device: 'auto',
}

/** Hours on any machine. */
export const FOREVER = 1e13

/** Inputs of row `i`, the same every time. */
export const troubleInputs = (i: number, { spins = 8, grows = 1 } = {}) => [
  {
    shape: [1, WIDTH],
    bytes: pack(
      'FP64',
      Array.from({ length: WIDTH }, (_, k) => Math.cos(i * WIDTH + k)),
    ),
  },
  { shape: [1], bytes: pack('INT64', [BigInt(spins)]) },
  { shape: [1], bytes: pack('INT64', [BigInt(grows)]) },
]

export const troubleBatch = (i: number, asked: { readonly spins?: number; readonly grows?: number } = {}): Batch => ({
  requests: [{ inputs: troubleInputs(i, asked), rows: 1 }],
  outputs: ['y'],
  rows: 1,
})
