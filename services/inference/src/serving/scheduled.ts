// A model version behind its queue: policy, scheduler, response cache and statistics around a runner, as the doors and the event path
// meet it.

import type { ModelConfig } from '@andon/schemas/inference'
import { AndonError } from '@andon/kit'
import type { Runner } from '../runtime/runner.ts'
import type { ModelIo } from '../tensors/tensors.ts'
import type { SchedulingPolicy } from './policy.ts'
import { cacheKeyOf } from './response-cache.ts'
import type { ResponseCache } from './response-cache.ts'
import { QueueLimit, Scheduler } from './scheduler.ts'
import type { RunAnswer, Servable } from './servable.ts'
import type { FailureReason, Statistics } from './statistics.ts'

export interface ScheduledOptions {
  readonly name: string
  readonly version: number
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  readonly config: ModelConfig
  readonly policy: SchedulingPolicy
  readonly runner: Runner
  readonly statistics: Statistics
  /** What callers send and get; as the runner says unless given. */
  readonly io?: ModelIo
  /** Answers of earlier requests with the same bytes; none: every request is run. */
  readonly cache?: ResponseCache
  /** What may wait in all queues together; shared by all models of a service. */
  readonly limit?: QueueLimit
}

export interface Scheduled extends Servable {
  /** Requests that wait in the queue now. */
  readonly waiting: number
}

const US_PER_MS = 1000

export const scheduled = (options: ScheduledOptions): Scheduled => {
  const { name, version, digest, config, policy, runner, statistics, cache, io = runner.io } = options
  const limit = options.limit ?? new QueueLimit({ maxRows: Infinity, maxBytes: Infinity })
  const scheduler = new Scheduler({
    label: `${name} version ${version}`,
    policy,
    runner,
    limit,
    onBatch: ({ rows, inputUs, runUs, outputUs }) => statistics.execution({ rows, inputUs, runUs, outputUs }),
  })
  const sinceUs = (startedMs: number): number => (performance.now() - startedMs) * US_PER_MS
  const run: Servable['run'] = async (request) => {
    const startedMs = performance.now()
    const key = cache === undefined ? undefined : cacheKeyOf(digest, request)
    const known = key === undefined ? undefined : cache!.get(key)
    const lookupUs = key === undefined ? 0 : sinceUs(startedMs)
    if (known !== undefined) {
      statistics.cacheHit({ totalUs: sinceUs(startedMs), queueUs: 0, lookupUs })
      return known
    }
    try {
      const { outputs, queueUs, rows, batch } = await scheduler.run(request)
      statistics.success({ rows, totalUs: sinceUs(startedMs), queueUs, batch })
      const answer: RunAnswer = { outputs, provider: runner.provider }
      if (key !== undefined) {
        const insertMs = performance.now()
        cache!.put(key, answer)
        statistics.cacheMiss({ lookupUs: lookupUs + sinceUs(insertMs) })
      }
      return answer
    } catch (error) {
      statistics.failure({ totalUs: sinceUs(startedMs), reason: reasonOf(error) })
      throw error
    }
  }
  let closing: Promise<void> | undefined
  return {
    name,
    version,
    digest,
    config,
    inputs: io.inputs,
    outputs: io.outputs,
    get provider() {
      return runner.provider
    },
    get waiting() {
      return scheduler.waiting
    },
    run,
    statistics: () => statistics.read(),
    failures: () => statistics.failures(),
    close: () => (closing ??= scheduler.close().then(() => runner.close())),
  }
}

const REASONS: Readonly<Record<string, FailureReason>> = {
  ANDON_INFERENCE_QUEUE_FULL: 'REJECTED',
  ANDON_INFERENCE_QUEUE_TIMEOUT: 'REJECTED',
  ANDON_INFERENCE_DEADLINE_EXCEEDED: 'REJECTED',
  ANDON_INFERENCE_CANCELLED: 'CANCELED',
  ANDON_INFERENCE_RUN_FAILED: 'BACKEND',
  ANDON_INFERENCE_RUN_TIMEOUT: 'BACKEND',
  ANDON_INFERENCE_WORKER_LOST: 'BACKEND',
  ANDON_INFERENCE_MODEL_SUSPENDED: 'BACKEND',
}

const reasonOf = (error: unknown): FailureReason => (error instanceof AndonError ? (REASONS[error.code] ?? 'OTHER') : 'OTHER')
