// What the benchmarks of scheduling run: models behind queue and threads as the doors meet them, less the doors.

import { createHash } from 'node:crypto'
import { ModelConfig } from '@andon/schemas/inference'
import { threadRuntime } from '../../../services/inference/src/runtime/thread-runtime.ts'
import type { ThreadRuntime } from '../../../services/inference/src/runtime/thread-runtime.ts'
import { scheduled } from '../../../services/inference/src/serving/scheduled.ts'
import type { Scheduled } from '../../../services/inference/src/serving/scheduled.ts'
import { statisticsOf } from '../../../services/inference/src/serving/statistics.ts'
import { REFERENCE, mlp } from '../../../services/inference/test/onnx-models.ts'

export { REFERENCE, mlp, numbers } from '../../../services/inference/test/onnx-models.ts'

/** One row costs at least 0.5 ms: ORT reads 17 MB of weights for it. */
export const HEAVY = [64, 2048, 2048, 8] as const
export const COLUMNS = REFERENCE[0]

export interface Served {
  readonly model: Scheduled
  readonly runtime: ThreadRuntime
  readonly close: () => Promise<void>
}

/** A model in one thread. */
export const serve = async (
  sizes: readonly number[],
  { isDynamic, maxBatchRows = 256 }: { isDynamic: boolean; maxBatchRows?: number },
): Promise<Served> => {
  const runtime = threadRuntime({ workers: 1, runTimeoutMs: 30_000 })
  const model = await load(runtime, mlp(sizes), { isDynamic, maxBatchRows })
  return {
    model,
    runtime,
    close: async () => {
      await model.close()
      await runtime.close()
    },
  }
}

export const load = async (
  runtime: ThreadRuntime,
  bytes: Uint8Array,
  { isDynamic, maxBatchRows }: { isDynamic: boolean; maxBatchRows: number },
): Promise<Scheduled> => {
  const digest = createHash('sha256').update(bytes).digest('hex')
  const runner = await runtime.open({ label: 'bench', digest, bytes, instances: 1, maxBatchRows, parameters: {}, device: 'cpu' })
  return scheduled({
    name: 'bench',
    version: 1,
    digest,
    config: ModelConfig.fromPartial({ name: 'bench', maxBatchSize: maxBatchRows }),
    policy: {
      maxBatchRows,
      instances: 1,
      isDynamic,
      preferredBatchRows: [],
      maxQueueDelayUs: 0,
      preservesOrdering: false,
      priorityLevels: 0,
      defaultPriority: 0,
      defaultQueue: { timeoutAction: 'reject', defaultTimeoutUs: 0, allowsTimeoutOverride: false, maxQueueSize: 4096 },
      priorityQueues: new Map(),
    },
    runner,
    statistics: statisticsOf('bench', '1', Date.now),
  })
}

/** A request of so many rows out of the values, from a row on. */
export const request = (values: Float32Array, from: number, rows: number) => ({
  inputs: [{ shape: [rows, COLUMNS], bytes: new Uint8Array(values.buffer, from * COLUMNS * 4, rows * COLUMNS * 4) }],
  outputs: ['y'],
})
