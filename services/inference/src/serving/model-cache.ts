// Registered artefacts from the blob store, loaded into the session pool once each. The blob store checks the digest, so a model
// is what the registry says it is.

import type { Blobs } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { ModelIo } from '../tensors/tensors.ts'
import type { OutputTensor, SessionPool, TensorBytes } from '../runtime/session-pool.ts'

export interface ModelCache {
  /** Loads the model if it is not; rejects when its artefact is missing, altered or no model that can be run here. */
  io(model: Models): Promise<ModelIo>
  /** True once it can be scored without loading. */
  isLoaded(model: Models): boolean
  run(model: Models, inputs: readonly TensorBytes[], outputs: readonly string[], signal?: AbortSignal): Promise<OutputTensor[]>
}

/** Told how every run of a model ended. */
export type OnRun = (run: { model: Models; isSuccess: boolean; durationUs: number }) => void

export const modelCache = (blobs: Blobs, pool: SessionPool, onRun: OnRun = () => {}): ModelCache => {
  const loading = new Map<string, Promise<ModelIo>>()
  const loaded = new Set<string>()
  const load = async (model: Models): Promise<ModelIo> => {
    const io = await pool.load(model.digest, await blobs.get(model.uri))
    loaded.add(model.digest)
    return io
  }
  const io = (model: Models): Promise<ModelIo> => {
    const known = loading.get(model.digest)
    if (known !== undefined) return known
    const started = load(model)
    loading.set(model.digest, started)
    started.catch(() => loading.delete(model.digest)) // the next request tries again
    return started
  }
  return {
    io,
    isLoaded: (model) => loaded.has(model.digest),
    async run(model, inputs, outputs, signal) {
      const startedMs = performance.now()
      let isSuccess = false
      try {
        await io(model)
        const answer = await pool.run({ model: model.digest, inputs, outputs, ...(signal === undefined ? {} : { signal }) })
        isSuccess = true
        return answer
      } finally {
        onRun({ model, isSuccess, durationUs: (performance.now() - startedMs) * 1000 })
      }
    },
  }
}
