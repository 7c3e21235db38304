// Reads what an ONNX file says about itself without loading it, and widens its float16 and bfloat16 inputs and outputs: on this Node the
// runtime takes no float16 tensors and has none of bfloat16, so such a value enters and leaves as float32 and a Cast turns it into what
// the graph wants. Every other byte of the file stays what it was. Files come from outside: each length is checked before it is used.

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { Datatype, ModelIo, TensorSpec } from '../tensors/tensors.ts'

export interface OnnxGraph {
  readonly irVersion: number
  readonly producer: string
  /** Operator set versions by domain; '' is ai.onnx. */
  readonly opsets: ReadonlyMap<string, number>
  /** metadata_props, which ONNX Runtime does not show here. */
  readonly metadata: ReadonlyMap<string, string>
  readonly inputs: readonly GraphValue[]
  readonly outputs: readonly GraphValue[]
  readonly externalData: readonly ExternalFile[]
}

export interface GraphValue {
  readonly name: string
  readonly kind: 'tensor' | 'sequence' | 'map' | 'optional' | 'sparse' | 'unknown'
  /** Undefined when the protocol has no name for it. */
  readonly datatype?: Datatype
  /** Number of onnx.TensorProto.DataType. */
  readonly elementType: number
  /** A size, a symbolic name, or undefined where neither is given; no shape: of any rank. */
  readonly shape?: readonly (number | string | undefined)[]
  /** The file has a value for it: it may be left out. */
  readonly hasDefault: boolean
}

/** A file beside the model that holds tensors. */
export interface ExternalFile {
  readonly location: string
  readonly tensors: number
  /** Bytes it has to have, as far as the model says. */
  readonly atLeastBytes: number
}

export interface WidenedGraph {
  readonly bytes: Uint8Array
  /** By the name that callers use. */
  readonly inputs: ReadonlyMap<string, WidenedValue>
  readonly outputs: ReadonlyMap<string, WidenedValue>
}

export interface WidenedValue {
  /** Name of the float32 tensor. */
  readonly wire: string
  readonly datatype: 'FP16' | 'BF16'
}

/** Throws with the reason when the bytes are no ONNX model. */
export const readOnnx = (bytes: Uint8Array): OnnxGraph => refusing(() => graphOf(scan(bytes)))

/** The model with float32 in the place of float16 and bfloat16 inputs and outputs; the same bytes when it has none. */
export const widenHalves = (bytes: Uint8Array): WidenedGraph =>
  isOrtFormat(bytes) ? { bytes, inputs: new Map(), outputs: new Map() } : refusing(() => widen(scan(bytes)))

/** Tensors as callers see them; throws at a value that is no tensor or has a type the protocol lacks. Without inputs that have a default. */
export const ioOf = ({ inputs, outputs }: OnnxGraph): ModelIo => ({
  inputs: inputs.filter(({ hasDefault }) => !hasDefault).map(specOf),
  outputs: outputs.map(specOf),
})

/** ONNX Runtime's own format, which is no protobuf and is passed on as it is. */
export const isOrtFormat = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', 4, 8) === 'ORTM'

const DATATYPES: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
  16: 'BF16',
}
const FLOAT = 1
/** What a sequence in a graph nearly always is. */
const ZIP_MAP = '; a classifier of scikit-learn gives tensors when skl2onnx is told options={"zipmap": False}'

/** Far above what graphs have, far below what would be felt. */
const MOST_VALUES = 65_536
const MOST_DIMENSIONS = 1024
const DEEPEST_GRAPH = 64

const specOf = (value: GraphValue): TensorSpec => {
  if (value.kind !== 'tensor' || value.datatype === undefined) {
    const found = value.kind === 'tensor' ? `of element type ${value.elementType}` : `no tensor (${value.kind})`
    throw new Error(`${value.name} is ${found}, which cannot be scored here${value.kind === 'sequence' ? ZIP_MAP : ''}`)
  }
  const isHalf = value.datatype === 'FP16' || value.datatype === 'BF16'
  return {
    name: value.name,
    datatype: value.datatype,
    shape: (value.shape ?? []).map((dimension) => (typeof dimension === 'number' ? dimension : -1)),
    ...(isHalf ? { graphDatatype: 'FP32' as const } : {}),
  }
}

/** Whatever goes wrong inside is a reason why this is no model. */
const refusing = <T>(read: () => T): T => {
  try {
    return read()
  } catch (cause) {
    throw new Error(`it is no ONNX model: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

// ── wire format ──

interface Field {
  readonly number: number
  readonly wire: WireType
  /** Tag and all, as in the file. */
  readonly raw: Uint8Array
  /** What a length-delimited field holds. */
  readonly bytes: Uint8Array
  /** What a varint says; 0 for other wire types. */
  readonly value: number
}

const NOTHING: Uint8Array = new Uint8Array(0)

/** Calls with each field of a message, in order. */
const eachField = (message: Uint8Array, visit: (field: Field) => void): void => {
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const start = reader.pos
    const [number, wire] = reader.tag()
    let bytes: Uint8Array = NOTHING
    let value = 0
    if (wire === WireType.LengthDelimited) bytes = reader.bytes()
    else if (wire === WireType.Varint) value = Number(reader.int64())
    else if (wire === WireType.Bit32 || wire === WireType.Bit64) reader.skip(wire)
    else throw new Error(`field ${number} is a group, which ONNX has none of`)
    visit({ number, wire, raw: message.subarray(start, reader.pos), bytes, value })
  }
}

const inner = ({ number, wire, bytes }: Field, what: string): Uint8Array => {
  if (wire !== WireType.LengthDelimited) throw new Error(`${what} (field ${number}) is no bytes`)
  return bytes
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const textOf = (field: Field, what: string): string => {
  const bytes = inner(field, what)
  if (bytes.byteLength > 65_536) throw new Error(`${what} is ${bytes.byteLength} bytes long`)
  try {
    return decoder.decode(bytes)
  } catch {
    throw new Error(`${what} is no UTF-8`)
  }
}

const longTextOf = (field: Field, what: string): string => Buffer.from(inner(field, what)).toString('utf8')

// ── the model ──

interface Scan {
  readonly bytes: Uint8Array
  readonly graph: Uint8Array
  readonly opsets: Map<string, number>
  readonly inputs: readonly GraphValue[]
  readonly outputs: readonly GraphValue[]
}

const scan = (bytes: Uint8Array): Scan => {
  let graph: Uint8Array | undefined
  const opsets = new Map<string, number>()
  eachField(bytes, (field) => {
    if (field.number === 7) {
      if (graph !== undefined) throw new Error('it has two graphs')
      graph = inner(field, 'graph')
    } else if (field.number === 8) {
      const { domain, version } = opsetOf(inner(field, 'opset_import'))
      opsets.set(domain, version)
      if (opsets.size > MOST_VALUES) throw new Error('it has too many operator sets')
    }
  })
  if (graph === undefined) throw new Error('it has no graph')
  const inputs: GraphValue[] = []
  const outputs: GraphValue[] = []
  eachField(graph, (field) => {
    if (field.number !== 11 && field.number !== 12) return
    const values = field.number === 11 ? inputs : outputs
    if (values.length === MOST_VALUES) throw new Error(`it has more than ${MOST_VALUES} inputs or outputs`)
    values.push(valueOf(inner(field, 'value')))
  })
  if (outputs.length === 0) throw new Error('its graph has no output')
  const names = new Set(inputs.map(({ name }) => name))
  if (names.size !== inputs.length) throw new Error('two inputs have the same name')
  if (new Set(outputs.map(({ name }) => name)).size !== outputs.length) throw new Error('two outputs have the same name')
  const defaults = new Set<string>()
  eachField(graph, (field) => {
    if (field.number !== 5) return
    const name = nameOf(inner(field, 'initializer'), 8)
    if (names.has(name)) defaults.add(name)
  })
  return { bytes, graph, opsets, inputs: inputs.map((value) => ({ ...value, hasDefault: defaults.has(value.name) })), outputs }
}

const graphOf = ({ bytes, opsets, inputs, outputs }: Scan): OnnxGraph => {
  let irVersion = 0
  let producer = ''
  const metadata = new Map<string, string>()
  eachField(bytes, (field) => {
    if (field.number === 1) irVersion = field.value
    if (field.number === 2) producer = textOf(field, 'producer_name')
    if (field.number !== 14) return
    const { key, value } = entryOf(inner(field, 'metadata_props'))
    metadata.set(key, value)
    if (metadata.size > MOST_VALUES) throw new Error(`it has more than ${MOST_VALUES} metadata_props`)
  })
  return {
    irVersion,
    producer,
    opsets,
    metadata,
    inputs,
    outputs,
    externalData: externalDataOf(bytes),
  }
}

const opsetOf = (message: Uint8Array): { domain: string; version: number } => {
  let domain = ''
  let version = 0
  eachField(message, (field) => {
    if (field.number === 1) domain = textOf(field, 'domain')
    if (field.number === 2) version = field.value
  })
  return { domain: domain === 'ai.onnx' ? '' : domain, version }
}

const entryOf = (message: Uint8Array): { key: string; value: string } => {
  let key = ''
  let value = ''
  eachField(message, (field) => {
    if (field.number === 1) key = textOf(field, 'key')
    if (field.number === 2) value = longTextOf(field, 'value')
  })
  return { key, value }
}

const nameOf = (message: Uint8Array, number: number): string => {
  let name = ''
  eachField(message, (field) => {
    if (field.number === number) name = textOf(field, 'name')
  })
  return name
}

/** Fields of onnx.TypeProto that say what a value is. */
const KINDS: Readonly<Record<number, GraphValue['kind']>> = { 1: 'tensor', 4: 'sequence', 5: 'map', 8: 'sparse', 9: 'optional' }

const valueOf = (message: Uint8Array): GraphValue => {
  let name = ''
  let kind: GraphValue['kind'] = 'unknown'
  let tensor: { elementType: number; shape?: (number | string | undefined)[] } = { elementType: 0 }
  let types = 0
  eachField(message, (field) => {
    if (field.number === 1) name = textOf(field, 'name of a value')
    if (field.number !== 2) return
    if (++types > 1) throw new Error(`${name} has two types`)
    eachField(inner(field, 'type'), (type) => {
      const found = KINDS[type.number]
      if (found === undefined) return
      if (kind !== 'unknown') throw new Error(`${name} has two types`)
      kind = found
      if (found === 'tensor') tensor = tensorTypeOf(inner(type, 'tensor_type'))
    })
  })
  if (name === '') throw new Error('an input or output has no name')
  const datatype = DATATYPES[tensor.elementType]
  return { name, kind, ...tensor, ...(datatype === undefined ? {} : { datatype }), hasDefault: false }
}

const tensorTypeOf = (message: Uint8Array): { elementType: number; shape?: (number | string | undefined)[] } => {
  let elementType = 0
  let shape: (number | string | undefined)[] | undefined
  eachField(message, (field) => {
    if (field.number === 1) elementType = field.value
    if (field.number !== 2) return
    const dimensions = (shape ??= [])
    eachField(inner(field, 'shape'), (dimension) => {
      if (dimension.number !== 1) return
      if (dimensions.length === MOST_DIMENSIONS) throw new Error(`a shape has more than ${MOST_DIMENSIONS} dimensions`)
      dimensions.push(dimensionOf(inner(dimension, 'dim')))
    })
  })
  return { elementType, ...(shape === undefined ? {} : { shape }) }
}

const dimensionOf = (message: Uint8Array): number | string | undefined => {
  let size: number | string | undefined
  eachField(message, (field) => {
    if (field.number === 1) size = field.value >= 0 ? field.value : undefined // some writers say -1 for any size
    if (field.number === 2) size = textOf(field, 'dim_param') || undefined
  })
  return size
}

// ── external data ──

/** Messages that may hold tensors: field → what is in it. */
type Kind = 'model' | 'graph' | 'node' | 'attribute' | 'function' | 'sparse' | 'training' | 'tensor'
const CHILDREN: Readonly<Record<Exclude<Kind, 'tensor'>, Readonly<Record<number, Kind>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
}

const externalDataOf = (model: Uint8Array): ExternalFile[] => {
  const files = new Map<string, { tensors: number; atLeastBytes: number }>()
  const walk = (message: Uint8Array, kind: Kind, depth: number): void => {
    if (depth > DEEPEST_GRAPH) throw new Error(`its graphs are nested more than ${DEEPEST_GRAPH} messages deep`)
    if (kind === 'tensor') return noteExternal(message)
    const children = CHILDREN[kind]
    eachField(message, (field) => {
      const child = children[field.number]
      if (child !== undefined) walk(inner(field, child), child, depth + 1)
    })
  }
  const noteExternal = (tensor: Uint8Array): void => {
    let isExternal = false
    const entries = new Map<string, string>()
    eachField(tensor, (field) => {
      if (field.number === 14) isExternal = field.value === 1
      if (field.number !== 13 || entries.size >= 16) return
      const { key, value } = entryOf(inner(field, 'external_data'))
      entries.set(key, value)
    })
    if (!isExternal) return
    const location = insidePath(entries.get('location') ?? '')
    const end = byteCount(entries, 'offset') + byteCount(entries, 'length')
    const file = files.get(location) ?? { tensors: 0, atLeastBytes: 0 }
    files.set(location, { tensors: file.tensors + 1, atLeastBytes: Math.max(file.atLeastBytes, end) })
    if (files.size > MOST_VALUES) throw new Error(`it refers to more than ${MOST_VALUES} files`)
  }
  walk(model, 'model', 0)
  return [...files].map(([location, file]) => ({ location, ...file }))
}

/** Beside the model or below it: a model from outside names no other file of this machine. */
const insidePath = (location: string): string => {
  const parts = location.split(/[/\\]/)
  if (location === '' || location.length > 1024 || location.includes('\0') || /^([/\\]|[a-z]:)/i.test(location) || parts.includes('..'))
    throw new Error(`external data at ${JSON.stringify(location.slice(0, 100))} is not beside the model`)
  return location
}

const byteCount = (entries: ReadonlyMap<string, string>, key: string): number => {
  const text = entries.get(key)
  if (text === undefined) return 0
  const count = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new Error(`external data has ${key} ${JSON.stringify(text.slice(0, 40))}`)
  return count
}

// ── the edit ──

type HalfValue = GraphValue & { readonly datatype: 'FP16' | 'BF16' }

const isHalf = (value: GraphValue): value is HalfValue =>
  value.kind === 'tensor' && (value.datatype === 'FP16' || value.datatype === 'BF16') && !value.hasDefault

const widen = ({ bytes, graph, opsets, inputs, outputs }: Scan): WidenedGraph => {
  const halves = [...inputs, ...outputs].filter(isHalf)
  if (halves.length === 0) return { bytes, inputs: new Map(), outputs: new Map() }
  checkCast(opsets, halves)
  const fresh = freshNames(graph)
  const widened = (values: readonly GraphValue[]): Map<string, WidenedValue> =>
    new Map(values.filter(isHalf).map(({ name, datatype }): [string, WidenedValue] => [name, { wire: fresh(name), datatype }]))
  const wireInputs = widened(inputs)
  const wireOutputs = widened(outputs)
  // Values keep their names inside the graph, so no node changes: what has a new name is what enters and leaves.
  const parts: Uint8Array[] = [...wireInputs].map(([name, { wire, datatype }]) => cast(wire, name, datatype === 'FP16' ? 10 : 16))
  eachField(graph, (field) => {
    const wires = field.number === 11 ? wireInputs : field.number === 12 ? wireOutputs : undefined
    const wire = wires === undefined ? undefined : wires.get(valueOf(field.bytes).name)
    parts.push(wire === undefined ? field.raw : floatValue(field, wire.wire))
  })
  parts.push(...[...wireOutputs].map(([name, { wire }]) => cast(name, wire, FLOAT)))
  return { bytes: replaceGraph(bytes, parts), inputs: wireInputs, outputs: wireOutputs }
}

/** Cast takes bfloat16 from operator set 13 on, and its target as a number from 6 on. */
const checkCast = (opsets: ReadonlyMap<string, number>, halves: readonly HalfValue[]): void => {
  const version = opsets.get('') ?? 0
  for (const { name, datatype } of halves) {
    const needed = datatype === 'BF16' ? 13 : 6
    if (version < needed)
      throw new Error(`${name} is ${datatype}, which takes operator set ${needed} of ai.onnx or later, got ${version || 'none'}`)
  }
}

/** Names that occur nowhere in the graph. */
const freshNames = (graph: Uint8Array): ((name: string) => string) => {
  const text = Buffer.from(graph.buffer, graph.byteOffset, graph.byteLength)
  const used = new Set<string>()
  return (name) => {
    for (let i = 0; ; i++) {
      const candidate = `andon.fp32${i === 0 ? '' : i}.${name}`
      if (used.has(candidate) || text.includes(candidate)) continue
      used.add(candidate)
      return candidate
    }
  }
}

const cast = (input: string, output: string, to: number): Uint8Array => {
  const attribute = new BinaryWriter().tag(1, WireType.LengthDelimited).string('to').tag(3, WireType.Varint).int64(to)
  attribute.tag(20, WireType.Varint).int32(2)
  const node = new BinaryWriter().tag(1, WireType.LengthDelimited).string(input).tag(2, WireType.LengthDelimited).string(output)
  node.tag(3, WireType.LengthDelimited).string(`andon.cast.${output}`).tag(4, WireType.LengthDelimited).string('Cast')
  node.tag(5, WireType.LengthDelimited).bytes(attribute.finish())
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(node.finish()).finish()
}

/** The value under its new name with element type FLOAT; shape, denotation and documentation as they were. */
const floatValue = (field: Field, wire: string): Uint8Array => {
  const value = new BinaryWriter().tag(1, WireType.LengthDelimited).string(wire)
  eachField(field.bytes, (part) => {
    if (part.number === 1) return
    if (part.number !== 2) value.raw(part.raw)
    else value.tag(2, WireType.LengthDelimited).bytes(editField(part.bytes, 1, (tensor) => floatType(tensor.bytes)))
  })
  return new BinaryWriter().tag(field.number, WireType.LengthDelimited).bytes(value.finish()).finish()
}

const floatType = (tensorType: Uint8Array): Uint8Array => {
  const edited = new BinaryWriter().tag(1, WireType.Varint).int32(FLOAT)
  eachField(tensorType, (part) => {
    if (part.number !== 1) edited.raw(part.raw)
  })
  return edited.finish()
}

const editField = (message: Uint8Array, number: number, edit: (field: Field) => Uint8Array): Uint8Array => {
  const edited = new BinaryWriter()
  eachField(message, (field) => {
    if (field.number === number) edited.tag(number, WireType.LengthDelimited).bytes(edit(field))
    else edited.raw(field.raw)
  })
  return edited.finish()
}

/** One copy of the file: models are large. */
const replaceGraph = (model: Uint8Array, parts: readonly Uint8Array[]): Uint8Array => {
  const before: Uint8Array[] = []
  eachField(model, (field) => {
    if (field.number !== 7) return void before.push(field.raw)
    const length = parts.reduce((sum, { byteLength }) => sum + byteLength, 0)
    before.push(new BinaryWriter().tag(7, WireType.LengthDelimited).uint32(length).finish(), ...parts)
  })
  return Buffer.concat(before)
}
