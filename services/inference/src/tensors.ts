// Tensors as the Open Inference Protocol names them, and as ONNX Runtime does. Everything here is bytes and shapes; values are
// row-major and little-endian.

import type { Tensor } from 'onnxruntime-node'

/** A tensor a model takes or gives; -1 marks a dimension of any size. */
export interface TensorSpec {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
}

/** What a loaded model takes and gives. */
export interface ModelIo {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array

interface NumberArrayType {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBuffer, byteOffset?: number, length?: number): NumberArray
}

/** Datatypes that can be scored. FP16 and BF16 are left out (broken in onnxruntime-node on this Node), and so is BYTES. */
const datatypes = {
  BOOL: { onnx: 'bool', array: Uint8Array },
  UINT8: { onnx: 'uint8', array: Uint8Array },
  UINT16: { onnx: 'uint16', array: Uint16Array },
  UINT32: { onnx: 'uint32', array: Uint32Array },
  UINT64: { onnx: 'uint64', array: BigUint64Array },
  INT8: { onnx: 'int8', array: Int8Array },
  INT16: { onnx: 'int16', array: Int16Array },
  INT32: { onnx: 'int32', array: Int32Array },
  INT64: { onnx: 'int64', array: BigInt64Array },
  FP32: { onnx: 'float32', array: Float32Array },
  FP64: { onnx: 'float64', array: Float64Array },
} as const satisfies Record<string, { onnx: Tensor.Type; array: NumberArrayType }>

export type Datatype = keyof typeof datatypes

export const isDatatype = (name: string): name is Datatype => Object.hasOwn(datatypes, name)

export const onnxType = (datatype: Datatype): Tensor.Type => datatypes[datatype].onnx

export const elementBytes = (datatype: Datatype): number => datatypes[datatype].array.BYTES_PER_ELEMENT

/** The protocol's name of an ONNX Runtime type; undefined when it cannot be scored. */
export const datatypeOf = (onnx: string): Datatype | undefined =>
  (Object.keys(datatypes) as Datatype[]).find((name) => datatypes[name].onnx === onnx)

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, dimension) => product * dimension, 1)

/** A typed view of `count` elements at the start of a buffer. */
export const viewOf = (datatype: Datatype, buffer: ArrayBuffer, count: number): NumberArray =>
  new datatypes[datatype].array(buffer, 0, count)

/** Packs JavaScript numbers into a tensor's bytes. */
export const pack = (datatype: Datatype, values: readonly (number | bigint | boolean)[]): Uint8Array => {
  const buffer = new ArrayBuffer(values.length * elementBytes(datatype))
  const view = viewOf(datatype, buffer, values.length)
  const isBig = view instanceof BigInt64Array || view instanceof BigUint64Array
  values.forEach((value, i) => (view[i] = isBig ? BigInt(value) : Number(value)))
  return new Uint8Array(buffer)
}

/** Reads a tensor's bytes, aligned or not, into JavaScript numbers. */
export const unpack = (datatype: Datatype, bytes: Uint8Array): (number | bigint)[] => {
  const aligned = new Uint8Array(bytes).buffer
  return Array.from(viewOf(datatype, aligned, bytes.byteLength / elementBytes(datatype)) as ArrayLike<number | bigint>)
}
