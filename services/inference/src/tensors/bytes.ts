// BYTES tensors: each element is its length, 4 bytes little-endian, and its bytes.

import { isUtf8 } from 'node:buffer'
import { invalidTensor } from '../errors.ts'

export const packBytes = (elements: readonly Uint8Array[]): Uint8Array => {
  const packed = new Uint8Array(elements.reduce((sum, { byteLength }) => sum + 4 + byteLength, 0))
  const view = new DataView(packed.buffer)
  let at = 0
  for (const element of elements) {
    view.setUint32(at, element.byteLength, true)
    packed.set(element, at + 4)
    at += 4 + element.byteLength
  }
  return packed
}

/** How many whole elements the bytes hold, or where they end in the middle of one. Allocates nothing, whatever the lengths say. */
export const countBytes = (packed: Uint8Array): { readonly count: number; readonly brokenAt?: number } => {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  let count = 0
  let at = 0
  while (at < packed.byteLength) {
    if (at + 4 > packed.byteLength) return { count, brokenAt: at }
    const next = at + 4 + view.getUint32(at, true)
    if (next > packed.byteLength) return { count, brokenAt: at }
    at = next
    count++
  }
  return { count }
}

/** The first element that is no text the runtime can take; the tensor is whole. */
export const firstNoText = (packed: Uint8Array): { readonly element: number; readonly isUtf8: boolean } | undefined => {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  for (let at = 0, element = 0; at < packed.byteLength; element++) {
    const bytes = packed.subarray(at + 4, at + 4 + view.getUint32(at, true))
    const isText = isUtf8(bytes)
    if (!isText || bytes.includes(0)) return { element, isUtf8: isText }
    at += 4 + bytes.byteLength
  }
  return undefined
}

/** The elements, as views of the given bytes. */
export const unpackBytes = (packed: Uint8Array): Uint8Array[] => {
  const { brokenAt } = countBytes(packed)
  if (brokenAt !== undefined)
    throw invalidTensor(`BYTES: expected a 4-byte length and as many bytes, got an element at byte ${brokenAt} that ends after the tensor`)
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const elements: Uint8Array[] = []
  for (let at = 0; at < packed.byteLength;) {
    const length = view.getUint32(at, true)
    elements.push(packed.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return elements
}
