// Many readings of one source in columns, as bulk formats bring them (Avro bodies, CSV, Parquet, Kafka batches). No object per reading.

import type { Refusal } from './reading.ts'

/** Rows of one source and one layout of scalar channels. */
export interface ReadingColumns {
  readonly source: string
  /** Asset, where the plant file does not name the source's. */
  readonly asset?: string
  /** Epoch and number of the first row; the others follow by one each. Undefined: the door numbers the rows. */
  readonly epoch?: number
  readonly seqFrom?: number
  readonly rows: number
  readonly channels: readonly string[]
  /** Unit per channel as the sender has it (UCUM); undefined where it is the plant's. */
  readonly units?: readonly (string | undefined)[]
  /** Source time per row, microseconds UTC, integers. */
  readonly timesUs: Float64Array
  /** Channel-major: `values[channel * rows + row]`; NaN = missing. */
  readonly values: Float64Array
  /** 0 good, 1 uncertain, 2 bad; undefined = all good. */
  readonly qualities?: Uint8Array
  /** Rows of which the door can say itself why they are no readings: they go to quarantine with that, and their values are not looked at. */
  readonly refused?: ReadonlyMap<number, Refusal>
  /** Bytes that go to quarantine with a refused row. */
  readonly bytesOf: (row: number) => Buffer
}
