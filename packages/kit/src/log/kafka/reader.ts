// Feeds partition runners: one long poll per broker covers every partition that wants records. Tells a runner when the
// connection or the leader epoch under it has changed.

import { logError } from '../log-error.ts'
import type { PartitionRunner } from '../partition-runner.ts'
import { CODE, isTransient, nameOfCode, toLogError } from './errors.ts'
import { API, fetchBody, fetchReply } from './protocol.ts'
import type { FetchPart, FetchResult } from './protocol.ts'
import { decodeRecords } from './batch-reader.ts'
import { pause } from './transport.ts'
import type { Transport } from './transport.ts'

export const MAX_BYTES_PER_PARTITION = 1024 * 1024
export const MAX_BYTES = 16 * 1024 * 1024

export interface ReaderOptions {
  readonly maxWaitMs: number
  readonly maxBytesPerPartition: number
  /** Of one answer. */
  readonly maxBytes: number
  /** Topic name at the broker to the name that handlers see. */
  readonly plainName: (topic: string) => string
  readonly onFatal: (error: unknown) => void
}

/** While a partition's handler is busy with a full queue, polls are short so that it is not left out for long. */
const HURRY_MS = 25
/** A smaller part of an answer is copied, so that a partition that stands still does not keep the whole answer in memory. */
const SMALL_PART = 1 / 8
const ERROR_PAUSE_MS = 200

interface Source {
  readonly topic: string
  readonly runner: PartitionRunner
  leaderEpoch: number | undefined
}

/** What a poll wants of one partition, and how often its runner had been in doubt by then. */
interface Asked {
  readonly source: Source
  readonly offset: number
  readonly doubts: number
}

export class Reader {
  private readonly transport: Transport
  private readonly options: ReaderOptions
  private readonly sources = new Map<string, Source>()
  private readonly busy = new Map<number, Promise<void>>()
  private readonly connections = new Map<number, object>()
  private looking: Promise<void> | undefined
  private stopped = false
  private scheduled = false

  constructor(transport: Transport, options: ReaderOptions) {
    this.transport = transport
    this.options = options
  }

  /** `topic` as the broker knows it. `leaderEpoch` = the newest one known before the runner works out its start. */
  add(topic: string, runner: PartitionRunner, leaderEpoch: number | undefined): void {
    this.sources.set(`${topic}/${runner.partition}`, { topic, runner, leaderEpoch })
    this.hungry()
  }

  remove(topic: string, partition: number): void {
    this.sources.delete(`${topic}/${partition}`)
  }

  /** Somebody may want records. */
  hungry(): void {
    if (this.scheduled || this.stopped) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.schedule()
    })
  }

  /** Ends after the polls that are out. */
  async stop(): Promise<void> {
    this.stopped = true
    await Promise.all([...this.busy.values(), this.looking])
  }

  private schedule(): void {
    if (this.stopped) return
    const nodes = new Map<number, Source[]>()
    let lost = false
    for (const source of this.sources.values()) {
      const leader = this.transport.known(source.topic)?.[source.runner.partition]
      if (!leader || leader.leader < 0) {
        lost = true
        continue
      }
      if (source.leaderEpoch !== undefined && source.leaderEpoch < leader.leaderEpoch) source.runner.doubt()
      source.leaderEpoch = leader.leaderEpoch
      const group = nodes.get(leader.leader) ?? []
      nodes.set(leader.leader, group)
      group.push(source)
    }
    if (lost) this.look()
    for (const [node, sources] of nodes) {
      if (this.busy.has(node) || !sources.some(({ runner }) => runner.wanted() !== undefined)) continue
      const poll = this.poll(node, sources).finally(() => {
        this.busy.delete(node)
        this.hungry()
      })
      this.busy.set(node, poll)
    }
  }

  /** Finds leaders that are not known. */
  private look(): void {
    this.looking ??= (async () => {
      try {
        await this.transport.refresh([...new Set([...this.sources.values()].map(({ topic }) => topic))])
      } catch {
        await pause(ERROR_PAUSE_MS)
      } finally {
        this.looking = undefined
        this.hungry()
      }
    })()
  }

  private async poll(node: number, sources: readonly Source[]): Promise<void> {
    const wants = new Map<string, FetchPart[]>()
    const asked = new Map<string, Asked>()
    let hurry = false
    for (const source of sources) {
      const { partition } = source.runner
      const offset = source.runner.wanted()
      if (offset === undefined) {
        hurry ||= source.runner.isFull()
        continue
      }
      const parts = wants.get(source.topic) ?? []
      wants.set(source.topic, parts)
      parts.push({ partition, leaderEpoch: source.leaderEpoch ?? -1, offset })
      asked.set(`${source.topic}/${partition}`, { source, offset, doubts: source.runner.doubts })
    }
    const maxWaitMs = hurry ? Math.min(HURRY_MS, this.options.maxWaitMs) : this.options.maxWaitMs
    const limits = { maxWaitMs, maxBytes: this.options.maxBytes, maxBytesPerPartition: this.options.maxBytesPerPartition }
    try {
      const topics = [...wants].map(([topic, parts]) => ({ topic, parts }))
      const { body, connection } = await this.transport.call(node, API.fetch, fetchBody(topics, limits), { timeoutMs: maxWaitMs + 10_000 })
      this.noteConnection(node, connection, sources)
      const { code, results } = fetchReply(body)
      if (code !== 0) throw logError('retriable', 'ANDON_LOG_FETCH', `Fetching from broker ${node}: ${nameOfCode(code)}`)
      let moved = false
      for (const result of results) {
        const found = asked.get(`${result.topic}/${result.partition}`)
        if (found) moved = (await this.take(found, result, body.length)) || moved
      }
      if (moved) await pause(50)
    } catch (error) {
      const failure = toLogError(error, `Fetching from broker ${node}`)
      if (this.stopped) return
      if (failure.kind === 'fatal') {
        this.options.onFatal(failure)
        return
      }
      for (const { topic } of sources) this.transport.forget(topic)
      for (const { runner } of sources) runner.doubt()
      this.connections.delete(node)
      await pause(ERROR_PAUSE_MS)
    }
  }

  private noteConnection(node: number, connection: object, sources: readonly Source[]): void {
    const before = this.connections.get(node)
    this.connections.set(node, connection)
    if (before !== undefined && before !== connection) for (const { runner } of sources) runner.doubt()
  }

  /** True if the leader has to be found again. */
  private async take({ source, offset, doubts }: Asked, result: FetchResult, answerBytes: number): Promise<boolean> {
    const { runner } = source
    if (result.code === CODE.offsetOutOfRange) {
      runner.doubt(true)
      return false
    }
    if (result.code !== 0) {
      if (!isTransient(result.code))
        throw logError('fatal', 'ANDON_LOG_FETCH', `Reading ${source.topic}/${runner.partition}: ${nameOfCode(result.code)}`)
      this.transport.forget(source.topic)
      return true
    }
    if (!result.records || result.records.length === 0) return false
    const topic = this.options.plainName(source.topic)
    const bytes = result.records.length < answerBytes * SMALL_PART ? Buffer.from(result.records) : result.records
    const { aborted, lastStableOffset: highWatermark } = result
    const decoded = decodeRecords({ topic, partition: runner.partition, bytes, fromOffset: offset, aborted, highWatermark })
    runner.offer(offset, decoded instanceof Promise ? await decoded : decoded, doubts)
    return false
  }
}
