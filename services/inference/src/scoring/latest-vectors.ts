// Redis holds the newest vector of each asset (features writes it, after it is on the log). Scoring by asset id reads it here;
// without Redis that one door answers "unavailable" and everything else goes on.

import type { Order, Part } from '@andon/kit'
import { Redis } from 'ioredis'
import { storeUnavailable } from '../errors.ts'
import type { ScorableVector } from './vectors.ts'

export interface LatestVector extends ScorableVector {
  readonly vectorId: string
  readonly featureSet: string
  readonly windowEndUs: number
  /** The machine is off: nothing is judged by. */
  readonly machineOff: boolean
  /** Its numbers come from fewer rows than others: nor is it judged by. */
  readonly young: boolean
  readonly order: Order
}

export interface LatestVectors {
  /** The asset's newest vector, undefined when none is known. Rejects with ANDON_INFERENCE_STORE_UNAVAILABLE. */
  get(assetId: string): Promise<LatestVector | undefined>
}

interface Stored extends Omit<LatestVector, 'assetId' | 'values'> {
  readonly values: string
}

/** What an earlier release did not write. */
const untold = { health: [], machineOff: false, young: false } as const

export const latestVectors = (redisUrl: string): LatestVectors & Part => {
  let redis: Redis | undefined
  return {
    name: 'latest-vectors',
    async get(assetId) {
      let text: string | null
      try {
        if (redis === undefined) throw new Error('not started')
        text = await redis.get(`andon:latest:${assetId}`)
      } catch (error) {
        throw storeUnavailable(error)
      }
      if (text === null) return undefined
      const stored = JSON.parse(text) as Stored
      return { ...untold, ...stored, assetId, values: Buffer.from(stored.values, 'base64') }
    },
    async start() {
      redis = new Redis(redisUrl, {
        maxRetriesPerRequest: 0,
        enableOfflineQueue: false,
        connectTimeout: 1_000,
        commandTimeout: 1_000,
        retryStrategy: (attempt) => Math.min(100 * attempt, 2_000),
      })
      redis.on('error', () => {}) // every caller is told; a line per attempt would say no more
    },
    async stop() {
      redis?.disconnect()
    },
  }
}
