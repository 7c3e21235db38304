// A run's own topic read as a group would read it, every partition by this one process: what a service writes and reads back.

import type { Log, Run, RunOptions, StartAt } from '../log/port.ts'

/** Batches of a partition never overlap; nothing is committed. */
export const followRun = async (log: Log, topic: string, options: RunOptions): Promise<Run> => {
  const partitions = Array.from({ length: await log.admin.partitions(topic) }, (_, partition) => partition)
  const starts = new Map<number, StartAt>()
  for (const partition of partitions) starts.set(partition, (await options.onAssigned?.(topic, partition, undefined)) ?? 'earliest')
  const abort = new AbortController()
  const follow = await log.follow({
    topics: [topic],
    from: (_topic, partition) => starts.get(partition) ?? 'earliest',
    onBatch: async (batch) => void (await options.onBatch(batch, { signal: abort.signal })),
  })
  return {
    assigned: () => partitions.map((partition) => ({ topic, partition })),
    ended: follow.ended,
    stop: async () => {
      abort.abort()
      await follow.stop()
      for (const partition of partitions) await options.onRevoked?.(topic, partition, false)
    },
  }
}
