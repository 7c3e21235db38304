// Where a process without state starts: the committed offset, unless its newest surviving output tells that later
// outputs were lost, or that the input it was derived from is gone.

import { HEADER, parseCause } from './lineage.ts'
import type { Cause } from './lineage.ts'
import { newestRecord } from './marks.ts'
import type { Mark } from './marks.ts'
import type { Log, StartAt } from './log/port.ts'

/** How far back the newest output of one input partition is looked for in each output partition. */
const LOOK_BACK_RECORDS = 20_000

/**
 * min(committed, lineage of the last surviving output + 1, first input offset that a later leader wrote after what we
 * had applied). `applied` is the last applied input as far as this process knows; offset -1 = unknown.
 */
export const startOfStateless = async (
  log: Log,
  applied: Mark,
  committed: number | undefined,
  outputTopics: readonly string[],
): Promise<StartAt> => {
  if (committed === undefined) return 'earliest'
  const { topic, partition } = applied
  const cut = async (leaderEpoch: number): Promise<number> => log.admin.endOfEpoch(topic, partition, leaderEpoch)
  const kept = applied.offset < 0 ? committed : Math.min(committed, await cut(applied.leaderEpoch))
  if (outputTopics.length === 0) return kept
  const last = await lastCause(log, topic, partition, outputTopics)
  if (last === 'unknown') return kept
  if (last === undefined) return 'earliest'
  return Math.min(kept, last.offset + 1, await cut(last.leaderEpoch))
}

/** The newest cause in this input partition among all surviving outputs; undefined if there is no output at all. */
const lastCause = async (
  log: Log,
  input: string,
  partition: number,
  outputTopics: readonly string[],
): Promise<Cause | undefined | 'unknown'> => {
  let newest: Cause | undefined
  let complete = true
  const causeOf = (header: string | undefined): Cause | undefined => {
    const cause = parseCause(header)
    return cause?.topic === input && cause.partition === partition ? cause : undefined
  }
  for (const topic of outputTopics) {
    const partitions = await log.admin.partitions(topic)
    // A process that keeps keys writes to the same partition number: look there first, elsewhere only if it is not so.
    const order = [partition % partitions, ...Array.from({ length: partitions }, (_, p) => p).filter((p) => p !== partition % partitions)]
    for (const p of order) {
      const found = await newestRecord(log, topic, p, (record) => causeOf(record.header(HEADER.cause)) !== undefined, LOOK_BACK_RECORDS)
      complete &&= found.complete
      const cause = causeOf(found.record?.header(HEADER.cause))
      if (cause && (!newest || cause.offset > newest.offset)) newest = cause
      if (cause && p === partition) break
    }
  }
  return newest ?? (complete ? undefined : 'unknown')
}
