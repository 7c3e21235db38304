// Value of a metric, by the data type its birth announced → a number for a channel, or why there is none. Pure.

import type { Metric } from './payload.ts'

/** Names of data types by number, Sparkplug B 3.0 §6.4.16. */
export const typeNames: readonly string[] = [
  'Unknown',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'UInt8',
  'UInt16',
  'UInt32',
  'UInt64',
  'Float',
  'Double',
  'Boolean',
  'String',
  'DateTime',
  'Text',
  'UUID',
  'DataSet',
  'Bytes',
  'File',
  'Template',
]

/** Bits of integers; negative: signed. */
const integerBits: Readonly<Record<number, number>> = { 1: -8, 2: -16, 3: -32, 4: -64, 5: 8, 6: 16, 7: 32, 8: 64 }
const [floatType, doubleType, booleanType] = [9, 10, 11]

export const typeName = (type: number): string => typeNames[type] ?? `type ${type}`

/** True for types that can be a channel: numbers and booleans. */
export const isScalarType = (type: number): boolean => type in integerBits || (type >= floatType && type <= booleanType)

/** The number, null when the metric is null, or a text that says what was found and what is expected. */
export const numberOf = (metric: Metric, type: number): number | null | string => {
  if (!isScalarType(type)) return `found a ${typeName(type)}, expected a number or a Boolean`
  if (metric.isNull) return null
  const { field, value } = metric
  if (field === undefined || value === undefined) return `found ${field ?? 'no value'}, expected ${expectedOf(type)}`
  const bits = integerBits[type]
  if (bits !== undefined) {
    return field === 'intValue' || field === 'longValue' ? integerOf(BigInt(value), bits) : wrongField(field, type)
  }
  if (type === booleanType) return field === 'booleanValue' ? Number(value) : wrongField(field, type)
  const isReal = field === 'doubleValue' ? type === doubleType : field === 'floatValue'
  if (!isReal) return wrongField(field, type)
  return Number.isFinite(value) ? Number(value) : `found ${Number(value)}, expected a finite number`
}

/**
 * An integer as implementations write it: unsigned, or negative in two's complement of its own width, of 32 or of 64 bits.
 * One that a double cannot hold exactly is refused.
 */
const integerOf = (raw: bigint, bits: number): number | string => {
  const width = Math.abs(bits)
  const value = bits < 0 ? BigInt.asIntN(width, raw) : raw
  const isInside = bits < 0 ? [width, 32, 64].some((each) => BigInt.asUintN(each, value) === raw) : raw === BigInt.asUintN(width, raw)
  if (!isInside) return `found ${raw}, expected ${width} bits`
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : `found ${value}, expected at most 2^53, which channels hold exactly`
}

const wrongField = (field: string, type: number): string => `found ${field}, expected ${expectedOf(type)}, as the birth announced`

const expectedOf = (type: number): string => `a value of type ${typeName(type)}`
