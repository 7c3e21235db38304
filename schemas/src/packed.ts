// Packed numbers as vectors, verdicts and predictions carry them: little-endian f64, NaN = could not be computed. Node runs
// on little-endian machines only, so packing is copying.

/** The numbers of a packed field, at any alignment; a torn last one is left out. */
export const readDoubles = (bytes: Uint8Array): Float64Array => {
  const values = new Float64Array(Math.floor(bytes.byteLength / 8))
  new Uint8Array(values.buffer).set(bytes.subarray(0, values.byteLength))
  return values
}

/** Bytes of their own, aligned. */
export const packDoubles = (values: Float64Array): Buffer => Buffer.from(values.slice().buffer)
