// Tensors as JSON writes them, and back: nested or flat lists of numbers, truth values or texts. JSON has no NaN, and a number that is
// none of the tensor's datatype is refused rather than bent.

import { serverAnswerWrong } from '../errors.ts'
import type { TensorData } from '../serving/serving.ts'
import { packBytes, unpackBytes } from '../tensors/bytes.ts'
import { elementCount, isNumeric, pack, unpack } from '../tensors/tensors.ts'
import type { Datatype } from '../tensors/tensors.ts'

/** FP16 and BF16 have no JSON form. */
export const hasJsonForm = (datatype: Datatype): boolean => isNumeric(datatype) || datatype === 'BYTES'

/** A flat list as JSON text. The bytes hold no NaN and no infinity. */
export const flatJson = ({ datatype, bytes }: Pick<TensorData, 'datatype' | 'bytes'>): string =>
  `[${elementsJson({ datatype, bytes }).join(',')}]`

/** Lists in lists, by the tensor's shape. */
export const nestedJson = ({ datatype, shape, bytes }: Pick<TensorData, 'datatype' | 'shape' | 'bytes'>): string => {
  const elements = elementsJson({ datatype, bytes })
  let next = 0
  const level = (depth: number): string =>
    depth === shape.length ? elements[next++]! : `[${Array.from({ length: shape[depth]! }, () => level(depth + 1)).join(',')}]`
  return level(0)
}

const elementsJson = ({ datatype, bytes }: Pick<TensorData, 'datatype' | 'bytes'>): string[] => {
  if (datatype === 'BYTES') return unpackBytes(bytes).map((element) => JSON.stringify(Buffer.from(element).toString('utf8')))
  const values = unpack(datatype as Exclude<Datatype, 'BYTES' | 'FP16' | 'BF16'>, bytes)
  return datatype === 'BOOL' ? values.map((value) => (value === 0 ? 'false' : 'true')) : values.map(numberText)
}

const numberText = (value: number | bigint): string => (Object.is(value, -0) ? '-0.0' : String(value))

/** JSON whose integers beyond 2^53 stay exact, as bigint. */
export const parseExact = (text: string): unknown =>
  /\d{16}/.test(text)
    ? JSON.parse(text, ((_key: string, value: unknown, { source }: { source?: string }) =>
        typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
          ? BigInt(source)
          : value) as (key: string, value: unknown) => unknown)
    : JSON.parse(text)

/** Shape of lists in lists, by the first element of each; `bytesOf` finds out whether the others agree. */
export const shapeOf = (values: unknown): number[] => {
  const shape: number[] = []
  for (let level = values; Array.isArray(level); level = level[0] as unknown) shape.push(level.length)
  return shape
}

/** The tensor's bytes; lists may be nested by the shape or flat. */
export const bytesOf = (name: string, datatype: Datatype, shape: readonly number[], values: unknown, target: string): Uint8Array => {
  const wrong = (expected: string, got: string): Error => serverAnswerWrong(target, `output ${name}: expected ${expected}, got ${got}`)
  const flat: unknown[] = []
  const add = (list: unknown, depth: number): void => {
    if (!Array.isArray(list)) {
      if (depth !== shape.length) throw wrong(`lists of depth ${shape.length}`, `a value at depth ${depth}`)
      flat.push(list)
      return
    }
    if (depth >= shape.length || list.length !== shape[depth])
      throw wrong(`${depth < shape.length ? `${shape[depth]} elements` : 'a value'} at depth ${depth}`, `${list.length} elements`)
    for (const each of list) add(each, depth + 1)
  }
  if (Array.isArray(values) && values.length === elementCount(shape) && !values.some((each) => Array.isArray(each))) flat.push(...values)
  else add(values, 0)
  if (datatype === 'BYTES') {
    const other = flat.find((value) => typeof value !== 'string')
    if (other !== undefined) throw wrong('texts', kindOf(other))
    return packBytes((flat as string[]).map((value) => Buffer.from(value)))
  }
  if (!isNumeric(datatype)) throw wrong('a datatype that JSON can hold', datatype)
  const isTruth = datatype === 'BOOL'
  for (const value of flat) {
    const fits = isTruth ? typeof value === 'boolean' || value === 0 || value === 1 : typeof value === 'number' || typeof value === 'bigint'
    if (!fits) throw wrong(isTruth ? 'truth values' : 'numbers', kindOf(value))
  }
  if (datatype === 'FP32' || datatype === 'FP64') return pack(datatype, (flat as (number | bigint)[]).map(Number))
  const fraction = (flat as (number | bigint | boolean)[]).find((value) => typeof value === 'number' && !Number.isInteger(value))
  if (fraction !== undefined) throw wrong(`values of ${datatype}`, String(fraction))
  const bytes = pack(datatype, flat as (number | bigint | boolean)[])
  const back = unpack(datatype, bytes)
  const bent = flat.findIndex((value, i) => BigInt(value as number | bigint | boolean) !== BigInt(back[i]!))
  if (bent >= 0) throw wrong(`values of ${datatype}`, String(flat[bent]))
  return bytes
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value)
