// Writes ONNX models: the few messages of onnx.proto that Andon's graphs need, in protobuf wire format, without a dependency.
// The same graph gives the same bytes, so the artefact's digest names the model.

/** Element types of onnx.TensorProto. */
export const elementType = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const
export type ElementType = keyof typeof elementType

/** A constant of the graph; data row-major. float16 and bfloat16 are given as their bits. */
export type Initializer = {
  readonly name: string
  readonly dims: readonly number[]
} & (
  | { readonly data: Float64Array | Float32Array | BigInt64Array; readonly type?: never }
  | { readonly data: Uint16Array; readonly type: 'float16' | 'bfloat16' }
  | { readonly data: Uint8Array; readonly type: 'bool' }
)

/** An integer, a list of them, or a graph that the operator runs (Loop, If). */
export type Attribute = number | readonly number[] | GraphBody

/** One operator. */
export interface GraphNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: Readonly<Record<string, Attribute>>
}

/** A graph input or output; a string in `dims` names a dimension of any size. */
export interface ValueInfo {
  readonly name: string
  readonly type: ElementType
  readonly dims: readonly (number | string)[]
}

export interface GraphBody {
  readonly name: string
  readonly nodes: readonly GraphNode[]
  readonly initializers: readonly Initializer[]
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
}

export interface OnnxModel extends GraphBody {
  readonly metadata?: Readonly<Record<string, string>>
}

const IR_VERSION = 9
const OPSET = 17

const varint = (value: number): Buffer => {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
  return Buffer.from(bytes)
}

const integer = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)])
const bytes = (field: number, value: Uint8Array): Buffer => Buffer.concat([varint(field * 8 + 2), varint(value.byteLength), value])
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value, 'utf8'))
const message = (field: number, ...parts: Uint8Array[]): Buffer => bytes(field, Buffer.concat(parts))

/** raw_data is little-endian whatever the machine is. */
const littleEndian = (data: Initializer['data']): Buffer => {
  const out = Buffer.alloc(data.byteLength)
  if (data instanceof Float64Array) data.forEach((value, i) => out.writeDoubleLE(value, i * 8))
  else if (data instanceof Float32Array) data.forEach((value, i) => out.writeFloatLE(value, i * 4))
  else if (data instanceof BigInt64Array) data.forEach((value, i) => out.writeBigInt64LE(value, i * 8))
  else if (data instanceof Uint16Array) data.forEach((value, i) => out.writeUInt16LE(value, i * 2))
  else out.set(data)
  return out
}

const typeOf = ({ data, type }: Initializer): ElementType => {
  if (type !== undefined) return type
  return data instanceof Float64Array ? 'double' : data instanceof Float32Array ? 'float' : 'int64'
}

const tensor = (field: number, item: Initializer): Buffer =>
  message(
    field,
    ...item.dims.map((dim) => integer(1, dim)),
    integer(2, elementType[typeOf(item)]),
    text(8, item.name),
    bytes(9, littleEndian(item.data)),
  )

const isList = (value: Attribute): value is readonly number[] => Array.isArray(value)

const attribute = (name: string, value: Attribute): Buffer => {
  if (typeof value === 'number') return message(5, text(1, name), integer(3, value), integer(20, 2))
  if (isList(value)) return message(5, text(1, name), ...value.map((item) => integer(8, item)), integer(20, 7))
  return message(5, text(1, name), graph(6, value), integer(20, 5))
}

const node = ({ op, inputs, outputs, attributes = {} }: GraphNode): Buffer =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  )

const valueInfo = (field: number, { name, type, dims }: ValueInfo): Buffer => {
  const shape = message(2, ...dims.map((dim) => message(1, typeof dim === 'number' ? integer(1, dim) : text(2, dim))))
  return message(field, text(1, name), message(2, message(1, integer(1, elementType[type]), shape)))
}

const graph = (field: number, body: GraphBody): Buffer =>
  message(
    field,
    ...body.nodes.map(node),
    text(2, body.name),
    ...body.initializers.map((item) => tensor(5, item)),
    ...body.inputs.map((item) => valueInfo(11, item)),
    ...body.outputs.map((item) => valueInfo(12, item)),
  )

/** A complete ModelProto (opset 17, IR 9). */
export const writeOnnx = (model: OnnxModel): Buffer => {
  const metadata = Object.entries(model.metadata ?? {}).map(([key, value]) => message(14, text(1, key), text(2, value)))
  return Buffer.concat([integer(1, IR_VERSION), text(2, 'andon'), graph(7, model), message(8, integer(2, OPSET)), ...metadata])
}
