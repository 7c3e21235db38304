// Writes ONNX models: the few messages of onnx.proto that Andon's graphs need, in protobuf wire format, without a dependency.
// The same graph gives the same bytes, so the artefact's digest names the model.

/** Element types of onnx.TensorProto. */
export const elementType = { float: 1, int64: 7, double: 11 } as const
export type ElementType = keyof typeof elementType

/** A constant of the graph; data row-major. */
export interface Initializer {
  readonly name: string
  readonly dims: readonly number[]
  readonly data: Float64Array | BigInt64Array
}

/** One operator. Attributes are integers or lists of integers: all our operators need. */
export interface GraphNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>
}

/** A graph input or output; a string in `dims` names a dimension of any size. */
export interface ValueInfo {
  readonly name: string
  readonly type: ElementType
  readonly dims: readonly (number | string)[]
}

export interface OnnxModel {
  readonly name: string
  readonly nodes: readonly GraphNode[]
  readonly initializers: readonly Initializer[]
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
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
const littleEndian = (data: Float64Array | BigInt64Array): Buffer => {
  const out = Buffer.alloc(data.length * 8)
  if (data instanceof Float64Array) data.forEach((value, i) => out.writeDoubleLE(value, i * 8))
  else data.forEach((value, i) => out.writeBigInt64LE(value, i * 8))
  return out
}

const tensor = (field: number, { name, dims, data }: Initializer): Buffer =>
  message(
    field,
    ...dims.map((dim) => integer(1, dim)),
    integer(2, data instanceof Float64Array ? elementType.double : elementType.int64),
    text(8, name),
    bytes(9, littleEndian(data)),
  )

const attribute = (name: string, value: number | readonly number[]): Buffer =>
  typeof value === 'number'
    ? message(5, text(1, name), integer(3, value), integer(20, 2))
    : message(5, text(1, name), ...value.map((item) => integer(8, item)), integer(20, 7))

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

/** A complete ModelProto (opset 17, IR 9). */
export const writeOnnx = (model: OnnxModel): Buffer => {
  const graph = message(
    7,
    ...model.nodes.map(node),
    text(2, model.name),
    ...model.initializers.map((item) => tensor(5, item)),
    ...model.inputs.map((item) => valueInfo(11, item)),
    ...model.outputs.map((item) => valueInfo(12, item)),
  )
  const metadata = Object.entries(model.metadata ?? {}).map(([key, value]) => message(14, text(1, key), text(2, value)))
  return Buffer.concat([integer(1, IR_VERSION), text(2, 'andon'), graph, message(8, integer(2, OPSET)), ...metadata])
}
