// Models that nobody here wrote, each in processes of its own: one that crashes, grows or does not end takes only its process with it.
// Such a process is killed, what it ran is answered with an error that says so, and another takes its place, later each time it happens
// again. A batch is given to one process once: it is answered with its own rows or with an error, never with another's.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, ftruncateSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { memoryExceeded, modelUnloadable, noWorker, runFailed, runTimeout, stopping, workerLost } from '../errors.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import { BufferPool, gather, scatter } from './batch-copy.ts'
import { namelessFiles, readOutput, writeFully } from './process-files.ts'
import { SLOT_BYTES, aligned, frameOf, frameReader } from './process-frames.ts'
import type { ChildFrame, ParentFrame, TensorPlace } from './process-frames.ts'
import type { Batch, BatchAnswer, Room, Runner, Runtime, RuntimeModel } from './runner.ts'
import type { SessionModel } from './session.ts'

export interface ProcessRuntimeOptions {
  /** Longest a batch may run before its process is killed. */
  readonly runTimeoutMs: number
  /** Resident memory at which a process is killed. */
  readonly memoryLimitBytes: number
  /** Longest from the start of a process until its model is loaded. Default 120 s. */
  readonly openTimeoutMs?: number
  /** A process ended or was killed, or could not be replaced. */
  readonly onTrouble?: (trouble: ProcessTrouble) => void
  /** Where a model runs; throws when it cannot run there. Default: the CPU. */
  readonly placement?: (model: RuntimeModel) => Pick<SessionModel, 'provider' | 'deviceId'>
  /** Default: process-worker.ts. */
  readonly program?: string
}

export interface ProcessTrouble {
  readonly kind: 'lost' | 'timeout' | 'memory' | 'not-replaced'
  readonly model: string
  readonly reason: string
}

export interface ProcessRuntime extends Runtime {
  /** Ids of the processes that are alive. */
  readonly pids: readonly number[]
}

interface Model {
  readonly label: string
  readonly source: SessionModel
  readonly isBatched: boolean
  readonly places: Place[]
  inLine: (() => void)[]
  io: ModelIo
  provider: string
  isClosed: boolean
}

/** Where a process of the model belongs, whichever has it. */
interface Place {
  child: Child | undefined
  /** Replacements since a run last ended well. */
  replacements: number
  /** Of them, those that did not load the model, in a row. */
  failures: number
  timer: NodeJS.Timeout | undefined
}

interface Child {
  readonly process: ChildProcess
  readonly frames: Socket
  readonly inputs: number
  readonly outputs: number
  /** In the order in which it does them. */
  readonly pending: Operation[]
  readonly freeSlots: number[]
  readonly exited: Promise<void>
  isOpen: boolean
  /** Since when the first of what is pending is being done. */
  sinceMs: number
  /** What it wrote last, for messages. */
  said: string
  /** Why it is no longer counted on. */
  end: End | undefined
}

interface End {
  readonly kind: ProcessTrouble['kind'] | 'closed'
  readonly reason: string
  readonly first: Error
}

interface Operation {
  readonly id: number
  readonly isRun: boolean
  /** A run of one request: what goes wrong in it is that request's. */
  readonly isAlone: boolean
  readonly resolve: (frame: ChildFrame) => void
  readonly reject: (error: Error) => void
}

const US_PER_MS = 1000
const BYTES_PER_KB = 1024
/** One runs, one waits. */
const IN_FLIGHT = 2
const WATCH_MS = 25
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 3000
/** Requests wait for a replacement so often; after that they are refused until there is one. */
const PATIENT_FAILURES = 2
const SAID_CHARACTERS = 600
/** Signals that a program causes itself. */
const CRASHES = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGABRT', 'SIGTRAP']
const HEAP_MB = 512
/** What a GPU's libraries look for; nothing else of the service's environment is handed on. */
const PASSED_ON = ['LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES', 'CUDA_CACHE_PATH', 'VK_DRIVER_FILES', 'TZ']

export const processRuntime = (options: ProcessRuntimeOptions): ProcessRuntime => new Processes(options)

class Processes implements ProcessRuntime {
  readonly #options: ProcessRuntimeOptions
  readonly #buffers = new BufferPool(16 * 1024 * 1024)
  readonly #models = new Set<Model>()
  #nextId = 1
  #isClosing = false
  #watch: NodeJS.Timeout | undefined

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options
  }

  get pids(): readonly number[] {
    return this.#children().flatMap(({ process: { pid, exitCode, signalCode } }) =>
      pid === undefined || exitCode !== null || signalCode !== null ? [] : [pid],
    )
  }

  async open(opened: RuntimeModel): Promise<Runner> {
    if (this.#isClosing) throw stopping()
    const { label, bytes, externalData, parameters, instances, maxBatchRows } = opened
    const model: Model = {
      label,
      source: { bytes, parameters, ...(externalData === undefined ? {} : { externalData }), ...this.#options.placement?.(opened) },
      isBatched: maxBatchRows > 0,
      places: Array.from({ length: Math.max(1, instances) }, () => ({ child: undefined, replacements: 0, failures: 0, timer: undefined })),
      inLine: [],
      io: { inputs: [], outputs: [] },
      provider: '',
      isClosed: false,
    }
    this.#models.add(model)
    try {
      await Promise.all(model.places.map((place) => this.#start(model, place)))
    } catch (error) {
      await this.#close(model)
      throw modelUnloadable(label, error)
    }
    return this.#runner(model)
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all([...this.#models].map((model) => this.#close(model)))
    clearTimeout(this.#watch)
  }

  #children(): Child[] {
    return [...this.#models].flatMap(({ places }) => places.flatMap(({ child }) => child ?? []))
  }

  #runner(model: Model): Runner {
    const room: Room = {
      hasRoom: () => hasRoom(model),
      isIdle: () => model.places.some(({ child }) => isUsable(child) && child.pending.length === 0),
      whenRoom: (listener) => void model.inLine.push(listener),
    }
    let closing: Promise<void> | undefined
    return {
      io: model.io,
      get provider() {
        return model.provider
      },
      room,
      run: (batch) => this.#run(model, batch),
      close: () => (closing ??= this.#close(model)),
    }
  }

  async #run(model: Model, batch: Batch): Promise<BatchAnswer> {
    let chosen: Child | undefined
    for (const { child } of model.places) {
      if (isUsable(child) && child.freeSlots.length > 0 && child.pending.length < (chosen?.pending.length ?? Infinity)) chosen = child
    }
    if (chosen === undefined) throw noWorker()
    const startedMs = performance.now()
    const slot = chosen.freeSlots.pop()!
    try {
      const frame = this.#handOver(model, chosen, slot, batch)
      const inputUs = (performance.now() - startedMs) * US_PER_MS
      const answer = await this.#ask(chosen, frame, batch.requests.length === 1)
      if (answer.op === 'failed') throw runFailed(model.label, answer.message)
      if (answer.op !== 'ran') throw runFailed(model.label, `its process answered ${answer.op}`)
      const backMs = performance.now()
      const outputs = this.#takeBack(model, chosen, slot, batch, answer.outputs)
      return { outputs, inputUs, runUs: answer.runUs, outputUs: (performance.now() - backMs) * US_PER_MS }
    } finally {
      chosen.freeSlots.push(slot)
      for (const place of model.places) if (place.child === chosen && chosen.end === undefined) place.replacements = 0
    }
  }

  #handOver(model: Model, { inputs }: Child, slot: number, batch: Batch): Extract<ParentFrame, { op: 'run' }> {
    try {
      let [at, end] = [0, 0]
      const places = gather(model.io.inputs, batch, this.#buffers).map(({ name, datatype, shape, buffer, byteLength }): TensorPlace => {
        const bytes = byteLength ?? buffer.byteLength
        const place = { name, datatype, shape, at, bytes }
        writeFully(inputs, new Uint8Array(buffer, 0, bytes), slot * SLOT_BYTES + at)
        this.#buffers.give(buffer)
        end = at + bytes
        at = aligned(end)
        return place
      })
      return { op: 'run', id: this.#nextId++, slot, bytes: end, inputs: places, outputs: batch.outputs }
    } catch (error) {
      throw runFailed(model.label, (error as Error).message)
    }
  }

  #takeBack(model: Model, child: Child, slot: number, batch: Batch, places: readonly TensorPlace[]): ReturnType<typeof scatter> {
    try {
      const tensors = batch.outputs.map((name, i) => readOutput(child.outputs, slot, model.io, name, places[i]))
      return scatter(model.io.outputs, tensors, batch, model.isBatched)
    } catch (error) {
      throw runFailed(model.label, (error as Error).message)
    }
  }

  #ask(child: Child, frame: ParentFrame, isAlone = false): Promise<ChildFrame> {
    return new Promise((resolve, reject) => {
      if (child.end !== undefined) return reject(child.end.first)
      child.pending.push({ id: frame.id, isRun: frame.op === 'run', isAlone, resolve, reject })
      if (child.pending.length === 1) child.sinceMs = performance.now()
      child.frames.write(frameOf(frame))
      this.#watchSoon()
    })
  }

  /** A process with the model loaded; rejects with the reason when it cannot be had. */
  async #start(model: Model, place: Place): Promise<void> {
    const child = this.#spawn(model, place)
    place.child = child
    const frame = this.#openFrame(model, child)
    const answer = await this.#ask(child, frame)
    ftruncateSync(child.inputs) // it has its copy
    if (answer.op !== 'opened') {
      const reason = answer.op === 'failed' ? answer.message : `its process answered ${answer.op}`
      this.#end(model, child, { kind: 'closed', reason, first: workerLost(reason) })
      throw new Error(reason)
    }
    model.io = answer.io
    model.provider = answer.provider
    child.isOpen = true
    place.failures = 0
    tellRoom(model)
  }

  #openFrame(model: Model, child: Child): Extract<ParentFrame, { op: 'open' }> {
    const { bytes, externalData = new Map<string, Uint8Array>(), parameters = {}, provider, deviceId } = model.source
    let at = 0
    const put = (content: Uint8Array): { at: number; bytes: number } => {
      const from = at
      writeFully(child.inputs, content, from)
      at = aligned(from + content.byteLength)
      return { at: from, bytes: content.byteLength }
    }
    try {
      return {
        op: 'open',
        id: this.#nextId++,
        model: put(bytes),
        externalData: [...externalData].map(([path, content]) => ({ path, ...put(content) })),
        parameters,
        ...(provider === undefined ? {} : { provider }),
        ...(deviceId === undefined ? {} : { deviceId }),
      }
    } catch (error) {
      const reason = (error as Error).message
      this.#end(model, child, { kind: 'closed', reason, first: workerLost(reason) })
      throw error
    }
  }

  #spawn(model: Model, place: Place): Child {
    const [inputs, outputs] = namelessFiles()
    const program = this.#options.program ?? fileURLToPath(new URL('./process-worker.ts', import.meta.url))
    const spawned = spawn(process.execPath, [`--max-old-space-size=${HEAP_MB}`, program], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', inputs, outputs],
      env: {
        ...Object.fromEntries(PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
        ORT_DISABLE_TELEMETRY: '1',
      },
      cwd: tmpdir(),
    })
    const frames = spawned.stdio[3] as Socket
    const exited = new Promise<void>((resolve) => {
      spawned.once('close', () => resolve())
      spawned.once('error', () => spawned.pid ?? resolve())
    })
    const child: Child = {
      process: spawned,
      frames,
      inputs,
      outputs,
      pending: [],
      freeSlots: Array.from({ length: IN_FLIGHT }, (_, i) => i),
      exited,
      isOpen: false,
      sinceMs: 0,
      said: '',
      end: undefined,
    }
    let reason = ''
    spawned.on('error', (error) => (reason = error.message))
    spawned.once('exit', (code, signal) => (reason = signal ?? `code ${code}`))
    const log = spawned.stdio[2] as Readable
    log.setEncoding('utf8').on('data', (text: string) => (child.said = (child.said + text).slice(-SAID_CHARACTERS)))
    for (const stream of [frames, log, spawned.stdio[4] as Socket]) stream.on('error', () => {}) // its exit says what there is to say
    frames.on(
      'data',
      frameReader((frame) => this.#answered(model, child, frame)),
    )
    void exited.then(() => this.#exited(model, place, child, reason)) // never rejects
    return child
  }

  #answered(model: Model, child: Child, frame: ChildFrame | undefined): void {
    if (child.end !== undefined) return // its requests are answered
    const [first] = child.pending
    if (frame === undefined || first === undefined || frame.id !== first.id) {
      const reason = 'it answered something that nobody asked'
      return this.#end(model, child, { kind: 'lost', reason, first: workerLost(reason) })
    }
    child.pending.shift()
    if (child.pending.length > 0) child.sinceMs = performance.now()
    first.resolve(frame)
    // After whoever waits for the answer: it has given its place back then.
    setImmediate(() => tellRoom(model))
  }

  /** Answers what it has, and kills it. */
  #end(model: Model, child: Child, end: End): void {
    if (child.end !== undefined) return
    child.end = end
    child.pending.splice(0).forEach(({ reject }, i) => reject(i === 0 ? end.first : workerLost(`a batch before it: ${end.reason}`)))
    if (end.kind !== 'closed') this.#options.onTrouble?.({ kind: end.kind, model: model.label, reason: end.reason })
    child.process.kill('SIGKILL')
  }

  #exited(model: Model, place: Place, child: Child, reason: string): void {
    closeSync(child.inputs)
    closeSync(child.outputs)
    child.frames.destroy()
    ;(child.process.stdio[4] as Socket).destroy()
    const said = child.said.trim()
    const words = `its process ended with ${reason || 'no word'}${said === '' ? '' : `, having said: ${said}`}`
    // Whoever crashes on a request does so again: it is not one to try again, unless others were in its batch.
    const isToBlame = CRASHES.includes(reason) && child.pending[0]?.isAlone === true
    this.#end(model, child, { kind: 'lost', reason: words, first: isToBlame ? runFailed(model.label, words) : workerLost(words) })
    if (place.child === child) place.child = undefined
    this.#replaceLater(model, place)
  }

  #replaceLater(model: Model, place: Place): void {
    // A model that has never been open is its caller's to try again.
    if (model.isClosed || this.#isClosing || model.io.outputs.length === 0) return
    const delayMs = place.replacements === 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (place.replacements - 1), LONGEST_DELAY_MS)
    place.replacements++
    place.timer = setTimeout(() => {
      place.timer = undefined
      this.#start(model, place).catch((error: Error) => {
        place.failures++
        this.#options.onTrouble?.({ kind: 'not-replaced', model: model.label, reason: error.message })
        tellRoom(model)
        // Otherwise its exit sees to the next one.
        if (place.child === undefined && place.timer === undefined) this.#replaceLater(model, place)
      })
    }, delayMs)
  }

  async #close(model: Model): Promise<void> {
    model.isClosed = true
    model.inLine = []
    const children = model.places.flatMap(({ child, timer }) => {
      clearTimeout(timer)
      return child ?? []
    })
    for (const child of children) this.#end(model, child, { kind: 'closed', reason: 'the model is unloaded', first: stopping() })
    await Promise.all(children.map(({ exited }) => exited))
    this.#models.delete(model)
  }

  /** One timer for all processes, only while one has something to do. */
  #watchSoon(): void {
    if (this.#watch !== undefined) return
    this.#watch = setTimeout(() => {
      this.#watch = undefined
      const nowMs = performance.now()
      for (const model of this.#models) for (const { child } of model.places) if (child !== undefined) this.#look(model, child, nowMs)
      if (this.#children().some(({ pending }) => pending.length > 0)) this.#watchSoon()
    }, WATCH_MS)
    this.#watch.unref()
  }

  #look(model: Model, child: Child, nowMs: number): void {
    const [first] = child.pending
    if (first === undefined) return
    const limitMs = first.isRun ? this.#options.runTimeoutMs : (this.#options.openTimeoutMs ?? 120_000)
    if (nowMs - child.sinceMs >= limitMs) {
      const reason = `its ${first.isRun ? 'run' : 'model'} did not ${first.isRun ? 'end' : 'load'} in ${limitMs} ms`
      this.#end(model, child, { kind: 'timeout', reason, first: first.isRun ? runTimeout(model.label, limitMs) : new Error(reason) })
      return
    }
    const bytes = residentBytes(child.process.pid)
    const { memoryLimitBytes } = this.#options
    if (bytes <= memoryLimitBytes) return
    const error = memoryExceeded(model.label, bytes, memoryLimitBytes)
    this.#end(model, child, { kind: 'memory', reason: error.message, first: error })
  }
}

const isUsable = (child: Child | undefined): child is Child => child?.isOpen === true && child.end === undefined

const hasRoom = ({ places }: Model): boolean => {
  let isComing = false
  for (const { child, failures } of places) {
    if (isUsable(child)) {
      if (child.freeSlots.length > 0) return true
      isComing = true
    } else if (failures < PATIENT_FAILURES) isComing = true
  }
  // None, and none that could be had: a batch is refused at once instead of waiting for ever.
  return !isComing
}

/** Everybody in line is asked once, in the order in which they came; whoever still wants room comes again. */
const tellRoom = (model: Model): void => {
  if (model.inLine.length === 0 || !hasRoom(model)) return
  const inLine = model.inLine
  model.inLine = []
  for (const listener of inLine) listener()
}

/** 0 where the machine does not say. */
const residentBytes = (pid: number | undefined): number => {
  try {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return Number(line?.[1] ?? 0) * BYTES_PER_KB
  } catch {
    return 0 // it has just ended
  }
}
