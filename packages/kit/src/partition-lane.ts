// One partition of a process: decode, drop repeats, handle, append outputs in order, snapshot. Holds the marks of the
// last input and outputs; when one of them is gone from its log, state and position come from an older snapshot.

import type { Codec } from './codec-port.ts'
import { deadLetter } from './dead-letters.ts'
import { AndonError, LogError } from './errors.ts'
import type { Emitter, Input, KeyedState, PartitionProcess, ProcessOptions } from './flow.ts'
import { lendInputAt } from './input.ts'
import type { DedupeEntry } from './lineage.ts'
import { DedupeMarks, HEADER, LIVE, comparePositions, isCovered, parseCause } from './lineage.ts'
import { isRetriable, logError } from './log/log-error.ts'
import { systemClock } from './log/clock.ts'
import type { Clock } from './log/clock.ts'
import type { Append, Log, Position, RecordBatch, StartAt } from './log/port.ts'
import { holds, watermarksOf } from './marks.ts'
import type { Mark } from './marks.ts'
import { OutputRecords } from './output-records.ts'
import type { ProcessMeters, ProcessMetrics, TraceBatch } from './process-meters.ts'
import type { Snapshots } from './snapshots.ts'
import { startOfStateless } from './stateless-start.ts'

/** What the loop reports; the kit's logger and metrics fit. */
export interface ProcessDeps {
  /** Times the snapshot rounds. Default: the system's. */
  readonly clock?: Clock
  readonly logger: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly metrics: ProcessMetrics
  /** One span per batch. Default: none. */
  readonly trace?: TraceBatch
}

export interface LaneContext<T> {
  readonly log: Log
  readonly codec: Codec
  readonly options: ProcessOptions<T>
  readonly deps: ProcessDeps
  readonly group: string
  readonly meters: ProcessMeters
  /** The log takes what is appended into a transaction, with the position: see delivery.ts. */
  readonly isTransactional?: boolean
  snapshots(): Promise<Snapshots>
}

/** What a handler makes of more inputs at once costs the garbage collector more than their requests would. */
const MOST_BATCH_RECORDS = 500

/** What a handler's outputs became. */
interface Made {
  readonly records: readonly Append[]
  /** Ids of the records. */
  readonly ids: readonly string[]
  /** Place of the last output among those of its cause; undefined when there is none. */
  readonly newest: (Position & { readonly index: number }) | undefined
}

export class PartitionLane<T> {
  private readonly context: LaneContext<T>
  private readonly partition: number
  private process: PartitionProcess<T> | undefined
  private readonly dedupe = new DedupeMarks()
  /** The marks as of the last applied input: a try that failed does not turn its inputs into repeats. */
  private settled: DedupeEntry[] = []
  /** Last applied input; offset -1 = none. */
  private input: Mark
  /** Of a process without state: the input of the output it started behind. */
  private origin: Mark | undefined
  /** Newest output per output partition, and the newest of all. */
  private outputs = new Map<string, Mark>()
  private output: Mark | undefined
  /** Outputs up to here were acknowledged in this process's life: not appended again while it catches up. */
  private acknowledged: (Position & { index: number }) | undefined
  /** In transactions: what inputs below it gave is committed and is not given again while the state catches up with it. */
  private committed = 0
  private roundMs = 0
  /** The state may have been touched by a try that failed: it is restored before the next one. */
  private broken = false
  private sinceRound = 0
  /** Cancels the next timed round. */
  private timer: (() => void) | undefined
  private turn: Promise<unknown> = Promise.resolve()
  private readonly records: OutputRecords
  /** Decoded and not handled yet. */
  private inputs: Input<T>[] = []

  constructor(context: LaneContext<T>, partition: number) {
    this.context = context
    this.records = new OutputRecords(context.codec, context.options.service)
    this.partition = partition
    this.input = this.noInput()
  }

  /** Opens the process and says where to start. */
  open(committed: number | undefined): Promise<StartAt> {
    return this.serially(() => this.recover(committed))
  }

  /** Handles a batch; returns where to go on if that is not its end. */
  handle(batch: RecordBatch): Promise<number | void> {
    return this.serially(async () => {
      if (this.broken && this.context.isTransactional)
        throw logError('retriable', 'ANDON_LOG_TRANSACTION', `${batch.topic}/${batch.partition} goes back to its last commit`)
      const start = this.broken ? await this.settle() : undefined
      if (start !== undefined) return start === 'earliest' ? 0 : Number(start)
      const { trace } = this.context.deps
      const endSpan = trace?.({
        service: this.context.options.service,
        topic: batch.topic,
        partition: this.partition,
        firstOffset: batch.offsetAt(0),
        records: batch.count,
      })
      try {
        await this.apply(batch)
        endSpan?.()
        this.context.meters.lag(this.partition, Math.max(0, batch.highWatermark - batch.nextOffset))
      } catch (error) {
        endSpan?.(error)
        // State may have been touched; an append that failed leaves the outputs before it in doubt as well.
        this.broken = this.process?.state !== undefined || error instanceof LogError
        this.dedupe.restore(this.settled)
        throw error
      }
      if (this.isRoundDue()) await this.snapshot()
      else if (!this.context.isTransactional) this.armTimer()
      return undefined
    })
  }

  /** The log may have changed under us: go on if all marks hold, otherwise start from an older snapshot. */
  doubt(): Promise<StartAt | undefined> {
    return this.serially(() => this.settle())
  }

  /** The last round is written unless somebody else may own the partition already; in a transaction it was, when it was held. */
  close(lost: boolean): Promise<void> {
    return lost || this.context.isTransactional ? this.serially(async () => this.disarm()) : this.roundOff()
  }

  /** A rebalance begins and the partition may move: its next owner finds everything up to here in a snapshot. */
  roundOff(): Promise<void> {
    return this.serially(async () => {
      this.disarm()
      if (this.broken) return
      try {
        await this.snapshot()
      } catch (error) {
        this.context.deps.logger.warn(
          { error, partition: this.partition },
          'the last snapshot was not written; the next owner starts from an older one',
        )
      }
    })
  }

  private async settle(): Promise<StartAt | undefined> {
    const { log, options, deps } = this.context
    const marks = [this.input, ...this.outputs.values(), ...(this.origin ? [this.origin] : [])]
    const held = (await Promise.all(marks.map((mark) => holds(log, mark)))).every(Boolean)
    // Rounds hold what changed since the ones before: after a lost one the state has to come from what is left.
    const isKept = !this.process?.state || (await (await this.context.snapshots()).isKept(this.partition))
    if (!held) {
      deps.logger.warn(
        { topic: options.input, partition: this.partition },
        'the log lost records that this partition was built on; going back',
      )
      this.acknowledged = undefined
    } else if (isKept && (!this.broken || !this.process?.state)) {
      this.broken = false
      return undefined
    }
    return this.recover(this.input.offset + 1)
  }

  private async recover(committed: number | undefined): Promise<StartAt> {
    const { log, options } = this.context
    this.broken = true // until the end: a recovery that fails half way is begun again, and nothing of it is kept
    this.process = await options.open(this.partition)
    const state = this.process.state
    if (this.context.isTransactional) {
      // A log that ends below the position has lost what it stands for: everything from the state on is given again. Beyond that the
      // position is believed: marks that do not hold for a moment, as after a restart of the broker, are no reason to give anything twice.
      this.committed = committed !== undefined && committed <= (await watermarksOf(log, options.input, this.partition)).high ? committed : 0
      this.acknowledged = undefined // what was not committed is gone
    }
    if (!state && this.context.isTransactional) {
      this.forget()
      return committed ?? 'earliest'
    }
    if (!state) {
      const start = await startOfStateless(log, this.input, committed, options.outputs ?? [])
      this.forget()
      for (const mark of start.outputs) this.outputs.set(`${mark.topic}/${mark.partition}`, mark)
      this.origin = start.input
      return start.at
    }
    const found = await (await this.context.snapshots()).recover(options.input, this.partition, state.version)
    for (const { key, state: bytes, version } of found?.keys ?? []) state.restore(key, bytes, version)
    // What this process had acknowledged and still holds counts on: those outputs are not appended again.
    const acknowledged = this.acknowledged ? { outputs: this.outputs, output: this.output } : undefined
    this.forget()
    this.settled = [...(found?.kit.dedupe ?? [])]
    this.dedupe.restore(this.settled)
    this.outputs = acknowledged?.outputs ?? new Map(found?.kit.outputs.map((mark) => [`${mark.topic}/${mark.partition}`, mark]))
    this.output = acknowledged?.output ?? found?.output
    if (!found) return 'earliest'
    this.input = found.input
    return found.input.offset + 1
  }

  /** What was known about the input and the outputs before: a recovered lane starts without it. */
  private forget(): void {
    this.outputs = new Map()
    this.output = undefined
    this.input = this.noInput()
    this.origin = undefined
    this.sinceRound = 0
    this.settled = []
    this.dedupe.restore([])
    this.broken = false
  }

  private async apply(batch: RecordBatch): Promise<void> {
    const { codec, meters, options } = this.context
    const most = options.maxBatchRecords ?? MOST_BATCH_RECORDS
    let last = -1
    let repeats = 0
    this.inputs = []
    for (let i = 0; i < batch.count; i++) {
      // A batch that is tried again after part of it was applied.
      if ((batch.leaderEpochAt(i) - this.input.leaderEpoch || batch.offsetAt(i) - this.input.offset) <= 0) continue
      const cause = parseCause(batch.headerAt(i, HEADER.cause))
      const lane = batch.headerAt(i, HEADER.lane) ?? LIVE
      if (this.dedupe.isRepeat(cause, lane)) {
        repeats++
        last = i
        continue
      }
      try {
        const decoded = lendInputAt<T>(codec, batch, i, lane, options.lendsBytes === true)
        this.inputs.push(decoded instanceof Promise ? await decoded : decoded)
      } catch (error) {
        if (isRetriable(error)) throw error
        await this.step(batch, last)
        await this.reject(batch, i, error)
        last = i
        continue
      }
      last = i
      this.dedupe.admit(cause, lane)
      if (this.inputs.length < most) continue
      await this.step(batch, last)
    }
    await this.step(batch, last)
    meters.count('repeats', repeats)
  }

  /** Handles the decoded inputs and appends what they gave; afterwards everything up to record `last` of the batch is applied. */
  private async step(from: RecordBatch, last: number): Promise<void> {
    const count = this.inputs.length
    if (count > 0) {
      // Inputs and outputs are gone before the append: what waits for brokers outlives many collections, each of which would copy it.
      await this.append(await this.handleInputs())
      this.context.meters.count('inputs', count)
    }
    this.settled = this.dedupe.entries()
    if (last < 0) return
    this.input = {
      topic: from.topic,
      partition: from.partition,
      leaderEpoch: from.leaderEpochAt(last),
      offset: from.offsetAt(last),
      id: from.headerAt(last, HEADER.id) ?? '',
      timestampMs: from.timestampMsAt(last),
    }
    this.sinceRound += count
  }

  private async handleInputs(): Promise<Made> {
    const { inputs } = this
    this.inputs = []
    return this.recordsOf(await this.process!.handle({ topic: this.context.options.input, partition: this.partition, inputs }))
  }

  /** Records of the outputs that are not on the log yet. */
  private recordsOf(emitted: Emitter): Made {
    const { options } = this.context
    const records: Append[] = []
    const ids: string[] = []
    let newest: { readonly cause: Input<unknown>; readonly index: number } | undefined
    this.records.begin()
    for (const one of emitted.outputs) {
      const { cause, index, output } = one
      if (newest && comparePositions(cause.position, newest.cause.position) < 0)
        throw new AndonError(
          'ANDON_KIT_OUTPUT_ORDER',
          `${options.service} emitted ${output.type} ${output.id} for a record before the previous output's: outputs come in the order of their causes`,
        )
      newest = one
      if (cause.position.offset < this.committed || isCovered(this.acknowledged, cause.position, index)) continue
      ids.push(output.id)
      records.push(this.records.record(cause, index, output))
    }
    return { records, ids, newest: newest && { ...newest.cause.position, index: newest.index } }
  }

  private async append({ records, ids, newest }: Made): Promise<void> {
    if (records.length === 0 || !newest) return
    const { log, meters } = this.context
    const appended = await log.append(records, { after: [...this.outputs.values()] }).catch((error: unknown) => {
      this.records.abandon()
      throw error
    })
    this.acknowledged = newest
    for (const { index, place } of appended.newest()) {
      const mark = { ...place, id: ids[index]! }
      this.outputs.set(`${place.topic}/${place.partition}`, mark)
      if (index === records.length - 1) this.output = mark
    }
    meters.count('outputs', records.length)
  }

  private async reject(batch: RecordBatch, index: number, error: unknown): Promise<void> {
    const { log, options, group, deps, meters } = this.context
    const record = batch.records[index]!
    if (record.offset >= this.committed) await log.append([deadLetter(record, group, error)])
    deps.logger.warn({ topic: record.topic, partition: record.partition, offset: record.offset, error }, 'record dead-lettered')
    meters.count('deadLetters', 1)
    options.onDeadLetter?.(this.partition, record.key)
    this.sinceRound++
  }

  private async snapshot(): Promise<void> {
    this.disarm()
    if (!this.process?.state || this.sinceRound === 0) return
    this.roundMs = performance.now()
    if (!(await this.writeRound(this.process.state))) await this.writeRound(this.process.state)
    this.sinceRound = 0
  }

  /** Transactions have no batchless moments for a timed round, so it is asked for after each batch. */
  private isRoundDue(): boolean {
    const { snapshotEveryRecords = 5000, snapshotEveryMs = 5000 } = this.context.options
    if (this.sinceRound >= snapshotEveryRecords) return true
    return this.context.isTransactional === true && this.sinceRound > 0 && performance.now() - this.roundMs >= snapshotEveryMs
  }

  private async writeRound(state: KeyedState): Promise<boolean> {
    const snapshots = await this.context.snapshots()
    const taken = (key: string) => ({ key, version: state.version, state: new Uint8Array(state.snapshot(key)) })
    const dirty = new Set(state.dirty())
    // From here on the keys count as clean: a round that fails leaves the lane broken, so that it is restored.
    this.broken = true
    const isAlone = await snapshots.write({
      input: this.input,
      output: this.output,
      kit: { dedupe: this.dedupe.entries(), outputs: [...this.outputs.values()] },
      keys: [...dirty].map(taken),
      again: snapshots
        .unchanged(this.partition)
        .filter((key) => !dirty.has(key))
        .map(taken),
    })
    this.broken = false
    return isAlone
  }

  /** A partition that changed and then falls silent is snapshotted too. */
  private armTimer(): void {
    if (this.timer || this.sinceRound === 0 || !this.process?.state) return
    const clock = this.context.deps.clock ?? systemClock
    this.timer = clock.after(this.context.options.snapshotEveryMs ?? 5000, () => {
      this.timer = undefined
      this.serially(async () => (this.broken ? undefined : this.snapshot())).catch((error: unknown) =>
        this.context.deps.logger.warn(
          { error, partition: this.partition },
          'a snapshot was not written; the partition is restored before its next batch',
        ),
      )
    })
  }

  private disarm(): void {
    this.timer?.()
    this.timer = undefined
  }

  private serially<R>(work: () => Promise<R>): Promise<R> {
    const result = this.turn.then(work)
    this.turn = result.catch(() => undefined)
    return result
  }

  private noInput(): Mark {
    return { topic: this.context.options.input, partition: this.partition, leaderEpoch: -1, offset: -1, id: '' }
  }
}
