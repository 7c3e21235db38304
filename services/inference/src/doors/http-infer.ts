// A scoring request from its body, and the body of the answer: JSON, binary tensors behind it, or both (the binary tensor data
// extension). Binary tensors are views of the body that came in.

import { isUtf8 } from 'node:buffer'
import { invalidRequest, invalidTensor, unsupported } from '../errors.ts'
import type { InferAnswer, InferRequest, ModelDescription, Parameter, Parameters, RequestedOutput, TensorData } from '../serving/serving.ts'
import { unpackBytes } from '../tensors/bytes.ts'
import { elementBytes, viewOf } from '../tensors/tensors.ts'
import { readInferJson } from './http-json.ts'
import type { JsonInput, JsonOutput, JsonParameters, JsonRequest } from './http-json.ts'

/** What the answer needs to know of the request. */
export interface AnswerForm {
  readonly id: string
  readonly isBinary: (output: string) => boolean
}

export interface ReadRequest {
  readonly request: Pick<InferRequest, 'id' | 'parameters' | 'inputs' | 'outputs'>
  readonly form: AnswerForm
}

/** `headerLength`: bytes of JSON at the start of the body, the rest are binary tensors; undefined: all of it is JSON. */
export const readRequest = (body: Buffer, headerLength: number | undefined): ReadRequest => {
  const json = readInferJson(body, headerLength)
  const inputs = tensorsOf(json.inputs, headerLength === undefined ? undefined : body.subarray(headerLength))
  checkReserved(json.parameters)
  return {
    request: { id: json.id, parameters: json.parameters, inputs, outputs: json.outputs.map(requestedOf) },
    form: { id: json.id, isBinary: isBinaryOf(json) },
  }
}

/** The whole body is the model's one input (`Inference-Header-Content-Length: 0`); answers are binary. */
export const rawRequest = (body: Buffer, { name: model, inputs }: ModelDescription): ReadRequest => {
  const [input, second] = inputs
  if (input === undefined || second !== undefined)
    throw invalidRequest(`Body without a JSON header: expected a model with one input, got ${model} with ${inputs.length}`)
  const { name, datatype, shape } = input
  const size = elementBytes(datatype)
  const fixed = shape.reduce((product, dimension) => (dimension === -1 ? product : product * dimension), size ?? 1)
  const open = shape.filter((dimension) => dimension === -1).length
  // The batch dimension is one row where another dimension is open as well.
  const isRowOpen = open === 2 && shape[0] === -1
  if (size === undefined || open > (isRowOpen ? 2 : 1))
    throw invalidTensor(`input ${name}: expected a JSON header with the shape, got none`, { tensor: name })
  if (open === 0 ? body.length !== fixed : body.length % fixed !== 0)
    throw invalidTensor(`input ${name}: expected ${open === 0 ? '' : 'a multiple of '}${fixed} bytes, got ${body.length} bytes`, {
      tensor: name,
    })
  const filled = shape.map((dimension, i) => (dimension !== -1 ? dimension : isRowOpen && i === 0 ? 1 : body.length / fixed))
  return {
    request: { id: '', parameters: {}, inputs: [{ name, datatype, shape: filled, bytes: body }], outputs: [] },
    form: { id: '', isBinary: () => true },
  }
}

const tensorsOf = (inputs: readonly JsonInput[], binary: Buffer | undefined): TensorData[] => {
  let at = 0
  const tensors = inputs.map(({ name, datatype, shape, parameters, data }): TensorData => {
    const size = parameters['binary_data_size']
    const fail = (expected: string, got: string): Error =>
      invalidTensor(`input ${name}: expected ${expected}, got ${got}`, { tensor: name, expected, got })
    if (parameters['shared_memory_region'] !== undefined)
      throw unsupported(`input ${name}: expected data or binary_data_size, got shared_memory_region; there is no shared memory here`)
    if (size === undefined) {
      if (data === undefined) throw fail('data or the parameter binary_data_size', 'neither')
      return { name, datatype, shape, bytes: data }
    }
    if (data !== undefined) throw fail('either data or the parameter binary_data_size', 'both')
    if (typeof size !== 'bigint' || size < 0n) throw fail('binary_data_size, a number from 0', String(size))
    if (binary === undefined) throw fail('the header Inference-Header-Content-Length with binary_data_size', 'none')
    const left = binary.length - at
    if (size > BigInt(left)) throw fail(`${size} bytes after the JSON header, binary_data_size`, `${left} bytes`)
    const bytes = binary.subarray(at, at + Number(size))
    at += bytes.length
    return { name, datatype, shape, bytes }
  })
  if (binary !== undefined && at !== binary.length)
    throw invalidRequest(`Body: expected ${at} bytes after the JSON header, the sum of binary_data_size, got ${binary.length}`)
  return tensors
}

const requestedOf = ({ name, parameters }: JsonOutput): RequestedOutput => {
  if (parameters['shared_memory_region'] !== undefined)
    throw unsupported(`output ${name}: expected binary_data or none, got shared_memory_region; there is no shared memory here`)
  const classes = parameters['classification'] ?? 0n
  if (typeof classes !== 'bigint' || classes < 0n || classes > 0xffffffffn)
    throw invalidTensor(`output ${name}: expected classification, a number of classes, got ${String(classes)}`, { tensor: name })
  return { name, classes: Number(classes) }
}

/** An output says itself whether it is binary, else the request says it for all. */
const isBinaryOf = ({ parameters, outputs }: JsonRequest): AnswerForm['isBinary'] => {
  const isDefault = booleanOf(parameters, 'binary_data_output') ?? false
  const asked = new Map<string, boolean>()
  for (const output of outputs) {
    const isBinary = booleanOf(output.parameters, 'binary_data')
    if (isBinary !== undefined) asked.set(output.name, isBinary)
  }
  return asked.size === 0 ? () => isDefault : (name) => asked.get(name) ?? isDefault
}

const booleanOf = (parameters: JsonParameters, name: string): boolean | undefined => {
  const value = parameters[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw invalidRequest(`parameter ${name}: expected true or false, got ${String(value)}`)
}

/** Parameters with a meaning of their own, where the protocol types them. */
const checkReserved = (parameters: Parameters): void => {
  for (const name of ['priority', 'timeout'] as const) {
    const value = parameters[name]
    if (value !== undefined && (typeof value !== 'bigint' || value < 0n))
      throw invalidRequest(`parameter ${name}: expected a number from 0, got ${String(value)}`)
  }
  for (const name of ['sequence_start', 'sequence_end'] as const) booleanOf(parameters, name)
}

export interface AnswerBody {
  /** JSON, then the binary tensors. */
  readonly parts: readonly Uint8Array[]
  /** Bytes of the JSON where binary tensors follow. */
  readonly headerLength: number | undefined
}

export const writeAnswer = ({ model, version, outputs, parameters }: InferAnswer, { id, isBinary }: AnswerForm): AnswerBody => {
  const binary: Uint8Array[] = []
  let hasBinary = false
  const written = outputs.map((output) => {
    const { name, datatype, shape, bytes } = output
    const start = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}],`
    if (!isBinary(name)) return `${start}"data":[${valuesOf(output)}]}`
    hasBinary = true
    if (bytes.byteLength > 0) binary.push(bytes)
    return `${start}"parameters":{"binary_data_size":${bytes.byteLength}}}`
  })
  const json = Buffer.from(
    `{${id === '' ? '' : `"id":${JSON.stringify(id)},`}"model_name":${JSON.stringify(model)},"model_version":${JSON.stringify(version)}` +
      `${parametersOf(parameters)},"outputs":[${written.join(',')}]}`,
  )
  return { parts: [json, ...binary], headerLength: hasBinary ? json.length : undefined }
}

const parametersOf = (parameters: Parameters): string => {
  const written = Object.entries(parameters).map(([name, value]) => `${JSON.stringify(name)}:${scalarOf(value)}`)
  return written.length === 0 ? '' : `,"parameters":{${written.join(',')}}`
}

const scalarOf = (value: Parameter): string => (typeof value === 'string' ? JSON.stringify(value) : String(value))

/** Values as JSON, separated by commas: all digits of integers and floats, NaN and infinities as Triton writes them. */
const valuesOf = ({ name, datatype, bytes }: TensorData): string => {
  if (datatype === 'BYTES')
    return unpackBytes(bytes)
      .map((element) => textOf(name, element))
      .join(',')
  if (datatype === 'FP16' || datatype === 'BF16') {
    const message = `sending ${datatype} data via JSON is not supported. Please use the binary data format for output ${name}`
    throw invalidTensor(message, { tensor: name, expected: 'binary_data', got: 'JSON' })
  }
  const size = elementBytes(datatype)
  const isAligned = bytes.byteOffset % size === 0
  const { buffer, byteOffset } = isAligned ? bytes : new Uint8Array(bytes)
  const view = viewOf(datatype, buffer as ArrayBuffer, bytes.byteLength / size, byteOffset)
  if (datatype === 'BOOL') return Array.from(view as Uint8Array, (value) => value !== 0).join(',')
  if ((view instanceof Float32Array || view instanceof Float64Array) && view.includes(0))
    return Array.from(view, (value) => (Object.is(value, -0) ? '-0.0' : String(value))).join(',')
  return view.join(',')
}

const textOf = (output: string, element: Uint8Array): string => {
  if (isUtf8(element)) return JSON.stringify(Buffer.from(element.buffer, element.byteOffset, element.byteLength).toString('utf8'))
  throw invalidTensor(`output ${output}: expected texts in UTF-8 to write them as JSON, got other bytes; ask for it with binary_data`, {
    tensor: output,
  })
}
