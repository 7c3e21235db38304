// A topic that never ends, for benchmarks that work through more records than a disk should hold: at the end of a partition the run starts
// it again, and offsets go on growing as if the records were new ones. And a meter on appends, which lets a set number of them through.

import type { Log, LogRecord, RecordBatch } from '@andon/kit'

/** A log whose runs read their topics again and again. Everything else is as it was. */
export const endless = (log: Log): Log => ({
  ...log,
  run: (options) => {
    const shifts = new Map<number, number>()
    return log.run({
      ...options,
      onBatch: async (batch, context) => {
        const shift = shifts.get(batch.partition) ?? 0
        await options.onBatch(shifted(batch, shift), context)
        if (batch.nextOffset < batch.highWatermark) return undefined
        shifts.set(batch.partition, shift + batch.highWatermark)
        return 0
      },
    })
  },
})

const shifted = (batch: RecordBatch, shift: number): RecordBatch => {
  let records: LogRecord[] | undefined
  return {
    topic: batch.topic,
    partition: batch.partition,
    count: batch.count,
    nextOffset: batch.nextOffset + shift,
    highWatermark: batch.highWatermark + shift,
    offsetAt: (i) => batch.offsetAt(i) + shift,
    leaderEpochAt: (i) => batch.leaderEpochAt(i),
    timestampMsAt: (i) => batch.timestampMsAt(i),
    keyAt: (i) => batch.keyAt(i),
    valueAt: (i) => batch.valueAt(i),
    sourceAt: (i) => batch.sourceAt(i),
    valueStartAt: (i) => batch.valueStartAt(i),
    valueEndAt: (i) => batch.valueEndAt(i),
    headerAt: (i, name) => batch.headerAt(i, name),
    get records() {
      records ??= batch.records.map((record, i) => ({
        topic: record.topic,
        partition: record.partition,
        leaderEpoch: record.leaderEpoch,
        offset: batch.offsetAt(i) + shift,
        timestampMs: record.timestampMs,
        key: record.key,
        value: record.value,
        header: (name: string) => record.header(name),
        headers: () => record.headers(),
      }))
      return records
    },
  }
}

/** Lets work through in portions: closed until `advance` says how many more records may be appended. */
export class Meter {
  private done = 0
  private target = 0
  private inFlight = 0
  private opened = Promise.withResolvers<void>()
  private reached = Promise.withResolvers<void>()

  /** Holds an append back while the meter is closed, then counts what it appended. */
  async append<T>(count: number, send: () => Promise<T>): Promise<T> {
    while (this.done >= this.target) await this.opened.promise
    this.inFlight++
    const appended = await send()
    this.done += count
    this.inFlight--
    if (this.done >= this.target && this.inFlight === 0) this.reached.resolve()
    return appended
  }

  /** Lets at least `records` more through and returns how many it were, once all of them are acknowledged. */
  async advance(records: number): Promise<number> {
    const before = this.done
    this.target = before + records
    this.reached = Promise.withResolvers()
    this.opened.resolve()
    this.opened = Promise.withResolvers()
    await this.reached.promise
    return this.done - before
  }

  /** Lets everything through from now on, so that what waits can end. */
  release(): void {
    this.target = Number.POSITIVE_INFINITY
    this.opened.resolve()
  }
}

/** A log whose appends pass the meter. */
export const metered = (log: Log, meter: Meter): Log => ({
  ...log,
  append: (records, options) => meter.append(records.length, () => log.append(records, options)),
})
