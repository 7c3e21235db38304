// The parameters of a model that another server runs, read from its configuration: where, how, under which name, how long.

import type { ModelConfig } from '@andon/schemas/inference'
import { DataType } from '@andon/schemas/inference'
import { modelUnloadable } from '../errors.ts'
import type { Datatype, ModelIo, TensorSpec } from '../tensors/tensors.ts'
import { isDatatype } from '../tensors/tensors.ts'
import { remoteProtocols } from './client.ts'
import type { RemoteProtocol } from './client.ts'
import { hasJsonForm } from './json-values.ts'

export interface RemoteConfig {
  readonly protocol: RemoteProtocol
  /** gRPC: `host:port`; else a URL. */
  readonly target: string
  readonly isTls: boolean
  readonly model: string
  /** Empty: the other server's choice. */
  readonly version: string
  readonly timeoutMs: number
  /** Batches on their way to the other server at once. */
  readonly concurrency: number
  readonly allowsNonFinite: boolean
  /** As configured, with the batch dimension; undefined where the configuration leaves it to the other server. */
  readonly io: ModelIo | undefined
  readonly isBatched: boolean
  readonly path: string
  readonly healthPath: string
  readonly fields: Readonly<Record<string, string>>
}

/** Throws ANDON_INFERENCE_MODEL_UNLOADABLE with the parameter, what is expected and what was found. */
export const remoteConfigOf = (label: string, config: ModelConfig): RemoteConfig => {
  const text = (name: string): string => config.parameters[name]?.stringValue ?? ''
  const fail = (name: string, expected: string, found: string): Error =>
    modelUnloadable(label, `parameter ${name}: expected ${expected}, found ${found === '' ? 'none' : found}`)
  const count = (name: string, fallback: number): number => {
    if (text(name) === '') return fallback
    if (!/^[1-9]\d{0,6}$/.test(text(name))) throw fail(name, 'a whole number above 0', text(name))
    return Number(text(name))
  }
  const protocol = remoteProtocols.find((each) => each === (text('andon_remote_protocol') || 'grpc'))
  if (protocol === undefined) throw fail('andon_remote_protocol', `one of ${remoteProtocols.join(', ')}`, text('andon_remote_protocol'))
  const isGrpc = protocol === 'grpc'
  const given = text('andon_remote_url')
  const url = URL.parse(isGrpc && !given.includes('://') ? `grpc://${given}` : given)
  const schemes = isGrpc ? ['grpc:', 'grpcs:'] : ['http:', 'https:']
  if (url === null || url.host === '' || !schemes.includes(url.protocol))
    throw fail('andon_remote_url', isGrpc ? 'host:port, or grpcs://host:port' : 'http://host:port or https://host:port', given)
  const io = ioOf(label, config)
  const isJson = protocol === 'http' || protocol === 'bentoml' || protocol === 'ray'
  const tensors = [...(io?.inputs ?? []), ...(io?.outputs ?? [])]
  const noForm = isJson ? tensors.find(({ datatype }) => !hasJsonForm(datatype)) : undefined
  if (noForm !== undefined)
    throw modelUnloadable(label, `${noForm.name} is ${noForm.datatype}, which JSON cannot hold; use the protocol grpc or http-binary`)
  const nonFinite = text('andon_non_finite')
  if (isJson && nonFinite !== 'refuse' && io?.inputs.some(({ datatype }) => datatype === 'FP32' || datatype === 'FP64') === true)
    throw fail('andon_non_finite', `refuse, because JSON cannot hold NaN (protocol ${protocol})`, nonFinite)
  if ((protocol === 'bentoml' || protocol === 'ray') && io === undefined)
    throw modelUnloadable(label, `the configuration has no inputs and outputs, and a server of the protocol ${protocol} does not say which`)
  return {
    protocol,
    target: isGrpc ? url.host : given,
    isTls: url.protocol === 'grpcs:',
    model: text('andon_remote_model') || config.name,
    version: text('andon_remote_version'),
    timeoutMs: count('andon_remote_timeout_ms', 5_000),
    concurrency: count('andon_remote_concurrency', 8),
    allowsNonFinite: nonFinite === 'pass',
    io,
    isBatched: config.maxBatchSize > 0,
    path: text('andon_remote_path') || (protocol === 'bentoml' ? '/predict' : '/'),
    healthPath: text('andon_remote_health_path') || (protocol === 'bentoml' ? '/readyz' : '/-/healthz'),
    fields: fieldsOf(text('andon_remote_fields'), (found) => fail('andon_remote_fields', 'JSON such as {"features":"x"}', found)),
  }
}

const fieldsOf = (text: string, fail: (found: string) => Error): Record<string, string> => {
  if (text === '') return {}
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch {
    throw fail(text)
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw fail(text)
  if (!Object.values(fields).every((field) => typeof field === 'string' && field !== '')) throw fail(text)
  return fields as Record<string, string>
}

const ioOf = (label: string, { input, output, maxBatchSize }: ModelConfig): ModelIo | undefined => {
  if (input.length === 0 && output.length === 0) return undefined
  const specOf = ({ name, dataType, dims }: { name: string; dataType: DataType; dims: readonly bigint[] }): TensorSpec => {
    const datatype = datatypeOf(dataType)
    if (datatype === undefined) throw modelUnloadable(label, `tensor ${name}: expected a data type, found ${String(dataType)}`)
    return { name, datatype, shape: [...(maxBatchSize > 0 ? [-1] : []), ...dims.map(Number)] }
  }
  return {
    inputs: input.map((each) => ({ ...specOf(each), ...(each.optional ? { isOptional: true } : {}) })),
    outputs: output.map(specOf),
  }
}

const datatypeOf = (dataType: DataType): Datatype | undefined => {
  const name = String(Object.entries(DataType).find(([, value]) => value === dataType)?.[0] ?? '').replace(/^TYPE_/, '')
  const datatype = name === 'STRING' ? 'BYTES' : name
  return isDatatype(datatype) ? datatype : undefined
}
