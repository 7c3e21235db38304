// Models in worker threads: each thread runs one batch and has the next one waiting with its inputs copied. A thread that dies is
// replaced and gets its models again; one that does not come back from a run in time is suspected: its requests are answered without
// it, another takes its place, and it ends by itself when it comes back. A thread is never terminated from outside.

import './no-telemetry.ts'
import { Worker } from 'node:worker_threads'
import { modelUnloadable, noWorker, runFailed, runTimeout, workerLost } from '../errors.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import { BufferPool, gather, scatter } from './batch-copy.ts'
import { ownCopy, release } from './memory.ts'
import type { Batch, BatchAnswer, Room, Runner, Runtime, RuntimeModel } from './runner.ts'
import type { SessionModel } from './session.ts'
import type { WorkerRequest, WorkerResponse } from './session-worker.ts'
import { Slab } from './slab.ts'

export interface ThreadRuntimeOptions {
  /** Threads; a model is loaded into as many of them as it has instances. */
  readonly workers: number
  /** Longest a batch may run before its requests are answered without it. */
  readonly runTimeoutMs: number
  /** Longest a model may be loaded before its thread is given up. Default 5 minutes: a GPU's engine may be built meanwhile. */
  readonly loadTimeoutMs?: number
  /** Longest that closing waits for threads that have not come back from a run. Default 10 s. */
  readonly closeTimeoutMs?: number
  /** Threads that may be stuck in a run at the same time while others take their places. Default: two more than there are workers. */
  readonly maxSuspects?: number
  /** Memory of input buffers between two uses. Default 64 MiB. */
  readonly bufferBytes?: number
  /** A thread ended by itself, is suspected, or a replacement could not load a model. */
  readonly onTrouble?: (trouble: Trouble) => void
  /** Where a model runs; throws when it cannot run there. Default: the CPU. */
  readonly placement?: (model: RuntimeModel) => Pick<SessionModel, 'provider' | 'deviceId'>
  /** Opens a thread that speaks session-worker.ts's messages. */
  readonly openWorker?: () => Worker
}

export interface Trouble {
  readonly kind: 'lost' | 'suspect' | 'returned' | 'not-reloaded'
  readonly reason: string
}

export interface ThreadRuntime extends Runtime {
  /** False while a thread is missing because too many are stuck. */
  isReady(): boolean
  /** Threads that have not come back from a run. */
  readonly suspects: number
}

interface Model {
  readonly key: number
  readonly label: string
  readonly source: SessionModel
  readonly isBatched: boolean
  readonly slots: Slot[]
  io: ModelIo
  provider: string
  /** Threads that are loading it. */
  loading: number
  /** Threads that have ended while they loaded it. */
  deaths: number
}

/** A place for a thread, and the models that belong there whichever thread has it. */
interface Slot {
  seat: Seat | undefined
  readonly models: Set<Model>
}

interface Seat {
  readonly slot: Slot
  readonly worker: Worker
  /** In the order in which the thread does them. */
  readonly pending: Operation[]
  readonly loaded: Set<Model>
  /** Since when the first of them is being done. */
  sinceMs: number
  readonly exited: Promise<void>
  isClosing: boolean
  readonly slab: Slab
  /** The thread waits for what is posted in the slab. */
  isAttached: boolean
  /** Nobody waits for its answers any more. */
  isOver: boolean
  /** The model it has not come back from. */
  stuckIn: Model | undefined
}

interface Operation {
  readonly id: number
  readonly op: WorkerRequest['op']
  readonly model: Model
  /** A run that was asked in the slab. */
  readonly asked?: { readonly slot: number; readonly outputs: readonly string[] }
  readonly resolve: (response: WorkerResponse) => void
  readonly reject: (error: Error) => void
}

const US_PER_MS = 1000
/** One runs, one waits. */
const IN_FLIGHT = 2
/** How often a run is looked at before its time is over: it is noticed so much later at most. */
const LOOKS = 16
/** A model that hangs takes every worker once, and one thread more for each try that it gets before it is left alone. */
const SPARE_SUSPECTS = 2
const DEFAULT_LOAD_TIMEOUT_MS = 300_000
const DEFAULT_CLOSE_TIMEOUT_MS = 10_000
const DEFAULT_BUFFER_BYTES = 64 * 1024 * 1024
/** A model up to this size is handed to each thread as a copy of its own, whose memory is given back as soon as it is loaded. */
const MOST_COPIED_BYTES = 16 * 1024 * 1024
/** A model whose thread ends while it loads is tried so often. */
const LOADS = 3

const openSessionWorker = (): Worker => new Worker(new URL('./session-worker.ts', import.meta.url))

export const threadRuntime = (options: ThreadRuntimeOptions): ThreadRuntime => new Threads(options)

class Threads implements ThreadRuntime {
  readonly #options: ThreadRuntimeOptions
  readonly #buffers: BufferPool
  readonly #slots: Slot[]
  readonly #suspects = new Set<Seat>()
  readonly #maxSuspects: number
  #inLine: { readonly model: Model; readonly listener: () => void }[] = []
  #nextId = 1
  #isClosing = false
  #watch: NodeJS.Timeout | undefined

  constructor(options: ThreadRuntimeOptions) {
    this.#options = options
    this.#maxSuspects = options.maxSuspects ?? Math.max(1, options.workers) + SPARE_SUSPECTS
    this.#buffers = new BufferPool(options.bufferBytes ?? DEFAULT_BUFFER_BYTES)
    this.#slots = Array.from({ length: Math.max(1, options.workers) }, () => ({ seat: undefined, models: new Set() }))
    for (const slot of this.#slots) slot.seat = this.#open(slot)
  }

  get suspects(): number {
    return this.#suspects.size
  }

  isReady(): boolean {
    return !this.#isClosing && this.#slots.every(({ seat }) => seat !== undefined)
  }

  async open(opened: RuntimeModel): Promise<Runner> {
    const { label, bytes, externalData, parameters, instances, maxBatchRows } = opened
    const count = Math.min(Math.max(1, instances), this.#slots.length)
    const slots = this.#slots.toSorted((a, b) => a.models.size - b.models.size).slice(0, count)
    const source: SessionModel = {
      bytes: bytes.byteLength <= MOST_COPIED_BYTES ? ownCopy(bytes) : shared(bytes),
      parameters,
      ...this.#options.placement?.(opened),
      ...(externalData === undefined ? {} : { externalData: new Map([...externalData].map(([path, file]) => [path, shared(file)])) }),
    }
    const model: Model = {
      key: this.#nextId++,
      label,
      source,
      isBatched: maxBatchRows > 0,
      slots,
      io: { inputs: [], outputs: [] },
      provider: '',
      loading: 0,
      deaths: 0,
    }
    try {
      await Promise.all(slots.map((slot) => this.#firstLoad(model, slot)))
    } catch (error) {
      await this.#unload(model)
      throw error
    }
    return this.#runner(model)
  }

  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#watch)
    const seats = this.#slots.flatMap(({ seat }) => seat ?? [])
    for (const seat of seats) this.#dismiss(seat)
    await Promise.all(seats.map(({ exited }) => exited))
    await this.#suspectsBack()
  }

  /** A process that ends with a thread in a run is aborted by the runtime, so its end waits; not for ever. */
  async #suspectsBack(): Promise<void> {
    if (this.#suspects.size === 0) return
    let late: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => (late = setTimeout(resolve, this.#options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS)))
    await Promise.race([enough, Promise.all([...this.#suspects].map(({ exited }) => exited))])
    clearTimeout(late)
  }

  #runner(model: Model): Runner {
    const room: Room = {
      hasRoom: () => this.#hasRoom(model),
      isIdle: () => model.slots.some(({ seat }) => seat !== undefined && seat.pending.length === 0 && seat.loaded.has(model)),
      whenRoom: (listener) => void this.#inLine.push({ model, listener }),
    }
    let closing: Promise<void> | undefined
    return {
      io: model.io,
      get provider() {
        return model.provider
      },
      room,
      run: (batch) => this.#run(model, batch),
      mayHang: () => this.#suspects.size < this.#maxSuspects || ![...this.#suspects].some(({ stuckIn }) => stuckIn === model),
      close: () => (closing ??= this.#unload(model)),
    }
  }

  async #firstLoad(model: Model, slot: Slot): Promise<void> {
    slot.models.add(model)
    for (;;) {
      const { seat } = slot
      if (seat === undefined) throw noWorker()
      try {
        await this.#load(model, seat)
        return
      } catch (error) {
        if (slot.seat === seat || this.#isClosing) throw error
        // The thread has ended. Its replacement loads the model as well, and being asked twice does no harm - or it may not any more.
        if (!slot.models.has(model)) throw modelUnloadable(model.label, error)
      }
    }
  }

  async #load(model: Model, seat: Seat): Promise<void> {
    model.loading++
    try {
      const { source } = model
      const isShared = source.bytes.buffer instanceof SharedArrayBuffer
      const sent = isShared ? source : { ...source, bytes: ownCopy(source.bytes) }
      const request: WorkerRequest = { id: this.#nextId++, op: 'load', model: model.key, source: sent }
      const response = await this.#ask(seat, model, request, isShared ? [] : [sent.bytes.buffer as ArrayBuffer])
      if (response.op !== 'loaded') throw modelUnloadable(model.label, response.op === 'failed' ? response.message : response.op)
      model.io = response.io
      model.provider = response.provider ?? model.provider
      seat.loaded.add(model)
    } finally {
      model.loading--
    }
  }

  /** What runs ends first: the thread does one thing after another. */
  async #unload(model: Model): Promise<void> {
    const seats = model.slots.flatMap((slot) => {
      slot.models.delete(model)
      return slot.seat ?? []
    })
    this.#inLine = this.#inLine.filter((waiting) => waiting.model !== model)
    for (const seat of seats) seat.loaded.delete(model)
    await Promise.all(
      seats
        .filter(({ isClosing }) => !isClosing)
        .map((seat) => this.#ask(seat, model, { id: this.#nextId++, op: 'unload', model: model.key }).catch(() => {})), // a lost thread has unloaded everything
    )
    release(model.source.bytes)
  }

  #hasRoom(model: Model): boolean {
    let holds = false
    for (const { seat } of model.slots) {
      if (seat?.loaded.has(model) !== true) continue
      holds = true
      // Nothing waits behind a load, which may take long: in the queue its time is counted.
      if (seat.pending.length < IN_FLIGHT && seat.pending.every(({ op }) => op !== 'load')) return true
    }
    // Nowhere, and nobody loads it: a batch is refused at once instead of waiting for ever.
    return !holds && model.loading === 0
  }

  async #run(model: Model, batch: Batch): Promise<BatchAnswer> {
    let seat: Seat | undefined
    for (const slot of model.slots) {
      if (slot.seat?.loaded.has(model) === true && slot.seat.pending.length < (seat?.pending.length ?? Infinity)) ({ seat } = slot)
    }
    if (seat === undefined) throw noWorker()
    const startedMs = performance.now()
    const id = this.#nextId++
    const asked = this.#askInSlab(seat, id, model, batch)
    const inputs = asked === undefined ? this.#gather(model, batch) : []
    const inputUs = (performance.now() - startedMs) * US_PER_MS
    const response =
      asked === undefined
        ? await this.#ask(
            seat,
            model,
            { id, op: 'run', model: model.key, inputs, outputs: batch.outputs },
            inputs.map(({ buffer }) => buffer),
          )
        : await this.#posted(seat, { id, op: 'run', model, asked })
    if (response.op !== 'ran' && response.op !== 'failed') throw runFailed(model.label, `the thread answered ${response.op}`)
    for (const buffer of response.inputs) this.#buffers.give(buffer)
    if (response.op === 'failed') throw runFailed(model.label, response.message)
    const backMs = performance.now()
    const outputs = this.#scatter(model, response.outputs, batch)
    return { outputs, inputUs, runUs: response.runUs, outputUs: (performance.now() - backMs) * US_PER_MS }
  }

  #gather(model: Model, batch: Batch): ReturnType<typeof gather> {
    try {
      return gather(model.io.inputs, batch, this.#buffers)
    } catch (error) {
      throw runFailed(model.label, (error as Error).message)
    }
  }

  #askInSlab(seat: Seat, id: number, model: Model, batch: Batch): Operation['asked'] {
    if (!seat.isAttached) return undefined
    try {
      const slot = seat.slab.ask(id, model.key, model.io, batch)
      return slot === undefined ? undefined : { slot, outputs: batch.outputs }
    } catch (error) {
      throw runFailed(model.label, (error as Error).message)
    }
  }

  #scatter(model: Model, outputs: Parameters<typeof scatter>[1], batch: Batch): ReturnType<typeof scatter> {
    try {
      return scatter(model.io.outputs, outputs, batch, model.isBatched)
    } catch (error) {
      throw runFailed(model.label, (error as Error).message)
    }
  }

  #ask(seat: Seat, model: Model, request: WorkerRequest, transfer: ArrayBuffer[] = []): Promise<WorkerResponse> {
    try {
      // Throws when a message cannot be sent: nothing is pending then.
      seat.worker.postMessage(request, transfer)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    return this.#posted(seat, { id: request.id, op: request.op, model })
  }

  /** Wakes the thread for what was asked in a message or in the slab; resolves with its answer. */
  #posted(seat: Seat, operation: Omit<Operation, 'resolve' | 'reject'>): Promise<WorkerResponse> {
    seat.slab.post()
    return new Promise((resolve, reject) => {
      seat.pending.push({ ...operation, resolve, reject })
      if (seat.pending.length === 1) this.#begin(seat)
    })
  }

  /** The first of what is pending is being done from now on. */
  #begin(seat: Seat): void {
    seat.sinceMs = performance.now()
    this.#watchSeats()
  }

  #open(slot: Slot): Seat {
    const worker = (this.#options.openWorker ?? openSessionWorker)()
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    const slab = new Slab()
    const state = { isClosing: false, stuckIn: undefined, isAttached: false, isOver: false }
    const seat: Seat = { slot, worker, pending: [], loaded: new Set(), sinceMs: 0, exited, slab, ...state }
    worker.postMessage({ id: 0, op: 'attach', shared: slab.shared } satisfies WorkerRequest)
    let reason = 'it exited'
    worker.on('error', (error) => (reason = error.message))
    worker.on('message', (response: WorkerResponse) => {
      if (response.op === 'attached') this.#attached(seat)
      else this.#answered(seat, response)
    })
    void exited.then(() => this.#exited(seat, reason)) // never rejects
    return seat
  }

  #attached(seat: Seat): void {
    seat.isAttached = true
    void seat.slab.whenAnswered(() => {
      this.#takeAnswers(seat)
      return !seat.isOver
    })
  }

  /** What is done in the slab, in its turn: an answer may come as a message before it. */
  #takeAnswers(seat: Seat): void {
    for (let [first] = seat.pending; first?.asked !== undefined; [first] = seat.pending) {
      const answer = seat.slab.take(first.asked.slot, first.model.io, first.asked.outputs)
      if (answer === undefined) return
      this.#settle(seat, first, { id: first.id, op: 'ran', inputs: [], ...answer })
    }
  }

  #answered(seat: Seat, response: WorkerResponse): void {
    this.#takeAnswers(seat)
    const [first] = seat.pending
    if (first === undefined || first.id !== response.id) return // a late answer: whoever asked has been told something else
    if (first.asked !== undefined) seat.slab.free(first.asked.slot)
    this.#settle(seat, first, response)
    this.#takeAnswers(seat)
  }

  #settle(seat: Seat, first: Operation, response: WorkerResponse): void {
    seat.pending.shift()
    if (seat.pending.length > 0) this.#begin(seat)
    first.resolve(response)
    // After whoever waits for the answer: what it loads is loaded then.
    queueMicrotask(() => this.#tellRoom())
  }

  /** Everybody in line is asked once, in the order in which they came; whoever still wants room comes again, behind the others. */
  #tellRoom(): void {
    if (this.#inLine.length === 0) return
    const inLine = this.#inLine
    this.#inLine = []
    const still: typeof inLine = []
    for (const waiting of inLine) {
      if (this.#hasRoom(waiting.model)) waiting.listener()
      else still.push(waiting)
    }
    this.#inLine.unshift(...still)
  }

  #exited(seat: Seat, reason: string): void {
    if (this.#suspects.delete(seat)) {
      this.#trouble('returned', reason)
      for (const slot of this.#slots) this.#fill(slot)
      return
    }
    const [first] = seat.pending
    if (first?.op === 'load' && ++first.model.deaths >= LOADS) {
      seat.slot.models.delete(first.model)
      this.#trouble('not-reloaded', `${first.model.label} ended ${LOADS} threads that loaded it`)
    }
    this.#abandon(seat, () => workerLost(reason))
    if (seat.isClosing) return
    this.#trouble('lost', reason)
    seat.slot.seat = undefined
    this.#fill(seat.slot)
    this.#tellRoom()
  }

  /** Another thread where one is missing, with the models that belong there. */
  #fill(slot: Slot): void {
    if (this.#isClosing || slot.seat !== undefined || this.#suspects.size > this.#maxSuspects) return
    const seat = this.#open(slot)
    slot.seat = seat
    for (const model of slot.models) {
      this.#load(model, seat).catch((error: Error) => {
        if (slot.seat === seat && !this.#isClosing) this.#trouble('not-reloaded', error.message)
        this.#tellRoom()
      })
    }
  }

  #abandon(seat: Seat, error: (isFirst: boolean) => Error): void {
    seat.loaded.clear()
    seat.isOver = true
    seat.slab.wakeAsker()
    seat.pending.splice(0).forEach(({ reject }, i) => reject(error(i === 0)))
  }

  #dismiss(seat: Seat): void {
    seat.isClosing = true
    seat.worker.postMessage({ id: this.#nextId++, op: 'close' } satisfies WorkerRequest)
    seat.slab.post()
  }

  #limitMs(op: Operation['op']): number {
    return op === 'run' ? this.#options.runTimeoutMs : (this.#options.loadTimeoutMs ?? DEFAULT_LOAD_TIMEOUT_MS)
  }

  /** One timer for all threads, only while one of them does something. */
  #watchSeats(): void {
    if (this.#watch !== undefined) return
    this.#watch = setTimeout(
      () => {
        this.#watch = undefined
        const nowMs = performance.now()
        for (const { seat } of this.#slots) {
          const [first] = seat?.pending ?? []
          if (seat === undefined || first === undefined) continue
          if (nowMs - seat.sinceMs >= this.#limitMs(first.op)) this.#suspect(seat, first)
          else this.#watchSeats()
        }
      },
      Math.max(1, this.#options.runTimeoutMs / LOOKS),
    )
    this.#watch.unref()
  }

  #suspect(seat: Seat, { op, model }: Operation): void {
    const { label } = model
    const limitMs = this.#limitMs(op)
    const reason = `${op} of ${label} takes more than ${limitMs} ms`
    this.#suspects.add(seat)
    seat.stuckIn = model
    if (op === 'load') seat.slot.models.delete(model) // it would hold up the next thread as well
    this.#abandon(seat, (isFirst) => {
      if (!isFirst) return workerLost(reason)
      return op === 'run' ? runTimeout(label, limitMs) : modelUnloadable(label, new Error(reason))
    })
    this.#dismiss(seat)
    // It must not keep a process alive that is done.
    seat.worker.unref()
    seat.slot.seat = undefined
    this.#fill(seat.slot)
    this.#tellRoom()
    this.#trouble('suspect', reason)
  }

  #trouble(kind: Trouble['kind'], reason: string): void {
    this.#options.onTrouble?.({ kind, reason })
  }
}

/** One copy for all threads, which copy it once more where nobody waits for answers: for large models, whose copies would be waited for. */
const shared = (bytes: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
  copy.set(bytes)
  return copy
}
