// Runs and follows on an in-process log. A run is a member of its group as on Kafka: a rebalance ends the work in hand,
// what moves belongs to its new owner at once, and whoever was silent for too long learns afterwards that it is out.

import { followHandlers } from './follow-handlers.ts'
import { FollowProgress } from './follow-progress.ts'
import { logError } from './log-error.ts'
import { memoryAdmin } from './memory-admin.ts'
import { MemoryReader } from './memory-reader.ts'
import type { MemoryMember, MemoryStore } from './memory-store.ts'
import type { PartitionRunner } from './partition-runner.ts'
import type { Follow, FollowOptions, Run, RunOptions } from './port.ts'
import type { Schedule } from './schedule.ts'

/** A run or follow as its log sees it. */
export interface Running {
  stop(): Promise<void>
  /** The process is gone. */
  die(): void
  /** The group's coordinator has not heard of it for too long. */
  expel(): void
}

export interface MemoryContext {
  readonly store: MemoryStore
  readonly schedule: Schedule
  readonly prefix: string
  readonly maxRecords: number
  readonly running: Set<Running>
}

/** How a reader ends; whoever cares awaits `ended`. */
const endOfReader = () => {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
  ended.catch(() => undefined)
  return { ended, settle: (error: unknown) => (error === undefined ? resolve() : reject(error)) }
}

export const runInMemory = async (context: MemoryContext, options: RunOptions): Promise<Run> => {
  const { store, schedule, prefix, maxRecords, running } = context
  const group = store.group(prefix + options.group)
  const reader = new MemoryReader(store, schedule, prefix, maxRecords)
  const { ended, settle } = endOfReader()
  const joined = Promise.withResolvers<void>()
  let member: MemoryMember
  let stopping: Promise<void> | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let committing: Promise<void> = Promise.resolve()
  let isCommitDue = false

  const serially = <T>(work: () => Promise<T>): Promise<T> => {
    const result = turn.then(work)
    turn = result.catch(() => undefined)
    return result
  }

  /** A refusal is nothing: the next owner sees some records again. */
  const commit = (runners: Iterable<PartitionRunner> = reader.runners.values()): Promise<void> => {
    committing = committing
      .then(async () => {
        isCommitDue = false
        const moved = [...runners].flatMap((runner) => {
          const position = runner.uncommitted()
          return position === undefined ? [] : [{ runner, position }]
        })
        if (moved.length === 0) return
        await schedule.request('commit', options.group, () => {
          if (!group.has(member)) throw logError('fenced', 'ANDON_LOG_FENCED', `No longer a member of group ${options.group}`)
          for (const { runner, position } of moved) group.committed.set(`${prefix}${runner.topic}/${runner.partition}`, position)
        })
        for (const { runner, position } of moved) runner.markCommitted(position)
      })
      .catch(() => undefined)
    return committing
  }

  const take = async (partitions: readonly { topic: string; partition: number }[]): Promise<void> => {
    const wanted = new Map(partitions.map(({ topic, partition }) => [`${topic.slice(prefix.length)}/${partition}`, { topic, partition }]))
    await Promise.all([...reader.runners.keys()].filter((id) => !wanted.has(id)).map((id) => reader.remove(id, true)))
    if (reader.dead || stopping) return
    for (const runner of reader.runners.values()) runner.release()
    for (const [id, { topic, partition }] of wanted) {
      if (reader.runners.has(id)) continue
      reader.add(topic.slice(prefix.length), partition, group.committed.get(`${topic}/${partition}`), options, {
        onProgress: () => {
          if (isCommitDue || reader.dead) return
          isCommitDue = true
          void commit()
        },
        onFatal: (error) => void stop(error),
      })
    }
    joined.resolve()
  }

  const join = (): Promise<void> => {
    const me: MemoryMember = {
      id: group.nextId(),
      topics: options.topics.map((topic) => prefix + topic),
      hold: async () => {
        await schedule.hear('rebalance')
        await serially(async () => {
          await Promise.all([...reader.runners.values()].map((runner) => runner.hold()))
          await commit()
        })
      },
      assign: async (partitions) => {
        await schedule.hear(`has ${partitions.map(({ topic, partition }) => `${topic}/${partition}`).join(' ') || 'nothing'}`)
        if (member === me && !reader.dead && !stopping) void serially(() => take(partitions))
      },
    }
    member = me
    return group.join(me)
  }

  const stop = (error?: unknown): Promise<void> => {
    stopping ??= (async () => {
      const runners = [...reader.runners.values()]
      if (!reader.dead) {
        await reader.removeAll(!group.has(member))
        await commit(runners)
      }
      running.delete(handle) // until here its session may run out
      void group.leave(member)
      joined.resolve()
      settle(error)
    })()
    return stopping
  }

  const handle: Running = {
    stop: () => stop(),
    die: () => reader.die(),
    expel: () => {
      if (!group.has(member)) return
      void group.leave(member)
      void schedule.hear('is no member any more').then(async () => {
        if (reader.dead || stopping) return
        await serially(() => reader.removeAll(true))
        if (!stopping) void join()
      })
    },
  }
  running.add(handle)
  void join()
  await joined.promise
  return {
    assigned: () => [...reader.runners.values()].map(({ topic, partition }) => ({ topic, partition })),
    ended,
    stop: () => stop(),
  }
}

export const followInMemory = async (context: MemoryContext, options: FollowOptions): Promise<Follow> => {
  const { store, schedule, prefix, maxRecords, running } = context
  const reader = new MemoryReader(store, schedule, prefix, maxRecords)
  const { ended, settle } = endOfReader()
  const progress = new FollowProgress((id) => reader.runners.get(id)?.reached())
  const partitions = options.topics.flatMap((topic) => store.topic(prefix + topic).partitions.map((part) => ({ topic, part })))
  let stopping: Promise<void> | undefined
  const stop = (error?: unknown): Promise<void> => {
    stopping ??= (async () => {
      running.delete(handle)
      if (!reader.dead) await reader.removeAll()
      settle(error)
    })()
    return stopping
  }
  const handle: Running = { stop: () => stop(), die: () => reader.die(), expel: () => undefined }
  running.add(handle)
  const admin = memoryAdmin(context)
  const endOf = (topic: string, partition: number): number => store.partition(prefix + topic, partition).high
  const log = {
    endOfEpoch: (topic: string, partition: number, epoch: number) => admin.endOfEpoch(topic, partition, epoch),
    end: (topic: string, partition: number) => schedule.request('ask', `end of ${topic}/${partition}`, () => endOf(topic, partition)),
  }
  const handlers = followHandlers(options, log, progress)
  for (const { topic, part } of partitions)
    reader.add(topic, part.partition, undefined, handlers, { onProgress: () => progress.check(), onFatal: (error) => void stop(error) })
  const ends = () =>
    schedule.request('ask', 'ends', () => new Map(partitions.map(({ topic, part }) => [`${topic}/${part.partition}`, part.high])))
  return {
    caughtUp: () => Promise.race([progress.reached(ends), ended]),
    ended,
    stop: () => stop(),
  }
}
