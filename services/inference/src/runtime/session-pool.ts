// The thread runtime under the calls that the event path still makes: one queue per artefact, everything it needs loaded into every thread.

import type { Worker } from 'node:worker_threads'
import { modelUnloadable, runFailed, stopping } from '../errors.ts'
import { QueueLimit, Scheduler } from '../serving/scheduler.ts'
import type { SchedulingPolicy } from '../serving/policy.ts'
import type { OutputTensor, TensorBytes } from '../serving/servable.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import type { Runner } from './runner.ts'
import { threadRuntime } from './thread-runtime.ts'
import type { ThreadRuntime } from './thread-runtime.ts'

export type { OutputTensor, TensorBytes }

export interface PoolOptions {
  /** Threads; each holds every loaded model. */
  readonly workers: number
  /** Most rows of one batch. Default 64. */
  readonly maxBatchRows?: number
  /** Rows that may wait before requests are turned away. Default 8192. */
  readonly maxQueuedRows?: number
  /** Default 5 s. */
  readonly runTimeoutMs?: number
  /** Told about every batch that ran. */
  readonly onBatch?: (batch: BatchReport) => void
  readonly onWorkerLost?: (reason: string) => void
  /** Opens a worker that speaks session-worker.ts's messages. */
  readonly openWorker?: () => Worker
}

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

interface Loaded {
  readonly io: ModelIo
  readonly runner: Runner
  readonly scheduler: Scheduler
}

export class SessionPool {
  readonly #options: PoolOptions
  readonly #runtime: ThreadRuntime
  readonly #limit: QueueLimit
  readonly #models = new Map<string, Loaded>()
  readonly #loading = new Map<string, Promise<Loaded>>()
  #isClosing = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#limit = new QueueLimit({ maxRows: options.maxQueuedRows ?? 8192, maxBytes: Infinity })
    this.#runtime = threadRuntime({
      workers: options.workers,
      runTimeoutMs: options.runTimeoutMs ?? 5000,
      onTrouble: ({ kind, reason }) => {
        if (kind !== 'returned') options.onWorkerLost?.(reason)
      },
      ...(options.openWorker === undefined ? {} : { openWorker: options.openWorker }),
    })
  }

  /** Requests that wait or batches that run now. */
  get pending(): number {
    return [...this.#models.values()].reduce((sum, { scheduler }) => sum + scheduler.waiting + scheduler.running, 0)
  }

  /** False while a thread is missing because too many are stuck. */
  isReady(): boolean {
    return this.#runtime.isReady()
  }

  /** Loads a model into every worker. Loading the same key again gives the same answer. */
  async load(model: string, bytes: Uint8Array): Promise<ModelIo> {
    let loading = this.#loading.get(model)
    if (loading === undefined) {
      loading = this.#load(model, bytes)
      this.#loading.set(model, loading)
      loading.catch(() => this.#loading.delete(model))
    }
    return (await loading).io
  }

  /** Scores one request. The model must be loaded. */
  async run({ model, ...request }: ScoreRequest): Promise<OutputTensor[]> {
    if (this.#isClosing) throw stopping()
    const loaded = this.#models.get(model)
    if (loaded === undefined) throw runFailed(model, 'it is not loaded')
    return [...(await loaded.scheduler.run(request)).outputs]
  }

  /** Answers what was accepted, then lets the workers release their sessions and end. */
  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all([...this.#models.values()].map(({ scheduler }) => scheduler.close()))
    await this.#runtime.close()
  }

  async #load(model: string, bytes: Uint8Array): Promise<Loaded> {
    const { workers, maxBatchRows = 64, onBatch } = this.#options
    if (this.#isClosing) throw stopping()
    const first = await this.#runtime.open(sourceOf(model, bytes, workers, maxBatchRows))
    const canBatch = [...first.io.inputs, ...first.io.outputs].every(({ shape }) => shape[0] === -1) && first.io.inputs.length > 0
    let runner = first
    if (!canBatch) {
      await first.close()
      runner = await this.#runtime.open(sourceOf(model, bytes, workers, 0))
    }
    const scheduler = new Scheduler({
      label: model,
      policy: policyOf(canBatch ? maxBatchRows : 0),
      runner,
      limit: this.#limit,
      runsLargerAlone: true,
      ...(onBatch === undefined ? {} : { onBatch: (batch) => onBatch({ model, ...batch }) }),
    })
    const loaded = { io: runner.io, runner, scheduler }
    if (this.#isClosing) throw modelUnloadable(model, stopping())
    this.#models.set(model, loaded)
    return loaded
  }
}

const sourceOf = (label: string, bytes: Uint8Array, instances: number, maxBatchRows: number) =>
  ({ label, digest: label, bytes, instances, maxBatchRows, parameters: {}, device: 'cpu' }) as const

/** Whatever waits goes together; nothing waits for more. */
const policyOf = (maxBatchRows: number): SchedulingPolicy => ({
  maxBatchRows,
  instances: Infinity,
  isDynamic: maxBatchRows > 0,
  preferredBatchRows: [],
  maxQueueDelayUs: 0,
  preservesOrdering: false,
  priorityLevels: 0,
  defaultPriority: 0,
  defaultQueue: { timeoutAction: 'reject', defaultTimeoutUs: 0, allowsTimeoutOverride: false, maxQueueSize: Infinity },
  priorityQueues: new Map(),
})
