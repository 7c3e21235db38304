// The newest vector with values and the present state of each asset in Redis, for readers that want "now" without reading the
// log. Follows the features topic, so a vector appears only after it is on the log; a flushed or lost Redis is filled again from
// what was followed, and nothing reads it back. Features goes on without Redis: this part then only says that it is degraded.

import { followTopic, messageOf } from '@andon/kit'
import type { Codec, Follow, Input, Log, Logger, Metrics, Order, Part } from '@andon/kit'
import type { Features, Vector } from '@andon/schemas'
import { Redis } from 'ioredis'

const vectorKey = (assetId: string): string => `andon:latest:${assetId}`
const stateKey = (assetId: string): string => `andon:state:${assetId}`
/** Present as long as nothing was flushed since the last fill. */
const FILLED_KEY = 'andon:latest-filled'
const CHECK_EVERY_MS = 5_000
const FILL_CHUNK = 500

/**
 * Writes a vector or a state unless a newer one is there: later data wins, of the same data the higher order.
 * KEYS: what to write, filled. ARGV: JSON, end of the data, promotion, leader epoch, offset, index. Returns whether the fill mark is
 * still there.
 */
const WRITE_IF_NEWER = `
local stored = redis.call('GET', KEYS[1])
local newer = true
if stored then
  local known = cjson.decode(stored)
  local order = known.order
  local was = { known.dataUntilUs or known.windowEndUs, order.promotion, order.leaderEpoch, order.offset, order.index }
  newer = false
  for i = 1, 5 do
    local is = tonumber(ARGV[i + 1])
    if is ~= was[i] then newer = is > was[i] break end
  end
end
if newer then redis.call('SET', KEYS[1], ARGV[1]) end
return redis.call('EXISTS', KEYS[2])
`

/** What one key holds. */
interface Latest {
  /** End of the newest window with data: of a vector its own; an asset without telemetry keeps that of before. */
  readonly dataUntilUs: number
  readonly order: Order
  /** Made when it is written: of a vector that is passed by a newer one it never is. */
  readonly json: () => string
}

export interface LatestVectorsOptions {
  readonly log: () => Log
  readonly codec: () => Codec
  readonly redisUrl: string
  /** How far back the features topic is read at start, ms. */
  readonly horizonMs: number
  readonly nowMs: () => number
  readonly logger: Logger
  readonly metrics: Metrics
}

export const latestVectors = (options: LatestVectorsOptions): Part => {
  const { logger, metrics } = options
  const written = metrics.counter('andon_features_latest_written_total', 'Latest vectors and states written to Redis', ['outcome'])
  /** By key. */
  const newest = new Map<string, Latest>()
  const pending = new Set<string>()
  let redis: Redis | undefined
  let follow: Follow | undefined
  let timer: NodeJS.Timeout | undefined
  let problem: string | undefined = 'Redis: not connected yet'
  let writing: Promise<void> | undefined

  const remember = ({ key, value: { type, vector }, order }: Input<Features>): void => {
    if (type !== 'vector' || vector === null || key === null) return
    const rank = order ?? { promotion: 0, leaderEpoch: 0, offset: 0, index: 0 }
    const hasValues = vector.quality !== 'unmonitored'
    const dataUntilUs = hasValues ? vector.windowEndUs : (newest.get(vectorKey(key))?.dataUntilUs ?? 0)
    if (hasValues) keep(vectorKey(key), { dataUntilUs, order: rank, json: () => JSON.stringify(vectorOf(vector, rank)) })
    keep(stateKey(key), { dataUntilUs, order: rank, json: () => JSON.stringify(stateOf(vector, dataUntilUs, rank)) })
    write()
  }

  const keep = (key: string, latest: Latest): void => {
    const known = newest.get(key)
    if (known !== undefined && !isNewer(latest, known)) return
    newest.set(key, latest)
    pending.add(key)
  }

  /** Writes what is pending, one round trip at a time; what fails stays pending. */
  const write = (): void => {
    if (writing !== undefined || redis?.status !== 'ready' || pending.size === 0) return
    writing = writePending(redis)
      .then(() => {
        problem = undefined
      })
      .catch((error: unknown) => {
        degraded(messageOf(error))
      })
      .finally(() => {
        writing = undefined
        if (problem === undefined) write()
      })
  }

  const writePending = async (client: Redis): Promise<void> => {
    const keys = [...pending].slice(0, FILL_CHUNK)
    const pipeline = client.pipeline()
    for (const key of keys) {
      const { json, dataUntilUs, order } = newest.get(key) as Latest
      const rank = [dataUntilUs, order.promotion, order.leaderEpoch, order.offset, order.index]
      pipeline.eval(WRITE_IF_NEWER, 2, key, FILLED_KEY, json(), ...rank)
      pending.delete(key)
    }
    let isFilled = true
    try {
      for (const [error, marked] of (await pipeline.exec()) ?? []) {
        if (error !== null) throw error
        if (marked === 0) isFilled = false
      }
    } catch (error) {
      for (const key of keys) pending.add(key)
      written.inc({ outcome: 'failed' }, keys.length)
      throw error
    }
    written.inc({ outcome: 'written' }, keys.length)
    if (!isFilled) await fill(client)
  }

  /** Redis is empty or was away: everything known is written again. */
  const fill = async (client: Redis): Promise<void> => {
    await client.set(FILLED_KEY, '1')
    for (const key of newest.keys()) pending.add(key)
    logger.info({ keys: newest.size }, 'latest vectors and states are written to Redis again')
  }

  const refill = (): void => {
    const client = redis
    if (client?.status !== 'ready') return
    fill(client)
      .then(() => {
        problem = undefined
        write()
      })
      .catch((error: unknown) => degraded(messageOf(error)))
  }

  const checkFilled = (): void => {
    const client = redis
    if (client?.status !== 'ready') return
    client
      .exists(FILLED_KEY)
      .then((marked) => {
        if (marked === 0) refill()
        else write()
      })
      .catch((error: unknown) => degraded(messageOf(error)))
  }

  const degraded = (reason: string): void => {
    if (problem === undefined) logger.warn({ reason }, 'Redis cannot be written; vectors go on without it')
    problem = `Redis: ${reason}; vectors go on without it`
  }

  return {
    name: 'latest-vectors',
    ready: () => problem ?? true,
    async start() {
      redis = new Redis(options.redisUrl, {
        maxRetriesPerRequest: 1,
        enableOfflineQueue: false,
        retryStrategy: (attempt) => Math.min(100 * attempt, 2_000),
      })
      redis.on('ready', refill)
      redis.on('error', (error) => degraded(messageOf(error)))
      redis.on('close', () => degraded('connection lost'))
      follow = await followFrom(options, remember)
      timer = setInterval(checkFilled, CHECK_EVERY_MS)
      timer.unref()
    },
    async stop() {
      clearInterval(timer)
      await follow?.stop()
      redis?.removeAllListeners('close')
      redis?.disconnect()
      await writing
    },
    ended: () => follow?.ended ?? Promise.resolve(),
  }
}

/** What scoring by asset id needs. */
const vectorOf = (
  { vectorId, windowEndUs, featureSet, featureSetDigest, names, values, health, machineOff, young }: Vector,
  order: Order,
) => ({
  vectorId,
  windowEndUs,
  featureSet,
  featureSetDigest,
  names,
  values: Buffer.from(values).toString('base64'),
  health,
  machineOff,
  young,
  order,
})

const stateOf = (
  { vectorId, windowEndUs, quality, regime, machineOff, health, baselineEpochUs }: Vector,
  dataUntilUs: number,
  order: Order,
) => ({ vectorId, windowEndUs, dataUntilUs, quality, regime, machineOff, health, baselineEpochUs, order })

const isNewer = (a: Latest, b: Latest): boolean =>
  (a.dataUntilUs - b.dataUntilUs ||
    a.order.promotion - b.order.promotion ||
    a.order.leaderEpoch - b.order.leaderEpoch ||
    a.order.offset - b.order.offset ||
    a.order.index - b.order.index) > 0

/** Reads the features topic from the horizon on. */
const followFrom = async (options: LatestVectorsOptions, onInput: (input: Input<Features>) => void): Promise<Follow> => {
  const log = options.log()
  const partitions = await log.admin.partitions('features')
  const sinceMs = options.nowMs() - options.horizonMs
  const starts = await Promise.all(Array.from({ length: partitions }, (_, partition) => log.admin.offsetAt('features', partition, sinceMs)))
  return followTopic<Features>(log, options.codec(), 'features', onInput, {
    from: (_topic, partition) => starts[partition] ?? 'earliest',
    onReset: () => undefined, // what is shown of lost vectors gives way to the next ones
  })
}
