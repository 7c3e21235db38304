// One transactional id on our own path: records and offsets that become visible together or not at all. Whoever opens the
// id again, here or elsewhere, makes the broker finish or roll back what was open and fences everybody before. After any
// rejection the state of the open transaction is in doubt: `open` again, which rolls it back.

import type { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'
import type { Append, AppendedRecords } from '../port.ts'
import { CODE, brokerCodeOf, brokerError, toLogError } from './errors.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer.ts'
import { API } from './protocol.ts'
import { codeReply } from './protocol-groups.ts'
import type { CommittedOffset, Membership } from './protocol-groups.ts'
import type { Api } from './protocol-io.ts'
import {
  addOffsetsBody,
  addPartitionsBody,
  addPartitionsReply,
  endTransactionBody,
  initProducerIdBody,
  initProducerIdReply,
  txnOffsetCommitBody,
  txnOffsetCommitReply,
} from './protocol-transactions.ts'
import type { ProducerIdentity } from './protocol-transactions.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

export interface TransactionalOptions extends ProducerOptions {
  /** Stable per input partition, with the namespace: `<group>.<topic>.<partition>`. */
  readonly transactionalId: string
  /** The broker rolls back a transaction that is open for longer. */
  readonly timeoutMs: number
  /** Group whose offsets every transaction carries, as the broker knows it: made part of it with the first append. */
  readonly group?: string
}

interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** The transaction before is still being finished: a matter of milliseconds. */
const FIRST_CONCURRENT_PAUSE_MS = 3
const LAST_CONCURRENT_PAUSE_MS = 50
const FIRST_PAUSE_MS = 50
const LAST_PAUSE_MS = 1000

export class TransactionalProducer {
  private readonly transport: Transport
  private readonly options: TransactionalOptions
  private identity: ProducerIdentity | undefined
  private producer: Producer | undefined
  /** Partitions and groups that the coordinator knows to be part of the open transaction. */
  private readonly joined = new Set<string>()
  /** An append that failed, whether or not its caller waited for it: this transaction will not be committed. */
  private failure: LogError | undefined

  constructor(transport: Transport, options: TransactionalOptions) {
    this.transport = transport
    this.options = options
  }

  /** Takes over the id. What was open under it has been finished or rolled back when this resolves. */
  async open(): Promise<void> {
    this.identity = undefined
    this.producer = undefined
    this.failure = undefined
    this.joined.clear()
    const { transactionalId, timeoutMs } = this.options
    const identity = await this.ask(API.initProducerId, initProducerIdBody(transactionalId, timeoutMs), (reply) => {
      const { code, ...found } = initProducerIdReply(reply)
      if (code !== 0) throw brokerError(code, `Taking over transactional id ${transactionalId}`)
      return found
    })
    this.identity = identity
    this.producer = new Producer(this.transport, {
      ...this.options,
      transaction: {
        transactionalId,
        identity,
        join: (partitions) => this.join(partitions),
      },
    })
  }

  /** True once something belongs to the open transaction. */
  get hasBegun(): boolean {
    return this.joined.size > 0
  }

  /** Appends within the transaction; readers see the records after the commit. */
  async append(records: readonly Append[]): Promise<AppendedRecords> {
    try {
      return await this.opened().append(records)
    } catch (error) {
      this.failure ??= toLogError(error, 'Appending in a transaction')
      throw error
    }
  }

  /** The group's positions (topics as the broker names them) move with the commit. Refused from a member of an old generation. */
  async sendOffsets(member: Membership, offsets: readonly CommittedOffset[]): Promise<void> {
    if (offsets.length === 0) return
    await this.settled()
    const { groupId } = member
    const what = `Offsets of ${groupId} in a transaction`
    await this.joinGroup(groupId)
    await this.retrying(what, () =>
      this.transport.atCoordinator('group', groupId, API.txnOffsetCommit, txnOffsetCommitBody(this.self(), member, offsets), (reply) => {
        for (const code of txnOffsetCommitReply(reply)) check(code, what)
      }),
    )
  }

  /** Nothing in the transaction: nothing to do. Asked again until the broker has answered, so that the outcome is known. */
  async commit(): Promise<void> {
    await this.settled()
    await this.end(true)
  }

  async abort(): Promise<void> {
    await this.producer?.drained()
    await this.end(false)
    this.failure = undefined
  }

  private async end(committed: boolean): Promise<void> {
    if (!this.hasBegun) return
    const what = `${committed ? 'Committing' : 'Rolling back'} a transaction of ${this.options.transactionalId}`
    await this.ask(API.endTxn, endTransactionBody(this.self(), committed), (reply) => check(codeReply(reply), what))
    this.joined.clear()
  }

  private async joinGroup(group: string): Promise<void> {
    if (this.joined.has(`group ${group}`)) return
    const what = `Adding offsets of ${group} to a transaction of ${this.options.transactionalId}`
    await this.ask(API.addOffsetsToTxn, addOffsetsBody(this.self(), group), (reply) => check(codeReply(reply), what))
    this.joined.add(`group ${group}`)
  }

  private async join(partitions: readonly TopicPartition[]): Promise<void> {
    const { group } = this.options
    await Promise.all([this.joinPartitions(partitions), group === undefined ? undefined : this.joinGroup(group)])
  }

  private async joinPartitions(partitions: readonly TopicPartition[]): Promise<void> {
    const fresh = partitions.filter(({ topic, partition }) => !this.joined.has(`${topic}/${partition}`))
    if (fresh.length === 0) return
    const topics = new Map<string, number[]>()
    for (const { topic, partition } of fresh) topics.set(topic, [...(topics.get(topic) ?? []), partition])
    const body = addPartitionsBody(
      this.self(),
      [...topics].map(([topic, numbers]) => ({ topic, partitions: numbers })),
    )
    await this.ask(API.addPartitionsToTxn, body, (reply) => {
      const codes = addPartitionsReply(reply)
      // When one is refused, the others are "not attempted": the refusal itself says more.
      const code = codes.find((found) => found !== CODE.operationNotAttempted) ?? codes[0]
      if (code !== undefined) throw brokerError(code, `Adding partitions to a transaction of ${this.options.transactionalId}`)
    })
    for (const { topic, partition } of fresh) this.joined.add(`${topic}/${partition}`)
  }

  private async settled(): Promise<void> {
    await this.opened().drained()
    if (this.failure) throw this.failure
  }

  private opened(): Producer {
    if (!this.producer)
      throw logError('retriable', 'ANDON_LOG_TRANSACTION', `Transactional id ${this.options.transactionalId} is not open: open it first`)
    return this.producer
  }

  private self() {
    return { transactionalId: this.options.transactionalId, ...this.identity! }
  }

  private ask<T>(api: Api, body: Buffer, read: (reply: Buffer) => T): Promise<T> {
    const { transactionalId } = this.options
    return this.retrying(`${api[2]} of ${transactionalId}`, () =>
      this.transport.atCoordinator('transaction', transactionalId, api, body, read),
    )
  }

  /** All these requests may be sent again: the coordinator answers a repeat as it did the original. */
  private async retrying<T>(what: string, step: () => Promise<T>): Promise<T> {
    const end = Date.now() + this.options.deadlineMs
    let concurrentMs = FIRST_CONCURRENT_PAUSE_MS
    let wait = FIRST_PAUSE_MS
    for (;;) {
      try {
        return await step()
      } catch (error) {
        const failure = toLogError(error, what)
        if (failure.kind !== 'retriable' || Date.now() + wait > end) throw failure
        if (brokerCodeOf(failure) === CODE.concurrentTransactions) {
          await pause(concurrentMs)
          concurrentMs = Math.min(concurrentMs * 2, LAST_CONCURRENT_PAUSE_MS)
        } else {
          await pause(wait)
          wait = Math.min(wait * 2, LAST_PAUSE_MS)
        }
      }
    }
  }
}

const check = (code: number, what: string): void => {
  if (code !== 0) throw brokerError(code, what)
}
