// How often a command may go to its target, shared by all instances through Redis; without Redis each instance counts alone.

import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { Logger } from '@andon/kit'

const HOUR_S = 3600

export interface RateLimits {
  /** Takes one of `perHour`; resolves with 0, or with the wait in ms when there is none left. */
  take(key: string, perHour: number): Promise<number>
  close(): Promise<void>
}

/** Connects with the first command. */
export const redisRateLimits = ({ url, namespace, logger }: { url: string; namespace: string; logger: Logger }): RateLimits => {
  const limiters = new Map<number, RateLimiterRedis>()
  let client: Redis | undefined

  const connect = (): Redis => {
    const redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      retryStrategy: (times) => Math.min(5_000, times * 200),
    })
    let wasLost = false
    redis.on('error', (error: unknown) => {
      if (!wasLost) logger.warn({ err: error }, 'Redis is not reachable: command rates are counted by this instance alone')
      wasLost = true
    })
    redis.on('ready', () => {
      wasLost = false
    })
    redis.connect().catch(() => undefined) // the error event has reported it; ioredis goes on trying
    return redis
  }

  const limiterOf = (perHour: number): RateLimiterRedis => {
    let limiter = limiters.get(perHour)
    if (!limiter) {
      client ??= connect()
      const insuranceLimiter = new RateLimiterMemory({ points: perHour, duration: HOUR_S })
      limiter = new RateLimiterRedis({
        storeClient: client,
        points: perHour,
        duration: HOUR_S,
        keyPrefix: `${namespace}andon:rate:${perHour}`,
        insuranceLimiter,
      })
      limiters.set(perHour, limiter)
    }
    return limiter
  }

  return {
    async take(key, perHour) {
      try {
        await limiterOf(perHour).consume(key)
        return 0
      } catch (refusal) {
        if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext)
        throw refusal
      }
    },
    async close() {
      client?.disconnect()
    },
  }
}
