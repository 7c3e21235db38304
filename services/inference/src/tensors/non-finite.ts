// Finds NaN and infinities in a tensor's bytes, at any alignment: all bits of the exponent are set.

import type { Datatype } from './tensors.ts'

/** Index of the first element that is no finite number; undefined where there is none, or the datatype has none. */
export const firstNonFinite = (datatype: Datatype, bytes: Uint8Array): number | undefined => {
  const size = sizes[datatype as keyof typeof sizes]
  if (size === undefined) return undefined
  const [width, highest, next] = size
  for (let at = width - 1, i = 0; at < bytes.byteLength; at += width, i++) {
    if ((bytes[at]! & highest) === highest && (bytes[at - 1]! & next) === next) return i
  }
  return undefined
}

/** Bytes of an element, and the exponent's bits in its highest and second highest byte. */
const sizes = {
  FP16: [2, 0x7c, 0],
  BF16: [2, 0x7f, 0x80],
  FP32: [4, 0x7f, 0x80],
  FP64: [8, 0x7f, 0xf0],
} as const
