// A model's configuration as Triton answers it: the names of the .proto, every plain field with its default, enums by name, 64-bit
// integers as numbers with all their digits.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ModelConfig, protoDir } from '@andon/schemas/inference'
import protobuf from 'protobufjs'

let known: protobuf.Type | undefined

const configType = (): protobuf.Type => {
  if (known !== undefined) return known
  const { root } = protobuf.parse(readFileSync(join(protoDir, 'inference', 'model_config.proto'), 'utf8'), { keepCase: true })
  root.resolveAll()
  return (known = root.lookupType('inference.ModelConfig'))
}

export const configJson = (config: ModelConfig): string => {
  const type = configType()
  return objectOf(type, type.decode(ModelConfig.encode(config).finish()))
}

const objectOf = (type: protobuf.Type, message: object): string => {
  const written = type.fieldsArray.flatMap((field) => {
    const value: unknown = Reflect.get(message, field.name)
    const isSet = Object.hasOwn(message, field.name)
    const isPlain = !field.repeated && !field.map && !(field.resolvedType instanceof protobuf.Type) && field.partOf === null
    return isSet || isPlain || field.repeated || field.map ? [`"${field.name}":${fieldOf(field, value)}`] : []
  })
  return `{${written.join(',')}}`
}

const fieldOf = (field: protobuf.Field, value: unknown): string => {
  if (field instanceof protobuf.MapField) {
    const entries = Object.entries(value as Record<string, unknown>)
    return `{${entries.map(([key, each]) => `${keyOf(field, key)}:${valueOf(field, each)}`).join(',')}}`
  }
  return field.repeated ? `[${(value as unknown[]).map((each) => valueOf(field, each)).join(',')}]` : valueOf(field, value)
}

/** 64-bit keys are kept as their eight bytes, least significant first. */
const keyOf = ({ keyType }: protobuf.MapField, key: string): string =>
  JSON.stringify(keyType.endsWith('64') ? String(Buffer.from(key, 'latin1').readBigInt64LE()) : key)

const valueOf = ({ resolvedType: type }: protobuf.Field, value: unknown): string => {
  if (type instanceof protobuf.Type) return objectOf(type, value as object)
  if (type instanceof protobuf.Enum) return JSON.stringify(type.valuesById[value as number] ?? value)
  return typeof value === 'string' ? JSON.stringify(value) : String(value) // Long writes its digits
}
