// What became of a model version's requests and where their time went, counted as Triton counts: `success`, `fail` and `queue` once per
// request, `compute_*` once per request that was run (each with the whole time of its batch), batches once per run, by their size.

import type { InferBatchStatistics, ModelStatistics, StatisticDuration } from '@andon/schemas/inference'

/** Where a batch's time went, microseconds. */
export interface BatchTimes {
  readonly inputUs: number
  readonly runUs: number
  readonly outputUs: number
}

/** REJECTED: never run (queue full, time over); CANCELED: the caller gave up; BACKEND: the run failed; OTHER. */
export type FailureReason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER'

/** Whoever runs requests of a model version says here what happened. All times in microseconds. */
export interface StatisticsRecorder {
  /** A request was run and answered. `totalUs` is from its arrival to its answer. */
  success(request: { readonly rows: number; readonly totalUs: number; readonly queueUs: number; readonly batch: BatchTimes }): void
  failure(request: { readonly totalUs: number; readonly reason: FailureReason }): void
  /** A request was answered from the response cache: neither rows nor a run are counted. */
  cacheHit(request: { readonly totalUs: number; readonly queueUs: number; readonly lookupUs: number }): void
  /** Beside `success`: looking up and inserting took so long; it is added to the time of the request. */
  cacheMiss(request: { readonly lookupUs: number }): void
  /** A batch ran, with so many rows (1 where the model has no batch dimension). */
  execution(batch: { readonly rows: number } & BatchTimes): void
}

export interface Statistics extends StatisticsRecorder {
  read(): ModelStatistics
  failures(): Readonly<Record<FailureReason, number>>
}

interface Duration {
  count: number
  us: number
}

const duration = (): Duration => ({ count: 0, us: 0 })
const add = (to: Duration, us: number): void => {
  to.count++
  to.us += us
}
const written = ({ count, us }: Duration): StatisticDuration => ({ count: BigInt(count), ns: BigInt(Math.round(us * 1000)) })

/** Counters of one model version; `nowMs` is the wall clock that `last_inference` is read from. */
export const statisticsOf = (name: string, version: string, nowMs: () => number): Statistics => {
  const stats = {
    success: duration(),
    fail: duration(),
    queue: duration(),
    computeInput: duration(),
    computeInfer: duration(),
    computeOutput: duration(),
    cacheHit: duration(),
    cacheMiss: duration(),
  }
  const failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
  const batches = new Map<number, { input: Duration; infer: Duration; output: Duration }>()
  let [rowsRun, executions, lastInferenceMs] = [0, 0, 0]
  return {
    success({ rows, totalUs, queueUs, batch }) {
      rowsRun += rows
      add(stats.success, totalUs)
      add(stats.queue, queueUs)
      add(stats.computeInput, batch.inputUs)
      add(stats.computeInfer, batch.runUs)
      add(stats.computeOutput, batch.outputUs)
    },
    failure({ totalUs, reason }) {
      add(stats.fail, totalUs)
      failures[reason]++
    },
    cacheHit({ totalUs, queueUs, lookupUs }) {
      add(stats.success, totalUs)
      add(stats.queue, queueUs)
      add(stats.cacheHit, lookupUs)
    },
    cacheMiss({ lookupUs }) {
      stats.success.us += lookupUs
      add(stats.cacheMiss, lookupUs)
    },
    execution({ rows, inputUs, runUs, outputUs }) {
      executions++
      lastInferenceMs = Math.max(lastInferenceMs, nowMs())
      let batch = batches.get(rows)
      if (batch === undefined) batches.set(rows, (batch = { input: duration(), infer: duration(), output: duration() }))
      add(batch.input, inputUs)
      add(batch.infer, runUs)
      add(batch.output, outputUs)
    },
    failures: () => ({ ...failures }),
    read: () => ({
      name,
      version,
      lastInference: BigInt(Math.round(lastInferenceMs)),
      inferenceCount: BigInt(rowsRun),
      executionCount: BigInt(executions),
      inferenceStats: {
        success: written(stats.success),
        fail: written(stats.fail),
        queue: written(stats.queue),
        computeInput: written(stats.computeInput),
        computeInfer: written(stats.computeInfer),
        computeOutput: written(stats.computeOutput),
        cacheHit: written(stats.cacheHit),
        cacheMiss: written(stats.cacheMiss),
      },
      batchStats: [...batches]
        .toSorted(([a], [b]) => a - b)
        .map(([rows, { input, infer, output }]): InferBatchStatistics => ({
          batchSize: BigInt(rows),
          computeInput: written(input),
          computeInfer: written(infer),
          computeOutput: written(output),
        })),
      memoryUsage: [],
      responseStats: {},
    }),
  }
}
