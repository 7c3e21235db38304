// The log in memory: the same promises as the Kafka adapter (both pass test/log-conformance.ts), without a broker.
// For unit tests and for running a handler alone; a simulation gives it another schedule, and faults with it.
// A topic that nobody created appears on first use.

import { appendedList } from './appended.ts'
import { logError } from './log-error.ts'
import { memoryAdmin } from './memory-admin.ts'
import { clamp } from './memory-reader.ts'
import { followInMemory, runInMemory } from './memory-run.ts'
import type { MemoryContext, Running } from './memory-run.ts'
import { MemoryStore, contentOf } from './memory-store.ts'
import type { MemoryPartition } from './memory-store.ts'
import { partitionOf } from './murmur2.ts'
import type { Append, AppendOptions, Appended, AppendedRecords, Log, Position, ReadRange, RecordBatch } from './port.ts'
import { atOnce } from './schedule.ts'
import type { Schedule } from './schedule.ts'

export interface MemoryLogOptions {
  readonly namespace?: string
  /** Partitions of a topic that appears on first use. Default 12. */
  readonly partitions?: number
  /** Most records in one batch. Default 500. */
  readonly maxBatchRecords?: number
  /** Share the store of another log, as two processes share a broker. */
  readonly store?: MemoryStore
  /** When its steps happen. Default: at once. */
  readonly schedule?: Schedule
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
  /** Ends every run and follow as a crash would: nothing more is handled, committed or told. Its groups go on without it. */
  crash(): void
  /** The first half of a crash: the process is gone, and nobody knows yet. */
  die(): void
  /** The second half, also of a process that is only silent: its groups go on without it, and it hears so if it lives. */
  expel(): void
}

/** Opens a log that lives in this process. */
export const openMemoryLog = (options: MemoryLogOptions = {}): MemoryLog => {
  const store = options.store ?? new MemoryStore(options.partitions ?? 12)
  const schedule = options.schedule ?? atOnce
  const prefix = options.namespace ?? ''
  const maxRecords = options.maxBatchRecords ?? 500
  const running = new Set<Running>()
  const context: MemoryContext = { store, schedule, prefix, maxRecords, running }
  let fault: ((records: readonly Append[]) => AppendFault | undefined) | undefined
  let isDead = false
  let roundRobin = 0

  const partitionFor = ({ topic, partition, key }: Append): MemoryPartition => {
    const { name, partitions } = store.topic(prefix + topic)
    return store.partition(name, partition ?? (key === null ? roundRobin++ : partitionOf(key, partitions.length)) % partitions.length)
  }

  /** Calls of one appender take turns. */
  const newAppender = (): Log['append'] => {
    let turn: Promise<unknown> = Promise.resolve()
    return (records, appendOptions) => {
      const appended = turn.then(() => appendNow(records, appendOptions))
      turn = appended.catch(() => undefined)
      return appended
    }
  }

  const appendNow = async (records: readonly Append[], { after = [] }: AppendOptions = {}): Promise<AppendedRecords> => {
    if (isDead) throw logError('fatal', 'ANDON_LOG_CLOSED', 'This log has crashed')
    const targets = new Map<MemoryPartition, number[]>()
    records.forEach((record, i) => {
      const part = partitionFor(record)
      const indexes = targets.get(part)
      if (indexes) indexes.push(i)
      else targets.set(part, [i])
    })
    const failure = fault?.(records)
    if (failure && !failure.afterStoring) throw failure.error
    const places: Appended[] = []
    const answers = await Promise.allSettled(
      [...targets].map(async ([part, indexes]) => {
        const topic = part.topic.slice(prefix.length)
        const marks = after.filter((mark) => mark.topic === topic && mark.partition === part.partition)
        // Taken now: the caller may write over them once it has given up, and the request may still arrive.
        const contents = indexes.map((i) => contentOf(records[i]!, schedule.clock.now()))
        const stored = await schedule.request('append', `${topic}/${part.partition} x${indexes.length}`, () =>
          store.append(part, contents, marks, schedule.clock.now()),
        )
        stored.forEach((place, n) => {
          places[indexes[n]!] = { topic, partition: part.partition, ...place }
        })
      }),
    )
    const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error & { code?: string }] : []))
    if (reasons.length > 0) throw reasons.find(({ code }) => code === 'ANDON_LOG_TAIL_LOST') ?? reasons[0]!
    if (failure) throw failure.error
    return appendedList(places)
  }

  async function* read({ topic, partition, from, to }: ReadRange): AsyncGenerator<RecordBatch> {
    const part = store.partition(prefix + topic, partition)
    const ask = <T>(work: () => T): Promise<T> => schedule.request('ask', `${topic}/${partition}`, work)
    const range = await ask(() => ({ from: clamp(part, from), to: Math.min(to === 'latest' ? part.high : to, part.high) }))
    for (let at = range.from; at < range.to;) {
      // Between two batches the log may have lost its tail.
      const batch = await ask(() => (at < part.high ? part.batch(at, range.to, maxRecords, topic) : undefined))
      if (!batch) return
      yield batch
      at = batch.nextOffset
    }
  }

  const die = (): void => {
    for (const handle of running) handle.die()
    isDead = true
  }
  const expel = (): void => {
    for (const handle of running) handle.expel()
    if (isDead) running.clear()
  }

  return {
    append: newAppender(),
    appender: () => ({ append: newAppender() }),
    pressure: () => 0,
    run: (runOptions) => runInMemory(context, runOptions),
    follow: (followOptions) => followInMemory(context, followOptions),
    read,
    latest: (topic, partition) =>
      schedule.request('ask', `latest ${topic}/${partition}`, (): Position => {
        const part = store.partition(prefix + topic, partition)
        return { leaderEpoch: part.leaderEpoch, offset: part.high }
      }),
    admin: memoryAdmin(context),
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
      die()
      expel()
    },
    die,
    expel,
  }
}
