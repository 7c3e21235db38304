// Writes models/motor/1/model.onnx: what a vibration sensor says of a motor → how likely it is healthy, has a worn bearing, is out of
// balance. A stand-in for the file that your training wrote; its numbers are chosen by hand, so that the answers can be checked by eye.
//
//   node examples/serving/src/make-model.ts

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeOnnx } from '@andon/inference/learning/onnx-writer'

// Velocity mm/s, peak g, kurtosis, temperature °C: what is usual, and how far it strays.
const usual = [2, 3, 3, 55]
const spread = [1, 2, 1, 10]
// healthy, worn bearing, out of balance
const weights = [
  [-1, 0.2, 2.2],
  [-1, 1.5, 0.4],
  [-1, 1.8, -0.4],
  [-0.5, 0.6, 0.2],
].flat()
const bias = [3, -1, -1]

const float = (name: string, dims: readonly number[], values: readonly number[]) => ({ name, dims, data: Float32Array.from(values) })

const model = writeOnnx({
  name: 'motor',
  nodes: [
    { op: 'Sub', inputs: ['features', 'usual'], outputs: ['centred'] },
    { op: 'Div', inputs: ['centred', 'spread'], outputs: ['z'] },
    { op: 'MatMul', inputs: ['z', 'weights'], outputs: ['products'] },
    { op: 'Add', inputs: ['products', 'bias'], outputs: ['logits'] },
    { op: 'Softmax', inputs: ['logits'], outputs: ['scores'], attributes: { axis: -1 } },
  ],
  initializers: [float('usual', [4], usual), float('spread', [4], spread), float('weights', [4, 3], weights), float('bias', [3], bias)],
  inputs: [{ name: 'features', type: 'float', dims: ['rows', 4] }],
  outputs: [{ name: 'scores', type: 'float', dims: ['rows', 3] }],
})

const folder = join(import.meta.dirname, '../models', 'motor', '1')
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'model.onnx'), model)
