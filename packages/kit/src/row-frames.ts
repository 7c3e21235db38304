// Rows of a recording on their way between a command and the tool that reads them: packed columns beside the times as they were
// written. One frame holds some thousand rows, so a pipe holds few of them.

/** One window as it was judged, on its way back: one of a JSON list. */
export interface JudgedWindow {
  readonly assetId: string
  readonly windowEndUs: number
  readonly outcome: string
  readonly ratio: number | null
  readonly pValue: number | null
  readonly isOpen: boolean
  readonly episodeId: string | null
  readonly severity: number | null
  readonly faultMode: string | null
  readonly changed: boolean
  readonly isNewRegime: boolean
  /** Only where the window is above the line or in an episode. */
  readonly contributions: readonly JudgedContribution[]
}

export interface JudgedContribution {
  readonly name: string
  readonly share: number
  readonly value: number
  readonly low: number | null
  readonly high: number | null
}

export interface RowChunk {
  readonly rows: number
  /** Numbers per row. */
  readonly width: number
  /** Place in the list of assets. */
  readonly asset: Int32Array
  /** Event time on which the row is judged: grows with every row of an asset. */
  readonly timesUs: Float64Array
  /** 1 = labelled abnormal, 0 = not. */
  readonly labels: Uint8Array
  /** Row after row. */
  readonly values: Float64Array
  /** The time column as the file has it. */
  readonly times: readonly string[]
}

export const packRows = ({ rows, width, asset, timesUs, labels, values, times }: RowChunk): Buffer => {
  const text = Buffer.from(JSON.stringify(times))
  const out = Buffer.allocUnsafe(8 + rows * (4 + 8 + 1 + 8 * width) + text.length)
  let at = out.writeUInt32LE(rows, 0)
  at = out.writeUInt32LE(width, at)
  for (const part of [timesUs.subarray(0, rows), values.subarray(0, rows * width), asset.subarray(0, rows), labels.subarray(0, rows)]) {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    bytes.copy(out, at)
    at += bytes.length
  }
  text.copy(out, at)
  return out
}

export const unpackRows = (body: Buffer): RowChunk => {
  const rows = body.readUInt32LE(0)
  const width = body.readUInt32LE(4)
  // Copied: typed arrays need their alignment.
  const bytes = Uint8Array.prototype.slice.call(body, 8)
  let at = 0
  const next = (length: number): number => {
    const from = at
    at += length
    return from
  }
  const timesUs = new Float64Array(bytes.buffer, next(8 * rows), rows)
  const values = new Float64Array(bytes.buffer, next(8 * rows * width), rows * width)
  const asset = new Int32Array(bytes.buffer, next(4 * rows), rows)
  const labels = bytes.subarray(next(rows), at)
  return { rows, width, timesUs, values, asset, labels, times: JSON.parse(Buffer.from(bytes.subarray(at)).toString('utf8')) as string[] }
}
