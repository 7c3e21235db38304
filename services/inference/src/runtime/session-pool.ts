// Scores rows on worker threads. Requests for the same model and shape that wait together run as one batch; an idle worker
// starts at once with whatever is there, so batching never costs latency. A request is answered exactly once: with its rows
// of the result, or with an error that says whether another try can help. Closing ends what runs, never a thread in a run.

import { Worker } from 'node:worker_threads'
import { cancelled, modelUnloadable, queueFull, runFailed, stopping, workerLost } from '../errors.ts'
import type { WorkerRequest, WorkerResponse, WorkerTensor } from './session-worker.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { ModelIo, NumericDatatype, TensorSpec } from '../tensors/tensors.ts'

export interface PoolOptions {
  /** Threads; each holds every loaded model. */
  readonly workers: number
  /** Most rows of one batch. Default 64. */
  readonly maxBatchRows?: number
  /** Rows that may wait before requests are turned away. Default 8192. */
  readonly maxQueuedRows?: number
  /** Told about every batch that ran. */
  readonly onBatch?: (batch: BatchReport) => void
  readonly onWorkerLost?: (reason: string) => void
  /** Opens a worker that speaks session-worker.ts's messages. */
  readonly openWorker?: () => Worker
}

const openSessionWorker = (): Worker => new Worker(new URL('./session-worker.ts', import.meta.url))

/** What one batch took, microseconds. */
export interface BatchReport {
  readonly model: string
  readonly requests: number
  readonly rows: number
  /** Sum over the requests. */
  readonly queueUs: number
  readonly inputUs: number
  readonly runUs: number
  readonly outputUs: number
}

/** Bytes of one tensor, at any alignment. */
export interface TensorBytes {
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export interface ScoreRequest {
  /** Key the model was loaded under. */
  readonly model: string
  /** In the order of the model's inputs; sizes already checked against the shapes. */
  readonly inputs: readonly TensorBytes[]
  /** Names of the outputs wanted. */
  readonly outputs: readonly string[]
  /** Aborted: a request that still waits is dropped. */
  readonly signal?: AbortSignal
}

export type OutputTensor = TensorSpec & TensorBytes

interface Waiting extends ScoreRequest {
  readonly rows: number
  readonly sinceMs: number
  readonly resolve: (outputs: OutputTensor[]) => void
  readonly reject: (error: Error) => void
}

interface Loaded {
  readonly io: ModelIo
  readonly bytes: Uint8Array
  readonly canBatch: boolean
  /** Full-size input buffers between two uses, per input. */
  readonly spare: ArrayBuffer[][]
}

interface Seat {
  readonly worker: Worker
  readonly answers: Map<number, { resolve: (response: WorkerResponse) => void; reject: (error: Error) => void }>
  isBusy: boolean
  readonly exited: Promise<void>
}

export class SessionPool {
  readonly #options: PoolOptions
  readonly #maxBatchRows: number
  readonly #maxQueuedRows: number
  readonly #models = new Map<string, Loaded>()
  readonly #loading = new Map<string, Promise<ModelIo>>()
  readonly #queues = new Map<string, Waiting[]>()
  #seats: Seat[] = []
  #queuedRows = 0
  #nextId = 1
  #isFlushDue = false
  #isClosing = false
  #onIdle: (() => void) | undefined

  constructor(options: PoolOptions) {
    this.#options = options
    this.#maxBatchRows = options.maxBatchRows ?? 64
    this.#maxQueuedRows = options.maxQueuedRows ?? 8192
    this.#seats = Array.from({ length: options.workers }, () => this.#open())
  }

  /** Requests that wait or run now. */
  get pending(): number {
    return [...this.#queues.values()].reduce((sum, queue) => sum + queue.length, 0) + this.#seats.filter((seat) => seat.isBusy).length
  }

  /** Loads a model into every worker. Loading the same key again gives the same answer. */
  load(model: string, bytes: Uint8Array): Promise<ModelIo> {
    const known = this.#loading.get(model)
    if (known !== undefined) return known
    const loading = this.#load(model, bytes)
    this.#loading.set(model, loading)
    loading.catch(() => this.#loading.delete(model))
    return loading
  }

  /** Scores one request. The model must be loaded. */
  run(request: ScoreRequest): Promise<OutputTensor[]> {
    const loaded = this.#models.get(request.model)
    if (this.#isClosing) return Promise.reject(stopping())
    if (loaded === undefined) return Promise.reject(runFailed(request.model, 'it is not loaded'))
    const rows = loaded.canBatch ? (request.inputs[0]?.shape[0] ?? 1) : 1
    if (this.#queuedRows + rows > this.#maxQueuedRows && this.#queuedRows > 0) return Promise.reject(queueFull(this.#maxQueuedRows))
    return new Promise((resolve, reject) => {
      const key = loaded.canBatch
        ? JSON.stringify([request.model, request.inputs.map(({ shape }) => shape.slice(1)), request.outputs])
        : `${request.model} ${this.#nextId++}`
      const waiting: Waiting = { ...request, rows, sinceMs: performance.now(), resolve, reject }
      const queue = this.#queues.get(key)
      if (queue === undefined) this.#queues.set(key, [waiting])
      else queue.push(waiting)
      this.#queuedRows += rows
      this.#flushSoon()
    })
  }

  /** Answers what was accepted, then lets the workers release their sessions and end. */
  async close(): Promise<void> {
    this.#isClosing = true
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const seats = this.#seats
    this.#seats = []
    for (const seat of seats) seat.worker.postMessage({ id: 0, op: 'close' } satisfies WorkerRequest)
    await Promise.all(seats.map(({ exited }) => exited))
  }

  #open(): Seat {
    const worker = (this.#options.openWorker ?? openSessionWorker)()
    const answers: Seat['answers'] = new Map()
    worker.on('message', (response: WorkerResponse) => {
      answers.get(response.id)?.resolve(response)
      answers.delete(response.id)
    })
    let reason = 'it exited'
    worker.on('error', (error) => (reason = error.message))
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    const seat: Seat = { worker, answers, isBusy: false, exited }
    void exited.then(() => this.#lost(seat, reason)) // never rejects
    return seat
  }

  #lost(seat: Seat, reason: string): void {
    for (const { reject } of seat.answers.values()) reject(workerLost(reason))
    seat.answers.clear()
    if (!this.#seats.includes(seat)) return // it was told to close
    this.#options.onWorkerLost?.(reason)
    const replacement = this.#open()
    this.#seats = this.#seats.map((each) => (each === seat ? replacement : each))
    replacement.isBusy = true // until it holds the models
    const loads = [...this.#models].map(([model, { bytes }]) => this.#ask(replacement, { id: this.#nextId++, op: 'load', model, bytes }))
    Promise.all(loads).then(
      () => this.#free(replacement),
      () => {}, // lost as well: its own exit replaces it
    )
  }

  async #load(model: string, bytes: Uint8Array): Promise<ModelIo> {
    const responses = await Promise.all(this.#seats.map((seat) => this.#ask(seat, { id: this.#nextId++, op: 'load', model, bytes })))
    for (const response of responses) if (response.op === 'failed') throw modelUnloadable(model, response.message)
    const [first] = responses
    if (first?.op !== 'loaded') throw modelUnloadable(model, 'no worker answered')
    const canBatch = [...first.io.inputs, ...first.io.outputs].every(({ shape }) => shape[0] === -1) && first.io.inputs.length > 0
    this.#models.set(model, { io: first.io, bytes, canBatch, spare: first.io.inputs.map(() => []) })
    return first.io
  }

  #ask(seat: Seat, request: WorkerRequest, transfer: ArrayBuffer[] = []): Promise<WorkerResponse> {
    return new Promise((resolve, reject) => {
      seat.answers.set(request.id, { resolve, reject })
      seat.worker.postMessage(request, transfer)
    })
  }

  /** After the current synchronous code: whoever submits many rows in one go gets them scored together. */
  #flushSoon(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    queueMicrotask(() => {
      this.#isFlushDue = false
      for (const seat of this.#seats) if (!seat.isBusy && this.#queues.size > 0) this.#start(seat)
    })
  }

  #start(seat: Seat): void {
    const batch = this.#takeBatch()
    if (batch.length === 0) {
      if (this.pending === 0) this.#onIdle?.()
      return
    }
    seat.isBusy = true
    void this.#runBatch(seat, batch).finally(() => this.#free(seat)) // runBatch answers its requests and never rejects
  }

  #free(seat: Seat): void {
    seat.isBusy = false
    if (this.#queues.size > 0) this.#flushSoon()
    else if (this.pending === 0) this.#onIdle?.()
  }

  /** The oldest queue's requests, up to the largest batch; the queue then goes to the end of the line. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    for (const [key, queue] of this.#queues) {
      let rows = 0
      while (queue.length > 0 && (batch.length === 0 || rows + queue[0]!.rows <= this.#maxBatchRows)) {
        const next = queue.shift()!
        this.#queuedRows -= next.rows
        if (next.signal?.aborted === true) {
          next.reject(cancelled())
          continue
        }
        batch.push(next)
        rows += next.rows
      }
      this.#queues.delete(key)
      if (queue.length > 0) this.#queues.set(key, queue)
      if (batch.length > 0) return batch
    }
    return batch
  }

  async #runBatch(seat: Seat, batch: readonly Waiting[]): Promise<void> {
    const startedMs = performance.now()
    const { model, outputs } = batch[0]!
    const loaded = this.#models.get(model)!
    try {
      const inputs = loaded.io.inputs.map((spec, i) => this.#gather(loaded, spec, i, batch))
      const sentMs = performance.now()
      const response = await this.#ask(
        seat,
        { id: this.#nextId++, op: 'run', model, inputs, outputs },
        inputs.map(({ buffer }) => buffer),
      )
      const backMs = performance.now()
      if (response.op === 'loaded') throw runFailed(model, 'the worker answered something else')
      response.inputs.forEach((buffer, i) => this.#keep(loaded, i, buffer))
      if (response.op === 'failed') throw runFailed(model, response.message)
      answerAll(batch, response.outputs, loaded.canBatch)
      this.#options.onBatch?.({
        model,
        requests: batch.length,
        rows: batch.reduce((sum, { rows }) => sum + rows, 0),
        queueUs: batch.reduce((sum, { sinceMs }) => sum + (startedMs - sinceMs) * 1000, 0),
        inputUs: (sentMs - startedMs) * 1000,
        runUs: response.runUs,
        outputUs: (performance.now() - backMs) * 1000,
      })
    } catch (error) {
      for (const { reject } of batch) reject(error as Error)
    }
  }

  /** Copies the requests' bytes (which may lie at any alignment) behind each other into a buffer that is used again and again. */
  #gather(loaded: Loaded, spec: TensorSpec, index: number, batch: readonly Waiting[]): WorkerTensor {
    const shapes = batch.map(({ inputs }) => inputs[index]!.shape)
    const shape = loaded.canBatch ? [batch.reduce((sum, { rows }) => sum + rows, 0), ...shapes[0]!.slice(1)] : [...shapes[0]!]
    const bytes = elementCount(shape) * elementBytes(spec.datatype)!
    const rowBytes = elementCount(shape.slice(1)) * elementBytes(spec.datatype)!
    const size = loaded.canBatch ? Math.max(bytes, rowBytes * this.#maxBatchRows) : bytes
    const spare = loaded.spare[index]!
    const buffer = spare[spare.length - 1]?.byteLength === size ? spare.pop()! : new ArrayBuffer(size)
    const target = new Uint8Array(buffer)
    let at = 0
    for (const { inputs } of batch) {
      target.set(inputs[index]!.bytes, at)
      at += inputs[index]!.bytes.byteLength
    }
    return { name: spec.name, datatype: spec.datatype as NumericDatatype, shape, buffer }
  }

  #keep(loaded: Loaded, index: number, buffer: ArrayBuffer): void {
    const spare = loaded.spare[index]!
    if (spare.length < this.#options.workers) spare.push(buffer)
    else spare[0] = buffer
  }
}

/** Cuts the batch's outputs into the rows of each request, in order. */
const answerAll = (batch: readonly Waiting[], outputs: readonly WorkerTensor[], canBatch: boolean): void => {
  let fromRow = 0
  for (const { rows, resolve } of batch) {
    const start = fromRow
    resolve(
      outputs.map(({ name, datatype, shape, buffer }) => {
        if (!canBatch) return { name, datatype, shape, bytes: new Uint8Array(buffer) }
        const rowBytes = elementCount(shape.slice(1)) * elementBytes(datatype)!
        return { name, datatype, shape: [rows, ...shape.slice(1)], bytes: new Uint8Array(buffer, start * rowBytes, rows * rowBytes) }
      }),
    )
    fromRow += rows
  }
}
