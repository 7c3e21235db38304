// Typed contents of gRPC messages as a tensor's bytes: exactly the field of the tensor's datatype may be filled. What does not fit is
// refused with the tensor's name, what is expected and what was found.

import type { InferTensorContents, ModelInferRequest } from '@andon/schemas/inference'
import { invalidTensor } from '../errors.ts'
import type { TensorData } from '../serving/serving.ts'
import { packBytes } from './bytes.ts'
import { isDatatype, pack } from './tensors.ts'
import type { Datatype } from './tensors.ts'

type ContentsField = keyof InferTensorContents

/** FP16 and BF16 have no field: they are sent raw. */
const contentsField: Record<Exclude<Datatype, 'FP16' | 'BF16'>, ContentsField> = {
  BOOL: 'boolContents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
}
const hasField = (datatype: string): datatype is keyof typeof contentsField => Object.hasOwn(contentsField, datatype)

/** Least and greatest value of the types that share a wider field. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
}

/**
 * The request's inputs as bytes. Raw contents, when there are any, are one entry per input in their order, and no input has typed ones.
 * Sizes are not checked against shapes here.
 */
export const readInputs = ({ inputs, rawInputContents }: Pick<ModelInferRequest, 'inputs' | 'rawInputContents'>): TensorData[] => {
  if (rawInputContents.length === 0) return inputs.map((input) => ({ ...tensorOf(input), bytes: typedBytes(input) }))
  if (rawInputContents.length !== inputs.length) throw rawCount(inputs.length, rawInputContents.length)
  return inputs.map((input, i) => {
    if (filledIn(input.contents).length > 0) throw bothContents(input.name) // MLServer's client sends empty ones along
    return { ...tensorOf(input), bytes: rawInputContents[i]! }
  })
}

export const rawCount = (inputs: number, entries: number): Error =>
  invalidTensor(`raw_input_contents: expected one entry per input, ${inputs}, got ${entries}`)

const bothContents = (name: string): Error =>
  invalidTensor(`input ${name}: expected raw_input_contents only, got contents as well`, { tensor: name })

/** The datatype of the protocol by its name. */
export const datatypeNamed = (name: string, datatype: string): Datatype => {
  if (isDatatype(datatype)) return datatype
  throw invalidTensor(
    `input ${name}: expected one of the datatypes ${Object.keys(contentsField).join(', ')}, FP16, BF16, got ${datatype === '' ? 'none' : datatype}`,
    { tensor: name },
  )
}

const tensorOf = ({ name, datatype, shape }: ModelInferRequest['inputs'][number]): Omit<TensorData, 'bytes'> => ({
  name,
  datatype: datatypeNamed(name, datatype),
  shape: shape.map(Number),
})

const typedBytes = ({ name, datatype, contents }: ModelInferRequest['inputs'][number]): Uint8Array => {
  const fail = (expected: string, got: string): Error =>
    invalidTensor(`input ${name}: expected ${expected}, got ${got}`, { tensor: name, expected, got })
  const filled = filledIn(contents)
  if (!hasField(datatype)) throw fail(`${datatype} in raw_input_contents`, filled.length === 0 ? 'none' : snakeCase(filled[0]!))
  const field = contentsField[datatype]
  const other = filled.find((each) => each !== field)
  if (other !== undefined) throw fail(`${datatype} values in ${snakeCase(field)}`, snakeCase(other))
  const values = contents?.[field] ?? []
  if (datatype === 'BYTES') return packBytes(values as Uint8Array[])
  const range = ranges[datatype]
  if (range !== undefined) {
    const outside = (values as number[]).find((value) => value < range[0] || value > range[1])
    if (outside !== undefined) throw fail(`${datatype} values from ${range[0]} to ${range[1]}`, String(outside))
  }
  return pack(datatype, values as (number | bigint | boolean)[])
}

const filledIn = (contents: InferTensorContents | undefined): ContentsField[] =>
  contents === undefined ? [] : (Object.keys(contents) as ContentsField[]).filter((field) => contents[field].length > 0)

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
