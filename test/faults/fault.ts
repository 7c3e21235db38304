// What a fault run is: something done to real processes, judged afterwards from the outside. One run gives one line per variant.

import type { RecordVerdict } from '../harness/record-ledger.ts'

export type ClientName = 'kafkajs' | 'platformatic'

export interface FaultOptions {
  /** Decides when and whom a fault hits; the same seed draws the same plan. */
  readonly seed: number
  /** Share of the full record counts, above 0 and at most 1. */
  readonly scale: number
  /** Kafka client of the processes under test. */
  readonly client: ClientName
  /** Brokers of the cluster, for faults that run on one node and on three. */
  readonly nodes: 1 | 3
  /** Says what happens, for people who wait. */
  readonly note: (text: string) => void
}

export interface FaultResult {
  readonly verdict: RecordVerdict
  /** Longest time from the end of a fault until work went on, seconds; null where nothing has to recover. */
  readonly recoveredS: number | null
  /** Demands beside those of the ledger that were not met; empty = none. */
  readonly broken: readonly string[]
  readonly detail?: Readonly<Record<string, unknown>>
}

export interface Fault {
  readonly id: string
  /** One sentence: what is done, and what has to hold. */
  readonly title: string
  /** Part of `faults -- ci`, with this share of the records. */
  readonly ciScale?: number
  /** `core` runs it once per entry; default: one node, kafkajs. */
  readonly variants?: readonly Pick<FaultOptions, 'nodes' | 'client'>[]
  readonly run: (options: FaultOptions) => Promise<FaultResult>
}

/** One line of `--json` (DESIGN.md §10). */
export interface FaultLine {
  readonly fault: string
  readonly seed: number
  readonly acknowledged: number
  readonly lost: number
  readonly duplicates: number
  readonly misordered: number
  readonly recoveredS: number | null
  readonly pass: boolean
  /** What did not hold. */
  readonly why?: readonly string[]
  readonly detail?: Readonly<Record<string, unknown>>
}

export const lineOf = (fault: string, seed: number, { verdict, recoveredS, broken, detail }: FaultResult): FaultLine => {
  const why = [...broken, ...verdict.problems]
  return {
    fault,
    seed,
    acknowledged: verdict.acknowledged,
    lost: verdict.lost,
    duplicates: verdict.duplicates,
    misordered: verdict.misordered,
    recoveredS: recoveredS === null ? null : Math.round(recoveredS * 10) / 10,
    pass: why.length === 0,
    ...(why.length === 0 ? {} : { why: why.slice(0, 5) }),
    ...(detail === undefined ? {} : { detail }),
  }
}
