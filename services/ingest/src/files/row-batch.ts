// Rows taken out of a file, in columns. One batch holds as many as fit and is used again for later ones. Pure.

/** Why a row could not be read. `field` is the column's name, empty for the row as a whole. */
export interface RowFault {
  readonly row: number
  readonly field: string
  readonly found: string
  readonly expected: string
}

/** Values in one batch at most: 2 MiB of them. */
const maxValues = 256 * 1024
const mostRows = 8192
const fewestRows = 256

export class RowBatch {
  readonly capacity: number
  readonly channels: number
  rows = 0
  /** Number of the first row in the file, from 0; empty lines and the header are no rows. */
  firstRow = 0
  /** Number of the row's asset; -1 where it is not known. */
  readonly assets: Int32Array
  readonly timesUs: Float64Array
  /** Channel-major, `values[channel * capacity + row]`; NaN = missing. */
  readonly values: Float64Array
  /** Long form: which channel the row's one value belongs to. */
  readonly longChannels: Int32Array
  readonly qualities: Uint8Array
  anyQuality = false
  /** Ascending by row, one per row. */
  readonly faults: RowFault[] = []
  /** Bytes the rows came in, and where each lies in them. */
  bytes: Buffer
  readonly starts: Int32Array
  readonly ends: Int32Array

  constructor(channels: number, bytes: Buffer) {
    this.channels = channels
    this.capacity = Math.max(fewestRows, Math.min(mostRows, Math.floor(maxValues / channels)))
    this.assets = new Int32Array(this.capacity)
    this.timesUs = new Float64Array(this.capacity)
    this.values = new Float64Array(this.capacity * channels)
    this.longChannels = new Int32Array(this.capacity)
    this.qualities = new Uint8Array(this.capacity)
    this.starts = new Int32Array(this.capacity)
    this.ends = new Int32Array(this.capacity)
    this.bytes = bytes
  }

  /** Forgets its rows. */
  clear(firstRow: number): void {
    this.rows = 0
    this.firstRow = firstRow
    this.anyQuality = false
    this.faults.length = 0
  }

  fault(row: number, field: string, found: string, expected: string): void {
    if (this.faults.at(-1)?.row !== row) this.faults.push({ row, field, found, expected })
  }

  /** The original bytes of a row. Valid until the batch is used again. */
  bytesOf(row: number): Buffer {
    return this.bytes.subarray(this.starts[row], this.ends[row])
  }
}
