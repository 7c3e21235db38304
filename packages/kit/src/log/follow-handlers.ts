// What both adapters do for a follow: hand records out, remember the newest one per partition, and notice when the log
// lost it. What a follower built from lost records has to go; a position alone would hide that.

import { logError } from './log-error.ts'
import type { RunnerHandlers } from './partition-runner.ts'
import type { FollowOptions, Position, StartAt } from './port.ts'

/** `endOfEpoch` as in LogAdmin. */
export const followHandlers = (
  { from, onBatch, onReset }: FollowOptions,
  endOfEpoch: (topic: string, partition: number, leaderEpoch: number) => Promise<number>,
): RunnerHandlers => {
  const newest = new Map<string, Position>()
  /** First offset that was handed out: where "the end" was for a partition that began there. */
  const firsts = new Map<string, number>()
  const startOf = (topic: string, partition: number): StartAt => from?.(topic, partition) ?? 'earliest'
  return {
    onAssigned: startOf,
    onBatch: async (batch) => {
      const id = `${batch.topic}/${batch.partition}`
      if (!firsts.has(id)) firsts.set(id, batch.offsetAt(0))
      await onBatch(batch)
      const last = batch.count - 1
      newest.set(id, { leaderEpoch: batch.leaderEpochAt(last), offset: batch.offsetAt(last) })
    },
    onDoubt: async (topic, partition) => {
      const mark = newest.get(`${topic}/${partition}`)
      if (!mark) return undefined
      const end = await endOfEpoch(topic, partition, mark.leaderEpoch)
      if (end > mark.offset) return undefined
      const what = `${topic}/${partition} lost records that were read already, from offset ${end} on`
      if (!onReset) throw logError('fatal', 'ANDON_LOG_TAIL_LOST', `${what}: what was built from them has to be built anew, start again`)
      await onReset(topic, partition)
      newest.delete(`${topic}/${partition}`)
      const start = startOf(topic, partition)
      return start === 'latest' ? Math.min(end, firsts.get(`${topic}/${partition}`) ?? end) : start
    },
  }
}
