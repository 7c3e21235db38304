// The log on Apache Kafka. One connection set appends and looks up; every run and every follow has its own, so that a
// long poll or a join that waits delays nobody else. The namespace is put before topics and groups here and nowhere else.

import { checkReachable } from '../../reach.ts'
import { logError } from '../log-error.ts'
import type {
  Append,
  AppendOptions,
  AppendedRecords,
  Follow,
  FollowOptions,
  Log,
  Position,
  ReadRange,
  RecordBatch,
  Run,
  RunOptions,
} from '../port.ts'
import { KafkaAdmin } from './admin.ts'
import { followKafka } from './follow.ts'
import type { GroupTiming } from './group.ts'
import { openKafkajsWire } from './kafkajs.ts'
import { CODEC } from './compression.ts'
import type { Compression } from './compression.ts'
import { Producer } from './producer.ts'
import type { AppendLimits, ProducerOptions } from './producer.ts'
import { readRange } from './read.ts'
import { runKafka } from './run.ts'
import { TransactionalProducer } from './transactional-producer.ts'
import { runTransactional } from './transactional-run.ts'
import type { TransactionalRunOptions } from './transactional-run.ts'
import { createTransactor } from './transactor.ts'
import type { Transactor } from './transactor.ts'
import { Transport } from './transport.ts'
import type { Wire, WireOptions } from './wire.ts'

export interface KafkaLogOptions extends WireOptions {
  /** Whose connections carry the requests; see docs/adr/0005-kafka-transport.md. Default kafkajs. */
  readonly client?: KafkaClient
  /** Prefix of topics and groups. */
  readonly namespace?: string
  /** What names the brokers, for the error when none answers. Default ANDON_KAFKA_BROKERS. */
  readonly brokersSetting?: string
  /** How long an append goes on trying before it rejects with a retriable error. Default 15 000 ms. */
  readonly appendDeadlineMs?: number
  /** How much goes into a request and how much may be queued. */
  readonly append?: AppendLimits
  /** Codec of the batches we write to a topic: zstd where it pays (about 1 MB/s and more). Default none. */
  readonly compression?: Readonly<Record<string, Compression>>
  /** Group timing; defaults: session 10 s, heartbeat 1 s, rebalance 60 s. */
  readonly timing?: Partial<GroupTiming>
  /**
   * Name of this process in its groups, the same after a restart and used by no other running process of a group: back within the
   * session, it has its partitions again and no other member notices. Default none: a member like any other.
   */
  readonly instance?: string
  /** A process with a name keeps its place in its groups when it is stopped, for a session. Default: it leaves. */
  readonly instanceStays?: boolean
}

/** What Kafka offers beyond the port: atomicity over topics. */
export interface KafkaLog extends Log {
  readonly admin: KafkaAdmin
  /** As `run`, with what the handler appends and its position visible together or not at all. */
  runTransactional(options: TransactionalRunOptions): Promise<Run>
  /** One transactional id (the namespace goes before it). Opening it fences whoever had it, with its first transaction. */
  transactor(transactionalId: string, options?: { readonly timeoutMs?: number }): Promise<Transactor>
}

export type KafkaClient = 'kafkajs' | 'platformatic'

/** The second client is loaded by those who ask for it. */
const openWire = async (options: TransportOptions): Promise<Wire> =>
  options.client === 'platformatic' ? (await import('./platformatic.ts')).openPlatformaticWire(options) : openKafkajsWire(options)

export type TransportOptions = WireOptions & Pick<KafkaLogOptions, 'client'>

/** A connection set of its own, connected. */
export const openTransport = async (options: TransportOptions): Promise<Transport> => {
  const transport = new Transport(await openWire(options))
  try {
    await transport.connect()
    return transport
  } catch (error) {
    await transport.close()
    throw error
  }
}

/** What a run or a follow needs of the log it belongs to. */
export interface KafkaContext {
  readonly options: KafkaLogOptions
  readonly prefix: string
  readonly timing: GroupTiming
  /** For lookups; never blocked by a poll or a join. */
  readonly transport: Transport
  readonly producing: ProducerOptions
  /** A connection set of its own. */
  readonly open: () => Promise<Transport>
  /** Groups in which a run of this log has the process' instance name. */
  readonly named: Set<string>
}

/** Opens the log. Rejects if no broker answers, naming the setting. It reconnects by itself afterwards. */
export const openKafkaLog = async (options: KafkaLogOptions): Promise<KafkaLog> => {
  await checkReachable(options.brokers, options.brokersSetting ?? 'ANDON_KAFKA_BROKERS')
  const prefix = options.namespace ?? ''
  const transport = await openTransport(options)
  const producing: ProducerOptions = {
    ...options.append,
    deadlineMs: options.appendDeadlineMs ?? 15_000,
    prefix,
    codecs: new Map(Object.entries(options.compression ?? {}).map(([topic, codec]) => [prefix + topic, CODEC[codec]])),
  }
  const producer = new Producer(transport, producing)
  const producers = [producer]
  const context: KafkaContext = {
    options,
    prefix,
    timing: { sessionMs: 10_000, heartbeatMs: 1000, rebalanceMs: 60_000, ...options.timing },
    transport,
    producing,
    open: () => openTransport(options),
    named: new Set(),
  }
  const running = new Set<{ stop(): Promise<void>; readonly ended: Promise<void> }>()
  let closed = false
  const keep = <T extends { stop(): Promise<void>; readonly ended: Promise<void> }>(handle: T): T => {
    running.add(handle)
    handle.ended.catch(() => undefined).finally(() => running.delete(handle))
    return handle
  }
  const open = (): void => {
    if (closed) throw logError('fatal', 'ANDON_LOG_CLOSED', 'The log was closed')
  }

  return {
    append: async (records: readonly Append[], appendOptions?: AppendOptions): Promise<AppendedRecords> => {
      open()
      return producer.append(records, appendOptions)
    },
    appender: () => {
      open()
      const further = new Producer(transport, producing)
      producers.push(further)
      return {
        append: async (records, appendOptions) => {
          open()
          return further.append(records, appendOptions)
        },
      }
    },
    pressure: () => producer.pressure,
    run: async (runOptions: RunOptions): Promise<Run> => {
      open()
      return keep(await runKafka(context, runOptions))
    },
    runTransactional: async (runOptions: TransactionalRunOptions): Promise<Run> => {
      open()
      return keep(await runTransactional(context, runOptions))
    },
    transactor: async (transactionalId, { timeoutMs = 60_000 } = {}): Promise<Transactor> => {
      open()
      const own = await context.open()
      const of = new TransactionalProducer(own, { ...producing, transactionalId: prefix + transactionalId, timeoutMs })
      return createTransactor(of, prefix, () => own.close())
    },
    follow: async (followOptions: FollowOptions): Promise<Follow> => {
      open()
      return keep(await followKafka(context, followOptions))
    },
    read: (range: ReadRange): AsyncIterable<RecordBatch> => readRange(context, range),
    latest: async (topic: string, partition: number): Promise<Position> => {
      const { offset } = await transport.offsetFor(prefix + topic, partition, -1)
      await transport.refresh([prefix + topic])
      return { leaderEpoch: (await transport.leader(prefix + topic, partition)).leaderEpoch, offset }
    },
    admin: new KafkaAdmin(transport, prefix),
    close: async () => {
      if (closed) return
      closed = true
      await Promise.all([...running].map((handle) => handle.stop()))
      await Promise.all(producers.map((each) => each.drained()))
      await transport.close()
    },
  }
}
