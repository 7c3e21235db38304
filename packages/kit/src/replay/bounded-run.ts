// Reads the ranges of a plan, each partition in offset order, without a group: nobody else can take a partition, and what
// survives a kill is in the run's changelog. Ends by itself when every partition is at its end.

import { isRetriable } from '../log/log-error.ts'
import { PartitionRunner } from '../log/partition-runner.ts'
import type { Log, RecordBatch, Run, RunOptions, StartAt } from '../log/port.ts'
import { RecordList } from '../log/record-list.ts'
import type { Pace } from './pace.ts'
import type { PartitionRange } from './plan.ts'

export interface BoundedRunOptions {
  /** The log that the ranges lie in. */
  readonly log: Log
  /** Topic that is read. */
  readonly topic: string
  readonly ranges: readonly PartitionRange[]
  readonly handlers: RunOptions
  readonly pace: Pace
  /** Next offset to read as of the last process that worked on this run. */
  readonly positionOf: (partition: number) => number | undefined
  /** The partition's last record was handled; its process is still open. */
  readonly onLast: (partition: number) => Promise<void>
  /** The partition's process was closed; its position moved, or it is at its end. */
  readonly onClosed: (partition: number, position: number) => Promise<void>
}

const READ_PAUSE_MS = 200

export class BoundedRun implements Run {
  readonly ended: Promise<void>
  private readonly options: BoundedRunOptions
  private readonly end = Promise.withResolvers<void>()
  private readonly lanes = new Map<number, Lane>()
  private readonly places = new Map<number, number>()
  private stopping: Promise<void> | undefined

  constructor(options: BoundedRunOptions) {
    this.options = options
    this.ended = this.end.promise
    this.ended.catch(() => undefined) // whoever cares awaits `ended`
    for (const range of options.ranges) {
      const position = options.positionOf(range.partition)
      if ((position ?? range.start) >= range.to) this.places.set(range.partition, range.to)
      else this.open(range, position)
    }
    if (this.lanes.size === 0) this.end.resolve()
  }

  assigned(): { topic: string; partition: number }[] {
    return [...this.lanes.keys()].map((partition) => ({ topic: this.options.topic, partition }))
  }

  /** Next offset to handle of a partition. */
  positionOf(partition: number): number | undefined {
    return this.lanes.get(partition)?.position() ?? this.places.get(partition)
  }

  stop(): Promise<void> {
    return this.shut(() => this.end.resolve())
  }

  private fail(error: unknown): void {
    void this.shut(() => this.end.reject(error))
  }

  private shut(settle: () => void): Promise<void> {
    this.stopping ??= (async () => {
      await Promise.all([...this.lanes.keys()].map((partition) => this.close(partition)))
      settle()
    })().catch((error: unknown) => this.end.reject(error))
    return this.stopping
  }

  private open(range: PartitionRange, position: number | undefined): void {
    const lane = new Lane(this.options, range, {
      onEnd: () => void this.finish(range).catch((error: unknown) => this.fail(error)),
      onFatal: (error) => this.fail(error),
    })
    this.lanes.set(range.partition, lane)
    lane.start(position)
  }

  private async finish({ partition }: PartitionRange): Promise<void> {
    if (this.stopping) return
    await this.options.onLast(partition)
    await this.close(partition)
    if (this.lanes.size === 0 && !this.stopping) this.end.resolve()
  }

  private async close(partition: number): Promise<void> {
    const lane = this.lanes.get(partition)
    if (!lane) return
    await lane.close()
    if (!this.lanes.delete(partition)) return
    const position = lane.position()
    if (position === undefined) return // it never came to a start
    this.places.set(partition, position)
    await this.options.onClosed(partition, position)
  }
}

/** One partition: its runner, and the reading that feeds it. */
class Lane {
  private readonly runner: PartitionRunner
  private readonly options: BoundedRunOptions
  private readonly range: PartitionRange
  private readonly events: { onEnd(): void; onFatal(error: unknown): void }
  private reading: { readonly batches: AsyncIterator<RecordBatch>; at: number } | undefined
  private queue: RecordBatch[] = []
  private pumping = false
  private closed: Promise<void> | undefined
  private hasStarted = false
  private hasEnded = false
  private readonly abort = new AbortController()

  constructor(options: BoundedRunOptions, range: PartitionRange, events: { onEnd(): void; onFatal(error: unknown): void }) {
    this.options = options
    this.range = range
    this.events = events
    this.runner = new PartitionRunner(options.topic, range.partition, options.handlers, {
      resolve: async (_topic, _partition, at) => this.offsetOf(at),
      onHungry: () => void this.pump(),
      onProgress: () => this.progress(),
      onFatal: (error) => events.onFatal(error),
    })
  }

  start(position: number | undefined): void {
    this.runner.start(position)
  }

  position(): number | undefined {
    return this.hasStarted ? this.runner.position : undefined
  }

  close(): Promise<void> {
    this.abort.abort()
    this.closed ??= this.runner.close()
    return this.closed
  }

  private offsetOf(at: StartAt): number {
    const { start, to } = this.range
    return at === 'earliest' ? start : at === 'latest' ? to : Math.max(start, Math.min(at, to))
  }

  private progress(): void {
    this.hasStarted = true
    if (this.hasEnded || this.runner.position < this.range.to) return
    this.hasEnded = true
    this.events.onEnd()
  }

  /** Feeds the runner as long as it takes more. */
  private async pump(): Promise<void> {
    if (this.pumping) return
    this.pumping = true
    try {
      for (;;) {
        const from = this.runner.wanted()
        if (from === undefined || from >= this.range.to || this.abort.signal.aborted) return
        this.runner.offer(from, await this.next(from))
      }
    } catch (error) {
      if (!this.abort.signal.aborted) this.events.onFatal(error)
    } finally {
      this.pumping = false
    }
  }

  /** The batch that begins at or above an offset; an empty one when nothing lies between it and the range's end. */
  private async next(from: number): Promise<RecordBatch> {
    const { log, topic, pace } = this.options
    const { partition, to } = this.range
    for (;;) {
      if (this.reading?.at !== from) {
        this.queue = []
        this.reading = { batches: log.read({ topic, partition, from, to })[Symbol.asyncIterator](), at: from }
      }
      try {
        const batch = this.queue.shift() ?? (await this.fetch())
        if (batch === undefined) return new RecordList(topic, partition, [], to, to)
        await pace.until(batch, this.range.from, this.abort.signal)
        this.reading.at = batch.nextOffset
        return batch
      } catch (error) {
        if (!isRetriable(error) || this.abort.signal.aborted) throw error
        this.reading = undefined
        await pace.sleep(READ_PAUSE_MS, this.abort.signal)
      }
    }
  }

  private async fetch(): Promise<RecordBatch | undefined> {
    const { done, value } = await this.reading!.batches.next()
    if (done === true) return undefined
    const [first, ...rest] = this.options.pace.cut(value)
    this.queue = rest
    return first
  }
}
