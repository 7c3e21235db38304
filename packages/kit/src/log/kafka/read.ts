// Reading a range of one partition, independent of any position: replay, recovery, sealing.

import { logError } from '../log-error.ts'
import type { ReadRange, RecordBatch } from '../port.ts'
import { CODE, nameOfCode } from './errors.ts'
import type { KafkaContext } from './log.ts'
import { API, fetchBody, fetchReply } from './protocol.ts'
import { decodeRecords } from './batch-reader.ts'

const MAX_WAIT_MS = 100
const MAX_BYTES = 4 * 1024 * 1024
/** The broker fills its answer beyond the range: a look at one record is not to fetch and check what follows it. */
const FEWEST_BYTES = 16 * 1024
const EXPECTED_BYTES_PER_RECORD = 1024
/** Where that was too little. The broker answers with one whole batch at least. */
const GROWTH = 8
/** Answers of a leader that is there: asking it again changes nothing. */
const SAID_BELOW: ReadonlySet<number> = new Set([CODE.corruptMessage, CODE.offsetOutOfRange])

/** Each takes up to `maxWaitMs`. */
const MOST_IDLE_ANSWERS = 10

export async function* readRange({ transport, prefix }: KafkaContext, range: ReadRange): AsyncGenerator<RecordBatch> {
  const name = prefix + range.topic
  const { partition } = range
  const end = await transport.latest(name, partition)
  const to = range.to === 'latest' ? end : Math.min(range.to, end)
  let from = range.from === 'earliest' ? await transport.earliest(name, partition) : range.from
  let maxBytes = Math.min(MAX_BYTES, Math.max(FEWEST_BYTES, (to - from) * EXPECTED_BYTES_PER_RECORD))
  for (let idle = 0, fetches = 0; from < to; fetches++) {
    if (idle > MOST_IDLE_ANSWERS)
      throw logError(
        'retriable',
        'ANDON_LOG_CORRUPT',
        `${range.topic}/${partition}: nothing whole comes from offset ${from} on, though the log goes on to ${to}`,
      )
    const at = from
    const fetched = await transport.ask(name, partition, async ({ leader, leaderEpoch }) => {
      const limits = { maxWaitMs: MAX_WAIT_MS, maxBytes, maxBytesPerPartition: maxBytes }
      const body = fetchBody([{ topic: name, parts: [{ partition, leaderEpoch, offset: at }] }], limits)
      const { results } = fetchReply((await transport.call(leader, API.fetch, body)).body)
      const result = results[0]
      if (!result) return { code: CODE.leaderNotAvailable, answer: undefined }
      // Retention or a cut moved the log while we read it: the caller's range is gone.
      if (result.code === CODE.offsetOutOfRange && fetches > 0)
        throw logError(
          'fatal',
          'ANDON_LOG_OUT_OF_RANGE',
          `${range.topic}/${partition}: offset ${at} is no longer in the log (${nameOfCode(result.code)})`,
        )
      return { code: SAID_BELOW.has(result.code) ? 0 : result.code, answer: result }
    })
    if (fetched?.code === CODE.offsetOutOfRange) {
      from = Math.max(from, await transport.earliest(name, partition))
      continue
    }
    maxBytes = Math.min(MAX_BYTES, maxBytes * GROWTH)
    if (fetched?.code === CODE.corruptMessage)
      throw logError('retriable', 'ANDON_LOG_CORRUPT', `${range.topic}/${partition}: the broker cannot read its batch at offset ${at}`)
    if (!fetched?.records || fetched.records.length === 0) {
      if (at >= (await transport.latest(name, partition))) return // cut meanwhile
      idle++
      continue
    }
    const batch = await decodeRecords({
      topic: range.topic,
      partition,
      bytes: fetched.records,
      fromOffset: at,
      aborted: fetched.aborted,
      highWatermark: fetched.lastStableOffset,
    })
    from = batch.nextOffset
    idle = from === at ? idle + 1 : 0
    batch.endBefore(to)
    if (batch.count > 0) yield batch
  }
}
