// Transactions for adapters that need topic-to-topic atomicity. kafkajs' transactional producer cannot be used again once
// a commit or an abort has failed (its state machine knows no way back): such a producer is thrown away, and a new one
// with the same id makes the broker finish or roll back what it left open and fences anybody who still writes under it.

import type { Kafka, Producer, Transaction } from 'kafkajs'
import kafkajs from 'kafkajs'
import { logError } from '../log-error.ts'
import type { WireOptions } from './wire.ts'

const createKafka = ({ brokers, clientId, ssl, sasl }: WireOptions): Kafka =>
  new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    logLevel: kafkajs.logLevel.NOTHING,
  })

const typeOf = (error: unknown): string | undefined => {
  const { type, cause } = (error ?? {}) as { type?: unknown; cause?: unknown }
  return typeof type === 'string' ? type : cause ? typeOf(cause) : undefined
}

export interface Transactor {
  /**
   * Runs `work` in a transaction and commits it. When anything fails, the transaction counts as not done: rejects with a
   * retriable LogError (do it again), or `fenced` when somebody else has taken over this id. Calls run one after the other.
   */
  transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface TransactorOptions extends WireOptions {
  /** Stable per input partition: `<group>.<topic>.<partition>`. */
  readonly transactionalId: string
  readonly transactionTimeoutMs?: number
}

const FENCED = new Set([
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
  'INVALID_PRODUCER_ID_MAPPING',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
])

const producerOf = (kafka: Kafka, { transactionalId, transactionTimeoutMs = 30_000 }: TransactorOptions): Producer =>
  kafka.producer({
    transactionalId,
    transactionTimeout: transactionTimeoutMs,
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    retry: { initialRetryTime: 30, maxRetryTime: 500, retries: 8 }, // the default start of 300 ms makes back-to-back transactions crawl
  })

/** `create` makes a fresh transactional producer; tests hand in one that fails. */
export const openTransactor = (
  options: TransactorOptions,
  create: () => Producer = () => producerOf(createKafka(options), options),
): Transactor => {
  let producer: Promise<Producer> | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const connected = async (): Promise<Producer> => {
    const fresh = create()
    try {
      await fresh.connect()
      return fresh
    } catch (error) {
      await fresh.disconnect().catch(() => undefined)
      throw error
    }
  }

  const discard = async (): Promise<void> => {
    const old = producer
    producer = undefined
    await old?.then((it) => it.disconnect()).catch(() => undefined)
  }

  const once = async <T>(work: (transaction: Transaction) => Promise<T>): Promise<T> => {
    try {
      producer ??= connected()
      const transaction = await (await producer).transaction()
      const result = await work(transaction)
      await transaction.commit()
      return result
    } catch (error) {
      await discard() // also instead of an abort: the next producer's start aborts what is open
      const type = typeOf(error)
      const reason = error instanceof Error ? error.message : String(error)
      throw type !== undefined && FENCED.has(type)
        ? logError(
            'fenced',
            'ANDON_LOG_FENCED',
            `Transactional id ${options.transactionalId} belongs to somebody else now: ${reason}`,
            error,
          )
        : logError('retriable', 'ANDON_LOG_TRANSACTION', `Transaction of ${options.transactionalId} was not committed: ${reason}`, error)
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
      await discard()
    },
  }
}
