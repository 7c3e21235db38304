// Between a simulated sensor and ingest: keeps readings in order until they are acknowledged, and sends them again, under the
// same numbers, when they are not. What a careful device does: nothing acknowledged is sent twice on purpose, nothing unsent is lost
// while ingest is away, and only what has become older than the buffer is dropped (and counted).

import { setTimeout as sleep } from 'node:timers/promises'
import type { Reading } from './reading.ts'

/** Thrown by `deliver` when sending the same batch again cannot help; the batch is dropped and counted. */
export class BatchRefused extends Error {}

export interface OutboxOptions {
  readonly source: string
  /** Resolves when the receiver has acknowledged the whole batch, with the number it put aside as invalid. */
  readonly deliver: (batch: readonly Reading[], signal: AbortSignal) => Promise<{ quarantined: number }>
  readonly maxBatch: number
  /** Oldest readings beyond this are dropped. */
  readonly maxWaiting: number
  /** Called once when delivery starts failing, and once when it works again. */
  readonly onTrouble?: (error: Error | undefined) => void
  readonly retryMs?: { readonly first: number; readonly most: number }
}

export interface OutboxCounts {
  readonly waiting: number
  readonly acknowledged: number
  readonly quarantined: number
  readonly refused: number
  readonly dropped: number
}

/** Numbers of one epoch that the receiver has acknowledged, inclusive. */
export interface AcknowledgedRange {
  readonly epoch: number
  readonly from: number
  readonly to: number
}

export interface Outbox {
  add(readings: readonly Reading[]): void
  counts(): OutboxCounts
  /** What the sender was told is safe; a batch with quarantined readings is left out, since the answer does not name them. */
  acknowledged(): readonly AcknowledgedRange[]
  /** Ends the delivery in hand; what is still waiting is forgotten. */
  stop(): Promise<void>
}

export const openOutbox = ({
  source,
  deliver,
  maxBatch,
  maxWaiting,
  onTrouble = () => {},
  retryMs = { first: 200, most: 5000 },
}: OutboxOptions): Outbox => {
  const stopping = new AbortController()
  let waiting: Reading[] = []
  let acknowledged = 0
  const ranges: AcknowledgedRange[] = []
  let quarantined = 0
  let refused = 0
  let dropped = 0
  let wake = () => {}

  const run = async (): Promise<void> => {
    let retryInMs = 0
    while (!stopping.signal.aborted) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      const batch = waiting.slice(0, maxBatch)
      try {
        const answer = await deliver(batch, stopping.signal)
        acknowledged += batch.length
        quarantined += answer.quarantined
        if (answer.quarantined === 0) for (const reading of batch) extend(ranges, reading)
        if (retryInMs > 0) onTrouble(undefined)
        retryInMs = 0
      } catch (error) {
        if (stopping.signal.aborted) return
        if (!(error instanceof BatchRefused)) {
          if (retryInMs === 0) onTrouble(error instanceof Error ? error : new Error(String(error)))
          retryInMs = Math.min(retryMs.most, retryInMs * 2 || retryMs.first)
          await sleep(retryInMs, undefined, { signal: stopping.signal }).catch(() => {})
          continue
        }
        onTrouble(error)
        refused += batch.length
      }
      // Not slice(maxBatch): the oldest may have been dropped meanwhile.
      const done = new Set(batch)
      waiting = waiting.filter((reading) => !done.has(reading))
    }
  }
  const ended = run()

  return {
    add(readings) {
      if (readings.length === 0) return
      for (const reading of readings) {
        if (reading.source !== source) throw new Error(`Outbox of ${source} got a reading of ${reading.source}`)
      }
      waiting.push(...readings)
      if (waiting.length > maxWaiting) dropped += waiting.splice(0, waiting.length - maxWaiting).length
      wake()
    },
    counts: () => ({ waiting: waiting.length, acknowledged, quarantined, refused, dropped }),
    acknowledged: () => ranges,
    async stop() {
      stopping.abort()
      wake()
      await ended
    },
  }
}

const extend = (ranges: AcknowledgedRange[], { epoch, seq }: Reading): void => {
  const last = ranges.at(-1)
  if (last?.epoch === epoch && last.to + 1 === seq) ranges[ranges.length - 1] = { epoch, from: last.from, to: seq }
  else ranges.push({ epoch, from: seq, to: seq })
}
