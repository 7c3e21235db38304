// What both adapters do for a follow: hand records out, remember the newest one per partition, and notice when the log
// lost it. What a follower built from lost records has to go; a position alone would hide that.

import type { FollowProgress } from './follow-progress.ts'
import { logError } from './log-error.ts'
import type { RunnerHandlers } from './partition-runner.ts'
import type { FollowOptions, Position, StartAt } from './port.ts'

export interface FollowedLog {
  /** As in LogAdmin. */
  endOfEpoch(topic: string, partition: number, leaderEpoch: number): Promise<number>
  /** First offset that does not exist. */
  end(topic: string, partition: number): Promise<number>
}

export const followHandlers = ({ from, onBatch, onReset }: FollowOptions, log: FollowedLog, progress: FollowProgress): RunnerHandlers => {
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
      const id = `${topic}/${partition}`
      progress.limit(id, await log.end(topic, partition))
      const mark = newest.get(id)
      if (!mark) return undefined
      const end = await log.endOfEpoch(topic, partition, mark.leaderEpoch)
      if (end > mark.offset) return undefined
      const what = `${topic}/${partition} lost records that were read already, from offset ${end} on`
      if (!onReset) throw logError('fatal', 'ANDON_LOG_TAIL_LOST', `${what}: what was built from them has to be built anew, start again`)
      await onReset(topic, partition)
      newest.delete(id)
      const start = startOf(topic, partition)
      return start === 'latest' ? Math.min(end, firsts.get(id) ?? end) : start
    },
  }
}
