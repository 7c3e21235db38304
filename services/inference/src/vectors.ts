// Feature vectors as scoring sees them, whether they came from the log or from the store of latest vectors.

/** What scoring needs of a vector. */
export interface ScorableVector {
  readonly assetId: string
  readonly featureSetDigest: string
  readonly names: readonly string[]
  /** Packed little-endian f64 per name; NaN = could not be computed. */
  readonly values: Uint8Array
}

/** Packed little-endian f64, at any alignment, as numbers. */
export const readDoubles = (bytes: Uint8Array): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: Math.floor(bytes.byteLength / 8) }, (_, i) => view.getFloat64(i * 8, true))
}

export const packDoubles = (values: Float64Array): Buffer => {
  const out = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => out.writeDoubleLE(value, i * 8))
  return out
}
