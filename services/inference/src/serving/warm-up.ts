// Requests that a model answers before it takes any: the first runs allocate and compile, and nobody should wait for that.

import { modelUnloadable } from '../errors.ts'
import type { ConfigText } from '../repository/config-text.ts'
import type { CompleteConfig } from '../repository/complete-config.ts'
import { datatypeNames } from '../repository/data-types.ts'
import type { Runner } from '../runtime/runner.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { Datatype, TensorSpec } from '../tensors/tensors.ts'
import { checkSize } from '../tensors/size.ts'
import type { TensorBytes } from './servable.ts'

export interface WarmUpSample {
  readonly name: string
  /** In the order of the model's inputs. */
  readonly inputs: readonly (TensorBytes | undefined)[]
  readonly rows: number
  readonly times: number
}

/** The samples of `model_warmup`; throws where one is not what the model takes. `files` are those of the folder `warmup`. */
export const warmUpSamples = (
  text: ConfigText,
  { config, inputs }: Pick<CompleteConfig, 'config' | 'inputs'>,
  files: ReadonlyMap<string, Uint8Array>,
): WarmUpSample[] =>
  config.modelWarmup.map((sample, at) => {
    const path = ['model_warmup', at]
    const isBatched = config.maxBatchSize > 0
    const rows = Math.max(1, sample.batchSize)
    const most = isBatched ? config.maxBatchSize : 1
    if (rows > most) throw text.fault([...path, 'batch_size'], `at most ${most}`, String(rows))
    for (const name of Object.keys(sample.inputs))
      if (!inputs.some((input) => input.name === name))
        throw text.fault([...path, 'inputs', name], `an input of the model: ${inputs.map(({ name }) => name).join(', ')}`, name)
    const tensors = inputs.map((spec): TensorBytes | undefined => {
      const input = sample.inputs[spec.name]
      const fail = (field: string, expected: string, found: string): never => {
        throw text.fault([...path, 'inputs', spec.name, ...(field === '' ? [] : [field])], expected, found)
      }
      if (input === undefined) return spec.isOptional === true ? undefined : fail('', 'every input of the model', 'none')
      const datatype = datatypeNames[input.dataType]
      if (datatype !== spec.datatype) fail('data_type', `TYPE_${spec.datatype}`, datatype === undefined ? 'none' : `TYPE_${datatype}`)
      const dims = input.dims.map(Number)
      const expected = isBatched ? spec.shape.slice(1) : spec.shape
      if (dims.length !== expected.length || dims.some((dim, i) => dim < 1 || (expected[i] !== -1 && expected[i] !== dim)))
        fail('dims', `[${expected.join(', ')}] in sizes of 1 and above`, `[${dims.join(', ')}]`)
      const choice = input.inputDataType
      const row =
        choice?.$case === 'inputDataFile'
          ? (files.get(choice.value) ?? fail('input_data_file', 'a file in the folder warmup', choice.value))
          : undefined
      const one = row ?? made(spec.datatype, elementCount(dims), choice?.$case === 'randomData')
      checkSample(spec, dims, one, fail)
      return isBatched ? { shape: [rows, ...dims], bytes: repeated(one, rows) } : { shape: dims, bytes: one }
    })
    return { name: sample.name, inputs: tensors, rows, times: Math.max(1, sample.count) }
  })

const checkSample = (
  spec: TensorSpec,
  dims: readonly number[],
  bytes: Uint8Array,
  fail: (field: string, expected: string, found: string) => never,
): void => {
  try {
    checkSize({ name: spec.name, datatype: spec.datatype, shape: dims, bytes })
  } catch (error) {
    fail('input_data_file', 'as many bytes as dims have', (error as Error).message)
  }
}

/** What a model is measured on: its own samples, or one request of zeros; none where it says none and a dimension after the batch is open. */
export const measuredSamples = (
  own: readonly WarmUpSample[],
  { config, inputs }: Pick<CompleteConfig, 'config' | 'inputs'>,
): readonly WarmUpSample[] => {
  if (own.length > 0) return own
  const shapes = inputs.map(({ shape }) => (config.maxBatchSize > 0 ? [1, ...shape.slice(1)] : [...shape]))
  if (shapes.some((shape) => shape.includes(-1))) return []
  const tensors = shapes.map((shape, i) => ({ shape, bytes: made(inputs[i]!.datatype, elementCount(shape), false) }))
  return [{ name: 'zeros', inputs: tensors, rows: 1, times: 1 }]
}

/** Every sample as often as it says, on every instance. */
export const runWarmUp = async (runner: Runner, samples: readonly WarmUpSample[], { policy, outputs }: CompleteConfig): Promise<void> => {
  const names = outputs.map(({ name }) => name)
  for (const sample of samples) {
    const { inputs, rows, times } = sample
    try {
      for (let time = 0; time < times; time++) {
        const batch = { requests: [{ inputs, rows }], outputs: names, rows }
        await Promise.all(Array.from({ length: policy.instances }, () => runner.run(batch)))
      }
    } catch (error) {
      throw modelUnloadable(`warm-up ${sample.name}`, error)
    }
  }
}

const repeated = (bytes: Uint8Array, times: number): Uint8Array => {
  const all = new Uint8Array(bytes.byteLength * times)
  for (let i = 0; i < times; i++) all.set(bytes, i * bytes.byteLength)
  return all
}

/** Zeros (empty strings), or values from 0 to 1 that are the same every time. */
const made = (datatype: Datatype, count: number, isRandom: boolean): Uint8Array => {
  const size = elementBytes(datatype)
  const bytes = new Uint8Array(count * (size ?? 4))
  if (!isRandom || size === undefined) return bytes
  const view = new DataView(bytes.buffer)
  let state = 0x9e3779b9
  for (let i = 0; i < count; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const unit = (state >>> 0) / 2 ** 32
    if (datatype === 'FP64') view.setFloat64(i * 8, unit, true)
    else if (datatype === 'FP32') view.setFloat32(i * 4, unit, true)
    else if (datatype === 'FP16') view.setUint16(i * 2, 0x3800 | ((state >>> 8) & 0x3ff), true) // 0.5 to 1
    else if (datatype === 'BF16') view.setUint16(i * 2, 0x3f00 | ((state >>> 8) & 0x7f), true) // 0.5 to 1
    else if (datatype === 'BOOL') view.setUint8(i, state & 1)
    else view.setUint8(i * size, state & 0x7f)
  }
  return bytes
}
