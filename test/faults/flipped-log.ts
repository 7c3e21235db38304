// A log with one partition as a broker would hand it out from damaged bytes: its index still finds every batch, what is in them is
// as it lies there.

import { LogError } from '@andon/kit'
import type { Log, RecordBatch } from '@andon/kit'
import { decodeRecords } from '../../packages/kit/src/log/kafka/batch-reader.ts'
import type { StoredBatch } from './segments.ts'

export interface StoredPartition {
  readonly topic: string
  readonly partition: number
  readonly bytes: Buffer
  /** Of the bytes when they were sound. */
  readonly batches: readonly StoredBatch[]
}

/** The log, but for this partition. */
export const logWith = (log: Log, { topic, partition, bytes, batches }: StoredPartition): Log => ({
  ...log,
  async *read(range): AsyncGenerator<RecordBatch> {
    if (range.topic !== topic || range.partition !== partition) return yield* log.read(range)
    const end = (batches.at(-1)?.lastOffset ?? -1) + 1
    const to = range.to === 'latest' ? end : Math.min(range.to, end)
    for (let from = range.from === 'earliest' ? 0 : range.from; from < to;) {
      const found = batches.find(({ lastOffset }) => lastOffset >= from)
      if (!found) return
      const fetched = { topic, partition, bytes: bytes.subarray(found.start), fromOffset: from, aborted: [], highWatermark: end }
      const batch = await decodeRecords(fetched)
      // As `log.read` says when nothing whole comes of what is there.
      if (batch.nextOffset === from) throw new LogError('retriable', 'ANDON_LOG_CORRUPT', `${topic}/${partition}: nothing whole at ${from}`)
      from = batch.nextOffset
      batch.endBefore(to)
      if (batch.count > 0) yield batch
    }
  },
})
