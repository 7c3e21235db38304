// The log in memory: the same promises as the Kafka adapter (both pass test/log-conformance.ts), without a broker.
// For unit tests and for running a handler alone. A topic that nobody created appears on first use.

import { appendedList } from './appended.ts'
import { FollowProgress } from './follow-progress.ts'
import { logError } from './log-error.ts'
import { MemoryStore } from './memory-store.ts'
import type { MemoryMember, MemoryPartition } from './memory-store.ts'
import { partitionOf } from './murmur2.ts'
import { PartitionRunner } from './partition-runner.ts'
import type { RunnerHandlers } from './partition-runner.ts'
import type {
  Append,
  AppendOptions,
  AppendedRecords,
  Follow,
  FollowOptions,
  Log,
  LogAdmin,
  Position,
  ReadRange,
  RecordBatch,
  Run,
  RunOptions,
  StartAt,
} from './port.ts'
import { RecordList } from './record-list.ts'

export interface MemoryLogOptions {
  readonly namespace?: string
  /** Partitions of a topic that appears on first use. Default 12. */
  readonly partitions?: number
  /** Most records in one batch. Default 500. */
  readonly maxBatchRecords?: number
  /** Share the store of another log, as two processes share a broker. */
  readonly store?: MemoryStore
}

export interface AppendFault {
  readonly error: Error
  readonly afterStoring?: boolean
}

export interface MemoryLog extends Log {
  readonly store: MemoryStore
  /** Power loss at the broker: records from `offset` on are gone and the leader epoch rises. */
  cut(topic: string, partition: number, offset: number): void
  /** Retention: records below `offset` are gone. */
  trim(topic: string, partition: number, offset: number): void
  /** Appends reject while this returns a fault; undefined heals. `afterStoring` = the records are there, their answer is lost. */
  failAppends(fault: ((records: readonly Append[]) => AppendFault | undefined) | undefined): void
  /** Ends every run and follow as a crash would: nothing more is handled, committed or told. */
  crash(): void
}

let memberIds = 0

/** Ends of a reader, shared by runs and follows. */
const endOfRun = () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => undefined) // whoever cares awaits `ended`
  return { ended: promise, resolve, reject }
}

class MemoryReader {
  readonly runners = new Map<string, PartitionRunner>()
  private readonly pumps = new Map<string, () => void>()
  private readonly detach = new Map<string, () => void>()
  private readonly store: MemoryStore
  private readonly prefix: string
  private readonly maxRecords: number
  dead = false

  constructor(store: MemoryStore, prefix: string, maxRecords: number) {
    this.store = store
    this.prefix = prefix
    this.maxRecords = maxRecords
  }

  add(
    topic: string,
    partition: number,
    committed: number | undefined,
    handlers: RunnerHandlers,
    events: { onProgress(runner: PartitionRunner): void; onFatal(error: unknown): void },
  ): void {
    const id = `${topic}/${partition}`
    const part = this.store.partition(this.prefix + topic, partition)
    const runner: PartitionRunner = new PartitionRunner(topic, partition, handlers, {
      resolve: async (_topic, _partition, at) => clamp(part, at),
      onHungry: () => this.pumps.get(id)?.(),
      onProgress: () => events.onProgress(runner),
      onFatal: (error) => events.onFatal(error),
    })
    let scheduled = false
    const pump = (): void => {
      if (scheduled || this.dead) return
      scheduled = true
      setImmediate(() => {
        scheduled = false
        const from = runner.wanted()
        if (from === undefined || this.dead) return
        if (from < part.low || from > part.high) runner.doubt(true)
        else if (from < part.high) runner.offer(from, unprefixed(part.batch(from, part.high, this.maxRecords), topic))
      })
    }
    const doubt = (): void => runner.doubt()
    part.readers.add(pump)
    part.doubters.add(doubt)
    this.pumps.set(id, pump)
    this.detach.set(id, () => {
      part.readers.delete(pump)
      part.doubters.delete(doubt)
    })
    this.runners.set(id, runner)
    runner.start(committed)
  }

  async remove(id: string): Promise<void> {
    const runner = this.runners.get(id)
    if (!runner) return
    this.detach.get(id)?.()
    await runner.close()
    this.runners.delete(id)
    this.pumps.delete(id)
  }

  crash(): void {
    this.dead = true
    for (const [id, runner] of this.runners) {
      this.detach.get(id)?.()
      runner.lose()
    }
  }
}

const clamp = (part: MemoryPartition, at: StartAt): number =>
  at === 'earliest' ? part.low : at === 'latest' ? part.high : Math.min(Math.max(at, part.low), part.high)

const unprefixed = (batch: RecordBatch, topic: string): RecordBatch =>
  batch.topic === topic ? batch : new RecordList(topic, batch.partition, batch.records, batch.nextOffset, batch.highWatermark)

/** Opens a log that lives in this process. */
export const openMemoryLog = (options: MemoryLogOptions = {}): MemoryLog => {
  const store = options.store ?? new MemoryStore(options.partitions ?? 12)
  const prefix = options.namespace ?? ''
  const maxRecords = options.maxBatchRecords ?? 500
  const running = new Set<{ stop(): Promise<void>; crash(): void }>()
  let fault: ((records: readonly Append[]) => AppendFault | undefined) | undefined
  let isDead = false
  let roundRobin = 0

  const hasAppendTime = (topic: string): boolean => store.topic(prefix + topic).configs['message.timestamp.type'] === 'LogAppendTime'

  const append = async (records: readonly Append[], { after = [] }: AppendOptions = {}): Promise<AppendedRecords> => {
    await Promise.resolve()
    if (isDead) throw logError('fatal', 'ANDON_LOG_CLOSED', 'This log has crashed')
    const touched = new Set<MemoryPartition>()
    const targets = records.map((record) => {
      const topic = store.topic(prefix + record.topic)
      const partition =
        record.partition ??
        (record.key === null ? roundRobin++ % topic.partitions.length : partitionOf(record.key, topic.partitions.length))
      return store.partition(topic.name, partition)
    })
    for (const { topic, partition, leaderEpoch, offset } of after) {
      const part = store.partition(prefix + topic, partition)
      if (targets.includes(part) && !part.holds({ leaderEpoch, offset }))
        throw logError('retriable', 'ANDON_LOG_TAIL_LOST', `${topic}/${partition} lost the record at offset ${offset}`)
    }
    const failure = fault?.(records)
    if (failure && !failure.afterStoring) throw failure.error
    const appended = records.map((record, i) => {
      const part = targets[i]!
      touched.add(part)
      const stored = part.append({
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestampMs: (hasAppendTime(record.topic) ? undefined : record.timestampMs) ?? Date.now(),
      })
      return { topic: record.topic, partition: part.partition, leaderEpoch: stored.leaderEpoch, offset: stored.offset }
    })
    for (const part of touched) part.tell()
    if (failure) throw failure.error
    return appendedList(appended)
  }

  const run = async (runOptions: RunOptions): Promise<Run> => {
    const group = store.group(prefix + runOptions.group)
    const reader = new MemoryReader(store, prefix, maxRecords)
    const end = endOfRun()
    let stopping: Promise<void> | undefined
    const member: MemoryMember = {
      id: ++memberIds,
      topics: runOptions.topics.map((topic) => prefix + topic),
      revoke: async (keep) => {
        if (reader.dead) return
        await Promise.all([...reader.runners.keys()].filter((id) => !keep.has(prefix + id)).map((id) => reader.remove(id)))
      },
      grant: (wanted) => {
        if (reader.dead || stopping) return
        for (const { topic, partition } of wanted) {
          const name = topic.slice(prefix.length)
          if (reader.runners.has(`${name}/${partition}`)) continue
          reader.add(name, partition, group.committed.get(`${topic}/${partition}`), runOptions, {
            onProgress: (runner) => {
              const position = runner.uncommitted()
              if (position === undefined || reader.dead) return
              group.committed.set(`${prefix}${runner.topic}/${runner.partition}`, position)
              runner.markCommitted(position)
            },
            onFatal: (error) => void stop(error),
          })
        }
      },
    }
    const stop = (error?: unknown): Promise<void> => {
      stopping ??= (async () => {
        running.delete(handle)
        if (!reader.dead) await Promise.all([...reader.runners.keys()].map((id) => reader.remove(id)))
        void group.leave(member)
        if (error === undefined) end.resolve()
        else end.reject(error)
      })()
      return stopping
    }
    const handle = {
      stop: () => stop(),
      crash: () => {
        reader.crash()
        void group.leave(member)
      },
    }
    running.add(handle)
    await group.join(member)
    return {
      assigned: () => [...reader.runners.values()].map(({ topic, partition }) => ({ topic, partition })),
      ended: end.ended,
      stop: () => stop(),
    }
  }

  const follow = async (followOptions: FollowOptions): Promise<Follow> => {
    const reader = new MemoryReader(store, prefix, maxRecords)
    const end = endOfRun()
    const progress = new FollowProgress((id) => reader.runners.get(id)?.position)
    const partitions = followOptions.topics.flatMap((topic) => store.topic(prefix + topic).partitions.map((part) => ({ topic, part })))
    let stopping: Promise<void> | undefined
    const stop = (error?: unknown): Promise<void> => {
      stopping ??= (async () => {
        running.delete(handle)
        if (!reader.dead) await Promise.all([...reader.runners.keys()].map((id) => reader.remove(id)))
        if (error === undefined) end.resolve()
        else end.reject(error)
      })()
      return stopping
    }
    const handle = { stop: () => stop(), crash: () => reader.crash() }
    running.add(handle)
    for (const { topic, part } of partitions)
      reader.add(
        topic,
        part.partition,
        undefined,
        {
          onBatch: async (batch) => followOptions.onBatch(batch),
          onAssigned: (name, partition) => followOptions.from?.(name, partition) ?? 'earliest',
        },
        {
          onProgress: () => progress.check(),
          onFatal: (error) => void stop(error),
        },
      )
    return {
      caughtUp: () =>
        Promise.race([
          progress.reached(new Map(partitions.map(({ topic, part }) => [`${topic}/${part.partition}`, part.high]))),
          end.ended,
        ]),
      ended: end.ended,
      stop: () => stop(),
    }
  }

  async function* read(range: ReadRange): AsyncGenerator<RecordBatch> {
    const part = store.partition(prefix + range.topic, range.partition)
    const to = range.to === 'latest' ? part.high : Math.min(range.to, part.high)
    for (let from = clamp(part, range.from); from < to;) {
      const batch = part.batch(from, to, maxRecords)
      yield unprefixed(batch, range.topic)
      from = batch.nextOffset
    }
  }

  const admin: LogAdmin = {
    ensureTopics: async (topics) => {
      for (const spec of topics) {
        const topic = store.topics.get(prefix + spec.name) ?? store.create(prefix + spec.name, spec.partitions)
        topic.configs = { ...topic.configs, ...spec.configs }
      }
    },
    topics: async () =>
      [...store.topics.values()]
        .filter(({ name }) => name.startsWith(prefix))
        .map(({ name, partitions }) => ({ name: name.slice(prefix.length), partitions: partitions.length })),
    partitions: async (topic) => store.topic(prefix + topic).partitions.length,
    watermarks: async (topic) => store.topic(prefix + topic).partitions.map(({ partition, low, high }) => ({ partition, low, high })),
    offsetAt: async (topic, partition, timestampMs) => {
      const part = store.partition(prefix + topic, partition)
      return part.records.find((record) => record.timestampMs >= timestampMs)?.offset ?? part.high
    },
    endOfEpoch: async (topic, partition, leaderEpoch) => {
      const part = store.partition(prefix + topic, partition)
      return part.records.find((record) => record.leaderEpoch > leaderEpoch)?.offset ?? part.high
    },
    committed: async (group, topic) => {
      const found = new Map<number, number>()
      for (const { partition } of store.topic(prefix + topic).partitions) {
        const offset = store.group(prefix + group).committed.get(`${prefix}${topic}/${partition}`)
        if (offset !== undefined) found.set(partition, offset)
      }
      return found
    },
    deleteTopics: async (names) => {
      for (const name of names) store.topics.delete(prefix + name)
    },
    describe: async () => ({ clusterId: 'memory', brokers: [] }),
  }

  return {
    append,
    pressure: () => 0,
    run,
    follow,
    read,
    latest: async (topic, partition): Promise<Position> => {
      const part = store.partition(prefix + topic, partition)
      return { leaderEpoch: part.leaderEpoch, offset: part.high }
    },
    admin,
    close: async () => {
      await Promise.all([...running].map((handle) => handle.stop()))
    },
    store,
    cut: (topic, partition, offset) => store.cut(prefix + topic, partition, offset),
    trim: (topic, partition, offset) => store.trim(prefix + topic, partition, offset),
    failAppends: (next) => {
      fault = next
    },
    crash: () => {
      for (const handle of running) handle.crash()
      running.clear()
      isDead = true
    },
  }
}
