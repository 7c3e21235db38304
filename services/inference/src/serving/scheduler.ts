// Drives the queue of one model: hands batches to its runner when there is room, wakes up when a delay or somebody's time is over, and
// answers every request exactly once. Models that share a runtime take turns, because its room asks them in the order in which they asked.

import { AndonError } from '@andon/kit'
import { batchTooLarge, cancelled, deadlineExceeded, invalidTensor, queueFull, queueTimeout, stopping } from '../errors.ts'
import type { BatchAnswer, Runner } from '../runtime/runner.ts'
import { BatchQueue } from './batching.ts'
import type { Entry, Expired } from './batching.ts'
import type { SchedulingPolicy } from './policy.ts'
import type { OutputTensor, RunRequest } from './servable.ts'

/** What waits in all queues of the service together. */
export class QueueLimit {
  readonly maxRows: number
  readonly maxBytes: number
  rows = 0
  bytes = 0

  constructor(limits: { readonly maxRows: number; readonly maxBytes: number }) {
    this.maxRows = limits.maxRows
    this.maxBytes = limits.maxBytes
  }

  /** One request is always let in, however large: the doors limit its size. */
  admits(rows: number, bytes: number): boolean {
    return (this.rows + rows <= this.maxRows && this.bytes + bytes <= this.maxBytes) || (this.rows === 0 && this.bytes === 0)
  }

  add(rows: number, bytes: number): void {
    this.rows += rows
    this.bytes += bytes
  }
}

/** What became of a request that was run, microseconds. */
export interface Scored {
  readonly outputs: readonly OutputTensor[]
  readonly queueUs: number
  readonly rows: number
  readonly batch: Times
}

type Times = Pick<BatchAnswer, 'inputUs' | 'runUs' | 'outputUs'>

export interface SchedulerOptions {
  /** For messages. */
  readonly label: string
  readonly policy: SchedulingPolicy
  readonly runner: Runner
  readonly limit: QueueLimit
  /** Told about every batch that ran. */
  readonly onBatch?: (batch: BatchRun) => void
}

export interface BatchRun extends Times {
  readonly requests: number
  readonly rows: number
  /** Sum over the requests. */
  readonly queueUs: number
}

interface Request {
  readonly request: RunRequest
  readonly bytes: number
  /** Place in the order of the answers. */
  readonly order: number
  readonly resolve: (scored: Scored) => void
  readonly reject: (error: Error) => void
  stopListening: () => void
}

const US_PER_MS = 1000
/** Timers are late by up to so much. */
const TIMER_MS = 2
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Weight of the newest run in the prediction of the next. */
const NEWEST = 0.2

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #queue: BatchQueue<Request>
  #inFlight = 0
  #runMs = 0
  #isPumpDue = false
  #isInLine = false
  #isClosing = false
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  #lastOrder = 0
  #nextAnswer = 1
  /** Answers that wait for those before them; undefined: it was answered already. */
  readonly #held = new Map<number, (() => void) | undefined>()
  #onIdle: (() => void) | undefined

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#queue = new BatchQueue(options.policy)
  }

  /** Requests that wait, without those that run. */
  get waiting(): number {
    return this.#queue.size
  }

  /** Answers once; never later than its time in the queue and a run. */
  run(request: RunRequest): Promise<Scored> {
    if (this.#isClosing) return Promise.reject(stopping())
    if (request.signal?.aborted === true) return Promise.reject(cancelled())
    const nowMs = performance.now()
    const { policy, limit, label } = this.#options
    const { deadlineMs = Infinity } = request
    if (nowMs >= deadlineMs) return Promise.reject(deadlineExceeded())
    const rows = policy.maxBatchRows === 0 ? 1 : (request.inputs.find((input) => input !== undefined)?.shape[0] ?? 1)
    // Here and not in the batch, where it would be the failure of others as well.
    const uneven = policy.maxBatchRows === 0 ? undefined : request.inputs.find((input) => input !== undefined && input.shape[0] !== rows)
    if (uneven !== undefined)
      return Promise.reject(
        invalidTensor(`Request for ${label} has an input of ${uneven.shape[0] ?? 'no'} rows, expected ${rows} as in the first`),
      )
    if (policy.maxBatchRows > 0 && rows > policy.maxBatchRows) return Promise.reject(batchTooLarge(label, rows, policy.maxBatchRows))
    const bytes = request.inputs.reduce((sum, input) => sum + (input?.bytes.byteLength ?? 0), 0)
    if (!limit.admits(rows, bytes)) return Promise.reject(queueFull(limit.maxRows))
    return new Promise((resolve, reject) => {
      const admission = {
        key: policy.isDynamic ? keyOf(request) : '',
        rows,
        priority: request.priority ?? 0,
        timeoutUs: request.timeoutUs ?? 0,
        deadlineMs,
      }
      const waiting: Request = { request, bytes, order: this.#lastOrder + 1, resolve, reject, stopListening: () => {} }
      const entry = this.#queue.add(waiting, admission, nowMs)
      if (entry === undefined) {
        reject(queueFull(this.#queue.size, 'requests'))
        return
      }
      this.#lastOrder++
      limit.add(rows, bytes)
      this.#listen(entry)
      this.#pumpSoon()
    })
  }

  /** Takes nothing more; resolves when everybody is answered. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#pumpSoon()
    if (this.#queue.size > 0 || this.#inFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
  }

  #listen(entry: Entry<Request>): void {
    const { signal } = entry.item.request
    if (signal === undefined) return
    const abort = (): void => {
      if (!this.#queue.remove(entry)) return // it runs: its answer is nobody's
      this.#left(entry)
      this.#answer(entry.item, () => entry.item.reject(cancelled()), false)
      this.#idleIfNothing()
    }
    signal.addEventListener('abort', abort, { once: true })
    entry.item.stopListening = () => signal.removeEventListener('abort', abort)
  }

  /** After the current synchronous code: whoever submits many requests in one go gets them scored together. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    queueMicrotask(() => {
      this.#isPumpDue = false
      this.#pump()
    })
  }

  #pump(): void {
    const { room } = this.#options.runner
    let nowMs = performance.now()
    this.#expire(nowMs)
    let untilMs = Infinity
    while (this.#queue.size > 0) {
      if (!room.hasRoom()) {
        this.#waitForRoom()
        break
      }
      // Behind a batch of its own only a full one is put, for more may come to it while it waits; behind others' it takes its turn.
      const isIdle = room.isIdle?.() ?? true
      const { batch, untilMs: againMs } = this.#queue.next(nowMs, this.#runMs, !isIdle && this.#inFlight > 0 && !this.#isClosing)
      if (batch.length === 0) {
        untilMs = againMs
        if (!isIdle) this.#waitForRoom()
        break
      }
      void this.#runBatch(batch, nowMs) // answers its requests and never rejects
      nowMs = performance.now()
    }
    this.#wakeAt(untilMs, this.#queue.expiresMs)
    this.#idleIfNothing()
  }

  #waitForRoom(): void {
    if (this.#isInLine) return
    this.#isInLine = true
    this.#options.runner.room.whenRoom(() => {
      this.#isInLine = false
      this.#pump()
    })
  }

  /** A delay ends within the millisecond, for which the event loop turns once more; what expires may be noticed one later. */
  #wakeAt(delayMs: number, expiresMs: number): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#turn)
    this.#timer = undefined
    this.#turn = undefined
    const atMs = Math.min(delayMs, expiresMs)
    if (atMs === Infinity) return
    const leftMs = Math.max(0, atMs - performance.now())
    if (delayMs === atMs && leftMs < TIMER_MS) {
      this.#turn = setImmediate(() => this.#pump())
      return
    }
    const waitMs = delayMs === atMs ? leftMs - TIMER_MS : Math.ceil(leftMs)
    this.#timer = setTimeout(() => this.#pump(), Math.min(waitMs, LONGEST_TIMER_MS))
  }

  #expire(nowMs: number): void {
    for (const expired of this.#queue.expire(nowMs)) {
      this.#left(expired.entry)
      this.#answer(expired.entry.item, () => expired.entry.item.reject(errorOf(expired)), false)
    }
  }

  #left({ rows, item }: Entry<Request>): void {
    this.#options.limit.add(-rows, -item.bytes)
    item.stopListening()
  }

  async #runBatch(entries: readonly Entry<Request>[], startedMs: number): Promise<void> {
    for (const entry of entries) this.#left(entry)
    this.#inFlight++
    try {
      await this.#runTogether(entries, startedMs)
    } catch (error) {
      // What one request brings on must not be the failure of those it was put together with.
      if (entries.length > 1 && error instanceof AndonError && error.code === 'ANDON_INFERENCE_RUN_FAILED') await this.#runApart(entries)
      else for (const { item } of entries) this.#answer(item, () => item.reject(error as Error), true)
    }
    this.#inFlight--
    if (this.#queue.size > 0) this.#pumpSoon()
    else this.#idleIfNothing()
  }

  async #runTogether(entries: readonly Entry<Request>[], startedMs: number): Promise<void> {
    const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
    const requests = entries.map(({ item, rows: own }) => ({ inputs: item.request.inputs, rows: own }))
    const answer = await this.#options.runner.run({ requests, outputs: entries[0]!.item.request.outputs, rows })
    const { inputUs, runUs, outputUs } = answer
    const tookMs = performance.now() - startedMs
    this.#runMs = this.#runMs === 0 ? tookMs : this.#runMs + NEWEST * (tookMs - this.#runMs)
    const waitsUs = entries.map(({ enqueuedMs }) => (startedMs - enqueuedMs) * US_PER_MS)
    const queueUs = waitsUs.reduce((sum, waitUs) => sum + waitUs, 0)
    this.#options.onBatch?.({ requests: entries.length, rows, queueUs, inputUs, runUs, outputUs })
    entries.forEach(({ item, rows: own }, i) => {
      const scored = { outputs: answer.outputs[i]!, queueUs: waitsUs[i]!, rows: own, batch: { inputUs, runUs, outputUs } }
      this.#answer(item, () => item.resolve(scored), true)
    })
  }

  /** One after another, so that they take no more of the room than their batch did. */
  async #runApart(entries: readonly Entry<Request>[]): Promise<void> {
    for (const entry of entries) {
      try {
        await this.#runTogether([entry], performance.now())
      } catch (error) {
        this.#answer(entry.item, () => entry.item.reject(error as Error), true)
      }
    }
  }

  /** In the order of the requests where the policy says so; whoever was not run has no part in the order. */
  #answer({ order }: Request, answer: () => void, wasRun: boolean): void {
    if (!this.#options.policy.preservesOrdering) {
      answer()
      return
    }
    if (!wasRun) answer()
    this.#held.set(order, wasRun ? answer : undefined)
    for (; this.#held.has(this.#nextAnswer); this.#nextAnswer++) {
      const held = this.#held.get(this.#nextAnswer)
      this.#held.delete(this.#nextAnswer)
      held?.()
    }
  }

  #idleIfNothing(): void {
    if (this.#queue.size === 0 && this.#inFlight === 0) this.#onIdle?.()
  }
}

const errorOf = ({ reason, entry }: Expired<Request>): Error =>
  reason === 'deadline' ? deadlineExceeded() : queueTimeout(performance.now() - entry.enqueuedMs)

/** Equal for requests that may share a batch: the same inputs given, the same shapes but for the rows, the same outputs. */
const keyOf = ({ inputs, outputs }: RunRequest): string => {
  let key = ''
  for (const input of inputs) {
    if (input === undefined) key += '-;'
    else {
      for (let i = 1; i < input.shape.length; i++) key += `${input.shape[i]},`
      key += ';'
    }
  }
  for (const name of outputs) key += `${name.length}:${name}`
  return key
}
