// Tensors of gRPC messages as bytes. Requests may carry raw bytes (which lie at any alignment) or typed values; what does not fit
// the protocol is refused with the tensor's name, what is expected and what was found.

import type { InferTensorContents, ModelInferRequest } from '@andon/schemas/inference'
import { invalidTensor } from '../errors.ts'
import type { InputTensor } from '../serving/infer.ts'
import { isNumeric, pack } from './tensors.ts'
import type { NumericDatatype } from './tensors.ts'

type ContentsField = keyof InferTensorContents

const contentsField: Record<NumericDatatype, ContentsField> = {
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
}

/** The request's inputs as bytes. Sizes are not checked against shapes here. */
export const readInputs = ({ inputs, rawInputContents }: ModelInferRequest): InputTensor[] => {
  if (rawInputContents.length === 0) return inputs.map((input) => ({ ...tensorOf(input), bytes: typedBytes(input) }))
  if (rawInputContents.length !== inputs.length) {
    throw invalidTensor(`raw_input_contents: expected one entry per input, ${inputs.length}, got ${rawInputContents.length}`)
  }
  return inputs.map((input, i) => {
    if (input.contents !== undefined)
      throw invalidTensor(`input ${input.name}: expected raw_input_contents only, got contents as well`, { tensor: input.name })
    return { ...tensorOf(input), bytes: rawInputContents[i]! }
  })
}

const tensorOf = ({ name, datatype, shape }: ModelInferRequest['inputs'][number]): Omit<InputTensor, 'bytes'> => ({
  name,
  datatype,
  shape: shape.map(Number),
})

const typedBytes = ({ name, datatype, contents }: ModelInferRequest['inputs'][number]): Uint8Array => {
  if (!isNumeric(datatype)) {
    throw invalidTensor(
      `input ${name}: expected one of the datatypes ${Object.keys(contentsField).join(', ')}, got ${datatype === '' ? 'none' : datatype}`,
      { tensor: name },
    )
  }
  const field = contentsField[datatype]
  const other =
    contents === undefined ? undefined : (Object.keys(contents) as ContentsField[]).find((key) => key !== field && contents[key].length > 0)
  if (other !== undefined)
    throw invalidTensor(`input ${name}: expected ${datatype} values in ${snakeCase(field)}, got ${snakeCase(other)}`, { tensor: name })
  try {
    return pack(datatype, (contents?.[field] ?? []) as (number | bigint | boolean)[])
  } catch (error) {
    throw invalidTensor(`input ${name}: expected ${datatype} values, got ${error instanceof Error ? error.message : String(error)}`, {
      tensor: name,
    })
  }
}

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
