// What every format of a file offers to the importer: rows in columns, from any position on.

import type { ColumnPlan } from './column-plan.ts'
import type { RowBatch } from './row-batch.ts'

/** Where reading goes on: a byte of a text file, a row of a Parquet file; and the number of the row there. */
export interface Position {
  readonly at: number
  readonly row: number
}

export interface RowSource {
  readonly plan: ColumnPlan
  /** Position of the first row. */
  readonly start: Position
  /** What `Position.at` reaches at the end, for progress. */
  readonly end: number
  /** Channels of the long form so far, in the order of a batch's `longChannels`. */
  longChannels(): readonly string[]
  newBatch(): RowBatch
  /** Clears the batch and fills it from a position on; gives the position behind its last row. A batch without rows: the end. */
  read(batch: RowBatch, from: Position): Promise<Position>
  close(): Promise<void>
}

/** A source that has been looked at from end to end. */
export interface SurveyedFile {
  readonly sha256: string
  readonly bytes: number
}
