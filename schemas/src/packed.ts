// Packed numbers as vectors, verdicts and predictions carry them: little-endian f64, NaN = could not be computed.

/** The numbers of a packed field, at any alignment; a torn last one is left out. */
export const readDoubles = (bytes: Uint8Array): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: Math.floor(bytes.byteLength / 8) }, (_, i) => view.getFloat64(i * 8, true))
}

export const packDoubles = (values: Float64Array): Buffer => {
  const out = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => out.writeDoubleLE(value, i * 8))
  return out
}
