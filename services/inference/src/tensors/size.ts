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

/** What does not fit, in words for a message. */
export interface SizeFault {
  readonly expected: string
  readonly got: string
}

/** What is wrong where a dimension is no size, the datatype is none, or the bytes are more or fewer than the shape has elements. */
export const sizeFault = ({ datatype, shape, bytes }: SizedTensor): SizeFault | undefined => {
  if (!isDatatype(datatype)) return { expected: 'a datatype of the protocol', got: datatype === '' ? 'none' : datatype }
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    return { expected: 'dimensions of 0 and above', got: shapeText(shape) }
  const count = elementCount(shape)
  const perElement = elementBytes(datatype)
  if (perElement !== undefined) {
    if (bytes.byteLength === count * perElement) return undefined
    return { expected: `${count * perElement} bytes for shape ${shapeText(shape)}`, got: `${bytes.byteLength} bytes` }
  }
  const found = countBytes(bytes)
  if (found.brokenAt !== undefined) {
    const got = `one at byte ${found.brokenAt} of ${bytes.byteLength} that ends after the tensor`
    return { expected: 'elements of a 4-byte length and as many bytes', got }
  }
  if (found.count === count) return undefined
  return { expected: `${count} elements for shape ${shapeText(shape)}`, got: `${found.count} elements` }
}

/** Throws what `sizeFault` finds in an input of a request. */
export const checkSize = (tensor: SizedTensor): void => {
  const fault = sizeFault(tensor)
  if (fault === undefined) return
  const { expected, got } = fault
  throw invalidTensor(`input ${tensor.name}: expected ${expected}, got ${got}`, { tensor: tensor.name, expected, got })
}

export const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`
