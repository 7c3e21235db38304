// Topics and offsets, as an operator or a starting service asks for them. Watermarks and times are asked from the leaders;
// topics are created and changed at the controller.

import { logError } from '../log-error.ts'
import type { LogAdmin, TopicSpec } from '../port.ts'
import { CODE, brokerError, isTransient, nameOfCode, toLogError } from './errors.ts'
import { API, EARLIEST, LATEST } from './protocol.ts'
import {
  alterConfigsBody,
  alterConfigsReply,
  createTopicsBody,
  createTopicsReply,
  deleteRecordsBody,
  deleteRecordsReply,
  deleteTopicsBody,
  deleteTopicsReply,
  describeConfigsBody,
  describeConfigsReply,
} from './protocol-admin.ts'
import type { Refusal } from './protocol-admin.ts'
import { offsetFetchBody, offsetFetchReply } from './protocol-groups.ts'
import type { Api } from './protocol-io.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

const WAIT_MS = 15_000
const TIMEOUT_MS = 30_000

export class KafkaAdmin implements LogAdmin {
  private readonly transport: Transport
  private readonly prefix: string

  constructor(transport: Transport, prefix: string) {
    this.transport = transport
    this.prefix = prefix
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    if (specs.length === 0) return
    const existing = new Set((await this.transport.metadata(null)).topics.map(({ name }) => name))
    const missing = specs.filter(({ name }) => !existing.has(this.prefix + name))
    if (missing.length > 0) await this.create(missing)
    const present = specs.filter(({ name, configs }) => existing.has(this.prefix + name) && configs && Object.keys(configs).length > 0)
    for (const spec of present) await this.alter(spec)
    for (const { name } of missing) await this.untilLed(this.prefix + name)
  }

  private async create(specs: readonly TopicSpec[]): Promise<void> {
    const topics = specs.map(({ name, partitions, configs = {} }) => ({ name: this.prefix + name, partitions, configs }))
    // Somebody else may have created one in the meantime.
    await this.atController(
      'Creating topics',
      API.createTopics,
      createTopicsBody(topics, TIMEOUT_MS),
      createTopicsReply,
      CODE.topicAlreadyExists,
    )
  }

  private async alter({ name, configs = {} }: TopicSpec): Promise<void> {
    const topic = this.prefix + name
    const [described] = await this.retrying('Reading settings', async () => {
      const found = describeConfigsReply((await this.transport.call(undefined, API.describeConfigs, describeConfigsBody([topic]))).body)
      for (const { code } of found) if (code !== 0) throw brokerError(code, `Reading the settings of ${topic}`)
      return found
    })
    const isSet = ([key, value]: [string, string]): boolean => {
      const current = described!.configs.get(key)
      return current?.isOwn === true && current.value === value
    }
    if (Object.entries(configs).every(isSet)) return
    await this.atController('Changing settings', API.incrementalAlterConfigs, alterConfigsBody(topic, configs), alterConfigsReply)
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
    const [lows, highs] = await Promise.all([this.transport.offsetsFor(name, EARLIEST), this.transport.offsetsFor(name, LATEST)])
    return lows.map((low, partition) => ({ partition, low, high: highs[partition]! }))
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
    const groupId = this.prefix + group
    const partitions = (await this.transport.leaders(name)).map(({ partition }) => partition)
    const { offsets } = await this.retrying('Reading committed offsets', () =>
      this.transport.atCoordinator('group', groupId, API.offsetFetch, offsetFetchBody(groupId, [{ topic: name, partitions }]), (reply) => {
        const fetched = offsetFetchReply(reply)
        if (fetched.code !== 0) throw brokerError(fetched.code, `Reading committed offsets of ${groupId}`)
        return fetched
      }),
    )
    return new Map(offsets.map(({ partition, offset }) => [partition, offset]))
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const topics = names.map((name) => this.prefix + name)
    await this.atController('Deleting topics', API.deleteTopics, deleteTopicsBody(topics, TIMEOUT_MS), deleteTopicsReply)
    for (const topic of topics) this.transport.forget(topic)
  }

  /** Retention by hand: records below `before` are gone for every reader. */
  async deleteRecords(topic: string, partition: number, before: number): Promise<void> {
    const name = this.prefix + topic
    await this.transport.ask(name, partition, async ({ leader }) => {
      const body = deleteRecordsBody(name, partition, before, TIMEOUT_MS)
      const { code } = deleteRecordsReply((await this.transport.call(leader, API.deleteRecords, body, { timeoutMs: TIMEOUT_MS })).body)
      return { code, answer: undefined }
    })
  }

  async describe(): Promise<{ clusterId: string; brokers: string[] }> {
    const { clusterId, brokers } = await this.transport.metadata([])
    return { clusterId, brokers: brokers.map(({ host, port }) => `${host}:${port}`) }
  }

  /** Asks the controller, and again while it moves. */
  private async atController(what: string, api: Api, body: Buffer, read: (reply: Buffer) => Refusal[], harmless?: number): Promise<void> {
    await this.retrying(what, async () => {
      const { controller } = await this.transport.metadata([])
      const refusals = read((await this.transport.call(controller, api, body, { timeoutMs: TIMEOUT_MS + 5000 })).body)
      for (const { name, code, message } of refusals) {
        if (code === harmless) continue
        throw code === CODE.notController || isTransient(code)
          ? brokerError(code, `${what}: ${name}`)
          : logError('fatal', 'ANDON_LOG_REFUSED', `${what}: ${name}: ${message ?? ''} (${nameOfCode(code)})`)
      }
    })
  }

  private async retrying<T>(what: string, step: () => Promise<T>): Promise<T> {
    for (const end = Date.now() + WAIT_MS; ; await pause(100)) {
      try {
        return await step()
      } catch (error) {
        const failure = toLogError(error, what)
        if (failure.kind !== 'retriable' || Date.now() > end) throw failure
      }
    }
  }
}
