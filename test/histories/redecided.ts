// The recorded partitions of `actions`, decided again by today's kernel and policies.

import type { Actions } from '@andon/schemas'
import { type Difference, type Rules, redecide } from '../../services/actions/src/redecide.ts'
import type { HistoryDifference } from './differences.ts'
import { type History, byPartition } from './history.ts'

export interface Redecided {
  /** Decisions and execution facts that were compared. */
  readonly compared: number
  /** What today's rules write, per partition in order; unsigned. */
  readonly facts: readonly Actions[]
  readonly differences: readonly HistoryDifference[]
}

export const redecided = (history: History, rules?: Rules): Redecided => {
  const documents = history.config.map(({ record, value }) => ({ record: value, publishedUs: record.timestampMs * 1000 }))
  const partitions = [...byPartition(history.actions)].map(([partition, records]) => {
    const entries = records.map(({ record, value }) => ({ record: value, offset: record.offset, appendedUs: record.timestampMs * 1000 }))
    return { partition, ...redecide(entries, documents, rules) }
  })
  return {
    compared: partitions.reduce((sum, { compared }) => sum + compared, 0),
    facts: partitions.flatMap(({ facts }) => facts),
    differences: partitions.flatMap(({ partition, differences }) => differences.map((each) => told(partition, each))),
  }
}

const told = (partition: number, { offset, request, path, expected, found }: Difference): HistoryDifference => ({
  of: 'actions',
  at: `${partition}/${offset}`,
  about: request ? `${request.type} ${request.id} by ${request.by} on ${request.line}` : 'a deadline or an execution',
  path,
  expected,
  found,
})
