// A run whose outputs and positions become visible together. Each partition has two transactional ids of its own and uses
// them in turn: while one transaction is being committed, the next one takes what comes. A transaction is committed only after
// the one before it. After any doubt both ids are opened again, which rolls back what was open, and the partition goes on from
// the position that the group's coordinator has.

import { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'
import type { Append, AppendedRecords, RecordBatch, Run, RunContext, RunOptions, StartAt } from '../port.ts'
import { isTransactionDoubt } from './errors.ts'
import type { KafkaContext } from './log.ts'
import { runKafka } from './run.ts'
import type { OwnCommits } from './run.ts'
import { TransactionalProducer } from './transactional-producer.ts'
import type { Transport } from './transport.ts'

export interface TransactionalContext extends RunContext {
  /** Appends in the partition's open transaction: readers see the records once it is committed. */
  readonly append: (records: readonly Append[]) => Promise<AppendedRecords>
}

export interface TransactionalRunOptions extends Omit<RunOptions, 'onBatch' | 'onHold' | 'onDoubt'> {
  /**
   * As in RunOptions. What fails is rolled back, with everything since the last commit, and comes again. Below the committed position,
   * where a handler with state may want to start, positions move without being committed.
   */
  readonly onBatch: (batch: RecordBatch, context: TransactionalContext) => Promise<void | number>
  /** A rebalance begins, or the partition is given up: what is appended here is committed before it may move. */
  readonly onHold?: (topic: string, partition: number, context: Pick<TransactionalContext, 'append'>) => Promise<void> | void
  /** Everything since the last commit is undone. Where to go on, given the committed position; default: there. */
  readonly onRolledBack?: (topic: string, partition: number, committed: number | undefined) => Promise<StartAt | undefined>
  /** How long a transaction stays open while there is work, ms. Default 100. */
  readonly commitEveryMs?: number
  /** The broker rolls back what is open for longer, ms; more than a batch may take. Default 60 000. */
  readonly timeoutMs?: number
}

/** A broker answers one connection's requests in turn: with several, the partitions' commits overlap there too. */
const CONNECTION_SETS = 4

export const runTransactional = async (context: KafkaContext, options: TransactionalRunOptions): Promise<Run> => {
  const lanes = new Map<string, TransactionalLane>()
  const transports: Transport[] = []
  const closeAll = async (): Promise<void> => void (await Promise.all(transports.map((transport) => transport.close())))
  let own: OwnCommits
  try {
    for (let i = 0; i < CONNECTION_SETS; i++) transports.push(await context.open())
    const laneOf = (topic: string, partition: number): TransactionalLane => {
      const id = `${topic}/${partition}`
      const lane = lanes.get(id) ?? new TransactionalLane(context, options, own, transports[partition % CONNECTION_SETS]!, topic, partition)
      lanes.set(id, lane)
      return lane
    }
    const run = await runKafka(
      context,
      {
        ...options,
        onAssigned: (topic, partition) => laneOf(topic, partition).assigned(),
        onBatch: (batch, { signal }) => laneOf(batch.topic, batch.partition).handle(batch, signal),
        onHold: (topic, partition) => laneOf(topic, partition).hold(),
        onDoubt: (topic, partition) => laneOf(topic, partition).doubted(),
        onRevoked: async (topic, partition, lost) => {
          await laneOf(topic, partition).close(lost)
          lanes.delete(`${topic}/${partition}`)
          await options.onRevoked?.(topic, partition, lost)
        },
      },
      (made) => {
        own = made
      },
    )
    const ended = (async () => {
      try {
        await run.ended
      } finally {
        await closeAll()
      }
    })()
    ended.catch(() => undefined) // whoever cares awaits `ended`
    return {
      assigned: () => run.assigned(),
      ended,
      stop: async () => {
        await run.stop()
        await closeAll()
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

class TransactionalLane {
  private readonly context: KafkaContext
  private readonly options: TransactionalRunOptions
  private readonly run: OwnCommits
  private readonly topic: string
  private readonly partition: number
  /** Used in turn; the first one takes what comes now. */
  private producers: readonly [TransactionalProducer, TransactionalProducer]
  /** What was written or handled may be rolled back: the ids are opened again before anything else. */
  private inDoubt = true
  /** Next record to handle, and where the group's coordinator has us; undefined before the first batch. */
  private position: number | undefined
  private committed: number | undefined
  private isHandling = false
  /** Values of what is appended may lie in the batch in hand, whose memory is used again. */
  private appending: Promise<unknown> | undefined
  private dueMs = 0
  private timer: NodeJS.Timeout | undefined
  private committing: Promise<void> | undefined

  constructor(
    context: KafkaContext,
    options: TransactionalRunOptions,
    run: OwnCommits,
    transport: Transport,
    topic: string,
    partition: number,
  ) {
    this.context = context
    this.options = options
    this.run = run
    this.topic = topic
    this.partition = partition
    const { producing, prefix } = context
    const { group, timeoutMs = 60_000 } = options
    const create = (turn: string): TransactionalProducer =>
      new TransactionalProducer(transport, {
        ...producing,
        transactionalId: `${prefix}${group}.${topic}.${partition}${turn}`,
        timeoutMs,
        group: prefix + group,
      })
    this.producers = [create(''), create('.next')]
  }

  /** The ids are ours from here on: what the previous owner left open is settled, so the committed offset is final. */
  async assigned(): Promise<StartAt | undefined> {
    await this.open()
    return (await this.options.onAssigned?.(this.topic, this.partition, this.committed)) ?? this.committed
  }

  async handle(batch: RecordBatch, signal: AbortSignal): Promise<number | void> {
    const first = batch.offsetAt(0)
    this.position ??= first
    this.committed ??= first
    if (this.inDoubt) {
      const start = await this.reopen()
      if (start !== first) return typeof start === 'number' ? start : 0
    }
    this.isHandling = true
    try {
      const next = await this.options.onBatch(batch, { signal, append: this.appends })
      await this.appended()
      this.position = Math.max(next ?? batch.nextOffset, this.committed)
      this.isHandling = false
      this.schedule()
      return next
    } catch (error) {
      await this.appended()
      this.isHandling = false
      this.inDoubt = true
      throw error
    }
  }

  /** Also a handler that does not wait for its appends ends after them; the commit tells of those that failed. */
  private noted(append: Promise<AppendedRecords>): Promise<AppendedRecords> {
    this.appending = Promise.allSettled([this.appending, append])
    return append
  }

  private async appended(): Promise<void> {
    const { appending } = this
    this.appending = undefined
    await appending
  }

  /** No batch is in hand, and none comes before this has resolved. */
  async hold(): Promise<void> {
    if (!this.inDoubt && this.options.onHold) {
      this.isHandling = true // nothing is committed by halves
      try {
        await this.options.onHold(this.topic, this.partition, { append: this.appends })
      } finally {
        await this.appended()
        this.isHandling = false
      }
    }
    await this.commit()
  }

  /** Resolves when everything that was handled is committed. No batch is in hand. */
  async commit(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    await this.committing
    await this.turn()
  }

  /** The log or a commit is in doubt: roll back, and go on from the committed position. */
  async doubted(): Promise<StartAt | undefined> {
    await this.committing?.catch(() => undefined)
    return this.reopen()
  }

  /** Undoes what is not committed; resolves with where to go on. */
  private async reopen(): Promise<StartAt | undefined> {
    await this.open()
    this.inDoubt = true // until the owner has gone back as well
    const start = (await this.options.onRolledBack?.(this.topic, this.partition, this.committed)) ?? this.committed
    this.inDoubt = false
    return start
  }

  /** A partition that may be somebody else's is left as it is: its next owner rolls back what is open. */
  async close(lost: boolean): Promise<void> {
    clearTimeout(this.timer)
    await this.committing?.catch(() => undefined)
    if (!lost) await (this.inDoubt ? this.producers[0].abort() : this.hold()).catch(() => undefined)
    clearTimeout(this.timer)
  }

  private readonly appends = (records: readonly Append[]): Promise<AppendedRecords> => this.noted(this.append(records))

  private async append(records: readonly Append[]): Promise<AppendedRecords> {
    try {
      if (!this.inDoubt) return await this.producers[0].append(records)
    } catch (error) {
      if (isFinal(error)) throw error
      throw this.rolledBack(error)
    }
    throw this.rolledBack()
  }

  private rolledBack(cause?: unknown): LogError {
    return logError(
      'retriable',
      'ANDON_LOG_TRANSACTION',
      `A transaction of ${this.topic}/${this.partition} is rolled back and done again`,
      cause,
    )
  }

  private schedule(): void {
    const now = performance.now()
    if (this.dueMs === 0) this.dueMs = now + (this.options.commitEveryMs ?? 100)
    if (this.committing) return // it schedules the next one
    if (now >= this.dueMs) this.turnAside()
    else
      this.timer ??= setTimeout(() => {
        this.timer = undefined
        if (!this.isHandling && !this.committing) this.turnAside()
      }, this.dueMs - now)
  }

  private turnAside(): void {
    this.turn().catch(() => this.run.doubt(this.topic, this.partition))
  }

  /** Commits what was handled, while the other producer takes what comes. */
  private async turn(): Promise<void> {
    this.committing = this.commitTurn().finally(() => {
      this.committing = undefined
      // Handled meanwhile: committed in its turn.
      if (this.dueMs > 0 && !this.isHandling && !this.inDoubt) this.schedule()
    })
    await this.committing
  }

  private async commitTurn(): Promise<void> {
    const offset = this.position
    this.dueMs = 0
    const [producer, other] = this.producers
    if (this.inDoubt || offset === undefined || (offset === this.committed && !producer.hasBegun)) return
    this.producers = [other, producer]
    try {
      const topic = this.context.prefix + this.topic
      await producer.sendOffsets(this.run.member.membership, [{ topic, partition: this.partition, offset }])
      await producer.commit()
      this.committed = offset
    } catch (error) {
      this.inDoubt = true
      throw error
    }
  }

  /** Only a member that the coordinator confirms takes over the ids: a zombie would take them from their owner. */
  private async open(): Promise<void> {
    this.inDoubt = true
    if (!(await this.run.member.isConfirmed()))
      throw logError('retriable', 'ANDON_LOG_NO_MEMBER', `${this.topic}/${this.partition} is not confirmed to be ours at the moment`)
    await Promise.all(this.producers.map((producer) => producer.open()))
    const topic = this.context.prefix + this.topic
    const offsets = await this.run.member.committed([{ topic, partition: this.partition }])
    this.committed = offsets.get(`${topic}/${this.partition}`) ?? this.committed
    this.position = this.committed
    this.dueMs = 0
    this.inDoubt = false
  }
}

/** The broker refuses these records and always will; anything else is settled by opening the id again. */
const isFinal = (error: unknown): boolean => error instanceof LogError && error.kind === 'fatal' && !isTransactionDoubt(error)
