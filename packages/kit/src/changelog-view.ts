// One partition of a changelog in memory: its rounds and, per key, the snapshots they left. A recovery builds one by reading
// the partition; a standby keeps one for each partition beside whoever owns it, so that a takeover restores at once.

import type { Changelog } from '@andon/schemas'
import type { Codec } from './codec-port.ts'
import { LogError } from './errors.ts'
import type { Follow, Log, LogRecord, Position } from './log/port.ts'
import type { Mark } from './marks.ts'

/** A snapshot of one key, and the input position it stands for. */
export interface Entry {
  readonly key: string
  readonly version: number
  readonly state: Uint8Array
  readonly position: Position
  /** Offset on the changelog. */
  readonly at: number
  readonly timestampMs: number
}

export interface StoredRound {
  /** Offset on the changelog. */
  readonly at: number
  readonly input: Mark
  readonly output: Mark | undefined
  /** Of all snapshots that it stands on (`round-sum.ts`); undefined = an earlier version wrote it. */
  readonly sum: Buffer | undefined
  readonly timestampMs: number
}

export class ChangelogView {
  /** First offset that could not be read. */
  damagedAt: number | undefined
  rounds: StoredRound[] = []
  readonly entries = new Map<string, Entry[]>()
  /** The newest record, whatever it is. */
  end: Position | undefined
  private readonly topic: string
  private readonly inputTopic: string
  private readonly partition: number

  constructor(topic: string, inputTopic: string, partition: number) {
    this.topic = topic
    this.inputTopic = inputTopic
    this.partition = partition
  }

  /** Takes the partition's next record. */
  async take(codec: Codec, record: LogRecord, copy: boolean): Promise<void> {
    this.end = { leaderEpoch: record.leaderEpoch, offset: record.offset }
    const { key, value, timestampMs } = record
    const prefix = `${this.partition}:`
    if (value === null || !key?.startsWith(prefix)) return
    const found = await codec.decodeAsync<Changelog>(this.topic, value)
    if (found.inputTopic !== this.inputTopic) return
    const position = { leaderEpoch: found.leaderEpoch, offset: found.offset }
    if (found.type === 'round') {
      const input = { topic: this.inputTopic, partition: this.partition, ...position, id: found.recordId }
      const sum = found.state === null ? undefined : Buffer.from(found.state)
      this.rounds.push({ at: record.offset, input, output: outputOf(found), sum, timestampMs })
    } else if (found.type === 'snapshot' && found.state !== null) {
      const state = copy ? Uint8Array.from(found.state) : found.state
      const entry = { key: key.slice(prefix.length), version: found.stateVersion, state, position, at: record.offset, timestampMs }
      const list = this.entries.get(entry.key)
      if (list) list.push(entry)
      else this.entries.set(entry.key, [entry])
    }
  }

  /** Forgets what no recovery asks for: all but the newest of what is older than a time (record time of the changelog). */
  forget(beforeMs: number): void {
    const keep = <T extends { readonly timestampMs: number }>(list: T[]): T[] => {
      const newest = list.findLastIndex(({ timestampMs }) => timestampMs < beforeMs)
      return newest <= 0 ? list : list.slice(newest)
    }
    this.rounds = keep(this.rounds)
    for (const [key, list] of this.entries) this.entries.set(key, keep(list))
  }
}

const outputOf = ({ outputTopic, outputPartition, outputLeaderEpoch, outputOffset, outputId }: Changelog): Mark | undefined =>
  outputTopic === ''
    ? undefined
    : { topic: outputTopic, partition: outputPartition, leaderEpoch: outputLeaderEpoch, offset: outputOffset, id: outputId }

/** Longer than anything that a power loss can take back (15 s). */
const KEEP_MS = 120_000

/** A follower that is warm has a few records to read. */
const PATIENCE_MS = 5000

/** Follows every partition of a changelog. It holds the state of the whole group in memory. */
export class Standby {
  private readonly log: Log
  private readonly codec: Codec
  private readonly topic: string
  private readonly inputTopic: string
  private readonly views = new Map<number, ChangelogView>()
  private follow: Follow | undefined

  constructor(log: Log, codec: Codec, topic: string, inputTopic: string) {
    this.log = log
    this.codec = codec
    this.topic = topic
    this.inputTopic = inputTopic
  }

  /** The changelog has to exist. */
  async start(): Promise<void> {
    this.follow = await this.log.follow({
      topics: [this.topic],
      onReset: (_topic, partition) => void this.views.delete(partition),
      onBatch: async (batch) => {
        const view = this.viewOf(batch.partition)
        for (const record of batch.records) if (isBehind(view.end, record)) await view.take(this.codec, record, true)
        if (batch.count > 0) view.forget(batch.timestampMsAt(batch.count - 1) - KEEP_MS)
      },
    })
  }

  /**
   * The partition as of now; undefined when the follower has ended or cannot get on (a batch may be damaged), then the changelog
   * itself has to be read.
   */
  async view(partition: number): Promise<ChangelogView | undefined> {
    if (!this.follow) return undefined
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => late.resolve(undefined), PATIENCE_MS)
    try {
      return await Promise.race([this.follow.caughtUp().then(() => this.viewOf(partition)), late.promise])
    } catch (error) {
      if (error instanceof LogError && error.retriable) throw error
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  async stop(): Promise<void> {
    await this.follow?.stop()
  }

  private viewOf(partition: number): ChangelogView {
    const view = this.views.get(partition) ?? new ChangelogView(this.topic, this.inputTopic, partition)
    this.views.set(partition, view)
    return view
  }
}

/** A batch that is handed out again after a failure has records that were taken. */
const isBehind = (end: Position | undefined, record: Position): boolean => end === undefined || record.offset > end.offset
