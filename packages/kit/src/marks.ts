// Marks: (leader epoch, offset, record id) of a record we depend on. A mark that no longer holds tells that the log lost
// its tail below us; everything derived from there must be worked out again.

import { HEADER } from './lineage.ts'
import type { Log, LogRecord, Position } from './log/port.ts'

export interface Mark extends Position {
  readonly topic: string
  readonly partition: number
  /** ce_id of the record; empty if it has none. */
  readonly id: string
  /** Record timestamp, ms UTC, where the reader of the record has kept it. */
  readonly timestampMs?: number
}

const recordAt = async (log: Log, topic: string, partition: number, offset: number): Promise<LogRecord | undefined> => {
  for await (const batch of log.read({ topic, partition, from: offset, to: offset + 1 }))
    for (const record of batch.records) if (record.offset === offset) return record
  return undefined
}

/** True if the marked record is still in its log, or has been removed by retention since. */
export const holds = async (log: Log, mark: Mark): Promise<boolean> => {
  if (mark.offset < 0) return true
  const { low, high } = await watermarksOf(log, mark.topic, mark.partition)
  if (mark.offset < low) return true
  if (mark.offset >= high) return false
  const record = await recordAt(log, mark.topic, mark.partition, mark.offset).catch(async (error: unknown) => {
    // Retention moved the start of the log while it was read.
    if (mark.offset < (await watermarksOf(log, mark.topic, mark.partition)).low) return 'removed' as const
    throw error
  })
  if (record === 'removed') return true
  return record !== undefined && record.leaderEpoch === mark.leaderEpoch && (mark.id === '' || record.header(HEADER.id) === mark.id)
}

export const watermarksOf = async (log: Log, topic: string, partition: number): Promise<{ low: number; high: number }> =>
  (await log.admin.watermarks(topic)).find((found) => found.partition === partition) ?? { low: 0, high: 0 }

const SCAN_RECORDS = 500

/**
 * The newest record of a partition that `matches`, looking back from its end over at most `maxRecords`; `complete` says
 * whether the look went back to the partition's first record.
 */
export const newestRecord = async (
  log: Log,
  topic: string,
  partition: number,
  matches: (record: LogRecord) => boolean,
  maxRecords: number,
): Promise<{ record: LogRecord | undefined; complete: boolean }> => {
  const { low, high } = await watermarksOf(log, topic, partition)
  const bottom = Math.max(low, high - maxRecords)
  for (let to = high; to > bottom; to -= SCAN_RECORDS) {
    let newest: LogRecord | undefined
    for await (const batch of log.read({ topic, partition, from: Math.max(bottom, to - SCAN_RECORDS), to }))
      newest = batch.records.findLast(matches) ?? newest
    if (newest) return { record: newest, complete: true }
  }
  return { record: undefined, complete: bottom === low }
}
