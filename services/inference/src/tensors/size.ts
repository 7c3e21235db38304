// Whether a tensor's bytes are what its shape and datatype say. Says it with the tensor's name, what is expected and what was found.

import { invalidTensor } from '../errors.ts'
import { countBytes } from './bytes.ts'
import { elementBytes, elementCount, isDatatype } from './tensors.ts'

interface SizedTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** Throws where a dimension is no size, the datatype is none, or the bytes are more or fewer than the shape has elements. */
export const checkSize = ({ name, datatype, shape, bytes }: SizedTensor): void => {
  const fail = (expected: string, got: string): Error =>
    invalidTensor(`input ${name}: expected ${expected}, got ${got}`, { tensor: name, expected, got })
  if (!isDatatype(datatype)) throw fail('a datatype of the protocol', datatype === '' ? 'none' : datatype)
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) throw fail('dimensions of 0 and above', shapeText(shape))
  const count = elementCount(shape)
  const perElement = elementBytes(datatype)
  if (perElement !== undefined) {
    if (bytes.byteLength !== count * perElement)
      throw fail(`${count * perElement} bytes for shape ${shapeText(shape)}`, `${bytes.byteLength} bytes`)
    return
  }
  const found = countBytes(bytes)
  if (found.brokenAt !== undefined)
    throw fail(
      'elements of a 4-byte length and as many bytes',
      `one at byte ${found.brokenAt} of ${bytes.byteLength} that ends after the tensor`,
    )
  if (found.count !== count) throw fail(`${count} elements for shape ${shapeText(shape)}`, `${found.count} elements`)
}

export const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`
