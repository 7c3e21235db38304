// Worker thread with its own ONNX sessions: running one blocks the thread it is in, so none lives where gRPC is answered.
// It takes one run at a time and ends by itself when told to close: it is never terminated from outside, because a thread
// that ends inside a run takes the whole process with it.

import { parentPort } from 'node:worker_threads'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { sessionOptions } from './session-options.ts'
import { datatypeOf, elementCount, onnxType, viewOf } from '../tensors/tensors.ts'
import type { ModelIo, NumericDatatype, TensorSpec } from '../tensors/tensors.ts'

export type WorkerRequest =
  | { readonly id: number; readonly op: 'load'; readonly model: string; readonly bytes: Uint8Array }
  | {
      readonly id: number
      readonly op: 'run'
      readonly model: string
      readonly inputs: readonly WorkerTensor[]
      readonly outputs: readonly string[]
    }
  | { readonly id: number; readonly op: 'close' }

/** One tensor on its way; the buffer may be longer than the tensor and is transferred, not copied. */
export interface WorkerTensor {
  readonly name: string
  readonly datatype: NumericDatatype
  readonly shape: readonly number[]
  readonly buffer: ArrayBuffer
}

export type WorkerResponse =
  | { readonly id: number; readonly op: 'loaded'; readonly io: ModelIo }
  | {
      readonly id: number
      readonly op: 'ran'
      readonly inputs: readonly ArrayBuffer[]
      readonly outputs: readonly WorkerTensor[]
      readonly runUs: number
    }
  | { readonly id: number; readonly op: 'failed'; readonly message: string; readonly inputs: readonly ArrayBuffer[] }

const port = parentPort
if (port === null) throw new Error('session-worker.ts runs as a worker thread only')

const sessions = new Map<string, InferenceSession>()

const specs = (metadata: readonly InferenceSession.ValueMetadata[]): TensorSpec[] =>
  metadata.map((value) => {
    const datatype = value.isTensor ? datatypeOf(value.type) : undefined
    if (!value.isTensor || datatype === undefined)
      throw new Error(`${value.name} has type ${value.isTensor ? value.type : 'no tensor'}, which cannot be scored here`)
    return {
      name: value.name,
      datatype,
      shape: value.shape.map((dimension) => (typeof dimension === 'number' && dimension >= 0 ? dimension : -1)),
    }
  })

const load = async (model: string, bytes: Uint8Array): Promise<ModelIo> => {
  let session = sessions.get(model)
  if (session === undefined) {
    session = await InferenceSession.create(bytes, sessionOptions)
    sessions.set(model, session)
  }
  return { inputs: specs(session.inputMetadata), outputs: specs(session.outputMetadata) }
}

const run = async (request: Extract<WorkerRequest, { op: 'run' }>): Promise<Extract<WorkerResponse, { op: 'ran' }>> => {
  const session = sessions.get(request.model)
  if (session === undefined) throw new Error(`model ${request.model} is not loaded`)
  const feeds: Record<string, Tensor> = {}
  for (const { name, datatype, shape, buffer } of request.inputs) {
    feeds[name] = new Tensor(onnxType(datatype), viewOf(datatype, buffer, elementCount(shape)) as Float64Array, shape)
  }
  const startedMs = performance.now()
  const results = await session.run(feeds, [...request.outputs])
  const runUs = (performance.now() - startedMs) * 1000
  const outputs = request.outputs.map((name): WorkerTensor => {
    const tensor = results[name]!
    const data = tensor.data as Float64Array
    // A copy: the runtime's own memory cannot be handed to another thread.
    const buffer = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice().buffer
    return { name, datatype: datatypeOf(tensor.type)!, shape: tensor.dims, buffer }
  })
  return { id: request.id, op: 'ran', inputs: request.inputs.map(({ buffer }) => buffer), outputs, runUs }
}

const answer = async (request: WorkerRequest): Promise<void> => {
  const inputs = request.op === 'run' ? request.inputs.map(({ buffer }) => buffer) : []
  try {
    if (request.op === 'close') {
      for (const session of sessions.values()) await session.release()
      port.close()
      return
    }
    if (request.op === 'load') {
      port.postMessage({ id: request.id, op: 'loaded', io: await load(request.model, request.bytes) } satisfies WorkerResponse)
      return
    }
    const response = await run(request)
    port.postMessage(response, [...response.inputs, ...response.outputs.map(({ buffer }) => buffer)])
  } catch (error) {
    port.postMessage(
      { id: request.id, op: 'failed', message: error instanceof Error ? error.message : String(error), inputs } satisfies WorkerResponse,
      [...inputs],
    )
  }
}

// Requests in order: a load and a run never overlap.
let last: Promise<void> = Promise.resolve()
port.on('message', (request: WorkerRequest) => {
  last = last.then(() => answer(request))
})
