// Sessions for shadow models: a worker thread that no live model shares, opened with the first shadow.

import { openBlobs } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { InferenceConfig } from '../config.ts'
import { SessionPool } from '../runtime/session-pool.ts'
import type { ServableOf } from '../scoring/run-here.ts'
import { poolOpener } from '../serving/pool-servable.ts'
import type { Servable } from '../serving/servable.ts'

export interface ShadowRuntime {
  readonly servableOf: ServableOf
  close(): Promise<void>
}

export const shadowRuntime = async ({ blobDir, maxBatchRows, maxQueuedRows }: InferenceConfig): Promise<ShadowRuntime> => {
  const blobs = await openBlobs(blobDir)
  const pool = new SessionPool({ workers: 1, maxBatchRows, maxQueuedRows })
  const open = poolOpener(pool, maxBatchRows)
  const servables = new Map<string, Promise<Servable>>()
  return {
    servableOf: (model: Models) => {
      const key = `${model.model}\u{1f}${model.version}`
      const known = servables.get(key)
      if (known !== undefined) return known
      const { model: name, version, digest, uri } = model
      const opening = blobs.get(uri).then((bytes) => open({ name, version, digest, bytes }))
      servables.set(key, opening)
      opening.catch(() => servables.delete(key)) // the next vector tries again
      return opening
    },
    close: () => pool.close(),
  }
}
