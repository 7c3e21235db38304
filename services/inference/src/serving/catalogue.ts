// All models that can be scored here, by name and version: those of the registry (topic `models`), which the event path scores as well,
// and those of a repository folder. What the doors ask for (`Serving`) is answered here; running is the servables' business.

import { messageOf, predictionId } from '@andon/kit'
import type { Blobs } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { ModelStatistics } from '@andon/schemas/inference'
import { explicitOnly, invalidRequest, modelUnknown, vectorUnknown, wrongArtefact } from '../errors.ts'
import { verdictSetDigest } from '../models/model-registry.ts'
import type { ModelRegistry } from '../models/model-registry.ts'
import type { LatestVector, LatestVectors } from '../scoring/latest-vectors.ts'
import { gathered } from '../scoring/gathered.ts'
import { runHere } from '../scoring/run-here.ts'
import { planOf, tensorOf } from '../scoring/scorer.ts'
import { inputOf } from '../scoring/verdicts.ts'
import { checkedRequest } from './requests.ts'
import type { Signature } from './requests.ts'
import type { RunAnswer, Servable } from './servable.ts'
import type { IndexEntry, InferAnswer, InferRequest, ModelDescription, Parameters, Serving } from './serving.ts'

/** What a registered version is opened from; one from the folder says more. */
export interface ModelVersion {
  readonly name: string
  readonly version: number
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  readonly bytes: Uint8Array
}

/** Puts a model's runner, policy, queue and statistics together; rejects with the reason it cannot be scored. */
export type OpenModel = (model: ModelVersion) => Promise<Servable>

export interface CatalogueOptions {
  readonly registry: ModelRegistry
  readonly blobs: Blobs
  readonly latest: LatestVectors
  readonly open: OpenModel
}

export interface Catalogue extends Serving {
  /** The registered version, loaded; rejects when its artefact is missing, altered or no model that can be run here. Each is opened once. */
  servableOf(model: Models): Promise<Servable>
  /** True once it can be scored without loading. */
  isLoaded(model: Models): boolean
  /** Every version that can be scored now, for metrics. */
  loaded(): readonly Servable[]
  /** Nothing is taken any more; what was is answered, and memory given back. */
  close(): Promise<void>
}

interface Entry {
  readonly model: Models
  readonly opening: Promise<Servable>
  servable?: Servable
  reason?: string
}

export const openCatalogue = async ({ registry, blobs, latest, open }: CatalogueOptions): Promise<Catalogue> => {
  /** Registered versions that were asked for, by name and version. */
  const entries = new Map<string, Entry>()

  const servableOf = (model: Models): Promise<Servable> => {
    const key = keyOf(model)
    const known = entries.get(key)
    if (known !== undefined && known.reason === undefined) return known.opening
    const opening = blobs.get(model.uri).then((bytes) => open({ name: model.model, version: model.version, digest: model.digest, bytes }))
    const entry: Entry = { model, opening }
    entries.set(key, entry)
    opening.then(
      (servable) => (entry.servable = servable),
      (error: unknown) => (entry.reason = messageOf(error)), // the next request tries again
    )
    return opening
  }

  const find = (name: string, version: string): Models => {
    if (version !== '' && !/^\d{1,9}$/.test(version)) throw modelUnknown(name, version)
    const model = registry.find(name, version === '' ? undefined : Number(version))
    if (model === undefined) throw modelUnknown(name, version)
    return model
  }

  const isLoaded = (model: Models): boolean => entries.get(keyOf(model))?.servable !== undefined

  const scorer = gathered(runHere(servableOf), { mostRows: ROWS_ASKED, mostTogether: ROWS_ASKED })

  const scoreLatest = async (request: InferRequest, assetId: string): Promise<InferAnswer> => {
    const vector = await latest.get(assetId)
    if (vector === undefined) throw vectorUnknown(assetId)
    const active = registry.activeAt(assetId, vector.featureSetDigest, vector.windowEndUs)
    const model = request.model === '' ? active[0] : active.find(({ model }) => model === request.model)
    if (model === undefined || (request.version !== '' && String(model.version) !== request.version)) {
      throw modelUnknown(request.model === '' ? `of asset ${assetId}` : request.model, request.version)
    }
    const servable = await servableOf(model)
    const { values, missing, hasMovedConstant } = await inputOf(scorer, vector, model)
    const plan = planOf(model, servable, 1)
    const { name, datatype } = plan.input
    const run = checkedRequest(signatureOf(servable), { ...request, inputs: [{ name, datatype, ...tensorOf(plan, [values]) }] })
    const inDomain = missing.length === 0 && !hasMovedConstant && !vector.machineOff && !vector.young
    return answerOf(servable, await servable.run(run), { ...identity(vector, active), andon_in_domain: inDomain })
  }

  const description = (name: string, servable: Servable, versions: readonly Models[]): ModelDescription => ({
    name,
    versions: versions.map((each) => String(each.version)),
    platform: servable.config.platform,
    inputs: servable.inputs,
    outputs: servable.outputs,
    config: servable.config,
  })

  return {
    servableOf,
    isLoaded,
    loaded: () => [...entries.values()].flatMap(({ servable }) => servable ?? []),
    isReady: () => registry.current().every((model) => isLoaded(model) || entries.get(keyOf(model))?.reason !== undefined),
    isModelReady(name, version) {
      let model: Models
      try {
        model = find(name, version)
      } catch {
        return false
      }
      if (!isLoaded(model)) servableOf(model).catch(() => {}) // the index has the reason; whoever asks again finds it ready
      return isLoaded(model)
    },
    async infer(request) {
      const assetId = assetOf(request.parameters)
      if (assetId !== undefined) {
        if (request.inputs.length > 0) throw invalidRequest('A request has either the parameter andon_asset or inputs, found both')
        return scoreLatest(request, assetId)
      }
      const servable = await servableOf(find(request.model, request.version))
      const parameters = artefactOf(servable, request.parameters)
      return answerOf(servable, await servable.run(checkedRequest(signatureOf(servable), request)), parameters)
    },
    async describe(name, version) {
      const model = find(name, version)
      return description(name, await servableOf(model), registry.versions(name))
    },
    index: () =>
      registry.names().flatMap((name) =>
        registry.versions(name).map((model): IndexEntry => {
          const entry = entries.get(keyOf(model))
          const state =
            entry === undefined || entry.reason !== undefined ? 'UNAVAILABLE' : entry.servable === undefined ? 'LOADING' : 'READY'
          const reason = entry === undefined ? 'registered; it is loaded when somebody asks for it' : (entry.reason ?? '')
          return { name, version: String(model.version), state, reason }
        }),
      ),
    load: async (name) => {
      if (registry.find(name) === undefined) throw modelUnknown(name, '')
      await servableOf(find(name, ''))
    },
    unload: async (name) => {
      if (registry.find(name) === undefined) throw modelUnknown(name, '')
      throw explicitOnly(name)
    },
    statistics: (name, version): readonly ModelStatistics[] => {
      const servables = [...entries.values()].flatMap(({ servable }) => servable ?? [])
      const wanted = servables.filter((each) => (name === '' || each.name === name) && (version === '' || String(each.version) === version))
      if (name !== '' && wanted.length === 0) find(name, version)
      return wanted.map((servable) => servable.statistics())
    },
    async close() {
      const all = [...entries.values()]
      entries.clear()
      await Promise.all(
        all.map(({ opening }) =>
          opening.then(
            (servable) => servable.close(),
            () => {}, // it never opened
          ),
        ),
      )
    },
  }
}

/** Rows that are asked for at once where features have to be replaced. */
const ROWS_ASKED = 64

const keyOf = ({ model, version }: Models): string => `${model}\u{1f}${version}`

const signatureOf = ({ name, inputs, outputs, config }: Servable): Signature => ({
  model: name,
  inputs,
  outputs,
  maxBatchRows: config.maxBatchSize,
  nonFinite: config.parameters['andon_non_finite']?.stringValue === 'refuse' ? 'refuse' : 'pass',
})

const answerOf = ({ name, version }: Servable, { outputs, provider }: RunAnswer, parameters: Parameters): InferAnswer => ({
  model: name,
  version: String(version),
  outputs,
  parameters: { ...parameters, andon_provider: provider },
})

/** A caller that names the artefact it means is answered by that one, and told so. */
const artefactOf = ({ name, version, digest }: Servable, { andon_digest: wanted }: Parameters): Parameters => {
  if (wanted === undefined) return {}
  if (wanted !== digest) throw wrongArtefact(`model ${name} version ${version}`, String(wanted), digest)
  return { andon_digest: digest }
}

const assetOf = (parameters: Parameters): string | undefined => {
  const assetId = parameters['andon_asset']
  if (assetId === undefined || typeof assetId === 'string') return assetId
  throw invalidRequest(`parameter andon_asset: expected a string, got ${typeof assetId} ${String(assetId)}`)
}

const identity = (vector: LatestVector, active: readonly Models[]): Parameters => ({
  andon_asset: vector.assetId,
  andon_vector_id: vector.vectorId,
  andon_prediction_id: predictionId(vector.vectorId, verdictSetDigest(active)),
  andon_window_end_us: BigInt(vector.windowEndUs),
})
