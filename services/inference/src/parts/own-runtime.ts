// Registered models on sessions of their own, which no live model shares: shadows, and scoring of ranges.

import { openBlobs } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { registeredConfig } from '../repository/registered.ts'
import type { ServableOf } from '../scoring/run-here.ts'
import type { Servable } from '../serving/servable.ts'
import type { Surroundings } from './opened.ts'
import { openRuntimes } from './runtimes.ts'

export interface OwnRuntime {
  readonly servableOf: ServableOf
  close(): Promise<void>
}

/** Threads are opened at once, models when they are asked for. */
export const ownRuntime = async (surroundings: Surroundings, workers: number): Promise<OwnRuntime> => {
  const blobs = await openBlobs(surroundings.config.blobDir)
  const runtimes = openRuntimes(surroundings, surroundings.opened.providers!, workers)
  const servables = new Map<string, Promise<Servable>>()
  return {
    servableOf: (model: Models) => {
      const key = `${model.model}\u{1f}${model.version}`
      const known = servables.get(key)
      if (known !== undefined) return known
      const { model: name, version, digest, uri } = model
      const declared = registeredConfig(name, runtimes.defaults)
      const opening = blobs.get(uri).then((bytes) => runtimes.open({ name, version, digest, bytes, declared }))
      servables.set(key, opening)
      opening.catch(() => servables.delete(key)) // the next vector tries again
      return opening
    },
    close: async () => {
      for (const opening of await Promise.allSettled(servables.values())) if (opening.status === 'fulfilled') await opening.value.close()
      await runtimes.close()
    },
  }
}
