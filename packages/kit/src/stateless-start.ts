// Where a process without state starts: the committed offset, unless its newest surviving output tells that later
// outputs were lost, or that the input it was derived from is gone.

import { HEADER, LIVE, comparePositions, parseCause } from './lineage.ts'
import type { Cause } from './lineage.ts'
import { newestRecord } from './marks.ts'
import type { Mark } from './marks.ts'
import type { Log, LogRecord, StartAt } from './log/port.ts'

/** How far back the newest output of an input partition is looked for. */
const LOOK_BACK_RECORDS = 20_000

export interface StatelessStart {
  readonly at: StartAt
  /** Newest surviving output per topic; if one of them goes, the start has to be worked out again. */
  readonly outputs: readonly Mark[]
  /** The input record that the newest of them came from. */
  readonly input: Mark | undefined
}

/**
 * min(committed, lineage of the last surviving output, first input offset that a later leader wrote after what we had
 * applied). The last output's own input is done again, since another output of it may be missing. `applied` is the last
 * applied input as far as this process knows; offset -1 = unknown.
 */
export const startOfStateless = async (
  log: Log,
  applied: Mark,
  committed: number | undefined,
  outputTopics: readonly string[],
): Promise<StatelessStart> => {
  if (committed === undefined) return { at: 'earliest', outputs: [], input: undefined }
  const { topic, partition } = applied
  let at = committed
  const notAbove = async (leaderEpoch: number): Promise<void> => {
    at = Math.min(at, await log.admin.endOfEpoch(topic, partition, leaderEpoch))
  }
  if (applied.offset >= 0) await notAbove(applied.leaderEpoch)
  const outputs: Mark[] = []
  let input: Mark | undefined
  for (const outputTopic of outputTopics) {
    const { record, complete } = await newestRecord(
      log,
      outputTopic,
      partition,
      (found) => causeIn(found, applied) !== undefined,
      LOOK_BACK_RECORDS,
    )
    if (!record) {
      if (complete) return { at: 'earliest', outputs: [], input: undefined } // nothing of what we wrote is left
      continue
    }
    const cause = causeIn(record, applied)!
    outputs.push({
      topic: outputTopic,
      partition,
      leaderEpoch: record.leaderEpoch,
      offset: record.offset,
      id: record.header(HEADER.id) ?? '',
    })
    if (!input || comparePositions(cause, input) > 0)
      input = { topic, partition, leaderEpoch: cause.leaderEpoch, offset: cause.offset, id: '' }
    at = Math.min(at, cause.offset)
    await notAbove(cause.leaderEpoch)
  }
  return { at, outputs, input }
}

const causeIn = (record: LogRecord, { topic, partition }: Mark): Cause | undefined => {
  // In another lane it may have been put there by a person - redriven, promoted, taken back - long after its cause was read.
  // Those of ours lie behind live ones, and are done again with all that came after the newest live one.
  if ((record.header(HEADER.lane) ?? LIVE) !== LIVE) return undefined
  const cause = parseCause(record.header(HEADER.cause))
  return cause?.topic === topic && cause.partition === partition ? cause : undefined
}
