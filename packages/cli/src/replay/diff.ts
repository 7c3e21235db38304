// A replay run against the live log or another run: records meet by logical identity, so it works across any number of
// hops. Of a window only the revision with the highest order counts. One partition is in memory at a time.

import { type Codec, HEADER, type Log, type Order, compareOrders, parseOrder } from '@andon/kit'
import { baseTopic } from '@andon/kit/replay/names'
import { type ShownRecord, showRecord } from '../data/readable.ts'
import { type FieldDifference, type Tolerances, compareValues } from './compare.ts'
import { faultModesOf } from './fault-modes.ts'
import { IGNORED, type Identity, identityOf, sideTopic } from './identity.ts'

export type Verdict = 'same' | 'changed' | 'missing' | 'new'
export type Counts = Record<Verdict, number>

/** A record that counts, with its place and order. */
export interface Counted {
  readonly identity: Identity
  readonly record: ShownRecord
  readonly order: Order
}

export interface DiffExample {
  readonly verdict: Exclude<Verdict, 'same'>
  readonly key: string
  readonly assetId: string
  readonly faultMode: string
  readonly atUs: number | null
  /** `topic/partition@offset` of the record on either side. */
  readonly before: string | null
  readonly after: string | null
  readonly fields: readonly FieldDifference[]
}

export interface DiffField {
  readonly path: string
  /** Records in which it differs. */
  readonly records: number
  readonly largestDelta: number | null
}

export interface TopicDiff extends Counts {
  readonly topic: string
  readonly against: string
  readonly fields: readonly DiffField[]
  readonly groups: readonly (Counts & { readonly assetId: string; readonly faultMode: string })[]
  /** The first changed, missing and new ones. */
  readonly examples: readonly DiffExample[]
}

export interface DiffReport {
  readonly run: string
  /** `live` or a run. */
  readonly against: string
  readonly fromMs: number
  readonly toMs: number
  readonly topics: readonly TopicDiff[]
}

export interface DiffRequest {
  readonly run: string
  readonly against: string
  /** Record time of the range: what both sides are asked for. */
  readonly fromMs: number
  readonly toMs: number
  /** Live names of the topics that the run wrote. */
  readonly topics: readonly string[]
  readonly tolerances: Tolerances
  /** Told every pair that is not the same, e.g. to promote it. */
  readonly onDifference?: (topic: string, before: Counted | undefined, after: Counted | undefined) => void
}

const EXAMPLES_PER_VERDICT = 20

export const diffRun = async (log: Log, codec: Codec, request: DiffRequest): Promise<DiffReport> => {
  const modes = await faultModesOf(log, codec, request)
  const topics: TopicDiff[] = []
  for (const topic of request.topics) topics.push(await diffTopic(log, codec, request, topic, modes))
  const { run, against, fromMs, toMs } = request
  return { run, against, fromMs, toMs, topics }
}

/** What counts of one partition in the range, by identity. */
export const countedOf = async (
  log: Log,
  codec: Codec,
  topic: string,
  partition: number,
  fromMs: number,
  toMs: number,
): Promise<Map<string, Counted>> => {
  const counted = new Map<string, Counted>()
  const { high } = (await log.admin.watermarks(topic)).find((each) => each.partition === partition) ?? { high: 0 }
  const from = await log.admin.offsetAt(topic, partition, fromMs)
  if (from >= high) return counted
  for await (const batch of log.read({ topic, partition, from, to: high }))
    for (const record of batch.records) {
      // A record keeps its time wherever it is appended again, so it is chosen by time and not by its place.
      if (baseTopic(topic) !== 'actions' && (record.timestampMs < fromMs || record.timestampMs >= toMs)) continue
      const shown = await showRecord(codec, record)
      const identity = identityOf(baseTopic(topic), shown)
      if (identity === undefined) continue
      const order = parseOrder(record.header(HEADER.order)) ?? {
        promotion: 0,
        index: 0,
        leaderEpoch: record.leaderEpoch,
        offset: record.offset,
      }
      const known = counted.get(identity.key)
      if (known === undefined || (identity.isWindow && compareOrders(order, known.order) > 0))
        counted.set(identity.key, { identity, record: shown, order })
    }
  return counted
}

const placeOf = (counted: Counted | undefined): string | null =>
  counted === undefined ? null : `${counted.record.topic}/${counted.record.partition}@${counted.record.offset}`

const diffTopic = async (
  log: Log,
  codec: Codec,
  request: DiffRequest,
  topic: string,
  modes: (assetId: string, atUs: number | null) => string,
): Promise<TopicDiff> => {
  const { run, against, fromMs, toMs, tolerances, onDifference } = request
  const [before, after] = [sideTopic(topic, against), sideTopic(topic, run)]
  const ignored = new Set(IGNORED[topic] ?? [])
  const total: Counts = { same: 0, changed: 0, missing: 0, new: 0 }
  const fields = new Map<string, { records: number; largestDelta: number | null }>()
  const groups = new Map<string, Counts & { assetId: string; faultMode: string }>()
  const examples: DiffExample[] = []
  const exampleCounts = { changed: 0, missing: 0, new: 0 }

  const note = (old: Counted | undefined, now: Counted | undefined): void => {
    const differences = old && now ? compareValues(old.record.value, now.record.value, tolerances, ignored) : []
    const verdict: Verdict = old === undefined ? 'new' : now === undefined ? 'missing' : differences.length > 0 ? 'changed' : 'same'
    const { identity, record } = (now ?? old) as Counted
    const named = (record.value as { finding?: { faultMode?: string | null } | null }).finding?.faultMode
    const faultMode = named ?? modes(identity.assetId, identity.atUs)
    const groupKey = JSON.stringify([identity.assetId, faultMode])
    const group = groups.get(groupKey) ?? { assetId: identity.assetId, faultMode, same: 0, changed: 0, missing: 0, new: 0 }
    groups.set(groupKey, group)
    group[verdict] += 1
    total[verdict] += 1
    if (verdict === 'same') return
    onDifference?.(topic, old, now)
    for (const path of new Set(differences.map((each) => each.path))) {
      const field = fields.get(path) ?? { records: 0, largestDelta: null }
      const deltas = differences.filter((each) => each.path === path).flatMap(({ delta }) => delta ?? [])
      fields.set(path, {
        records: field.records + 1,
        largestDelta: deltas.length === 0 ? field.largestDelta : Math.max(field.largestDelta ?? 0, ...deltas),
      })
    }
    if (exampleCounts[verdict]++ >= EXAMPLES_PER_VERDICT) return
    const { key, assetId, atUs } = identity
    examples.push({ verdict, key, assetId, faultMode, atUs, before: placeOf(old), after: placeOf(now), fields: differences.slice(0, 20) })
  }

  for (let partition = 0; partition < (await log.admin.partitions(after)); partition++) {
    const [old, now] = [
      await countedOf(log, codec, before, partition, fromMs, toMs),
      await countedOf(log, codec, after, partition, fromMs, toMs),
    ]
    for (const key of new Set([...old.keys(), ...now.keys()])) note(old.get(key), now.get(key))
  }
  return {
    topic,
    against: before,
    ...total,
    fields: [...fields].map(([path, each]) => ({ path, ...each })).toSorted((a, b) => b.records - a.records || (a.path < b.path ? -1 : 1)),
    groups: [...groups.values()].toSorted(
      (a, b) => b.changed + b.missing + b.new - (a.changed + a.missing + a.new) || (a.assetId < b.assetId ? -1 : 1),
    ),
    examples,
  }
}
