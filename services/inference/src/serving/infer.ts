// Scoring on request, behind gRPC and HTTP alike: which model, are the tensors what it takes, and the answer. With the parameter
// `andon_asset` and no inputs the asset's latest vector is scored, and the answer names the vector and the prediction that the
// event path makes of it.

import { predictionId } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { LatestVector, LatestVectors } from '../scoring/latest-vectors.ts'
import { invalidRequest, invalidTensor, modelUnknown, vectorUnknown } from '../errors.ts'
import type { ModelCache } from './model-cache.ts'
import { verdictSetDigest } from '../models/model-registry.ts'
import type { ModelRegistry } from '../models/model-registry.ts'
import type { OutputTensor } from '../runtime/session-pool.ts'
import { elementBytes, elementCount } from '../tensors/tensors.ts'
import type { ModelIo, TensorSpec } from '../tensors/tensors.ts'
import { inputOf } from '../scoring/verdicts.ts'
import type { Scorer } from '../scoring/scorer.ts'
import { packDoubles, readDoubles } from '@andon/schemas/packed'

export interface InputTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export interface InferRequest {
  /** Empty only with `andon_asset`: the asset's model. */
  readonly model: string
  /** Empty: the version in force. */
  readonly version: string
  readonly assetId: string | undefined
  readonly inputs: readonly InputTensor[]
  /** Empty: all outputs. */
  readonly outputs: readonly string[]
  readonly signal?: AbortSignal
}

export interface InferAnswer {
  readonly model: Models
  readonly outputs: readonly OutputTensor[]
  /** What a scoring by asset id adds. */
  readonly parameters: Readonly<Record<string, string | bigint | boolean>>
}

export interface InferenceDoor {
  /** Rejects with an AndonError whose status says whose fault it is. */
  infer(request: InferRequest): Promise<InferAnswer>
  /** The registered model and what it takes and gives. */
  describe(model: string, version: string): Promise<{ model: Models; versions: string[]; io: ModelIo }>
  isModelReady(model: string, version: string): Promise<boolean>
}

export const inferenceDoor = (registry: ModelRegistry, cache: ModelCache, latest: LatestVectors): InferenceDoor => {
  const find = (name: string, version: string): Models => {
    if (version !== '' && !/^\d{1,9}$/.test(version)) throw modelUnknown(name, version)
    const model = registry.find(name, version === '' ? undefined : Number(version))
    if (model === undefined) throw modelUnknown(name, version)
    return model
  }

  const scoreLatest = async (request: InferRequest, assetId: string): Promise<InferAnswer> => {
    const vector = await latest.get(assetId)
    if (vector === undefined) throw vectorUnknown(assetId)
    const active = registry.activeAt(assetId, vector.featureSetDigest, vector.windowEndUs)
    const model = request.model === '' ? active[0] : active.find(({ model }) => model === request.model)
    if (model === undefined || (request.version !== '' && String(model.version) !== request.version)) {
      throw modelUnknown(request.model === '' ? `of asset ${assetId}` : request.model, request.version)
    }
    const io = await cache.io(model)
    const { values, missing, hasMovedConstant } = await inputOf(scoresBy(cache), vector, model)
    const outputs = await cache.run(
      model,
      [{ shape: [1, model.features.length], bytes: packDoubles(values) }],
      outputNames(io, request.outputs),
      request.signal,
    )
    const inDomain = missing.length === 0 && !hasMovedConstant && !vector.machineOff && !vector.young
    return { model, outputs, parameters: { ...identity(vector, active), andon_in_domain: inDomain } }
  }

  return {
    async infer(request) {
      if (request.assetId !== undefined) {
        if (request.inputs.length > 0) throw invalidRequest('A request has either the parameter andon_asset or inputs, found both')
        return scoreLatest(request, request.assetId)
      }
      const model = find(request.model, request.version)
      const io = await cache.io(model)
      const inputs = io.inputs.map((spec) => checked(spec, request.inputs))
      const unknown = request.inputs.find(({ name }) => !io.inputs.some((spec) => spec.name === name))
      if (unknown !== undefined)
        throw invalidTensor(`input ${unknown.name}: expected ${listed(io.inputs)}, got a tensor of that name`, { tensor: unknown.name })
      const rows = new Set(io.inputs.flatMap((spec, i) => (spec.shape[0] === -1 ? [inputs[i]!.shape[0]] : [])))
      if (rows.size > 1) throw invalidTensor(`inputs: expected the same number of rows in all, got ${[...rows].join(', ')}`)
      return { model, outputs: await cache.run(model, inputs, outputNames(io, request.outputs), request.signal), parameters: {} }
    },
    async describe(name, version) {
      const model = find(name, version)
      return { model, versions: registry.versions(name).map((each) => String(each.version)), io: await cache.io(model) }
    },
    async isModelReady(name, version) {
      try {
        await cache.io(find(name, version))
        return true
      } catch {
        return false
      }
    },
  }
}

const scoresBy = (cache: ModelCache): Pick<Scorer, 'scores'> => ({
  scores: async (model, rows) => {
    const scores = await Promise.all(rows.map((row) => cache.run(model, [{ shape: [1, row.length], bytes: packDoubles(row) }], ['score'])))
    return Float64Array.from(scores, ([score]) => readDoubles(score!.bytes)[0]!)
  },
})

const identity = (vector: LatestVector, active: readonly Models[]): InferAnswer['parameters'] => ({
  andon_asset: vector.assetId,
  andon_vector_id: vector.vectorId,
  andon_prediction_id: predictionId(vector.vectorId, verdictSetDigest(active)),
  andon_window_end_us: BigInt(vector.windowEndUs),
})

const outputNames = (io: ModelIo, wanted: readonly string[]): string[] => {
  const known = io.outputs.map(({ name }) => name)
  const unknown = wanted.find((name) => !known.includes(name))
  if (unknown !== undefined) throw invalidTensor(`output ${unknown}: expected one of ${known.join(', ')}`, { tensor: unknown })
  return wanted.length === 0 ? known : [...wanted]
}

/** The input the model asks for, or an error that names the tensor, what is expected and what was found. */
const checked = (spec: TensorSpec, inputs: readonly InputTensor[]): InputTensor => {
  const fail = (expected: string, got: string): Error =>
    invalidTensor(`input ${spec.name}: expected ${expected}, got ${got}`, { tensor: spec.name, expected, got })
  const [input, second] = inputs.filter(({ name }) => name === spec.name)
  if (input === undefined)
    throw fail(`a tensor ${spec.datatype} ${shapeText(spec.shape)}`, inputs.length === 0 ? 'no inputs' : `only ${listed(inputs)}`)
  if (second !== undefined) throw fail('one tensor', 'several of that name')
  if (input.datatype !== spec.datatype) throw fail(`datatype ${spec.datatype}`, input.datatype === '' ? 'none' : input.datatype)
  const fits =
    input.shape.length === spec.shape.length &&
    input.shape.every((size, i) => Number.isSafeInteger(size) && size >= 1 && (spec.shape[i] === -1 || spec.shape[i] === size))
  if (!fits) throw fail(`shape ${shapeText(spec.shape)}`, shapeText(input.shape))
  const bytes = elementCount(input.shape) * elementBytes(spec.datatype)!
  if (input.bytes.byteLength !== bytes) throw fail(`${bytes} bytes for shape ${shapeText(input.shape)}`, `${input.bytes.byteLength} bytes`)
  return input
}

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`
const listed = (tensors: readonly { name: string }[]): string => tensors.map(({ name }) => name).join(', ')
