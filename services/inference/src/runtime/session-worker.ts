// Worker thread with its own ONNX sessions: running one blocks the thread it is in, so none lives where requests are answered.
// It does one thing after another, in the order of the messages, and ends by itself when told to close: it is never terminated from
// outside, because a thread that ends inside a run takes the whole process with it.

import { parentPort } from 'node:worker_threads'
import { openSession } from './session.ts'
import type { ModelSession, SessionModel, SessionTensor } from './session.ts'
import type { ModelIo } from '../tensors/tensors.ts'

export type WorkerRequest =
  | { readonly id: number; readonly op: 'load'; readonly model: number; readonly source: SessionModel }
  | { readonly id: number; readonly op: 'unload'; readonly model: number }
  | {
      readonly id: number
      readonly op: 'run'
      readonly model: number
      /** Their buffers are transferred, and come back with the answer. */
      readonly inputs: readonly SessionTensor[]
      readonly outputs: readonly string[]
    }
  | { readonly id: number; readonly op: 'close' }

export type WorkerResponse =
  | { readonly id: number; readonly op: 'loaded'; readonly io: ModelIo; readonly provider: string }
  | { readonly id: number; readonly op: 'unloaded' }
  | {
      readonly id: number
      readonly op: 'ran'
      readonly inputs: readonly ArrayBuffer[]
      readonly outputs: readonly SessionTensor[]
      readonly runUs: number
    }
  | { readonly id: number; readonly op: 'failed'; readonly message: string; readonly inputs: readonly ArrayBuffer[] }

const port = parentPort
if (port === null) throw new Error('session-worker.ts runs as a worker thread only')

const sessions = new Map<number, ModelSession>()

/** A copy of its own, made here and not where requests are answered: the runtime takes no shared memory. */
const own = (bytes: Uint8Array): Uint8Array => (bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes)

const load = async (id: number, model: number, source: SessionModel): Promise<WorkerResponse> => {
  let session = sessions.get(model)
  if (session === undefined) {
    const { bytes, externalData } = source
    session = await openSession({
      ...source,
      bytes: own(bytes),
      ...(externalData === undefined ? {} : { externalData: new Map([...externalData].map(([path, file]) => [path, own(file)])) }),
    })
    sessions.set(model, session)
  }
  return { id, op: 'loaded', io: session.io, provider: session.provider }
}

const unload = async (id: number, model: number): Promise<WorkerResponse> => {
  const session = sessions.get(model)
  sessions.delete(model)
  await session?.release()
  return { id, op: 'unloaded' }
}

const run = async ({
  id,
  model,
  inputs,
  outputs: wanted,
}: Extract<WorkerRequest, { op: 'run' }>): Promise<Extract<WorkerResponse, { op: 'ran' }>> => {
  const session = sessions.get(model)
  if (session === undefined) throw new Error('the model is not loaded')
  const { outputs: results, runUs } = await session.run(inputs, wanted)
  // A copy: the runtime's own memory cannot be handed to another thread.
  const outputs = results.map(({ name, datatype, shape, bytes }) => ({
    name,
    datatype,
    shape,
    buffer: bytes.slice().buffer as ArrayBuffer,
  }))
  return { id, op: 'ran', inputs: inputs.map(({ buffer }) => buffer), outputs, runUs }
}

const answer = async (request: WorkerRequest): Promise<void> => {
  const inputs = request.op === 'run' ? request.inputs.map(({ buffer }) => buffer) : []
  try {
    if (request.op === 'close') {
      for (const session of sessions.values()) await session.release()
      port.close()
    } else if (request.op === 'load') port.postMessage(await load(request.id, request.model, request.source))
    else if (request.op === 'unload') port.postMessage(await unload(request.id, request.model))
    else {
      const response = await run(request)
      port.postMessage(response, [...response.inputs, ...response.outputs.map(({ buffer }) => buffer)])
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    port.postMessage({ id: request.id, op: 'failed', message, inputs } satisfies WorkerResponse, inputs)
  }
}

// One after another: a load and a run never overlap.
let last: Promise<void> = Promise.resolve()
port.on('message', (request: WorkerRequest) => {
  last = last.then(() => answer(request))
})
