// Topics and offsets, as an operator or a starting service asks for them. Watermarks and times are asked from the leaders;
// creating and changing goes through kafkajs' admin client, which is connected only while it is used.

import type { Admin, Kafka } from 'kafkajs'
import kafkajs from 'kafkajs'
import { logError } from '../log-error.ts'
import type { LogAdmin, TopicSpec } from '../port.ts'
import { toLogError, typeOf } from './errors.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

const TOPIC_CONFIG = 1
const WAIT_MS = 15_000

export class KafkaAdmin implements LogAdmin {
  private readonly transport: Transport
  private readonly kafka: Kafka
  private readonly prefix: string

  constructor(transport: Transport, kafka: Kafka, prefix: string) {
    this.transport = transport
    this.kafka = kafka
    this.prefix = prefix
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    if (specs.length === 0) return
    const existing = new Set((await this.transport.metadata(null)).topics.map(({ name }) => name))
    const missing = specs.filter(({ name }) => !existing.has(this.prefix + name))
    const present = specs.filter(({ name, configs }) => existing.has(this.prefix + name) && configs && Object.keys(configs).length > 0)
    if (missing.length === 0 && present.length === 0) return
    await this.withAdmin('Creating topics', async (admin) => {
      if (missing.length > 0) await this.create(admin, missing)
      for (const spec of present) await this.alter(admin, spec)
    })
    for (const { name } of missing) await this.untilLed(this.prefix + name)
  }

  private async create(admin: Admin, specs: readonly TopicSpec[]): Promise<void> {
    try {
      await admin.createTopics({
        waitForLeaders: false,
        topics: specs.map(({ name, partitions, configs = {} }) => ({
          topic: this.prefix + name,
          numPartitions: partitions,
          replicationFactor: -1,
          configEntries: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        })),
      })
    } catch (error) {
      const failures = (error as { errors?: readonly unknown[] }).errors ?? [error]
      // Somebody else may have created them in the meantime.
      for (const failure of failures) if (typeOf(failure) !== 'TOPIC_ALREADY_EXISTS') throw failure
    }
  }

  /** AlterConfigs replaces all of a topic's settings, so those that the spec does not name are sent along. */
  private async alter(admin: Admin, { name, configs = {} }: TopicSpec): Promise<void> {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: this.prefix + name }],
    })
    const current = new Map(
      resources[0]!.configEntries
        .filter(({ configSource }) => Number(configSource) === TOPIC_CONFIG)
        .map((entry) => [entry.configName, entry.configValue]),
    )
    if (Object.entries(configs).every(([key, value]) => current.get(key) === value)) return
    for (const [key, value] of Object.entries(configs)) current.set(key, value)
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: this.prefix + name,
          configEntries: [...current].map(([key, value]) => ({ name: key, value })),
        },
      ],
    })
  }

  private async untilLed(topic: string): Promise<void> {
    for (const end = Date.now() + WAIT_MS; ; await pause(50)) {
      try {
        const partitions = (await this.transport.refresh([topic])).get(topic)!
        if (partitions.every(({ leader }) => leader >= 0)) return
      } catch (error) {
        if (Date.now() > end) throw error
      }
      if (Date.now() > end) throw logError('retriable', 'ANDON_LOG_NO_LEADER', `Topic ${topic} was created but has no leaders yet`)
    }
  }

  async topics(): Promise<{ name: string; partitions: number }[]> {
    const { topics } = await this.transport.metadata(null)
    return topics
      .filter(({ name }) => name.startsWith(this.prefix) && !name.startsWith('__'))
      .map(({ name, partitions }) => ({ name: name.slice(this.prefix.length), partitions: partitions.length }))
  }

  async partitions(topic: string): Promise<number> {
    return (await this.transport.leaders(this.prefix + topic)).length
  }

  async watermarks(topic: string): Promise<{ partition: number; low: number; high: number }[]> {
    const name = this.prefix + topic
    return Promise.all(
      (await this.transport.leaders(name)).map(async ({ partition }) => ({
        partition,
        low: await this.transport.earliest(name, partition),
        high: await this.transport.latest(name, partition),
      })),
    )
  }

  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<number> {
    const name = this.prefix + topic
    const { offset } = await this.transport.offsetFor(name, partition, Math.max(0, Math.trunc(timestampMs)))
    return offset < 0 ? this.transport.latest(name, partition) : offset
  }

  endOfEpoch(topic: string, partition: number, leaderEpoch: number): Promise<number> {
    return this.transport.endOfEpoch(this.prefix + topic, partition, leaderEpoch)
  }

  async committed(group: string, topic: string): Promise<Map<number, number>> {
    const name = this.prefix + topic
    const partitions = (await this.transport.leaders(name)).map(({ partition }) => ({ partition }))
    const groupId = this.prefix + group
    try {
      const { result } = await this.transport.onCoordinator(groupId, 'Reading committed offsets', 10_000, (broker) =>
        broker.offsetFetch({ groupId, topics: [{ topic: name, partitions }] }),
      )
      const list = result.responses[0]?.partitions ?? []
      return new Map(list.filter(({ offset }) => Number(offset) >= 0).map(({ partition, offset }) => [partition, Number(offset)]))
    } catch (error) {
      throw toLogError(error, 'Reading committed offsets')
    }
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const topics = names.map((name) => this.prefix + name)
    await this.withAdmin('Deleting topics', (admin) => admin.deleteTopics({ topics }))
    for (const topic of topics) this.transport.forget(topic)
  }

  async describe(): Promise<{ clusterId: string; brokers: string[] }> {
    const { clusterId, brokers } = await this.transport.metadata([])
    return { clusterId, brokers: brokers.map(({ host, port }) => `${host}:${port}`) }
  }

  private async withAdmin<T>(what: string, work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.kafka.admin()
    try {
      await admin.connect()
      return await work(admin)
    } catch (error) {
      throw toLogError(error, what)
    } finally {
      await admin.disconnect().catch(() => undefined)
    }
  }
}
