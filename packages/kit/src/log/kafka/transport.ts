// Carries our requests over a wire (kafkajs' or @platformatic/kafka's connections): metadata with leader epochs, deadlines,
// coordinators, and the knowledge of whether two answers came over the same connection. Loops and retries are the callers'.

import type { LogError } from '../../errors.ts'
import { logError } from '../log-error.ts'
import { CODE, brokerCodeOf, brokerError, isTransient, nameOfCode, toLogError } from './errors.ts'
import {
  API,
  EARLIEST,
  LATEST,
  apiVersionsBody,
  apiVersionsReply,
  epochEndBody,
  epochEndReply,
  listOffsetsBody,
  listOffsetsReply,
  metadataBody,
  metadataReply,
} from './protocol.ts'
import type { Metadata, PartitionLeader } from './protocol.ts'
import { findCoordinatorBody, findCoordinatorReply } from './protocol-groups.ts'
import type { CoordinatorKind } from './protocol-groups.ts'
import type { Api } from './protocol-io.ts'
import { initProducerIdBody, initProducerIdReply } from './protocol-transactions.ts'
import type { ProducerIdentity } from './protocol-transactions.ts'
import type { Purpose, Wire } from './wire.ts'

const REQUEST_TIMEOUT_MS = 10_000
/** A broker that stands still takes connections and answers nothing: what any one may answer is asked of another after this time. */
const SILENT_MS = 3000
const ANY_BROKER_TRIES = 3
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

const purposeOf = ([key]: Api): Purpose => (key === API.fetch[0] ? 'polls' : 'requests')

export interface Reply {
  readonly body: Buffer
  /** Changes whenever this kind of request went over a new connection to that broker. */
  readonly connection: object
}

export interface CallOptions {
  readonly timeoutMs?: number
  readonly connection?: object
}

export class Transport {
  private readonly wire: Wire
  private readonly topics = new Map<string, PartitionLeader[]>()
  private readonly coordinators = new Map<string, number>()
  private closed = false

  constructor(wire: Wire) {
    this.wire = wire
  }

  /** Connects, learns the brokers, and checks that they serve the requests we write. */
  async connect(): Promise<void> {
    const served = apiVersionsReply((await this.call(undefined, API.apiVersions, apiVersionsBody())).body)
    for (const [key, version, name] of Object.values(API)) {
      const { oldest, newest } = served.get(key) ?? { oldest: -1, newest: -1 }
      if (version < oldest || version > newest)
        throw logError(
          'fatal',
          'ANDON_LOG_REFUSED',
          `The broker serves ${name} in versions ${oldest} to ${newest}, but version ${version} is needed: use Kafka 2.5 to 4.x`,
        )
    }
    await this.metadata([])
  }

  /**
   * Sends one request to a broker, or to any one. Rejects with a retriable error on any doubt whether it was carried out,
   * and without sending it when it would go over another connection than the given one.
   */
  async call(node: number | undefined, api: Api, body: Buffer, options: CallOptions = {}): Promise<Reply> {
    if (node !== undefined) return this.callOnce(node, api, body, options)
    for (let tries = ANY_BROKER_TRIES; ; tries--) {
      try {
        return await this.callOnce(node, api, body, { timeoutMs: SILENT_MS, ...options })
      } catch (error) {
        if (tries === 1 || (error as LogError).code !== 'ANDON_LOG_TIMEOUT') throw error
      }
    }
  }

  private async callOnce(node: number | undefined, api: Api, body: Buffer, options: CallOptions): Promise<Reply> {
    const what = node === undefined ? api[2] : `${api[2]} at broker ${node}`
    return this.within(what, options.timeoutMs ?? REQUEST_TIMEOUT_MS, async () => {
      const purpose = purposeOf(api)
      const open = node === undefined ? undefined : this.wire.current(node, purpose)
      const connection = open ?? (await this.wire.connection(node, purpose))
      if (options.connection !== undefined && options.connection !== connection.identity)
        throw logError('retriable', 'ANDON_LOG_RECONNECTED', 'The connection was replaced before the request was sent')
      return { body: await connection.send(api, body), connection: connection.identity }
    })
  }

  /** Nobody looks at this answer any more: its memory may be written to again. */
  release(answer: Buffer): void {
    this.wire.release(answer)
  }

  /** The connection that the next such request to the broker will use; connects if necessary. */
  async connectionTo(node: number, api: Api, timeoutMs = REQUEST_TIMEOUT_MS): Promise<object> {
    const open = this.wire.current(node, purposeOf(api))
    if (open) return open.identity
    return this.within(`connecting to broker ${node}`, timeoutMs, async () => {
      return (await this.wire.connection(node, purposeOf(api))).identity
    })
  }

  /** A producer id of our own, without transactions. */
  async initProducer(): Promise<ProducerIdentity> {
    const { body } = await this.call(undefined, API.initProducerId, initProducerIdBody(null, 60_000))
    const { code, ...identity } = initProducerIdReply(body)
    if (code !== 0) throw brokerError(code, 'Getting a producer id')
    return identity
  }

  /**
   * Asks the coordinator of a group or a transactional id; `read` throws a brokerError when it refused. A coordinator that
   * did not answer, or is none any more, is looked up again by the next call.
   */
  async atCoordinator<T>(
    kind: CoordinatorKind,
    key: string,
    api: Api,
    body: Buffer,
    read: (reply: Buffer) => T,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<T> {
    const id = `${kind}/${key}`
    try {
      const node = this.coordinators.get(id) ?? (await this.findCoordinator(kind, key))
      this.coordinators.set(id, node)
      return read((await this.call(node, api, body, { timeoutMs })).body)
    } catch (error) {
      const code = brokerCodeOf(error)
      if (code === undefined || code === CODE.notCoordinator || code === CODE.coordinatorNotAvailable) this.coordinators.delete(id)
      throw error
    }
  }

  private async findCoordinator(kind: CoordinatorKind, key: string): Promise<number> {
    const { code, node } = findCoordinatorReply((await this.call(undefined, API.findCoordinator, findCoordinatorBody(kind, key))).body)
    if (code !== 0) throw brokerError(code, `Finding the coordinator of ${kind} ${key}`)
    await this.metadata([]) // it may be a broker that has come since
    return node
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
      if (topic.code !== 0 && !isTransient(topic.code)) throw brokerError(topic.code, `Topic ${topic.name}`)
      if (topic.partitions.length === 0) throw logError('retriable', 'ANDON_LOG_UNKNOWN_TOPIC', `Topic ${topic.name} has no partitions yet`)
      this.topics.set(topic.name, topic.partitions)
      found.set(topic.name, topic.partitions)
    }
    return found
  }

  /** Metadata of the topics, or of all. */
  async metadata(topics: readonly string[] | null): Promise<Metadata> {
    const metadata = metadataReply((await this.call(undefined, API.metadata, metadataBody(topics))).body)
    await this.within('reading the list of brokers', REQUEST_TIMEOUT_MS, () => this.wire.learn(metadata.brokers))
    return metadata
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

  /** EARLIEST or LATEST of every partition of a topic: a request per leader, and one per partition where that did not answer. */
  async offsetsFor(topic: string, timestampMs: number): Promise<number[]> {
    const leaders = await this.leaders(topic)
    const found = new Map<number, number>()
    const askNode = async (node: number, partitions: readonly number[]): Promise<void> => {
      const body = listOffsetsBody(
        topic,
        partitions.map((partition) => ({ partition, timestampMs })),
      )
      const reply = await this.call(node, API.listOffsets, body).catch(() => undefined)
      for (const { partition, code, offset } of reply ? listOffsetsReply(reply.body) : []) if (code === 0) found.set(partition, offset)
    }
    const byNode = Map.groupBy(leaders.keys(), (partition) => leaders[partition]!.leader)
    await Promise.all([...byNode].filter(([node]) => node >= 0).map(([node, partitions]) => askNode(node, partitions)))
    return Promise.all(
      [...leaders.keys()].map(async (partition) => found.get(partition) ?? (await this.offsetFor(topic, partition, timestampMs)).offset),
    )
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
    await settledWithin(this.wire.close(), 1000)
    this.wire.abandon(new Error('The log was closed'))
  }

  /** Runs a call under a deadline; when it passes, all connections are given up, so that nothing waits behind it. */
  private within<T>(what: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
    if (this.closed) return Promise.reject(logError('fatal', 'ANDON_LOG_CLOSED', 'The log was closed'))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const error = logError('retriable', 'ANDON_LOG_TIMEOUT', `${what}: no answer within ${timeoutMs} ms`)
        reject(error)
        this.wire.abandon(error)
      }, timeoutMs)
      work().then(
        (result) => {
          clearTimeout(timer)
          resolve(result)
        },
        (error: unknown) => {
          clearTimeout(timer)
          reject(toLogError(error, what))
        },
      )
    })
  }
}
