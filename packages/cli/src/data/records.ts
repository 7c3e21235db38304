// Records at known places.

import type { Log, LogRecord } from '@andon/kit'

export interface Place {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** The records at places of one partition, in the places' order; one that is gone is left out. Reads the range between them. */
export const recordsAt = async (log: Log, places: readonly Place[]): Promise<LogRecord[]> => {
  const [first] = places
  if (first === undefined) return []
  const offsets = places.map(({ offset }) => offset)
  const wanted = new Set(offsets)
  const found = new Map<number, LogRecord>()
  const range = { topic: first.topic, partition: first.partition, from: Math.min(...offsets), to: Math.max(...offsets) + 1 }
  for await (const batch of log.read(range))
    for (const record of batch.records) if (wanted.has(record.offset)) found.set(record.offset, record)
  return offsets.flatMap((offset) => found.get(offset) ?? [])
}

/** Consecutive items of one partition each, at most `size` together. */
export const chunksByPartition = <T>(items: readonly T[], partitionOf: (item: T) => number, size: number): T[][] => {
  const chunks: T[][] = []
  for (const item of items) {
    const last = chunks.at(-1)
    if (last !== undefined && last.length < size && partitionOf(last[0] as T) === partitionOf(item)) last.push(item)
    else chunks.push([item])
  }
  return chunks
}
