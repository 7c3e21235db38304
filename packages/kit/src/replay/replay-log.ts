// The log as a service sees it in a replay run: its input is a range of a plan, what it writes goes to the run's own
// topics, side inputs are read live and whole, and an append to any other topic is refused. The service runs unchanged.

import { topology } from '@andon/schemas'
import type { Codec } from '../codec-port.ts'
import { DEAD_LETTER_HEADER } from '../dead-letters.ts'
import type { KeyedState, ProcessOptions } from '../flow.ts'
import { HEADER, parseCause } from '../lineage.ts'
import { appendedList } from '../log/appended.ts'
import { logError } from '../log/log-error.ts'
import { partitionOf } from '../log/murmur2.ts'
import type {
  Append,
  Appended,
  AppendOptions,
  AppendedRecords,
  Appender,
  Follow,
  FollowOptions,
  Log,
  LogAdmin,
  Run,
  RunOptions,
} from '../log/port.ts'
import { changelogSpec } from '../snapshots.ts'
import { BoundedRun } from './bounded-run.ts'
import { followRun } from './follow-run.ts'
import { runOf, runTopic } from './names.ts'
import { Pace, systemClock } from './pace.ts'
import { Pins } from './pins.ts'
import type { ReplayClock } from './pace.ts'
import type { PartitionRange, ReplayPlan } from './plan.ts'
import { headerAdder, headerIn } from './run-headers.ts'
import { Positions } from './positions.ts'
import { Written } from './written.ts'

export interface ReplayProgress {
  readonly id: string
  readonly service: string
  /** Records behind us and in all, those that only build state included. */
  readonly records: number
  readonly total: number
  /** Records that this process has appended to the run's topics. */
  readonly appended: number
  /** Every partition is at its end and closed. */
  readonly isDone: boolean
  readonly partitions: readonly { readonly partition: number; readonly position: number; readonly to: number }[]
}

export interface ReplayOptions {
  readonly clock?: ReplayClock
  /** How often positions are stored, ms. Default 2000. */
  readonly storeEveryMs?: number
  /** Puts a retained snapshot into the run's changelog, which `log` maps; called for partitions that have none of their own. */
  readonly seed?: (log: Log, group: string, range: PartitionRange) => Promise<void>
  /** Told how far the run has come: every `storeEveryMs` and at its end. */
  readonly onProgress?: (progress: ReplayProgress) => void
  /** Takes the state that a plan with `describe` asks for. */
  readonly onDescribed?: (state: unknown) => void
}

/** A run's topic is as its live one, but for retention. */
const configsOf = (topic: string): Readonly<Record<string, string>> =>
  (topology.topics as Readonly<Record<string, { readonly configs: Readonly<Record<string, string>> }>>)[topic]?.configs ?? {}

/** Inputs handled at once: nobody waits for a single output, so a run asks the brokers less often than a live service. */
const BATCH_RECORDS = 1000

/** What a record that was left out is said to lie at: nowhere, which every check of marks takes as still there. */
const NOWHERE = { leaderEpoch: -1, offset: -1 } as const

const logs = new WeakMap<Log, ReplayLog>()

/** The replay behind a log; undefined for a live one. */
export const replayOf = (log: Log): ReplayLog | undefined => logs.get(log)

/** The log of a replay run over `inner`. Creates the run's topics; resolves when a service can start on it. */
export const openReplayLog = async (inner: Log, codec: Codec, plan: ReplayPlan, options: ReplayOptions = {}): Promise<ReplayLog> => {
  const log = new ReplayLog(inner, codec, plan, options)
  logs.set(log, log)
  await log.prepare()
  return log
}

export class ReplayLog implements Log {
  readonly admin: LogAdmin
  readonly plan: ReplayPlan
  private readonly inner: Log
  private readonly codec: Codec
  private readonly options: ReplayOptions
  private readonly pace: Pace
  private readonly ranges: ReadonlyMap<number, PartitionRange>
  private readonly written: Written
  private readonly withRun: ReturnType<typeof headerAdder>
  /** Partitions of the run's own topics. */
  private readonly partitionCounts = new Map<string, number>()
  private readonly states = new Map<number, KeyedState>()
  private run_: BoundedRun | undefined
  private appended = 0
  /** An append has failed and part of it may lie there: the next one looks first. */
  private isInDoubt = false
  private looking: Promise<void> | undefined
  private isDone = false

  constructor(inner: Log, codec: Codec, plan: ReplayPlan, options: ReplayOptions) {
    this.inner = inner
    this.codec = codec
    this.plan = plan
    this.options = options
    this.pace = new Pace(plan.speed, options.clock ?? systemClock)
    this.ranges = new Map(plan.partitions.map((range) => [range.partition, range]))
    this.written = new Written(inner, plan.input.from, [...this.ranges.keys()])
    this.withRun = headerAdder(HEADER.run, plan.id)
    this.admin = this.mappedAdmin()
  }

  /** The name that stands for a topic in this run. */
  nameOf(topic: string): string {
    if (topic === this.plan.input.topic) return this.plan.input.from
    const isOwn = this.plan.writes.includes(topic) || /\.(changelog|dlq)$/.test(topic)
    return isOwn && runOf(topic)?.id !== this.plan.id ? runTopic(topic, this.plan.id) : topic
  }

  async prepare(): Promise<void> {
    const specs = await Promise.all(
      this.plan.writes.map(async (topic) => {
        const partitions = await this.inner.admin.partitions(topic)
        this.partitionCounts.set(this.nameOf(topic), partitions)
        return { name: this.nameOf(topic), partitions, configs: { ...configsOf(topic), 'retention.ms': String(this.plan.retentionMs) } }
      }),
    )
    await this.inner.admin.ensureTopics(specs)
    await this.written.load(specs.map(({ name }) => name))
  }

  progress(): ReplayProgress {
    const partitions = this.plan.partitions.map((range) => ({
      partition: range.partition,
      position: this.run_?.positionOf(range.partition) ?? range.start,
      to: range.to,
    }))
    const sum = (of: (range: PartitionRange, i: number) => number): number =>
      this.plan.partitions.reduce((all, range, i) => all + of(range, i), 0)
    return {
      id: this.plan.id,
      service: this.plan.service,
      records: sum((range, i) => partitions[i]!.position - range.start),
      total: sum((range) => range.to - range.start),
      appended: this.appended,
      isDone: this.isDone,
      partitions,
    }
  }

  /** What a process runs in this run: the input under the name it has here, and no snapshots retained. */
  adapt<T>(given: ProcessOptions<T>): ProcessOptions<T> {
    const { history: _history, standby: _standby, ...rest } = given
    return {
      ...rest,
      maxBatchRecords: given.maxBatchRecords ?? BATCH_RECORDS,
      input: this.nameOf(given.input),
      open: async (partition) => {
        const process = await given.open(partition)
        if (process.state) this.states.set(partition, process.state)
        return process
      },
    }
  }

  /** A replay has one way to append: it knows what of its run is there. */
  appender(): Appender {
    return { append: (records, options) => this.append(records, options) }
  }

  async append(records: readonly Append[], options: AppendOptions = {}): Promise<AppendedRecords> {
    if (this.isInDoubt || this.looking) await (this.looking ??= this.look())
    const kept: Append[] = []
    const indexes = records.map((record) => {
      const mapped = this.mapped(record)
      return mapped === undefined ? undefined : kept.push(mapped) - 1
    })
    const after = options.after?.filter(({ offset }) => offset >= 0).map((mark) => ({ ...mark, topic: this.nameOf(mark.topic) }))
    let places: readonly Appended[] = []
    if (kept.length > 0) {
      try {
        places = [...(await this.inner.append(kept, { ...options, ...(after ? { after } : {}) }))]
      } catch (error) {
        this.isInDoubt = true
        throw error
      }
      this.appended += kept.length
    }
    return appendedList(
      indexes.map((index, i) => {
        if (index !== undefined) return places[index]!
        const { topic, key, partition } = records[i]!
        return { topic, partition: this.partitionOf(topic, key, partition), ...NOWHERE }
      }),
    )
  }

  pressure(): number {
    return this.inner.pressure()
  }

  async run(options: RunOptions): Promise<Run> {
    const [topic] = options.topics
    if (options.topics.length === 1 && topic !== undefined) {
      if (this.nameOf(topic) === this.plan.input.from) return this.runInput(options)
      if (this.nameOf(topic) !== topic) return followRun(this.inner, this.nameOf(topic), options)
    }
    throw this.fenced(`group ${options.group} reads ${options.topics.join(', ')}, which is no input of this run`)
  }

  follow(options: FollowOptions): Promise<Follow> {
    const pins = new Pins(this.plan, this.codec)
    return this.inner.follow({
      ...options,
      topics: options.topics.map((topic) => this.nameOf(topic)),
      onBatch: async (batch) => options.onBatch(await pins.apply(batch)),
    })
  }

  read(range: Parameters<Log['read']>[0]): ReturnType<Log['read']> {
    return this.inner.read({ ...range, topic: this.nameOf(range.topic) })
  }

  latest(topic: string, partition: number): ReturnType<Log['latest']> {
    return this.inner.latest(this.nameOf(topic), partition)
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  private async runInput(handlers: RunOptions): Promise<Run> {
    const { plan, inner } = this
    const topic = plan.input.from
    await this.admin.ensureTopics([changelogSpec(handlers.group, await inner.admin.partitions(topic))])
    const positions = new Positions(this, this.codec, handlers.group, topic)
    await positions.load()
    for (const range of plan.partitions) await this.options.seed?.(this, handlers.group, range)
    const run = new BoundedRun({
      log: inner,
      topic,
      ranges: plan.partitions,
      handlers,
      pace: this.pace,
      positionOf: (partition) => positions.get(partition),
      onLast: async (partition) => this.describe(partition),
      onClosed: (partition, position) => positions.store(new Map([[partition, position]])),
    })
    this.run_ = run
    const storing = setInterval(() => {
      const reached = run.assigned().flatMap(({ partition }) => {
        const position = run.positionOf(partition)
        return position === undefined ? [] : [[partition, position] as const]
      })
      positions.store(new Map(reached)).catch(() => undefined) // the next round stores it
      this.options.onProgress?.(this.progress())
    }, this.options.storeEveryMs ?? 2000)
    storing.unref()
    const settle = (): void => {
      clearInterval(storing)
      this.isDone = plan.partitions.every(({ partition, to }) => run.positionOf(partition) === to)
      this.options.onProgress?.(this.progress())
    }
    run.ended.then(settle, settle)
    return run
  }

  private describe(partition: number): void {
    const { describe } = this.plan
    const state = this.states.get(partition)
    if (describe && state) this.options.onDescribed?.(state.describe?.(describe.key) ?? null)
  }

  /** The record as it is stored in this run; undefined when it is not: an output of a record before the range, or one that is there. */
  private mapped(record: Append): Append | undefined {
    const topic = this.nameOf(record.topic)
    if (runOf(topic)?.id !== this.plan.id) throw this.fenced(`an append to ${record.topic}`)
    if (topic.endsWith('.changelog')) return { ...record, topic }
    const { headers } = record
    const cause = parseCause(headerIn(headers, HEADER.cause))
    if (this.isBefore(cause ?? placeOf(headers))) return undefined
    const partition = this.partitionOf(record.topic, record.key, record.partition)
    if (cause !== undefined && this.written.has(topic, partition, cause)) return undefined
    return { ...record, topic, headers: this.withRun(headers) }
  }

  /** True for the place of a record before the range: it only builds state. */
  private isBefore(place: { topic: string; partition: number; offset: number } | undefined): boolean {
    return place?.topic === this.plan.input.from && place.offset < (this.ranges.get(place.partition)?.from ?? 0)
  }

  private partitionOf(topic: string, key: string | null, partition: number | undefined): number {
    const count = this.partitionCounts.get(this.nameOf(topic)) ?? 1
    return partition ?? (key === null ? 0 : partitionOf(key, count))
  }

  private async look(): Promise<void> {
    try {
      this.isInDoubt = false // an append that fails meanwhile raises it again
      await this.written.load(this.plan.writes.map((topic) => this.nameOf(topic)))
    } catch (error) {
      this.isInDoubt = true
      throw error
    } finally {
      this.looking = undefined
    }
  }

  private fenced(what: string): Error {
    return logError(
      'fatal',
      'ANDON_REPLAY_FENCED',
      `Run ${this.plan.id} of ${this.plan.service} writes ${this.plan.writes.join(', ')} to topics of its own and nothing else; refused: ${what}`,
    )
  }

  private mappedAdmin(): LogAdmin {
    const { admin } = this.inner
    return {
      // Live topics are as their owners made them: a run creates its own and touches no other.
      ensureTopics: (specs) =>
        admin.ensureTopics(
          specs.filter(({ name }) => /\.(changelog|dlq)$/.test(name)).map((spec) => ({ ...spec, name: this.nameOf(spec.name) })),
        ),
      topics: () => admin.topics(),
      partitions: (topic) => admin.partitions(this.nameOf(topic)),
      watermarks: (topic) => admin.watermarks(this.nameOf(topic)),
      offsetAt: (topic, partition, timestampMs) => admin.offsetAt(this.nameOf(topic), partition, timestampMs),
      endOfEpoch: (topic, partition, leaderEpoch) => admin.endOfEpoch(this.nameOf(topic), partition, leaderEpoch),
      committed: async () => new Map(),
      deleteTopics: () => Promise.reject(this.fenced('deleting topics')),
      describe: () => admin.describe(),
    }
  }
}

/** Where the record of a dead letter lay; undefined for any other record. */
const placeOf = (headers: Append['headers']): { topic: string; partition: number; offset: number } | undefined => {
  const topic = headerIn(headers, DEAD_LETTER_HEADER.topic)
  if (topic === undefined) return undefined
  const [partition, offset] = [headerIn(headers, DEAD_LETTER_HEADER.partition), headerIn(headers, DEAD_LETTER_HEADER.offset)].map(Number)
  return { topic, partition: partition!, offset: offset! }
}
