// Makes what a run found the kept revision of its windows, and undoes that: appends to the live topic in a lane of its own,
// with an order above the window's highest, so that every reader takes it once and keeps it over later live ones.
//
// The rule for when (notes in protocol terms: only windows that are final, older than 15 s): a window is promoted when its
// asset's own time has passed it - the features topic holds a later window of the asset and feature set that ends at least
// the set's lateness after it, and the record that closed that one is still on telemetry - and when all that was read for
// this, on features and on telemetry, is still on the log 15 s later. A live revision of such a window can no longer come;
// a loss of the log's tail can no longer take away what the decision stood on.

import {
  type Append,
  type Cause,
  type Codec,
  HEADER,
  type Log,
  type LogRecord,
  type Order,
  compareOrders,
  comparePositions,
  formatOrder,
  parseCause,
  parseOrder,
} from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { uuid8 } from '@andon/kit/ids'
import type { Config, Features } from '@andon/schemas'
import { showRecord } from '../data/readable.ts'
import { chunksByPartition, recordsAt } from '../data/records.ts'
import type { Tolerances } from './compare.ts'
import { type Counted, diffRun } from './diff.ts'
import { identityOf } from './identity.ts'

/** How old what a promotion stands on has to be, and how long its own records are watched, ms. */
export const SETTLE_MS = 15_000

/** Topics whose records are revisions of windows, in the order of the pipeline. Others are told, never promoted. */
export const PROMOTABLE = ['features', 'predictions'] as const

/** One record to append: the content that lies at `source`, as the window's revision with this order. */
export interface Promotion {
  readonly key: string
  readonly assetId: string
  readonly source: { readonly topic: string; readonly partition: number; readonly offset: number }
  readonly order: Order
  readonly cause: Cause | undefined
}

export interface PromotionPlan {
  readonly topic: string
  readonly lane: string
  readonly promotions: readonly Promotion[]
  /** Windows that differ but may still be revised: promote again later. */
  readonly notFinal: number
  /** Windows that the run lacks: there is nothing to promote. */
  readonly missing: number
  /** Undo: windows that the promotion brought first, or that another promotion has overtaken; they stay. */
  readonly kept: number
  /** How far the log went when the plan was begun: what it stands on lies below. */
  readonly stands: readonly Tail[]
}

/** The end of a partition, as it was. */
interface Tail {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
}

export interface PromoteRequest {
  readonly run: string
  readonly topic: string
  readonly fromMs: number
  readonly toMs: number
  readonly tolerances: Tolerances
}

const endOf = ({ record }: Counted): number => {
  const value = record.value as { windowEndUs?: number; vector?: { windowEndUs: number } }
  return value.windowEndUs ?? value.vector?.windowEndUs ?? Number.MAX_SAFE_INTEGER
}

const setOf = ({ record }: Counted): string => {
  const value = record.value as { featureSet?: string; vector?: { featureSet: string } }
  return value.featureSet ?? value.vector?.featureSet ?? ''
}

/** What would be appended: the run's changed and new windows that are final. */
export const planPromotion = async (log: Log, codec: Codec, request: PromoteRequest): Promise<PromotionPlan> => {
  requirePromotable(request.topic)
  const stands = await tails(log, ['telemetry', 'features', request.topic])
  const passed = await passedTimes(log, codec, request.fromMs)
  const promotions: Promotion[] = []
  let notFinal = 0
  let missing = 0
  await diffRun(log, codec, {
    ...request,
    against: 'live',
    topics: [request.topic],
    onDifference: (_topic, before, after) => {
      if (after === undefined) missing += 1
      else if (!after.identity.isWindow) return
      else if (endOf(after) > passed(after.identity.assetId, setOf(after))) notFinal += 1
      else promotions.push(promotionOf(after, (before?.order.promotion ?? 0) + 1))
    },
  })
  return { topic: request.topic, ...inLane(`promote:${request.run}`, promotions), notFinal, missing, kept: 0, stands }
}

const promotionOf = ({ identity, record, order }: Counted, promotion: number): Promotion => ({
  key: identity.key,
  assetId: identity.assetId,
  source: { topic: record.topic, partition: record.partition, offset: record.offset },
  order: { ...order, promotion },
  cause: parseCause(record.headers[HEADER.cause]),
})

/**
 * In the order of their causes, along which readers' marks rise, and in a lane that follows from what is promoted: the same
 * promotion again is a repeat to every reader, and another one is not mistaken for a repeat of it.
 */
const inLane = (name: string, given: readonly Promotion[]): { lane: string; promotions: Promotion[] } => {
  const promotions = given.toSorted(byCause)
  const parts = promotions.map(({ source, order }) => `${source.topic}/${source.partition}@${source.offset}#${order.promotion}`)
  return { lane: `${name}.${uuid8('promotion', name, ...parts).slice(0, 8)}`, promotions }
}

const byCause = (a: Promotion, b: Promotion): number => {
  if (a.source.partition !== b.source.partition) return a.source.partition - b.source.partition
  if (a.cause === undefined || b.cause === undefined) return a.source.offset - b.source.offset
  return comparePositions(a.cause, b.cause) || a.cause.index - b.cause.index
}

const requirePromotable = (topic: string): void => {
  if ((PROMOTABLE as readonly string[]).includes(topic)) return
  throw new AndonError(
    'ANDON_CLI_PROMOTE_TOPIC',
    `Records of ${topic} are facts and are not revised: promote ${PROMOTABLE.join(' or ')}, and what follows from them is worked out anew.`,
    { status: 400 },
  )
}

/**
 * Up to which window end an asset's windows are final: its newest window less the feature set's lateness. A window whose
 * closing record was lost with the tail of telemetry tells nothing: asset time is behind it again.
 */
const passedTimes = async (log: Log, codec: Codec, fromMs: number): Promise<(assetId: string, featureSet: string) => number> => {
  const latenessUs = await latenesses(log, codec)
  const isLost = await lossesOf(log, 'telemetry')
  const newestUs = new Map<string, number>()
  for await (const record of recordsFrom(log, 'features', fromMs)) {
    const shown = await decoded<Features>(codec, record)
    // Telemetry that stays away says nothing about asset time: that vector ends where nothing came.
    if (!shown?.vector || shown.vector.quality === 'unmonitored' || (await isLost(parseCause(record.header(HEADER.cause))))) continue
    const key = `${shown.assetId} ${shown.vector.featureSet}`
    newestUs.set(key, Math.max(newestUs.get(key) ?? 0, shown.vector.windowEndUs))
  }
  return (assetId, featureSet) => (newestUs.get(`${assetId} ${featureSet}`) ?? 0) - (latenessUs.get(featureSet) ?? UNKNOWN_LATENESS_US)
}

/** Tells of records of a topic whether the log has lost them; what retention took is not lost. */
const lossesOf = async (log: Log, topic: string): Promise<(cause: Cause | undefined) => Promise<boolean>> => {
  const lows = new Map((await exists(log, topic)) ? (await log.admin.watermarks(topic)).map(({ partition, low }) => [partition, low]) : [])
  const ends = new Map<string, number>()
  return async (cause) => {
    const low = cause?.topic === topic ? lows.get(cause.partition) : undefined
    if (cause === undefined || low === undefined || cause.offset < low) return false
    const { partition, leaderEpoch, offset } = cause
    const epoch = `${partition}/${leaderEpoch}`
    if ((ends.get(epoch) ?? 0) <= offset) ends.set(epoch, await log.admin.endOfEpoch(topic, partition, leaderEpoch))
    return (ends.get(epoch) as number) <= offset
  }
}

const exists = async (log: Log, topic: string): Promise<boolean> => (await log.admin.topics()).some(({ name }) => name === topic)

/** Of a feature set that is not on `config`. */
const UNKNOWN_LATENESS_US = 3600 * 1_000_000

/** The longest lateness that a feature set ever had. */
const latenesses = async (log: Log, codec: Codec): Promise<Map<string, number>> => {
  const found = new Map<string, number>()
  if (!(await exists(log, 'config'))) return found
  for await (const record of recordsFrom(log, 'config', 0)) {
    const document = await decoded<Config>(codec, record)
    if (document?.kind !== 'feature-set') continue
    const { name, latenessMs } = JSON.parse(document.body) as { name?: string; latenessMs?: number }
    if (name !== undefined && latenessMs !== undefined) found.set(name, Math.max(found.get(name) ?? 0, latenessMs * 1000))
  }
  return found
}

async function* recordsFrom(log: Log, topic: string, fromMs: number): AsyncGenerator<LogRecord> {
  for (const { partition, high } of await log.admin.watermarks(topic)) {
    const from = await log.admin.offsetAt(topic, partition, fromMs)
    if (from < high) for await (const batch of log.read({ topic, partition, from, to: high })) yield* batch.records
  }
}

const decoded = async <T>(codec: Codec, record: LogRecord): Promise<T | undefined> => {
  try {
    return record.value === null ? undefined : await codec.decodeAsync<T>(record.topic, record.value)
  } catch (error) {
    if ((error as { retriable?: boolean }).retriable) throw error
    return undefined
  }
}

/** What would take a run's promotions back: of each window the highest content that the run did not bring. */
export const planUndo = async (log: Log, codec: Codec, request: PromoteRequest): Promise<PromotionPlan> => {
  requirePromotable(request.topic)
  const stands = await tails(log, [request.topic])
  const own = `promote:${request.run}.`
  const windows = new Map<string, { kept: Counted & { isOwn: boolean }; earlier: Counted | undefined }>()
  for await (const record of recordsFrom(log, request.topic, request.fromMs)) {
    if (record.timestampMs >= request.toMs) continue
    const shown = await showRecord(codec, record)
    const identity = identityOf(request.topic, shown)
    const order = parseOrder(record.header(HEADER.order))
    if (!identity?.isWindow || order === undefined) continue
    const found = { identity, record: shown, order, isOwn: (record.header(HEADER.lane) ?? '').startsWith(own) }
    const known = windows.get(identity.key)
    const isHighest = known === undefined || compareOrders(order, known.kept.order) > 0
    const isEarlier = !found.isOwn && (known?.earlier === undefined || compareOrders(order, known.earlier.order) > 0)
    windows.set(identity.key, { kept: isHighest ? found : known.kept, earlier: isEarlier ? found : known?.earlier })
  }
  const promotions: Promotion[] = []
  let kept = 0
  for (const { kept: newest, earlier } of windows.values()) {
    if (newest.isOwn && earlier !== undefined) promotions.push(promotionOf(earlier, newest.order.promotion + 1))
    else if (newest.isOwn) kept += 1
  }
  return { topic: request.topic, ...inLane(`promote:undo-${request.run}`, promotions), notFinal: 0, missing: 0, kept, stands }
}

const toAppend = (plan: PromotionPlan, { order }: Promotion, record: LogRecord): Append => ({
  topic: plan.topic,
  partition: record.partition,
  key: record.key,
  value: record.value,
  timestampMs: record.timestampMs,
  headers: { ...record.headers(), [HEADER.lane]: plan.lane, [HEADER.order]: formatOrder(order) },
})

const CHUNK = 500

export interface AppendOptions {
  /** Default SETTLE_MS. */
  readonly settleMs?: number
  readonly wait: (ms: number) => Promise<void>
  readonly onProgress?: (words: string) => void
}

/**
 * Appends a plan. Resolves when its last record was read back and stood for `settleMs`. Rejects with
 * ANDON_CLI_PROMOTE_UNSETTLED when the log lost something meanwhile; the same command may be given again then.
 */
export const applyPromotion = async (log: Log, plan: PromotionPlan, options: AppendOptions): Promise<number> => {
  const { settleMs = SETTLE_MS, wait, onProgress } = options
  onProgress?.(`waiting ${settleMs / 1000} s until what this stands on is settled`)
  await wait(settleMs)
  await requireHeld(log, plan.stands)
  let appended = 0
  for (const chunk of chunksByPartition(plan.promotions, ({ source }) => source.partition, CHUNK)) {
    const records = await recordsAt(
      log,
      chunk.map(({ source }) => source),
    )
    const byOffset = new Map(chunk.map((each) => [each.source.offset, each]))
    await log.append(records.map((record) => toAppend(plan, byOffset.get(record.offset) as Promotion, record)))
    appended += records.length
  }
  const written = await tails(log, [plan.topic])
  onProgress?.(`${appended} appended, waiting ${settleMs / 1000} s until they are settled`)
  await wait(settleMs)
  await requireHeld(log, written)
  return appended
}

const tails = async (log: Log, topics: readonly string[]): Promise<Tail[]> => {
  const found: Tail[] = []
  for (const topic of new Set(topics))
    for (const { partition } of (await exists(log, topic)) ? await log.admin.watermarks(topic) : [])
      found.push({ topic, partition, ...(await log.latest(topic, partition)) })
  return found
}

const requireHeld = async (log: Log, marks: readonly Tail[]): Promise<void> => {
  for (const { topic, partition, leaderEpoch, offset } of marks)
    if ((await log.admin.endOfEpoch(topic, partition, leaderEpoch)) < offset)
      throw new AndonError(
        'ANDON_CLI_PROMOTE_UNSETTLED',
        `${topic}/${partition} lost records while they settled. Give the same command again once the broker is up.`,
        { retriable: true },
      )
}
