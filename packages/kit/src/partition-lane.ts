// One partition of a process: decode, drop repeats, handle, append outputs in order, snapshot. Holds the marks of the
// last input and outputs; when one of them is gone from its log, state and position come from an older snapshot.

import type { Codec } from './codec-port.ts'
import { deadLetter } from './dead-letters.ts'
import { AndonError, LogError } from './errors.ts'
import type { Batch, Emitter, Input, PartitionProcess, ProcessOptions } from './flow.ts'
import { decodeInput } from './input.ts'
import type { DedupeEntry } from './lineage.ts'
import { DedupeMarks, HEADER, comparePositions, isCovered, outputHeaders, parseCause } from './lineage.ts'
import { isRetriable } from './log/log-error.ts'
import { systemClock } from './log/clock.ts'
import type { Clock } from './log/clock.ts'
import type { Append, Log, LogRecord, Position, RecordBatch, StartAt } from './log/port.ts'
import { holds } from './marks.ts'
import type { Mark } from './marks.ts'
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
  readonly metrics: {
    counter(name: string, help: string, labelNames?: readonly string[]): { inc(labels: Record<string, string>, value?: number): void }
  }
}

export interface LaneContext<T> {
  readonly log: Log
  readonly codec: Codec
  readonly options: ProcessOptions<T>
  readonly deps: ProcessDeps
  readonly group: string
  snapshots(): Promise<Snapshots>
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
  /** The state may have been touched by a try that failed: it is restored before the next one. */
  private broken = false
  private rewriteAll: string[] = []
  private sinceRound = 0
  /** Cancels the next timed round. */
  private timer: (() => void) | undefined
  private turn: Promise<unknown> = Promise.resolve()

  constructor(context: LaneContext<T>, partition: number) {
    this.context = context
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
      const start = this.broken ? await this.settle() : undefined
      if (start !== undefined) return start === 'earliest' ? 0 : Number(start)
      try {
        await this.apply(batch)
      } catch (error) {
        // State may have been touched; an append that failed leaves the outputs before it in doubt as well.
        this.broken = this.process?.state !== undefined || error instanceof LogError
        this.dedupe.restore(this.settled)
        throw error
      }
      if (this.sinceRound >= (this.context.options.snapshotEveryRecords ?? 5000)) await this.snapshot()
      else this.armTimer()
      return undefined
    })
  }

  /** The log may have changed under us: go on if all marks hold, otherwise start from an older snapshot. */
  doubt(): Promise<StartAt | undefined> {
    return this.serially(() => this.settle())
  }

  /** The last round is written unless somebody else may own the partition already. */
  close(lost: boolean): Promise<void> {
    return lost ? this.serially(async () => this.disarm()) : this.roundOff()
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
    if (!held) {
      deps.logger.warn(
        { topic: options.input, partition: this.partition },
        'the log lost records that this partition was built on; going back',
      )
      this.acknowledged = undefined
    } else if (!this.broken || !this.process?.state) {
      this.broken = false
      return undefined
    }
    return this.recover(this.input.offset + 1)
  }

  private async recover(committed: number | undefined): Promise<StartAt> {
    const { log, options } = this.context
    this.process = await options.open(this.partition)
    const state = this.process.state
    if (!state) {
      const start = await startOfStateless(log, this.input, committed, options.outputs ?? [])
      this.forget()
      for (const mark of start.outputs) this.outputs.set(`${mark.topic}/${mark.partition}`, mark)
      this.origin = start.input
      return start.at
    }
    const found = await (await this.context.snapshots()).recover(options.input, this.partition)
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
    // Rounds that no longer hold must not outlive this one in a compacted log.
    if (found.rejected) this.rewriteAll = found.keys.map(({ key }) => key)
    return found.input.offset + 1
  }

  /** What was known about the input and the outputs before: a recovered lane starts without it. */
  private forget(): void {
    this.outputs = new Map()
    this.output = undefined
    this.input = this.noInput()
    this.origin = undefined
    this.rewriteAll = []
    this.sinceRound = 0
    this.settled = []
    this.dedupe.restore([])
    this.broken = false
  }

  private async apply(batch: RecordBatch): Promise<void> {
    let inputs: Input<T>[] = []
    let last: LogRecord | undefined
    for (const record of batch.records) {
      // A batch that is tried again after part of it was applied.
      if (comparePositions(record, this.input) <= 0) continue
      let input: Input<T>
      try {
        const decoded = decodeInput<T>(this.context.codec, record)
        input = decoded instanceof Promise ? await decoded : decoded
      } catch (error) {
        if (isRetriable(error)) throw error
        await this.step(inputs, last)
        inputs = []
        await this.reject(record, error)
        last = record
        continue
      }
      last = record
      if (this.dedupe.admit(parseCause(record.header(HEADER.cause)), input.lane)) inputs.push(input)
      else this.count('andon_kit_repeats_total', 'Input records dropped as repeats', 1)
    }
    await this.step(inputs, last)
  }

  /** Handles inputs and appends what they gave; afterwards everything up to `last` is applied. */
  private async step(inputs: Input<T>[], last: LogRecord | undefined): Promise<void> {
    if (inputs.length > 0) {
      const batch: Batch<T> = { topic: this.context.options.input, partition: this.partition, inputs }
      await this.publish(await this.process!.handle(batch))
      this.count('andon_kit_inputs_total', 'Input records handled', inputs.length)
    }
    this.settled = this.dedupe.entries()
    if (!last) return
    this.input = this.markOf(last)
    this.sinceRound += inputs.length
  }

  private async publish(emitted: Emitter): Promise<void> {
    const { log, codec, options } = this.context
    const records: Append[] = []
    const ids: string[] = []
    let newest: (Position & { index: number }) | undefined
    for (const { cause, index, output } of emitted.outputs) {
      if (newest && comparePositions(cause.position, newest) < 0)
        throw new AndonError(
          'ANDON_KIT_OUTPUT_ORDER',
          `${options.service} emitted ${output.type} ${output.id} for a record before the previous output's: outputs come in the order of their causes`,
        )
      newest = { ...cause.position, index }
      if (isCovered(this.acknowledged, cause.position, index)) continue
      ids.push(output.id)
      records.push({
        topic: output.topic,
        key: output.key,
        value: codec.encode(output.topic, output.value),
        headers: outputHeaders(cause, index, output, options.service),
        timestampMs: cause.timestampMs,
        ...(output.partition === undefined ? {} : { partition: output.partition }),
      })
    }
    if (records.length === 0) return
    const appended = await log.append(records, { after: [...this.outputs.values()] })
    this.acknowledged = newest
    for (const { index, place } of appended.newest()) {
      const mark = { ...place, id: ids[index]! }
      this.outputs.set(`${place.topic}/${place.partition}`, mark)
      if (index === records.length - 1) this.output = mark
    }
    this.count('andon_kit_outputs_total', 'Records appended by the processing loop', records.length)
  }

  private async reject(record: LogRecord, error: unknown): Promise<void> {
    const { log, options, group, deps } = this.context
    await log.append([deadLetter(record, group, error)])
    deps.logger.warn({ topic: record.topic, partition: record.partition, offset: record.offset, error }, 'record dead-lettered')
    this.count('andon_kit_dead_letters_total', 'Input records that could not be decoded', 1)
    options.onDeadLetter?.(this.partition, record.key)
    this.sinceRound++
  }

  private async snapshot(): Promise<void> {
    const state = this.process?.state
    this.disarm()
    if (!state || this.sinceRound === 0) return
    const keys = [...new Set([...state.dirty(), ...this.rewriteAll])].map((key) => ({
      key,
      version: state.version,
      state: Uint8Array.from(state.snapshot(key)),
    }))
    // From here on the keys count as clean: a round that fails leaves the lane broken, so that it is restored.
    this.broken = true
    const snapshots = await this.context.snapshots()
    await snapshots.write({
      input: this.input,
      output: this.output,
      kit: { dedupe: this.dedupe.entries(), outputs: [...this.outputs.values()] },
      keys,
    })
    this.broken = false
    this.rewriteAll = []
    this.sinceRound = 0
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

  private markOf(record: LogRecord): Mark {
    return {
      topic: record.topic,
      partition: record.partition,
      leaderEpoch: record.leaderEpoch,
      offset: record.offset,
      id: record.header(HEADER.id) ?? '',
      timestampMs: record.timestampMs,
    }
  }

  private noInput(): Mark {
    return { topic: this.context.options.input, partition: this.partition, leaderEpoch: -1, offset: -1, id: '' }
  }

  private count(name: string, help: string, value: number): void {
    this.context.deps.metrics.counter(name, help, ['topic']).inc({ topic: this.context.options.input }, value)
  }
}
