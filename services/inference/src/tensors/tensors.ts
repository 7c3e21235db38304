// Tensors as the Open Inference Protocol names them, and as ONNX Runtime does. Everything here is bytes and shapes; values are
// row-major and little-endian.

import type { Tensor } from 'onnxruntime-node'

/** A tensor a model takes or gives; -1 marks a dimension of any size. */
export interface TensorSpec {
  readonly name: string
  /** What callers send and get. */
  readonly datatype: Datatype
  readonly shape: readonly number[]
  /** What the graph takes where that differs: FP16 and BF16 are widened to FP32 in the copy into a batch, and narrowed on the way out. */
  readonly graphDatatype?: NumericDatatype
  /** Inputs: may be left out. */
  readonly isOptional?: boolean
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

/** Datatypes that a graph is given as numbers. float16 tensors are broken in onnxruntime-node on this Node, bfloat16 has none. */
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

export type NumericDatatype = keyof typeof datatypes
/** Every datatype of the protocol. */
export type Datatype = NumericDatatype | 'FP16' | 'BF16' | 'BYTES'

export const isNumeric = (name: string): name is NumericDatatype => Object.hasOwn(datatypes, name)
export const isDatatype = (name: string): name is Datatype => isNumeric(name) || name === 'FP16' || name === 'BF16' || name === 'BYTES'

export const onnxType = (datatype: NumericDatatype): Tensor.Type => datatypes[datatype].onnx

/** Bytes of one element; undefined for BYTES, whose elements say their own length. */
export function elementBytes(datatype: Exclude<Datatype, 'BYTES'>): number
export function elementBytes(datatype: Datatype): number | undefined
export function elementBytes(datatype: Datatype): number | undefined {
  if (datatype === 'BYTES') return undefined
  return isNumeric(datatype) ? datatypes[datatype].array.BYTES_PER_ELEMENT : 2
}

/** The protocol's name of an ONNX Runtime type; undefined when it is not taken as numbers. */
export const datatypeOf = (onnx: string): NumericDatatype | undefined => byOnnxType.get(onnx)
const byOnnxType: ReadonlyMap<string, NumericDatatype> = new Map(
  (Object.keys(datatypes) as NumericDatatype[]).map((name) => [datatypes[name].onnx, name]),
)

/** Not a number of elements that fit into memory, where the shape says so: it comes from outside. */
export const elementCount = (shape: readonly number[]): number => {
  let product = 1
  for (const dimension of shape) {
    if (dimension === 0) return 0
    product *= dimension
  }
  return product
}

/** A typed view of `count` elements of a buffer, from a byte that is a multiple of the element's size. */
export const viewOf = (datatype: NumericDatatype, buffer: ArrayBuffer, count: number, byteOffset = 0): NumberArray =>
  new datatypes[datatype].array(buffer, byteOffset, count)

/** Packs JavaScript numbers into a tensor's bytes. */
export const pack = (datatype: NumericDatatype, values: readonly (number | bigint | boolean)[]): Uint8Array => {
  const buffer = new ArrayBuffer(values.length * elementBytes(datatype))
  const view = viewOf(datatype, buffer, values.length)
  const isBig = view instanceof BigInt64Array || view instanceof BigUint64Array
  values.forEach((value, i) => (view[i] = isBig ? BigInt(value) : Number(value)))
  return new Uint8Array(buffer)
}

/** Reads a tensor's bytes, aligned or not, into JavaScript numbers. */
export const unpack = (datatype: NumericDatatype, bytes: Uint8Array): (number | bigint)[] => {
  const aligned = new Uint8Array(bytes).buffer
  return Array.from(viewOf(datatype, aligned, bytes.byteLength / elementBytes(datatype)) as ArrayLike<number | bigint>)
}
