// Worker thread with its own ONNX sessions: running one blocks the thread it is in, so none lives where requests are answered.
// It does one thing after another, in the order of the messages, and ends by itself when told to close: it is never terminated from
// outside, because a thread that ends inside a run takes the whole process with it.

import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { release } from './memory.ts'
import { openSession } from './session.ts'
import type { ModelSession, SessionModel, SessionOutput, SessionTensor } from './session.ts'
import { Slab } from './slab.ts'
import type { AskedRun } from './slab.ts'
import type { ModelIo } from '../tensors/tensors.ts'

export type WorkerRequest =
  /** From now on the thread waits for what is posted there; messages are posted as well. */
  | { readonly id: number; readonly op: 'attach'; readonly shared: SharedArrayBuffer }
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
  | { readonly id: number; readonly op: 'attached' }
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

/** The session goes on reading the model's bytes where it is told to. */
const usesBytes = ({ parameters = {} }: SessionModel): boolean =>
  Object.entries(parameters).some((parameter) => parameter.join(' ').includes('use_ort_model_bytes'))

const load = async (id: number, model: number, source: SessionModel): Promise<WorkerResponse> => {
  let session = sessions.get(model)
  if (session === undefined) {
    const { externalData } = source
    const bytes = own(source.bytes)
    session = await openSession({
      ...source,
      bytes,
      ...(externalData === undefined ? {} : { externalData: new Map([...externalData].map(([path, file]) => [path, own(file)])) }),
    })
    sessions.set(model, session)
    if (!usesBytes(source)) release(bytes)
  }
  return { id, op: 'loaded', io: session.io, provider: session.provider }
}

const unload = async (id: number, model: number): Promise<WorkerResponse> => {
  const session = sessions.get(model)
  sessions.delete(model)
  await session?.release()
  return { id, op: 'unloaded' }
}

/** The runtime's own memory cannot be handed to another thread. */
const copied = ({ name, datatype, shape, bytes }: SessionOutput): SessionTensor => ({
  name,
  datatype,
  shape,
  buffer: bytes.slice().buffer as ArrayBuffer,
})

const run = async ({
  id,
  model,
  inputs,
  outputs: wanted,
}: Extract<WorkerRequest, { op: 'run' }>): Promise<Extract<WorkerResponse, { op: 'ran' }>> => {
  const session = sessions.get(model)
  if (session === undefined) throw new Error('the model is not loaded')
  const { outputs: results, runUs } = await session.run(inputs, wanted)
  return { id, op: 'ran', inputs: inputs.map(({ buffer }) => buffer), outputs: results.map(copied), runUs }
}

/** Asked and answered in the slab; outputs that do not fit go as a message. */
const runAsked = async (slab: Slab, { slot, id, model }: AskedRun): Promise<void> => {
  try {
    const session = sessions.get(model)
    if (session === undefined) throw new Error('the model is not loaded')
    const { inputs, outputs: wanted } = slab.read(slot, session.io)
    const { outputs, runUs } = await session.run(inputs, wanted)
    if (slab.answer(slot, outputs, runUs)) return
    const copies = outputs.map(copied)
    const buffers = copies.map(({ buffer }) => buffer)
    port.postMessage({ id, op: 'ran', inputs: [], outputs: copies, runUs } satisfies WorkerResponse, buffers)
  } catch (error) {
    fail(id, error, [])
  }
}

const fail = (id: number, error: unknown, inputs: ArrayBuffer[]): void => {
  const message = error instanceof Error ? error.message : String(error)
  port.postMessage({ id, op: 'failed', message, inputs } satisfies WorkerResponse, inputs)
}

const answer = async (request: Exclude<WorkerRequest, { op: 'attach' }>): Promise<void> => {
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
    fail(request.id, error, inputs)
  }
}

/** One thing after another, in the order in which they were asked: a load and a run never overlap. Blocks the thread while there is nothing. */
const serve = async (slab: Slab): Promise<void> => {
  const messages: Exclude<WorkerRequest, { op: 'attach' }>[] = []
  for (;;) {
    const { posted } = slab
    // The slab first: a message that was sent before this run is there by now.
    const asked = slab.first()
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
      messages.push(next.message as (typeof messages)[number])
    const [message] = messages
    if (message !== undefined && (asked === undefined || message.id < asked.id)) {
      messages.shift()
      await answer(message)
      if (message.op === 'close') return
    } else if (asked !== undefined) await runAsked(slab, asked)
    else slab.waitPosted(posted)
  }
}

port.once('message', (request: WorkerRequest) => {
  if (request.op !== 'attach') throw new Error(`expected to be attached first, found ${request.op}`)
  port.postMessage({ id: request.id, op: 'attached' } satisfies WorkerResponse)
  void serve(new Slab(request.shared)) // what it does answers for itself; anything else ends the thread
})
