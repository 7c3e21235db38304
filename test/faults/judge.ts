// From the log to a verdict: totals as one reader saw them while the fault was on, as another finds them afterwards, and the numbers
// that they have to be made of.

import type { Log, LogRecord } from '@andon/kit'
import { MemoryRecord } from '../../packages/kit/src/log/memory-store.ts'
import { sumVerdicts, verifyRecords } from '../harness/record-ledger.ts'
import type { RecordVerdict } from '../harness/record-ledger.ts'
import { foundNumbers, foundTotals, numberOf, wrongTotals } from './numbers.ts'
import { readTopic } from './rig.ts'

export interface TotalsWatch {
  /** Every record, in the order in which it was read. */
  readonly records: readonly LogRecord[]
  /** Distinct numbers counted so far. */
  distinct(): number
  /** Newest number by partition. */
  readonly newest: ReadonlyMap<number, number>
  /** Reads to the end of the topic and ends. */
  stop(): Promise<void>
}

/** The reader during the fault. */
export const watchTotals = async (log: Log): Promise<TotalsWatch> => {
  const records: LogRecord[] = []
  const newest = new Map<number, number>()
  const seen = new Set<number>()
  const follow = await log.follow({
    topics: ['totals'],
    onBatch: (batch) => {
      for (const record of batch.records) {
        records.push(kept(record))
        const number = numberOf(record)
        newest.set(record.partition, Math.max(number, newest.get(record.partition) ?? -1))
        seen.add(number)
      }
    },
  })
  const stop = async (): Promise<void> => {
    await follow.caughtUp()
    await follow.stop()
  }
  return { records, distinct: () => seen.size, newest, stop }
}

/** What a follower is handed lies in a buffer that is used again. */
const kept = (record: LogRecord): LogRecord => {
  const { topic, partition, timestampMs, key, value } = record
  return new MemoryRecord(topic, partition, record, { timestampMs, key, value: value && Buffer.from(value), headers: record.headers() })
}

/** What the outputs under test promise. */
export interface Promised {
  /** Readers drop repeats by their marks (effect-once); without it a transaction has to have kept them out. */
  readonly dedupe: boolean
  /** Outputs carry count and sum of their key; without it they are plain copies. */
  readonly sums: boolean
}

export interface Judgement {
  readonly verdict: RecordVerdict
  readonly broken: string[]
  /** Records that readers dropped by their marks. */
  readonly repeats: number
}

/** Readers during and after the fault are judged alike, and the numbers themselves as well. */
export const judgeTotals = async (
  log: Log,
  acknowledged: ReadonlySet<string>,
  during: readonly LogRecord[],
  { dedupe, sums }: Promised,
): Promise<Judgement> => {
  const numbers = await readTopic(log, 'numbers')
  const after = await readTopic(log, 'totals')
  const expected = new Set([...acknowledged].map((id) => id.replace('number', 'total')))
  const readers = [during, after].map((records) => foundTotals(records, dedupe))
  const verdict = sumVerdicts([
    verifyRecords({ acknowledged, found: foundNumbers(numbers) }),
    ...readers.map(({ found }) => verifyRecords({ acknowledged: expected, found })),
  ])
  const last = readers[1] as (typeof readers)[number]
  const broken = [...readers.flatMap(({ problems }) => problems.slice(0, 3)), ...(sums ? wrongTotals(numbers, last.found) : [])]
  return { verdict, broken, repeats: last.repeats }
}
