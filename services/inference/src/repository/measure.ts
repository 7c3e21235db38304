// One model of a folder, opened alone and measured from request to answer, as a release gate.

import { modelUnloadable } from '../errors.ts'
import { threadRuntime } from '../runtime/thread-runtime.ts'
import { measureLatency } from '../serving/latency.ts'
import type { Latency } from '../serving/latency.ts'
import { modelOpener } from '../serving/open-model.ts'
import { openFolder } from './folder.ts'
import { openRepository } from './repository.ts'

export interface MeasureModelOptions {
  /** The folder of models. */
  readonly repository: string
  readonly model: string
  /** Empty: the highest that its policy serves. */
  readonly version: string
  readonly runs: number
}

export interface MeasuredModel {
  readonly version: number
  readonly provider: string
  /** Of the first sample. */
  readonly rows: number
  readonly latency: Latency
}

/** Rejects with the reason the model cannot be loaded, or that there is nothing to run it on. */
export const measureModel = async ({ repository: path, model, version, runs }: MeasureModelOptions): Promise<MeasuredModel> => {
  const threads = threadRuntime({ workers: 1, runTimeoutMs: LONGEST_RUN_MS })
  const defaults = { maxBatchRows: 64, instances: 1, maxQueueSize: 8192 }
  const repository = openRepository({
    folder: openFolder(path),
    control: 'explicit',
    pollMs: 0,
    takesUploads: false,
    open: modelOpener({ threads, defaults, nowMs: Date.now }),
    defaults,
    resolveOther: (name) => {
      throw modelUnloadable(name, 'it is not in the folder')
    },
    isTaken: () => false,
    nowMs: Date.now,
  })
  try {
    await repository.started()
    await repository.load(model, {})
    const { servable, samples, declared } = repository.find(model, version)
    const measured = samples()
    if (measured.length === 0) throw modelUnloadable(model, 'its inputs have open dimensions and no model_warmup says what to run it on')
    const outputs = servable.outputs.map(({ name }) => name)
    const latency = await measureLatency(({ inputs }) => servable.run({ inputs, outputs }), measured, declared.targets, {
      runs,
      budgetMs: Infinity,
    })
    return { version: servable.version, provider: servable.provider, rows: measured[0]!.rows, latency }
  } finally {
    await repository.close()
    await threads.close()
  }
}

const LONGEST_RUN_MS = 60_000
