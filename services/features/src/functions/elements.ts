// Elements of a series as doubles. Floats are widened first, so that every loop behind this sees one kind of array, which is
// what keeps it fast, and floats and doubles of equal value give equal bits.

import type { Series } from './kernel.ts'

/** Elements of the series: of all its rows together. */
export const elementCount = ({ rows, width, elements }: Series): number => (width > 0 ? rows * width : elements.length)

/** Scratch memory for one array that grows to the longest window it was asked for. */
export const scratchArray = (): ((length: number) => Float64Array) => {
  let memory = new Float64Array(1024)
  return (length) => {
    if (memory.length < length) memory = new Float64Array(2 ** Math.ceil(Math.log2(length)))
    return memory
  }
}

/** The elements themselves where they are doubles, else a copy in `into`. At least `count` of them are there. */
export const doublesOf = ({ elements }: Series, count: number, into: (length: number) => Float64Array): Float64Array => {
  if (elements instanceof Float64Array) return elements
  const doubles = into(count)
  doubles.set(elements.length === count ? elements : elements.subarray(0, count))
  return doubles
}
