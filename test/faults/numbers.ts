// The plain work of fault runs: numbers, in order per partition, and what a service makes of them. Whoever verifies works
// everything out again from the numbers.

import type { Append, Log, LogRecord } from '@andon/kit'
import type { FoundRecord } from '../harness/record-ledger.ts'

/** A record of `numbers`. */
export interface NumberRecord {
  readonly number: number
}

/** A record of `totals`: the number that caused it, and count and sum of its key up to it. */
export interface TotalRecord extends NumberRecord {
  readonly count: number
  readonly sum: number
}

export const PARTITIONS = 3
const KEYS_PER_PARTITION = 16

export const partitionOfNumber = (number: number): number => number % PARTITIONS
export const keyOfNumber = (number: number): string => `k${number % (PARTITIONS * KEYS_PER_PARTITION)}`

const appendOf = (number: number): Append => ({
  topic: 'numbers',
  partition: partitionOfNumber(number),
  key: keyOfNumber(number),
  value: Buffer.from(JSON.stringify({ number } satisfies NumberRecord)),
  headers: { ce_id: `number:${number}`, ce_type: 'Number' },
})

/** Records per append. */
const BATCH = 500

/** Appends the numbers [from, to); calls back with what the brokers have acknowledged so far. */
export const appendNumbers = async (log: Log, from: number, to: number, onAcknowledged?: (number: number) => void): Promise<void> => {
  for (let first = from; first < to; first += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, to - first) }, (_, i) => first + i)
    await log.append(numbers.map(appendOf))
    for (const number of numbers) onAcknowledged?.(number)
  }
}

export const ensureNumberTopics = (log: Log): Promise<void> =>
  log.admin.ensureTopics(['numbers', 'totals'].map((name) => ({ name, partitions: PARTITIONS })))

const parse = <T>(record: LogRecord): T => JSON.parse(record.value?.toString() ?? 'null') as T

/** The number that a record of either topic is about. */
export const numberOf = (record: LogRecord): number => parse<NumberRecord>(record).number

/** Records of `numbers` as the verifier takes them. */
export const foundNumbers = (records: readonly LogRecord[]): FoundRecord[] =>
  records.map((record) => {
    const number = numberOf(record)
    return { id: `number ${number}`, lane: `numbers/${record.partition}`, number, content: record.value?.toString() ?? '' }
  })

/**
 * Records of `totals`. With `dedupe` as readers see them: one mark per input partition, and what does not lie above it
 * counts as a repeat - which has to be byte for byte what came before, otherwise it is told.
 */
export const foundTotals = (
  records: readonly LogRecord[],
  dedupe: boolean,
): { found: FoundRecord[]; repeats: number; problems: string[] } => {
  const found: FoundRecord[] = []
  const problems: string[] = []
  const marks = new Map<string, readonly number[]>()
  const contents = new Map<string, string>()
  let repeats = 0
  for (const record of records) {
    const { number } = parse<TotalRecord>(record)
    const content = record.value?.toString() ?? ''
    const one = { id: `total ${number}`, lane: `totals/${record.partition}`, number, content }
    if (dedupe) {
      const cause = (record.header('andon-cause') ?? '').split('/')
      const place = cause.slice(2).map(Number)
      const upstream = `${cause[1]}`
      if (isAtMost(place, marks.get(upstream))) {
        repeats++
        const before = contents.get(one.id)
        if (before !== undefined && before !== content) problems.push(`${one.id} came again with other bytes`)
        continue
      }
      marks.set(upstream, place)
    }
    contents.set(one.id, content)
    found.push(one)
  }
  return { found, repeats, problems }
}

const isAtMost = (place: readonly number[], mark: readonly number[] | undefined): boolean => {
  if (mark === undefined) return false
  for (let i = 0; i < place.length; i++) if (place[i] !== mark[i]) return (place[i] as number) < (mark[i] as number)
  return true
}

/** Count and sum of each key of a partition up to an offset of `numbers`, as the service keeps them. */
export const totalsUpTo = (numbers: readonly LogRecord[], partition: number, offset: number): Map<string, string> => {
  const kept = new Map<string, { count: number; sum: number }>()
  for (const record of numbers) {
    if (record.partition !== partition || record.offset > offset) continue
    const { number } = parse<NumberRecord>(record)
    const { count, sum } = kept.get(keyOfNumber(number)) ?? { count: 0, sum: 0 }
    kept.set(keyOfNumber(number), { count: count + 1, sum: sum + number })
  }
  return new Map([...kept].map(([key, total]) => [key, JSON.stringify(total)]))
}

/** Works all totals out again from the numbers as they lie on the log; tells the first ones that differ. */
export const wrongTotals = (numbers: readonly LogRecord[], totals: readonly FoundRecord[]): string[] => {
  const expected = new Map<string, string>()
  const kept = new Map<string, { count: number; sum: number }>()
  for (const record of numbers) {
    const { number } = parse<NumberRecord>(record)
    const key = keyOfNumber(number)
    const before = kept.get(key) ?? { count: 0, sum: 0 }
    const total = { count: before.count + 1, sum: before.sum + number }
    kept.set(key, total)
    expected.set(`total ${number}`, JSON.stringify({ number, ...total } satisfies TotalRecord))
  }
  return totals
    .filter(({ id, content }) => expected.get(id) !== content)
    .slice(0, 3)
    .map(({ id, content }) => `${id} is ${content}, its numbers make ${expected.get(id) ?? 'none'}`)
}
