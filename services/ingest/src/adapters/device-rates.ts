// How much each device may send: a token bucket of bytes per device, shared by all instances through Redis. Tokens are taken in slices,
// so Redis is asked some times a second and device, not per delivery. Without Redis each process counts alone, at once, and goes back by itself.

import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { messageOf } from '@andon/kit'
import type { AndonError, Logger } from '@andon/kit'
import { tryAgain } from '../pressure.ts'

export interface DeviceRates {
  /** Undefined when the delivery may come in, else why not; a promise where the shared bucket has to be asked. Order of calls is kept. */
  take(device: string, bytes: number): AndonError | undefined | Promise<AndonError | undefined>
  /** True while all instances count together. */
  isShared(): boolean
  close(): Promise<void>
}

export interface DeviceRatesOptions {
  readonly bytesPerS: number
  readonly redisUrl: string
  readonly namespace: string
  readonly logger: Logger
}

/** What this process has taken of a device's bucket and not spent yet. */
interface Share {
  tokens: number
  untilMs: number
  asking: Promise<AndonError | undefined> | undefined
}

const windowS = 2
const slicesPerWindow = 20
const mostDevices = 20_000
const redisPatienceMs = 250
const redisPauseMs = 2000

/** Connects in the background; the first deliveries may be counted by this process alone. */
export const deviceRates = ({ bytesPerS, redisUrl, namespace, logger }: DeviceRatesOptions): DeviceRates => {
  const points = bytesPerS * windowS
  const slice = Math.max(1, Math.floor(points / slicesPerWindow))
  const redis = connect(redisUrl, logger)
  const limits = { points, duration: windowS, keyPrefix: `${namespace}andon:ingest:rate` }
  const shared = new RateLimiterRedis({ ...limits, storeClient: redis, rejectIfRedisNotReady: true })
  const alone = new RateLimiterMemory(limits)
  let aloneUntilMs = 0
  const shares = new Map<string, Share>()

  const shareOf = (device: string): Share => {
    let share = shares.get(device)
    if (share === undefined) {
      if (shares.size >= mostDevices) for (const [name, { asking }] of shares) if (asking === undefined) shares.delete(name)
      shares.set(device, (share = { tokens: 0, untilMs: 0, asking: undefined }))
    }
    return share
  }

  const isShared = () => redis.status === 'ready' && performance.now() >= aloneUntilMs

  const consume = async (device: string, tokens: number): Promise<RateLimiterRes> => {
    if (!isShared()) return alone.consume(device, tokens)
    try {
      return await shared.consume(device, tokens)
    } catch (error) {
      if (error instanceof RateLimiterRes) throw error
      aloneUntilMs = performance.now() + redisPauseMs // nobody else waits for an answer that may not come
      return alone.consume(device, tokens)
    }
  }

  const ask = async (device: string, share: Share, bytes: number): Promise<AndonError | undefined> => {
    const spent = Math.min(bytes, points) // a delivery larger than the whole bucket takes all of it
    const tokens = Math.max(slice, spent - share.tokens)
    try {
      const { msBeforeNext } = await consume(device, tokens)
      share.tokens += tokens - spent
      share.untilMs = performance.now() + msBeforeNext
      return undefined
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error
      const message = `${device} sends more than ${bytesPerS} bytes a second (INGEST_DEVICE_BYTES_PER_S)`
      return tryAgain('ANDON_INGEST_RATE', message, Math.max(1, Math.ceil(error.msBeforeNext / 1000)), 429)
    }
  }

  const take = (device: string, bytes: number): AndonError | undefined | Promise<AndonError | undefined> => {
    const share = shareOf(device)
    if (share.asking === undefined) {
      if (performance.now() >= share.untilMs) share.tokens = 0
      if (share.tokens >= bytes) {
        share.tokens -= bytes
        return undefined
      }
    }
    const before = share.asking
    const asked = (async () => {
      await before
      if (share.tokens < bytes) return ask(device, share, bytes)
      share.tokens -= bytes
      return undefined
    })()
    share.asking = asked
    const settled = () => {
      if (share.asking === asked) share.asking = undefined
    }
    asked.then(settled, settled)
    return asked
  }

  return {
    take,
    isShared,
    close: async () => redis.disconnect(),
  }
}

const connect = (url: string, logger: Logger): Redis => {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2000,
    commandTimeout: redisPatienceMs,
    retryStrategy: (times) => Math.min(2000, times * 200),
  })
  let isLost = false
  redis.on('error', (error: unknown) => {
    if (!isLost) logger.warn({ reason: messageOf(error) }, 'Redis is not reachable: rates of devices are counted by this process alone')
    isLost = true
  })
  redis.on('ready', () => {
    isLost = false
  })
  redis.connect().catch(() => undefined) // the error event has told it; ioredis goes on trying
  return redis
}
