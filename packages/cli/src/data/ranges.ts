// Bounded reads over the partitions of a topic: where they begin and end, all partitions merged by record time, and the
// last matching records before the end. Memory holds one batch per partition, whatever the range.

import type { Log, LogRecord } from '@andon/kit'
import { AndonError } from '@andon/kit/errors'
import { parseTimeMs } from './when.ts'

/** [from, to) of one partition. */
export interface PartitionRange {
  readonly partition: number
  readonly from: number
  readonly to: number
}

/** `start`, `end`, `@2026-11-23T08:00:00Z`, `@-10m`, or an offset. */
export type Start = 'start' | 'end' | { readonly timeMs: number } | { readonly offset: number }

export const parseStart = (option: string, text: string, nowMs: number): Start => {
  if (text === 'start' || text === 'end') return text
  if (/^\d+$/.test(text)) return { offset: Number(text) }
  if (text.startsWith('@')) return { timeMs: parseTimeMs(option, text.slice(1), nowMs) }
  throw new AndonError('ANDON_CLI_START', `${option}: expected start, end, @<time>, @-10m or an offset, found "${text}".`, { status: 400 })
}

/**
 * What of a topic lies between `start` and now, or `untilMs` (record time, exclusive). Throws ANDON_CLI_TOPIC when there is
 * no such topic or partition.
 */
export const rangesOf = async (log: Log, topic: string, start: Start, only?: number, untilMs?: number): Promise<PartitionRange[]> => {
  const exists = (await log.admin.topics()).some(({ name }) => name === topic)
  const marks = exists ? (await log.admin.watermarks(topic)).filter(({ partition }) => only === undefined || partition === only) : []
  if (marks.length === 0)
    throw new AndonError(
      'ANDON_CLI_TOPIC',
      `There is no topic ${topic}${only === undefined ? '' : ` with partition ${only}`}. See \`andon topics list\`.`,
    )
  return Promise.all(
    marks.map(async ({ partition, low, high }) => {
      const to = untilMs === undefined ? high : Math.min(high, await log.admin.offsetAt(topic, partition, untilMs))
      const from = await firstOf(log, topic, partition, start, low, high)
      return { partition, from: Math.min(Math.max(from, low), Math.max(to, low)), to }
    }),
  )
}

const firstOf = async (log: Log, topic: string, partition: number, start: Start, low: number, high: number): Promise<number> => {
  if (start === 'start') return low
  if (start === 'end') return high
  return 'offset' in start ? start.offset : log.admin.offsetAt(topic, partition, start.timeMs)
}

async function* recordsOf(log: Log, topic: string, range: PartitionRange): AsyncGenerator<LogRecord> {
  if (range.from >= range.to) return
  for await (const batch of log.read({ topic, ...range })) yield* batch.records
}

/** Records of all ranges, oldest record time first; records of one partition keep their order. */
export async function* mergedByTime(log: Log, topic: string, ranges: readonly PartitionRange[]): AsyncGenerator<LogRecord> {
  const heads: { record: LogRecord; rest: AsyncGenerator<LogRecord> }[] = []
  const insert = (record: LogRecord, rest: AsyncGenerator<LogRecord>): void => {
    let at = heads.length
    while (at > 0 && (heads[at - 1] as { record: LogRecord }).record.timestampMs < record.timestampMs) at--
    heads.splice(at, 0, { record, rest })
  }
  const open = ranges.map((range) => recordsOf(log, topic, range))
  try {
    for (const rest of open) {
      const first = await rest.next()
      if (!first.done) insert(first.value, rest)
    }
    for (let head = heads.pop(); head !== undefined; head = heads.pop()) {
      yield head.record
      const next = await head.rest.next()
      if (!next.done) insert(next.value, head.rest)
    }
  } finally {
    await Promise.all(open.map((rest) => rest.return(undefined)))
  }
}

const LOOK_BACK_RECORDS = 500

/**
 * The last `count` results before the ends of the ranges, oldest record time first. Looks back from each end until it has
 * them or reaches the first record; `select` gives undefined for a record that does not count.
 */
export const lastOf = async <T extends { readonly timestampMs: number }>(
  log: Log,
  topic: string,
  ranges: readonly PartitionRange[],
  count: number,
  select: (record: LogRecord) => Promise<T | undefined>,
): Promise<T[]> => {
  const found: T[] = []
  for (const { partition, from, to } of ranges) {
    const ofPartition: T[][] = []
    let missing = count
    for (let end = to; end > from && missing > 0; end -= LOOK_BACK_RECORDS) {
      const chunk: T[] = []
      for await (const record of recordsOf(log, topic, { partition, from: Math.max(from, end - LOOK_BACK_RECORDS), to: end })) {
        const selected = await select(record)
        if (selected !== undefined) chunk.push(selected)
      }
      const kept = chunk.slice(-missing)
      missing -= kept.length
      ofPartition.unshift(kept)
    }
    found.push(...ofPartition.flat())
  }
  return count === 0 ? [] : found.toSorted((a, b) => a.timestampMs - b.timestampMs).slice(-count)
}
