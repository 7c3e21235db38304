// How what a process gives reaches the log. By marks, the default: outputs are appended at once, and readers drop what comes twice. In
// transactions: outputs, snapshots and the position of the input become visible together, and nobody ever sees anything twice.

import { AndonError } from './errors.ts'
import type { Append, AppendedRecords, Log, Run, RunOptions } from './log/port.ts'
import type { KafkaLog } from './log/kafka/log.ts'
import type { PartitionLane } from './partition-lane.ts'
import { replayOf } from './replay/replay-log.ts'

export interface TransactionOptions {
  /** How long a transaction stays open while there is work, ms. Default 100. */
  readonly everyMs?: number
}

type AppendNow = (records: readonly Append[]) => Promise<AppendedRecords>

/** The log as one partition's lane sees it in transactions: what it appends belongs to the transaction that is open. */
export interface LaneLog extends Log {
  /** Appends go this way while `work` runs. */
  within<T>(append: AppendNow, work: () => Promise<T>): Promise<T>
}

export const laneLog = (log: Log): LaneLog => {
  let current: AppendNow | undefined
  return Object.assign(Object.create(log) as Log, {
    append: (records: readonly Append[]): Promise<AppendedRecords> => {
      if (!current) throw new AndonError('ANDON_KIT_NO_TRANSACTION', 'Nothing is appended outside of a transaction')
      return current(records)
    },
    within: async <T>(append: AppendNow, work: () => Promise<T>): Promise<T> => {
      current = append
      try {
        return await work()
      } finally {
        current = undefined
      }
    },
  })
}

/** The transactions of a process, unless its log is a replay: that one's outputs are its own, and it begins anew when it is cut short. */
export const transactionsOf = (log: Log, wanted: TransactionOptions | undefined): TransactionOptions | undefined => {
  if (wanted === undefined || replayOf(log)) return undefined
  if (!('runTransactional' in log)) throw new AndonError('ANDON_KIT_NO_TRANSACTIONS', 'Transactions need a log on Kafka')
  return wanted
}

export interface Lane<T> {
  readonly lane: PartitionLane<T>
  readonly log: LaneLog
}

/** A run in which every batch, and the snapshot before a partition moves, belongs to its partition's transaction. */
export const runInTransactions = <T>(
  log: Log,
  { everyMs }: TransactionOptions,
  options: Pick<RunOptions, 'group' | 'topics' | 'onAssigned' | 'onRevoked'>,
  laneOf: (partition: number) => Lane<T>,
): Promise<Run> =>
  (log as KafkaLog).runTransactional({
    ...options,
    ...(everyMs === undefined ? {} : { commitEveryMs: everyMs }),
    onBatch: (batch, { append }) => {
      const { lane, log: own } = laneOf(batch.partition)
      return own.within(append, () => lane.handle(batch))
    },
    onHold: (_topic, partition, { append }) => {
      const { lane, log: own } = laneOf(partition)
      return own.within(append, () => lane.roundOff())
    },
    onRolledBack: (_topic, partition, committed) => laneOf(partition).lane.open(committed),
  })
