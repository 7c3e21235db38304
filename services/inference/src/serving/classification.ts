// The classification extension: an output as its so many highest values, each a text `value:index[:label]`.

import { invalidTensor } from '../errors.ts'
import { packBytes } from '../tensors/bytes.ts'
import { elementCount, isNumeric, unpack } from '../tensors/tensors.ts'
import type { OutputTensor } from './servable.ts'
import type { TensorData } from './serving.ts'

/** The highest first, of equals the first; per row where the model is batched. */
export const classified = (output: OutputTensor, classes: number, isBatched: boolean, labels: readonly string[] = []): TensorData => {
  const { name, datatype, shape, bytes } = output
  if (!isNumeric(datatype) || datatype === 'BOOL')
    throw invalidTensor(`output ${name}: expected numbers to classify by, got ${datatype}`, { tensor: name })
  const rows = isBatched ? shape[0]! : 1
  const width = elementCount(isBatched ? shape.slice(1) : shape)
  const count = Math.min(classes, width)
  const values = unpack(datatype, bytes)
  const isFloat = datatype === 'FP32' || datatype === 'FP64'
  const texts: Uint8Array[] = []
  for (let row = 0; row < rows; row++) {
    const own = values.slice(row * width, (row + 1) * width)
    const order = own.map((_, i) => i).toSorted((a, b) => descending(own[a]!, own[b]!) || a - b)
    for (const index of order.slice(0, count)) {
      const value = isFloat ? printed(Number(own[index])) : String(own[index])
      const label = labels[index] ?? ''
      texts.push(Buffer.from(label === '' ? `${value}:${index}` : `${value}:${index}:${label}`))
    }
  }
  return { name, datatype: 'BYTES', shape: isBatched ? [rows, count] : [count], bytes: packBytes(texts) }
}

/** As C's %f does. */
const printed = (value: number): string => {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`
}

/** NaN is behind everything. */
const descending = (a: number | bigint, b: number | bigint): number => {
  if (a === b) return 0
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1
  if (Number.isNaN(b)) return -1
  return a > b ? -1 : 1
}
