// Asks an inference server by our client: node ask.ts [HOST:PORT of gRPC]

import { openInferenceClient } from '@andon/inference/backends/grpc-client'

const client = openInferenceClient({ target: process.argv[2] ?? 'localhost:8001' })

// Velocity mm/s, peak g, kurtosis, temperature °C of three motors.
const features = Float32Array.of(2, 3, 3, 55, 3, 8, 6, 70, 6, 4, 3, 58)
const { outputs } = await client.infer({
  model: 'motor',
  version: '',
  id: '',
  parameters: {},
  inputs: [{ name: 'features', datatype: 'FP32', shape: [3, 4], bytes: new Uint8Array(features.buffer) }],
  outputs: [],
})

// A tensor's bytes may lie anywhere in the message: a copy of them begins where numbers may.
const scores = new Float32Array(new Uint8Array(outputs[0]!.bytes).buffer)
for (let row = 0; row < 3; row++) console.log([...scores.subarray(3 * row, 3 * row + 3)].map((score) => score.toFixed(4)).join(' '))
await client.close()
