// How every ONNX session of the mesh is opened, in the service and in the tests that prove parity.

import type { InferenceSession } from 'onnxruntime-node'

export const sessionOptions: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  // Our graphs are tiny and rows are batched: one thread per session, more sessions instead.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Above `basic` a scalar next to a matrix product is fused into it as a float32 factor: 1e-8 off in a float64 graph (measured, 1.30).
  graphOptimizationLevel: 'basic',
  extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
}
