// Transactions for those who need topic-to-topic atomicity: `transact` runs work whose appends and offsets become visible
// together. One id per input partition, stable over restarts; whoever opens it last is its only owner.

import { LogError } from '../../errors.ts'
import type { Append, AppendedRecords } from '../port.ts'
import { brokerCodeOf, isTransactionDoubt } from './errors.ts'
import type { TransactionalProducer } from './transactional-producer.ts'

export interface Transaction {
  readonly append: (records: readonly Append[]) => Promise<AppendedRecords>
  /** After the appends: where the group goes on once this is committed (next record to read). */
  readonly sendOffsets: (group: string, offsets: readonly { topic: string; partition: number; offset: number }[]) => Promise<void>
}

export interface Transactor {
  /**
   * Runs `work` in a transaction and commits it. Rejects with the error of the work itself, or with a LogError: retriable =
   * not committed, do it again (`fields.isOutcomeUnknown`: the commit was sent and never answered); fenced = somebody has
   * opened this id since, this transactor is done for good; fatal = refused. Calls run one after the other.
   */
  transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** `close` ends what the producer runs on; `prefix` goes before topics and groups. */
export const createTransactor = (producer: TransactionalProducer, prefix: string, close: () => Promise<void>): Transactor => {
  let opening: Promise<void> | undefined
  let fenced: LogError | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const open = (): Promise<void> => {
    opening ??= producer.open().catch((error: unknown) => {
      opening = undefined
      throw error
    })
    return opening
  }

  const transaction: Transaction = {
    append: (records) => producer.append(records),
    sendOffsets: (group, offsets) =>
      producer.sendOffsets(
        { groupId: prefix + group, generation: -1, memberId: '', instance: null },
        offsets.map(({ topic, partition, offset }) => ({ topic: prefix + topic, partition, offset })),
      ),
  }

  const once = async <T>(work: (transaction: Transaction) => Promise<T>): Promise<T> => {
    if (fenced) throw fenced
    let isCommitting = false
    try {
      await open()
      const result = await work(transaction)
      isCommitting = true
      await producer.commit()
      return result
    } catch (error) {
      // Rolled back at once, so that nobody who reads behind it waits until it times out.
      opening = undefined
      const failure = failureOf(error, isCommitting)
      if (failure?.kind === 'fenced') fenced = failure
      else open().catch(() => undefined) // the next call tries again
      throw failure ?? error
    }
  }

  return {
    transact: (work) => {
      const result = turn.then(() => once(work))
      turn = result.catch(() => undefined)
      return result
    },
    close: async () => {
      await turn
      await opening?.catch(() => undefined)
      await close()
    },
  }
}

/** What a caller is told; undefined: the error of its own work. */
const failureOf = (error: unknown, isCommitting: boolean): LogError | undefined => {
  if (!(error instanceof LogError)) return undefined
  const code = brokerCodeOf(error)
  if (error.kind !== 'retriable' && !isTransactionDoubt(error)) return error
  const fields = { ...error.fields, isOutcomeUnknown: isCommitting && code === undefined }
  return new LogError('retriable', 'ANDON_LOG_TRANSACTION', `The transaction was not committed: ${error.message}`, { cause: error, fields })
}
