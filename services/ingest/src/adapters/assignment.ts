// Which instance polls which pull source: murmur2(source id) mod the partitions of telemetry, shared out by a consumer group that reads
// nothing. A source moves within a session time-out when its instance dies, and at once when it leaves.

import { setTimeout as pause } from 'node:timers/promises'
import { partitionOf } from '@andon/kit'
import type { Log, Logger, Run } from '@andon/kit'
import type { Assignment } from '../doors.ts'
import { telemetryTopic } from '../records.ts'

export interface GroupAssignment extends Assignment {
  close(): Promise<void>
}

export interface AssignmentDeps {
  readonly log: () => Log
  readonly logger: Logger
  /** How long a newly assigned source is left alone, so that its owner until now can end its poll. Default 1 s. */
  readonly settleMs?: number
}

// A consumer group has its service's name.
const group = 'ingest'
const retryMs = 2000

/** Joins the group when it is first asked about a source; until it is in, no source is its own. */
export const groupAssignment = ({ log, logger, settleMs = 1000 }: AssignmentDeps): GroupAssignment => {
  const mine = new Set<number>()
  const soon = new Map<number, NodeJS.Timeout>()
  const listeners = new Set<() => void>()
  const closing = new AbortController()
  let partitions = 0
  let member: Promise<void> | undefined

  const tell = () => {
    for (const listener of listeners) listener()
  }

  const give = (partition: number): undefined => {
    if (mine.has(partition) || soon.has(partition)) return
    const timer = setTimeout(() => {
      soon.delete(partition)
      mine.add(partition)
      tell()
    }, settleMs)
    soon.set(partition, timer)
  }

  const take = (partition: number) => {
    clearTimeout(soon.get(partition))
    soon.delete(partition)
    if (mine.delete(partition)) tell()
  }

  const join = async (): Promise<void> => {
    partitions = await log().admin.partitions(telemetryTopic)
    let run: Run | undefined
    const leave = () => void run?.stop()
    try {
      run = await log().run({
        group,
        topics: [telemetryTopic],
        assignmentOnly: true,
        onAssigned: (_topic, partition) => give(partition),
        onRevoked: (_topic, partition) => take(partition),
        onBatch: () => Promise.resolve(),
      })
      closing.signal.addEventListener('abort', leave)
      if (closing.signal.aborted) leave()
      await run.ended
    } finally {
      closing.signal.removeEventListener('abort', leave)
      for (const partition of [...mine, ...soon.keys()]) take(partition)
    }
  }

  const stayMember = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await join()
      } catch (error) {
        if (closing.signal.aborted) return
        logger.warn({ err: error }, 'no pull source is polled by this instance: it is in no group; it tries again')
        await pause(retryMs, undefined, { signal: closing.signal }).catch(() => undefined) // ended early: closing
      }
    }
  }

  return {
    isMine: (sourceId) => {
      member ??= stayMember()
      return partitions > 0 && mine.has(partitionOf(sourceId, partitions))
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: async () => {
      closing.abort()
      await member
    },
  }
}
