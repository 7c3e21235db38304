// What a disk and a broker do to a topic: batches that cannot be read any more, records that compaction has taken.

import { LogError } from '@andon/kit'
import type { Log, RecordBatch } from '@andon/kit'
import { RecordList } from '../src/log/record-list.ts'

export interface Wear {
  /** Offsets that cannot be read: from inclusive, to exclusive. */
  readonly damage: { readonly from: number; readonly to: number }[]
  /** Offsets that compaction has taken. */
  readonly compacted: Set<number>
}

/** The log as it is read through the wear of one topic's partition 0. As on Kafka, what lies before a damaged batch is handed out first. */
export const wornLog = (log: Log, topic: string, wear: Wear): Log => ({
  ...log,
  async *read(range): AsyncGenerator<RecordBatch> {
    if (range.topic !== topic) return yield* log.read(range)
    const { low, high } = (await log.admin.watermarks(topic))[0]!
    const from = range.from === 'earliest' ? low : Math.max(low, range.from)
    const end = range.to === 'latest' ? high : Math.min(range.to, high)
    const hurt = wear.damage.filter(({ to }) => to > from).sort((a, b) => a.from - b.from)[0]
    for await (const batch of log.read({ ...range, from, to: Math.min(end, Math.max(from, hurt?.from ?? end)) })) {
      const records = batch.records.filter(({ offset }) => !wear.compacted.has(offset))
      yield new RecordList(topic, batch.partition, records, batch.nextOffset, batch.highWatermark)
    }
    // A fetch begins with the batch that holds its first offset.
    if (hurt && from < end && end > hurt.from)
      throw new LogError('retriable', 'ANDON_LOG_CORRUPT', `${topic}: batch at offset ${hurt.from} does not match its checksum`)
  },
})
