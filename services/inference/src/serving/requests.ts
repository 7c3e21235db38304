// Whether a request is what a model takes: every input there once, of the right datatype and shape, with as many bytes as the shape says.
// What is not names the tensor, what is expected and what was found.

import { invalidRequest, invalidTensor } from '../errors.ts'
import { firstNoText } from '../tensors/bytes.ts'
import { firstNonFinite } from '../tensors/non-finite.ts'
import { checkSize, shapeText } from '../tensors/size.ts'
import type { Datatype, TensorSpec } from '../tensors/tensors.ts'
import type { RunRequest } from './servable.ts'
import type { InferRequest, Parameters, RequestedOutput, TensorData } from './serving.ts'

/** What a request is checked against. */
export interface Signature {
  readonly model: string
  /** With the batch dimension, -1, in front where `maxBatchRows` is above 0. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** 0: the model has no batch dimension. */
  readonly maxBatchRows: number
  readonly nonFinite: 'refuse' | 'pass'
  /** BYTES have to be texts in UTF-8 without zero bytes: the runtime's own strings end at one. */
  readonly isTextOnly?: boolean
}

/** The request as the scheduler takes it. Throws what the caller did wrong. */
export const checkedRequest = (signature: Signature, request: InferRequest): RunRequest => {
  const { inputs: specs } = signature
  for (const { name } of request.inputs) if (!specs.some((spec) => spec.name === name)) throw missingOr(signature, request, name)
  const inputs = specs.map((spec) => checkedInput(spec, request.inputs, signature))
  if (signature.maxBatchRows > 0) checkRows(signature, inputs)
  const priority = integer(request.parameters, 'priority')
  const timeoutUs = integer(request.parameters, 'timeout')
  return {
    inputs,
    outputs: outputNames(signature.outputs, request.outputs),
    ...(priority === undefined ? {} : { priority }),
    ...(timeoutUs === undefined ? {} : { timeoutUs }),
    ...(request.deadlineMs === undefined ? {} : { deadlineMs: request.deadlineMs }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  }
}

/** Of an unknown tensor and one that is missing the missing one is named: the unknown name is usually its misspelling. */
const missingOr = ({ inputs: specs }: Signature, { inputs }: InferRequest, unknown: string): Error => {
  const missing = specs.find(({ name, isOptional }) => isOptional !== true && !inputs.some((input) => input.name === name))
  if (missing !== undefined) return absent(missing, inputs)
  return invalidTensor(`input ${unknown}: expected ${listed(specs)}, got a tensor of that name`, { tensor: unknown })
}

const absent = (spec: TensorSpec, inputs: readonly TensorData[]): Error =>
  failure(spec, `a tensor ${spec.datatype} ${shapeText(spec.shape)}`, inputs.length === 0 ? 'no inputs' : `only ${listed(inputs)}`)

const failure = ({ name }: TensorSpec, expected: string, got: string): Error =>
  invalidTensor(`input ${name}: expected ${expected}, got ${got}`, { tensor: name, expected, got })

const checkedInput = (
  spec: TensorSpec,
  inputs: readonly TensorData[],
  { maxBatchRows, nonFinite, isTextOnly }: Signature,
): TensorData | undefined => {
  const [input, second] = inputs.filter(({ name }) => name === spec.name)
  if (input === undefined) {
    if (spec.isOptional === true) return undefined
    throw absent(spec, inputs)
  }
  if (second !== undefined) throw failure(spec, 'one tensor', 'several of that name')
  if (input.datatype !== spec.datatype)
    throw failure(spec, `datatype ${spec.datatype}`, (input.datatype as string) === '' ? 'none' : input.datatype)
  const { shape } = input
  const isSize = (size: number, i: number): boolean => Number.isSafeInteger(size) && size >= (i === 0 && maxBatchRows > 0 ? 1 : 0)
  const fits =
    shape.length === spec.shape.length &&
    shape.every((size, i) => isSize(size, i) && (spec.shape[i] === -1 || spec.shape[i] === size)) &&
    Number.isSafeInteger(shape.reduce((product, size) => product * size, 1))
  if (!fits) throw failure(spec, `shape ${shapeText(spec.shape)}`, shapeText(shape))
  checkSize(input)
  if (nonFinite === 'refuse') {
    const at = firstNonFinite(input.datatype, input.bytes)
    if (at !== undefined) throw failure(spec, 'finite values', `NaN or an infinity at element ${at}`)
  }
  if (isTextOnly === true && input.datatype === 'BYTES') {
    const found = firstNoText(input.bytes)
    if (found !== undefined)
      throw failure(spec, 'texts in UTF-8 without zero bytes', `${found.isUtf8 ? 'a zero byte' : 'no UTF-8'} in element ${found.element}`)
  }
  return input
}

const checkRows = ({ model, inputs: specs, maxBatchRows }: Signature, inputs: readonly (TensorData | undefined)[]): void => {
  let first: TensorData | undefined
  inputs.forEach((input, i) => {
    if (input === undefined || specs[i]!.shape[0] !== -1) return
    const [rows, expected] = [input.shape[0]!, first?.shape[0]]
    if (rows > maxBatchRows)
      throw failure(specs[i]!, `at most ${maxBatchRows} rows (max_batch_size of ${model})`, `${rows} rows in ${shapeText(input.shape)}`)
    if (expected !== undefined && rows !== expected)
      throw failure(specs[i]!, `as many rows as input ${first!.name} has, ${expected}`, `${rows} rows in ${shapeText(input.shape)}`)
    first ??= input
  })
}

const outputNames = (outputs: readonly TensorSpec[], wanted: readonly RequestedOutput[]): string[] => {
  const known = outputs.map(({ name }) => name)
  const unknown = wanted.find(({ name }) => !known.includes(name))
  if (unknown !== undefined) throw invalidTensor(`output ${unknown.name}: expected one of ${known.join(', ')}`, { tensor: unknown.name })
  const names = [...new Set(wanted.map(({ name }) => name))]
  if (names.length < wanted.length) throw invalidTensor(`outputs: expected each once, got ${listed(wanted)}`)
  return names.length === 0 ? known : names
}

/** A parameter that counts something; doors give it as bigint, number, or, where a client had no better type, as text. */
const integer = (parameters: Parameters, name: string): number | undefined => {
  const value = parameters[name]
  if (value === undefined) return undefined
  const number = typeof value === 'boolean' || value === '' ? Number.NaN : Number(value)
  if (!Number.isSafeInteger(number) || number < 0)
    throw invalidRequest(`parameter ${name}: expected an integer of 0 and above, got ${String(value)}`)
  return number
}

const listed = (tensors: readonly { readonly name: string; readonly datatype?: Datatype }[]): string =>
  tensors.map(({ name }) => name).join(', ')
