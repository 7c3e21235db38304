// Positions of streams that any instance may go on with: on ingest's private, compacted topic, the newest one per key. Written after
// what it stands for was made safe, so after a crash it is behind, never ahead.

import type { Log } from '@andon/kit'
import type { PositionFile } from './positions.ts'

const topic = 'ingest.positions'

/** The position under a key. `read` goes through the topic once, which compaction keeps short. */
export const positionOnLog = <T>(log: () => Log, key: string): PositionFile<T> => {
  let waiting: { value: T | null } | undefined
  let writing: Promise<void> | undefined

  const ensure = () =>
    log().admin.ensureTopics([
      {
        name: topic,
        partitions: 1,
        configs: {
          'cleanup.policy': 'compact',
          'segment.ms': '600000',
          'min.cleanable.dirty.ratio': '0.1',
          'delete.retention.ms': '86400000',
        },
      },
    ])

  const writeAll = async (): Promise<void> => {
    try {
      while (waiting !== undefined) {
        const { value } = waiting
        waiting = undefined
        await log().append([{ topic, partition: 0, key, value: value === null ? null : Buffer.from(JSON.stringify(value)) }])
      }
    } finally {
      writing = undefined
    }
  }

  const put = (value: T | null): Promise<void> => {
    waiting = { value }
    writing ??= writeAll()
    return writing
  }

  return {
    read: async () => {
      await ensure()
      let newest: T | undefined
      for await (const batch of log().read({ topic, partition: 0, from: 'earliest', to: 'latest' })) {
        for (let index = 0; index < batch.count; index++) {
          if (batch.keyAt(index) !== key) continue
          const value = batch.valueAt(index)
          newest = value === null ? undefined : (JSON.parse(value.toString('utf8')) as T)
        }
      }
      return newest
    },
    write: put,
    remove: () => put(null),
  }
}
