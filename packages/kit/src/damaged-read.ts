// Reads a range of a partition around what is damaged in it: a batch that does not match its checksum stays as it is for
// ever, and what lies behind it is as good as before.

import { LogError } from './errors.ts'
import type { Log, ReadRange, RecordBatch } from './log/port.ts'
import { watermarksOf } from './marks.ts'

const isDamage = (error: unknown): boolean =>
  error instanceof LogError && (error.code === 'ANDON_LOG_CORRUPT' || error.code === 'ANDON_LOG_COMPRESSION')

/**
 * As `log.read`; `onDamage` is told the first offset of what is passed over. One damaged batch costs nothing but itself; of
 * several, what lies between them may be passed over too.
 */
export async function* readAround(log: Log, range: ReadRange, onDamage: (offset: number) => void): AsyncGenerator<RecordBatch> {
  const { low, high } = await watermarksOf(log, range.topic, range.partition)
  const to = range.to === 'latest' ? high : Math.min(range.to, high)
  for (let at = range.from === 'earliest' ? low : Math.max(low, range.from); at < to;) {
    try {
      for await (const batch of log.read({ ...range, from: at, to })) {
        yield batch
        at = batch.nextOffset
      }
      return
    } catch (error) {
      if (!isDamage(error)) throw error
      onDamage(at)
      at = await firstReadable(log, range, at, to)
    }
  }
}

/** The first offset behind the damage at `bad`, or `end`: steps that double until one can be read, then halves. */
const firstReadable = async (log: Log, range: ReadRange, bad: number, end: number): Promise<number> => {
  const isReadable = async (from: number): Promise<boolean> => {
    try {
      for await (const _batch of log.read({ ...range, from, to: from + 1 })) break
      return true
    } catch (error) {
      if (!isDamage(error)) throw error
      return false
    }
  }
  let [low, high] = [bad, end]
  for (let step = 1; low + step < end; step *= 2) {
    if (await isReadable(low + step)) {
      high = low + step
      break
    }
    low += step
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await isReadable(middle)) high = middle
    else low = middle
  }
  return high
}
