// Feeds partition runners: one long poll per broker covers every partition that wants records. Tells a runner when the
// connection or the leader epoch under it has changed.

import { logError } from '../log-error.ts'
import type { PartitionRunner } from '../partition-runner.ts'
import type { RecordBatch } from '../port.ts'
import { CODE, isTransient, nameOfCode, toLogError } from './errors.ts'
import { API, fetchBody, fetchReply } from './protocol.ts'
import type { FetchPart, FetchResult } from './protocol.ts'
import { decodeRecords } from './batch-reader.ts'
import { Slabs } from './slabs.ts'
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
/** A partition whose records cannot be read - a batch that does not match its checksum - is asked for again after this time. */
const REST_MS = 1000

interface Source {
  readonly topic: string
  readonly runner: PartitionRunner
  leaderEpoch: number | undefined
  /** Its last records could not be read. */
  rests: boolean
}

/** What a poll wants of one partition, and how often its runner had been in doubt by then. */
interface Asked {
  readonly source: Source
  readonly offset: number
  readonly doubts: number
}

/** An answer, and how many still look at it: the batches that point into it, and the poll until it has handed them out. */
interface Answer {
  readonly body: Buffer
  readers: number
}

/** Columns and copied parts are lent memory; less is left to the garbage collector. Each of several partitions has two batches. */
const LARGE_BYTES = 16 * 1024
const FREE_SLABS = 32

export class Reader {
  private readonly transport: Transport
  private readonly options: ReaderOptions
  private readonly sources = new Map<string, Source>()
  private readonly busy = new Map<number, Promise<void>>()
  private readonly connections = new Map<number, object>()
  private readonly slabs = new Slabs(LARGE_BYTES, FREE_SLABS)
  /** Give back the memory of a batch. A batch that is never handled keeps it: it is the garbage collector's then. */
  private readonly givesBack = new WeakMap<RecordBatch, () => void>()
  private looking: Promise<void> | undefined
  private stopped = false
  private scheduled = false

  constructor(transport: Transport, options: ReaderOptions) {
    this.transport = transport
    this.options = options
  }

  /** `topic` as the broker knows it. `leaderEpoch` = the newest one known before the runner works out its start. */
  add(topic: string, runner: PartitionRunner, leaderEpoch: number | undefined): void {
    this.sources.set(`${topic}/${runner.partition}`, { topic, runner, leaderEpoch, rests: false })
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

  /** Nobody looks at the batch any more, nor at anything that it handed out: its memory is used for the next ones. */
  handled(batch: RecordBatch): void {
    this.givesBack.get(batch)?.()
    this.givesBack.delete(batch)
  }

  private letGo(answer: Answer): void {
    if (--answer.readers === 0) this.transport.release(answer.body)
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
      if (this.busy.has(node) || !sources.some(({ runner, rests }) => !rests && runner.wanted() !== undefined)) continue
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
      const offset = source.rests ? undefined : source.runner.wanted()
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
      const answer = { body, readers: 1 }
      let moved = false
      for (const result of results) {
        const found = asked.get(`${result.topic}/${result.partition}`)
        if (found) moved = (await this.takeAlone(found, result, answer)) || moved
      }
      this.letGo(answer)
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

  private copyOf(part: Buffer): Buffer {
    const copy = this.slabs.take(part.length)
    part.copy(copy)
    return copy
  }

  /** As `take`. What cannot be read of one partition holds up that partition alone. */
  private async takeAlone(asked: Asked, result: FetchResult, answer: Answer): Promise<boolean> {
    try {
      return await this.take(asked, result, answer)
    } catch (error) {
      const failure = toLogError(error, `Reading ${result.topic}/${result.partition}`)
      if (failure.kind === 'fatal') throw failure
      const { source } = asked
      source.rests = true
      source.runner.doubt()
      setTimeout(() => {
        source.rests = false
        this.hungry()
      }, REST_MS).unref()
      return false
    }
  }

  /** True if the leader has to be found again. */
  private async take({ source, offset, doubts }: Asked, result: FetchResult, answer: Answer): Promise<boolean> {
    const { runner } = source
    if (result.code === CODE.offsetOutOfRange) {
      runner.doubt(true)
      return false
    }
    if (result.code === CODE.corruptMessage)
      throw logError(
        'retriable',
        'ANDON_LOG_CORRUPT',
        `${source.topic}/${runner.partition}: the broker cannot read its batch at offset ${offset}`,
      )
    if (result.code !== 0) {
      if (!isTransient(result.code))
        throw logError('fatal', 'ANDON_LOG_FETCH', `Reading ${source.topic}/${runner.partition}: ${nameOfCode(result.code)}`)
      this.transport.forget(source.topic)
      return true
    }
    if (!result.records || result.records.length === 0) return false
    const topic = this.options.plainName(source.topic)
    const copied = result.records.length < answer.body.length * SMALL_PART ? this.copyOf(result.records) : undefined
    const { aborted, lastStableOffset: highWatermark } = result
    const { partition } = runner
    const bytes = copied ?? result.records
    const decoded = decodeRecords({ topic, partition, bytes, fromOffset: offset, aborted, highWatermark, tables: this.slabs })
    const batch = decoded instanceof Promise ? await decoded : decoded
    if (!copied) answer.readers++
    this.givesBack.set(batch, () => {
      this.slabs.giveBack(batch.cells)
      if (copied) this.slabs.giveBack(copied)
      else this.letGo(answer)
    })
    runner.offer(offset, batch, doubts)
    return false
  }
}
