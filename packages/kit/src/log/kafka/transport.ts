// Carries our requests over one kafkajs Cluster: its own metadata with leader epochs, deadlines, and the knowledge of
// whether two answers came over the same connection. Loops and retries are the callers'.

import { logError } from '../log-error.ts'
import { CODE, isTransient, nameOfCode, toLogError } from './errors.ts'
import { createCluster, rawRequest } from './kafkajs.ts'
import type { Broker, Cluster, ClusterOptions } from './kafkajs.ts'
import {
  API,
  EARLIEST,
  LATEST,
  epochEndBody,
  epochEndReply,
  listOffsetsBody,
  listOffsetsReply,
  metadataBody,
  metadataReply,
} from './protocol.ts'
import type { Metadata, PartitionLeader } from './protocol.ts'

const REQUEST_TIMEOUT_MS = 10_000
/** How long lookups go on trying while leaders settle. */
const LOOKUP_DEADLINE_MS = 15_000
const PAUSE_MS = 100

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** Waits for the work, but no longer than this; its outcome does not matter. */
export const settledWithin = async (work: Promise<unknown>, ms: number): Promise<void> => {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([work.catch(() => undefined), late])
  clearTimeout(timer)
}

type Api = readonly [key: number, version: number, name: string]

export interface Reply {
  readonly body: Buffer
  /** Changes whenever this kind of request went over a new connection to that broker. */
  readonly connection: object
}

export class Transport {
  private readonly options: ClusterOptions
  private cluster: Cluster
  private readonly topics = new Map<string, PartitionLeader[]>()
  private closed = false

  constructor(options: ClusterOptions) {
    this.options = options
    this.cluster = createCluster(options)
  }

  /** Connects and learns the brokers. */
  async connect(): Promise<void> {
    await this.within('connecting', REQUEST_TIMEOUT_MS, () => this.cluster.brokerPool.findConnectedBroker())
    await this.within('reading the list of brokers', REQUEST_TIMEOUT_MS, () => this.cluster.refreshMetadata())
  }

  /**
   * Sends one request to a broker. Rejects with a retriable error on any doubt whether it was carried out, and without
   * sending it when it would go over another connection than the given one.
   */
  async call(node: number, api: Api, body: Buffer, options: { timeoutMs?: number; connection?: object } = {}): Promise<Reply> {
    return this.within(`${api[2]} at broker ${node}`, options.timeoutMs ?? REQUEST_TIMEOUT_MS, async () => {
      const broker = await this.cluster.findBroker({ nodeId: node })
      return this.send(broker, api, body, options.connection)
    })
  }

  private async send(broker: Broker, [key, version, name]: Api, body: Buffer, only?: object): Promise<Reply> {
    const request = rawRequest(key, version, name, body)
    const connection = await broker.connectionPool.getConnectionByRequest(request)
    const used = connection.socket ?? connection
    if (only !== undefined && only !== used)
      throw logError('retriable', 'ANDON_LOG_RECONNECTED', 'The connection was replaced before the request was sent')
    return { body: await connection.send(request), connection: used }
  }

  /** The connection that the next such request to the broker will use; connects if necessary. */
  async connectionTo(node: number, [key, version, name]: Api): Promise<object> {
    return this.within(`connecting to broker ${node}`, REQUEST_TIMEOUT_MS, async () => {
      const broker = await this.cluster.findBroker({ nodeId: node })
      const connection = await broker.connectionPool.getConnectionByRequest(rawRequest(key, version, name, Buffer.alloc(0)))
      return connection.socket ?? connection
    })
  }

  /** A producer id of our own, without transactions. */
  async initProducer(): Promise<{ id: bigint; epoch: number }> {
    return this.within('InitProducerId', REQUEST_TIMEOUT_MS, async () => {
      const broker = await this.cluster.brokerPool.findConnectedBroker()
      const { producerId, producerEpoch } = await broker.initProducerId({ transactionalId: null, transactionTimeout: 60_000 })
      return { id: BigInt(producerId), epoch: producerEpoch }
    })
  }

  /** A kafkajs call on a broker (groups), under our deadline. */
  async onCoordinator<T>(
    groupId: string,
    what: string,
    timeoutMs: number,
    work: (broker: Broker) => Promise<T>,
    known?: string | number,
  ): Promise<{ result: T; node: string | number }> {
    return this.raw(timeoutMs, what, async () => {
      const broker =
        known === undefined ? await this.cluster.findGroupCoordinator({ groupId }) : await this.cluster.findBroker({ nodeId: known })
      return { result: await work(broker), node: broker.nodeId }
    })
  }

  /** Leaders of a topic's partitions, from memory or asked. Rejects if the topic is not known (yet). */
  async leaders(topic: string): Promise<readonly PartitionLeader[]> {
    return this.topics.get(topic) ?? (await this.refresh([topic])).get(topic)!
  }

  /** What is remembered of a topic. */
  known(topic: string): readonly PartitionLeader[] | undefined {
    return this.topics.get(topic)
  }

  forget(topic: string): void {
    this.topics.delete(topic)
  }

  /** Asks for leaders and leader epochs again. */
  async refresh(topics: readonly string[]): Promise<Map<string, PartitionLeader[]>> {
    const found = new Map<string, PartitionLeader[]>()
    const metadata = await this.metadata(topics)
    for (const topic of metadata.topics) {
      if (topic.code === CODE.unknownTopicOrPartition) {
        this.topics.delete(topic.name)
        throw logError('retriable', 'ANDON_LOG_UNKNOWN_TOPIC', `Topic ${topic.name} does not exist (yet)`)
      }
      if (topic.code !== 0 && !isTransient(topic.code))
        throw logError('fatal', 'ANDON_LOG_REFUSED', `Topic ${topic.name}: ${nameOfCode(topic.code)}`)
      if (topic.partitions.length === 0) throw logError('retriable', 'ANDON_LOG_UNKNOWN_TOPIC', `Topic ${topic.name} has no partitions yet`)
      this.topics.set(topic.name, topic.partitions)
      found.set(topic.name, topic.partitions)
    }
    return found
  }

  /** Metadata of the topics, or of all. */
  async metadata(topics: readonly string[] | null): Promise<Metadata> {
    return this.within('Metadata', REQUEST_TIMEOUT_MS, async () => {
      const broker = await this.cluster.brokerPool.findConnectedBroker()
      const metadata = metadataReply((await this.send(broker, API.metadata, metadataBody(topics))).body)
      const nodes = new Set(this.cluster.getNodeIds())
      if (metadata.brokers.some(({ id }) => !nodes.has(String(id)))) await this.cluster.refreshMetadata()
      return metadata
    })
  }

  async leader(topic: string, partition: number): Promise<PartitionLeader> {
    const found = (await this.leaders(topic))[partition]
    if (!found) throw logError('fatal', 'ANDON_LOG_NO_PARTITION', `Topic ${topic} has no partition ${partition}`)
    if (found.leader < 0) {
      this.forget(topic)
      throw logError('retriable', 'ANDON_LOG_NO_LEADER', `${topic}/${partition} has no leader at the moment`)
    }
    return found
  }

  /** Repeats a question to a partition's leader until leaders have settled or 15 s have passed. */
  async ask<T>(topic: string, partition: number, question: (leader: PartitionLeader) => Promise<{ code: number; answer: T }>): Promise<T> {
    for (const end = Date.now() + LOOKUP_DEADLINE_MS; ;) {
      try {
        const { code, answer } = await question(await this.leader(topic, partition))
        if (code === 0) return answer
        throw logError(isTransient(code) ? 'retriable' : 'fatal', 'ANDON_LOG_LOOKUP', `${topic}/${partition}: ${nameOfCode(code)}`)
      } catch (error) {
        this.forget(topic)
        const failure = toLogError(error, `Asking the leader of ${topic}/${partition}`)
        if (failure.kind !== 'retriable' || Date.now() > end || this.closed) throw failure
        await pause(PAUSE_MS)
      }
    }
  }

  /** First offset at or after the time, or one of EARLIEST and LATEST. -1 = none. */
  async offsetFor(topic: string, partition: number, timestampMs: number): Promise<{ offset: number; leaderEpoch: number }> {
    return this.ask(topic, partition, async ({ leader }) => {
      const [found] = listOffsetsReply(
        (await this.call(leader, API.listOffsets, listOffsetsBody(topic, [{ partition, timestampMs }]))).body,
      )
      return { code: found!.code, answer: { offset: found!.offset, leaderEpoch: found!.leaderEpoch } }
    })
  }

  async earliest(topic: string, partition: number): Promise<number> {
    return (await this.offsetFor(topic, partition, EARLIEST)).offset
  }

  async latest(topic: string, partition: number): Promise<number> {
    return (await this.offsetFor(topic, partition, LATEST)).offset
  }

  /** First offset written under a later epoch, or the end of the log. */
  async endOfEpoch(topic: string, partition: number, leaderEpoch: number): Promise<number> {
    const end = await this.ask(topic, partition, async ({ leader }) => {
      const { code, endOffset } = epochEndReply(
        (await this.call(leader, API.offsetForLeaderEpoch, epochEndBody(topic, partition, leaderEpoch))).body,
      )
      return { code, answer: endOffset }
    })
    // -1: the log knows no epoch up to this one any more, or none yet. Nothing of it can be missing.
    return end < 0 ? this.latest(topic, partition) : end
  }

  async close(): Promise<void> {
    this.closed = true
    await settledWithin(this.cluster.disconnect(), 1000)
    this.abandon(new Error('The log was closed'))
  }

  /** Runs a call under a deadline; when it passes, all connections are given up, so that nothing waits behind it. */
  private async raw<T>(timeoutMs: number, what: string, work: () => Promise<T>): Promise<T> {
    if (this.closed) throw logError('fatal', 'ANDON_LOG_CLOSED', 'The log was closed')
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const error = logError('retriable', 'ANDON_LOG_TIMEOUT', `${what}: no answer within ${timeoutMs} ms`)
      reject(error)
      this.reset(error)
    }, timeoutMs)
    try {
      return await Promise.race([work(), late])
    } finally {
      clearTimeout(timer)
    }
  }

  private async within<T>(what: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
    try {
      return await this.raw(timeoutMs, what, work)
    } catch (error) {
      throw toLogError(error, what)
    }
  }

  private reset(error: Error): void {
    this.abandon(error)
    if (!this.closed) this.cluster = createCluster(this.options)
  }

  private abandon(error: Error): void {
    for (const broker of Object.values(this.cluster.brokerPool.brokers ?? {}))
      for (const connection of broker.connectionPool.pool) {
        connection.rejectRequests(error)
        connection.disconnect().catch(() => undefined)
      }
  }
}
