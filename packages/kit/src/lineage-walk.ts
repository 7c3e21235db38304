// Following lineage on the log: the record at a place, what caused a record, the blocks behind a vector. Everything is read in
// bounded ranges, a batch in memory at a time.

import type { Block, Telemetry } from '@andon/schemas'
import type { Codec } from './codec-port.ts'
import type { SampleIdentity } from './ids.ts'
import { HEADER, parseCause } from './lineage.ts'
import type { Cause } from './lineage.ts'
import { isRetriable } from './log/log-error.ts'
import type { Log, LogRecord } from './log/port.ts'

/** Where a record lies. */
export interface LineageRecord {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly offset: number
}

/** What is looked for mostly lies close by: the first look back is a short one. */
const FIRST_PIECE = 100
const PIECE = 2000

/** Records of [from, to); nothing where the range is empty. */
export async function* recordsIn(log: Log, topic: string, partition: number, from: number, to: number): AsyncGenerator<LogRecord> {
  if (from < to) for await (const batch of log.read({ topic, partition, from, to })) yield* batch.records
}

/** The value, read with this build's schema; undefined when the bytes are none. Rejects when the registry cannot be asked. */
export const decodedOr = async <T>(codec: Codec, { topic, value }: LogRecord): Promise<T | undefined> => {
  if (value === null) return undefined
  try {
    return await codec.decodeAsync<T>(topic, value)
  } catch (error) {
    if (isRetriable(error)) throw error
    return undefined
  }
}

const topicsSeen = new WeakMap<Log, Set<string>>()

/** Asked until it is there: a walk meets the same few topics again and again. */
const isThere = async (log: Log, topic: string): Promise<boolean> => {
  if (topicsSeen.get(log)?.has(topic) === true) return true
  const names = new Set((await log.admin.topics()).map(({ name }) => name))
  topicsSeen.set(log, names)
  return names.has(topic)
}

/** The record at a place; undefined when retention or a loss of the log's tail removed it. */
export const recordAt = async (log: Log, { topic, partition, leaderEpoch, offset }: LineageRecord): Promise<LogRecord | undefined> => {
  if (!(await isThere(log, topic))) return undefined
  for await (const record of recordsIn(log, topic, partition, offset, offset + 1))
    if (record.offset === offset && record.leaderEpoch === leaderEpoch) return record
  return undefined
}

export interface Causes {
  /** The causing record first, then what caused that, and so on. */
  readonly records: readonly LogRecord[]
  /** The cause at which the walk ended because its record is gone; null when it ended at a source or at the depth. */
  readonly gone: Cause | null
}

/** Walks from a record's cause upwards. */
export const causesOf = async (log: Log, first: Cause | null, depth: number): Promise<Causes> => {
  const records: LogRecord[] = []
  for (let cause = first; cause !== null && records.length < depth;) {
    const record = await recordAt(log, cause)
    if (record === undefined) return { records, gone: cause }
    records.push(record)
    cause = parseCause(record.header(HEADER.cause)) ?? null
  }
  return { records, gone: null }
}

/** The last record before an offset that matches, not looked for below `sinceMs` of record time. */
export const lastBefore = async (
  log: Log,
  { topic, partition, before, sinceMs }: { topic: string; partition: number; before: number; sinceMs: number },
  matches: (record: LogRecord) => boolean | Promise<boolean>,
): Promise<LogRecord | undefined> => {
  const low = await log.admin.offsetAt(topic, partition, sinceMs)
  for (let end = before, piece = FIRST_PIECE; end > low; end -= piece, piece = PIECE) {
    let found: LogRecord | undefined
    for await (const record of recordsIn(log, topic, partition, Math.max(low, end - piece), end)) if (await matches(record)) found = record
    if (found) return found
  }
  return undefined
}

/** A vector, as far as its blocks are looked for. */
export interface VectorInputs {
  readonly assetId: string
  readonly windowStartUs: number
  readonly windowEndUs: number
  readonly ranges: readonly SampleIdentity[]
}

export interface BlockRecord {
  readonly record: LogRecord
  readonly block: Block
}

/** Samples that a block and a range have in common. */
const overlaps = (block: SampleIdentity, range: SampleIdentity): boolean =>
  block.sourceId === range.sourceId && block.epoch === range.epoch && block.seqFrom <= range.seqTo && range.seqFrom <= block.seqTo

/** What of the ranges a block does not have. */
export const rangesWithout = (ranges: readonly SampleIdentity[], block: SampleIdentity): SampleIdentity[] =>
  ranges.flatMap((range) => {
    if (!overlaps(block, range)) return [range]
    return [
      { ...range, seqTo: Math.min(range.seqTo, block.seqFrom - 1) },
      { ...range, seqFrom: Math.max(range.seqFrom, block.seqTo + 1) },
    ].filter(({ seqFrom, seqTo }) => seqFrom <= seqTo)
  })

/** Beyond the oldest block needed, corrections of its samples are looked for in so much record time. */
const CORRECTIONS_BEFORE_MS = 600_000
/** How the source of a corrected block begins: a block without these bytes corrects nothing and need not be decoded for that. */
const CORRECTION = Buffer.from('correction:')

/**
 * Blocks of the asset that hold samples of the ranges, and corrections of the window, up to and with the causing record: in log
 * order within a piece, the newest piece first. Reads backwards from there until every range is found, the log begins, or
 * record time is below `sinceMs`. Returns the ranges that were not found.
 */
export async function* blocksBehind(
  log: Log,
  codec: Codec,
  { topic, partition, offset }: LineageRecord,
  { assetId, ranges, windowStartUs, windowEndUs }: VectorInputs,
  sinceMs = Number.NEGATIVE_INFINITY,
): AsyncGenerator<BlockRecord, readonly SampleIdentity[]> {
  const first = (await log.admin.watermarks(topic)).find((mark) => mark.partition === partition)?.low ?? 0
  const low = Number.isFinite(sinceMs) ? Math.max(first, await log.admin.offsetAt(topic, partition, sinceMs)) : first
  let left = ranges
  let oldestMs = Number.POSITIVE_INFINITY
  for (let end = offset + 1, piece = FIRST_PIECE; end > low; piece = PIECE) {
    const from = Math.max(low, end - piece)
    let firstMs = Number.POSITIVE_INFINITY
    const onlyCorrections = left.length === 0
    for await (const record of recordsIn(log, topic, partition, from, end)) {
      firstMs = Math.min(firstMs, record.timestampMs)
      if (record.key !== assetId || (onlyCorrections && record.value?.includes(CORRECTION) !== true)) continue
      const block = (await decodedOr<Telemetry>(codec, record))?.block
      if (!block) continue
      const isNeeded = ranges.some((range) => overlaps(block, range))
      const { correction } = block
      const corrects = correction !== null && correction.fromUs < windowEndUs && windowStartUs < correction.toUs
      if (!isNeeded && !corrects) continue
      yield { record, block }
      if (!isNeeded) continue
      left = rangesWithout(left, block)
      oldestMs = Math.min(oldestMs, record.timestampMs)
    }
    end = from
    if (left.length === 0 && firstMs < oldestMs - CORRECTIONS_BEFORE_MS) break
  }
  return left
}
