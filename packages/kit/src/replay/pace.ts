// How fast a replay goes: as fast as it can, or `1x`, as far apart as the records were received.

import { setTimeout as wait } from 'node:timers/promises'
import type { RecordBatch } from '../log/port.ts'
import { RecordList } from '../log/record-list.ts'

export interface ReplayClock {
  nowMs(): number
  /** Resolves after a time, or at once when the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const systemClock: ReplayClock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => wait(ms, undefined, { signal }).catch(() => undefined),
}

/** At 1x records that lie closer together than this are handed on together. */
const SLICE_MS = 100

export class Pace {
  private readonly clock: ReplayClock
  private readonly isPaced: boolean
  /** Record time and our time at the first paced record of this process. */
  private origin: { readonly recordMs: number; readonly nowMs: number } | undefined

  constructor(speed: 'max' | '1x', clock: ReplayClock) {
    this.isPaced = speed === '1x'
    this.clock = clock
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return this.clock.sleep(ms, signal)
  }

  /** The batch in parts that are due together. */
  cut(batch: RecordBatch): RecordBatch[] {
    if (!this.isPaced || batch.count === 0) return [batch]
    const parts: RecordBatch[] = []
    for (let from = 0; from < batch.count;) {
      let to = from + 1
      while (to < batch.count && batch.timestampMsAt(to) < batch.timestampMsAt(from) + SLICE_MS) to++
      const next = to === batch.count ? batch.nextOffset : batch.offsetAt(to)
      parts.push(new RecordList(batch.topic, batch.partition, batch.records.slice(from, to), next, batch.highWatermark))
      from = to
    }
    return parts
  }

  /** Waits until a part is due. Records below `fromOffset` only build state: they are not waited for. */
  async until(batch: RecordBatch, fromOffset: number, signal: AbortSignal): Promise<void> {
    if (!this.isPaced || batch.count === 0 || batch.offsetAt(0) < fromOffset) return
    const recordMs = batch.timestampMsAt(0)
    this.origin ??= { recordMs, nowMs: this.clock.nowMs() }
    const dueMs = this.origin.nowMs + (recordMs - this.origin.recordMs)
    const leftMs = dueMs - this.clock.nowMs()
    if (leftMs > 0) await this.clock.sleep(leftMs, signal)
  }
}
