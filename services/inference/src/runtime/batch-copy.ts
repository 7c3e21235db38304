// Requests into the buffers of one batch, and its results into the rows of each request. Inputs are copied once: out of the received
// message, which may lie at any alignment, into a buffer that goes to the thread and comes back to be used again.

import { isHalf, narrow, widen } from '../tensors/half.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { ModelIo, TensorSpec } from '../tensors/tensors.ts'
import type { OutputTensor } from '../serving/servable.ts'
import type { Batch } from './runner.ts'
import type { GraphDatatype, SessionTensor } from './session.ts'

const LEAST_BYTES = 1024
const LENGTH_BYTES = 4

/** Buffers between two uses, by size: the next power of two, so that batches of any size find one. */
export class BufferPool {
  readonly #maxBytes: number
  readonly #spare = new Map<number, ArrayBuffer[]>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** What it holds now. */
  get bytes(): number {
    return this.#bytes
  }

  /** At least so long; what is in it is anything. */
  take(bytes: number): ArrayBuffer {
    const size = sizeFor(bytes)
    const spare = this.#spare.get(size)?.pop()
    if (spare === undefined) return new ArrayBuffer(size)
    this.#bytes -= size
    return spare
  }

  give(buffer: ArrayBuffer): void {
    const size = buffer.byteLength
    if (size !== sizeFor(size) || this.#bytes + size > this.#maxBytes) return
    const spares = this.#spare.get(size)
    if (spares === undefined) this.#spare.set(size, [buffer])
    else spares.push(buffer)
    this.#bytes += size
  }
}

const sizeFor = (bytes: number): number => (bytes <= LEAST_BYTES ? LEAST_BYTES : 2 ** Math.ceil(Math.log2(bytes)))

export const graphDatatypeOf = ({ datatype, graphDatatype }: TensorSpec): GraphDatatype =>
  graphDatatype ?? (isHalf(datatype) ? 'FP32' : (datatype as GraphDatatype))

/** Shape and length of one input of the batch, as the session takes it; undefined when it is not given. Throws when bytes and shapes of a request do not agree. */
export const inputOf = (
  { name, datatype }: TensorSpec,
  { requests, rows }: Batch,
  index: number,
): { readonly shape: readonly number[]; readonly byteLength: number } | undefined => {
  const given = requests[0]!.inputs[index]
  if (given === undefined) return undefined
  const shape = requests.length === 1 ? given.shape : [rows, ...given.shape.slice(1)]
  let bytes = 0
  for (const { inputs: own } of requests) bytes += own[index]!.bytes.byteLength
  const size = elementBytes(datatype)
  const expected = size === undefined ? bytes : elementCount(shape) * size
  if (bytes !== expected) throw new Error(`input ${name} has ${bytes} bytes, expected ${expected} for shape [${shape.join(', ')}]`)
  return { shape, byteLength: isHalf(datatype) ? bytes * 2 : bytes }
}

/** Copies the input of every request, one behind the other. */
export const putInput = (
  { datatype }: TensorSpec,
  { requests }: Batch,
  index: number,
  buffer: ArrayBufferLike,
  byteOffset: number,
): void => {
  let at = 0
  if (isHalf(datatype)) {
    const values = new Float32Array(buffer, byteOffset)
    for (const { inputs: own } of requests) at += widen(datatype, own[index]!.bytes, values, at)
    return
  }
  const target = new Uint8Array(buffer, byteOffset)
  for (const { inputs: own } of requests) {
    target.set(own[index]!.bytes, at)
    at += own[index]!.bytes.byteLength
  }
}

/** The inputs that are given, as the session takes them. Throws when bytes and shapes of a request do not agree. */
export const gather = (inputs: ModelIo['inputs'], batch: Batch, buffers: BufferPool): SessionTensor[] => {
  const tensors: SessionTensor[] = []
  inputs.forEach((spec, i) => {
    const input = inputOf(spec, batch, i)
    if (input === undefined) return
    const buffer = buffers.take(input.byteLength)
    putInput(spec, batch, i, buffer, 0)
    tensors.push({ name: spec.name, datatype: graphDatatypeOf(spec), shape: input.shape, buffer, byteLength: input.byteLength })
  })
  return tensors
}

/**
 * Cuts a batch's outputs into the rows of each request, in order. Throws when an output has not one row for each of the batch's: nobody
 * gets rows that may be another's.
 */
export const scatter = (
  specs: ModelIo['outputs'],
  outputs: readonly SessionTensor[],
  { requests, rows }: Batch,
  isBatched: boolean,
): OutputTensor[][] => {
  const answers = requests.map((): OutputTensor[] => [])
  for (const output of outputs) {
    const spec = specs.find(({ name }) => name === output.name)
    const datatype = spec?.datatype ?? output.datatype
    const [head, ...tail] = output.shape
    if (isBatched && head !== rows) throw new Error(`output ${output.name} has ${head ?? 'no'} rows, expected ${rows}`)
    const whole = new Uint8Array(
      output.buffer,
      output.byteOffset ?? 0,
      output.byteLength ?? output.buffer.byteLength - (output.byteOffset ?? 0),
    )
    const bytes = isHalf(datatype) ? narrow(datatype, new Float32Array(whole.buffer, whole.byteOffset, whole.byteLength / 4)) : whole
    const named = { name: output.name, datatype, ...(spec?.graphDatatype === undefined ? {} : { graphDatatype: spec.graphDatatype }) }
    if (requests.length === 1) {
      answers[0]!.push({ ...named, shape: output.shape, bytes })
      continue
    }
    const perRow = elementCount(tail)
    let from = 0
    requests.forEach((request, i) => {
      const to =
        datatype === 'BYTES' ? afterElements(bytes, from, request.rows * perRow) : from + request.rows * perRow * elementBytes(datatype)!
      answers[i]!.push({ ...named, shape: [request.rows, ...tail], bytes: bytes.subarray(from, to) })
      from = to
    })
    if (from !== bytes.byteLength) throw new Error(`output ${output.name} has ${bytes.byteLength} bytes, expected ${from}`)
  }
  return answers
}

/** Where the next `count` length-prefixed elements end. */
const afterElements = (bytes: Uint8Array, from: number, count: number): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = from
  for (let i = 0; i < count; i++) at += LENGTH_BYTES + view.getUint32(at, true)
  return at
}
