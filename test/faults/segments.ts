// What a power loss or a dying disk does to a broker's files, while the broker is down: tails cut off, batches torn, bits flipped.

import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const LENGTH_AT = 8
const LAST_OFFSET_DELTA_AT = 23
/** Offset and length come before what the length counts. */
const PREFIX_BYTES = 12

export interface StoredBatch {
  readonly start: number
  readonly end: number
  readonly lastOffset: number
}

/** The first segment of a partition; fault runs stay within it. */
export const segmentFile = (kafkaDir: string, topic: string, partition: number): string =>
  join(kafkaDir, 'data', `${topic}-${partition}`, '00000000000000000000.log')

export const batchesIn = (bytes: Buffer): StoredBatch[] => {
  const batches: StoredBatch[] = []
  for (let start = 0; start + 61 <= bytes.length;) {
    const end = start + PREFIX_BYTES + bytes.readInt32BE(start + LENGTH_AT)
    if (end <= start + PREFIX_BYTES || end > bytes.length) break
    batches.push({ start, end, lastOffset: Number(bytes.readBigInt64BE(start)) + bytes.readInt32BE(start + LAST_OFFSET_DELTA_AT) })
    start = end
  }
  return batches
}

/** The partition ends before the batch that holds `offset`: what was never flushed is gone. Gives the number of batches that went. */
export const cutTail = (kafkaDir: string, topic: string, partition: number, offset: number): number => {
  const file = segmentFile(kafkaDir, topic, partition)
  if (!existsSync(file)) return 0
  const batches = batchesIn(readFileSync(file))
  const lost = batches.filter(({ lastOffset }) => lastOffset >= offset)
  if (lost[0] !== undefined) truncateSync(file, lost[0].start)
  return lost.length
}

/** First offset that the partition does not have (any more). */
export const endOffset = (kafkaDir: string, topic: string, partition: number): number => {
  const file = segmentFile(kafkaDir, topic, partition)
  return existsSync(file) ? (batchesIn(readFileSync(file)).at(-1)?.lastOffset ?? -1) + 1 : 0
}

/** The last batch was being written when the power went: only its first half is there. False when there is none. */
export const tearLastBatch = (kafkaDir: string, topic: string, partition: number): boolean => {
  const file = segmentFile(kafkaDir, topic, partition)
  const last = existsSync(file) ? batchesIn(readFileSync(file)).at(-1) : undefined
  if (last === undefined) return false
  truncateSync(file, (last.start + last.end) >> 1)
  return true
}

/** Flips one bit; the same call undoes it. */
export const flipBit = (file: string, byte: number, bit: number): void => {
  const bytes = readFileSync(file)
  bytes[byte] = (bytes[byte] as number) ^ (1 << bit)
  writeFileSync(file, bytes)
}
