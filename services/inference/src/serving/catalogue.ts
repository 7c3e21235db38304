// All models that can be scored here, by name and version: those of the registry (topic `models`), which the event path scores as well,
// and those of a repository folder. What the doors ask for (`Serving`) is answered here; running is the servables' business.

import { messageOf, predictionId } from '@andon/kit'
import type { Blobs, Logger } from '@andon/kit'
import type { Models } from '@andon/schemas'
import type { ModelStatistics } from '@andon/schemas/inference'
import { explicitOnly, invalidRequest, modelNotReady, modelUnknown, vectorUnknown, wrongArtefact } from '../errors.ts'
import { verdictSetDigest } from '../models/model-registry.ts'
import type { ModelRegistry } from '../models/model-registry.ts'
import type { LatestVector, LatestVectors } from '../scoring/latest-vectors.ts'
import { gathered } from '../scoring/gathered.ts'
import { runHere } from '../scoring/run-here.ts'
import { planOf, tensorOf } from '../scoring/scorer.ts'
import { inputOf } from '../scoring/verdicts.ts'
import { openFolder } from '../repository/folder.ts'
import type { ConfigDefaults } from '../repository/model-config.ts'
import { registeredConfig } from '../repository/registered.ts'
import { openRepository } from '../repository/repository.ts'
import type { ServedVersion } from '../repository/repository.ts'
import { classified } from './classification.ts'
import type { OpenModel } from './open-model.ts'
import { checkedRequest } from './requests.ts'
import type { Signature } from './requests.ts'
import type { RunAnswer, Servable } from './servable.ts'
import type { IndexEntry, InferAnswer, InferRequest, Parameters, RequestedOutput, Serving } from './serving.ts'

export interface CatalogueOptions {
  readonly registry: ModelRegistry
  readonly blobs: Blobs
  readonly latest: LatestVectors
  readonly open: OpenModel
  readonly defaults?: ConfigDefaults
  /** The folder of models in Triton's layout; none: only what is registered. */
  readonly repository?: {
    readonly path: string
    readonly control: 'none' | 'poll' | 'explicit'
    readonly pollMs: number
    readonly takesUploads?: boolean
  }
  /** Wall clock. */
  readonly nowMs?: () => number
  readonly logger?: Pick<Logger, 'info' | 'warn' | 'error'>
}

export interface Catalogue extends Serving {
  /** The registered version, loaded; rejects when its artefact is missing, altered or no model that can be run here. Each is opened once. */
  servableOf(model: Models): Promise<Servable>
  /** True once it can be scored without loading. */
  isLoaded(model: Models): boolean
  /** Every version that can be scored now, for metrics. */
  loaded(): readonly Servable[]
  /** Resolves when the folder's models have been loaded for the first time, or are said to be unavailable. */
  started(): Promise<void>
  /** Nothing is taken any more; what was is answered, and memory given back. */
  close(): Promise<void>
}

interface Entry {
  readonly model: Models
  readonly opening: Promise<Servable>
  servable?: Servable
  reason?: string
}

const DEFAULTS: ConfigDefaults = { maxBatchRows: 64, instances: 1, maxQueueSize: 8192 }

export const openCatalogue = async (options: CatalogueOptions): Promise<Catalogue> => {
  const { registry, blobs, latest, open, defaults = DEFAULTS, nowMs = Date.now } = options
  /** Registered versions that were asked for, by name and version. */
  const entries = new Map<string, Entry>()

  const servableOf = (model: Models): Promise<Servable> => {
    const key = keyOf(model)
    const known = entries.get(key)
    if (known !== undefined && known.reason === undefined) return known.opening
    const opening = blobs
      .get(model.uri)
      .then((bytes) =>
        open({ name: model.model, version: model.version, digest: model.digest, bytes, declared: registeredConfig(model.model, defaults) }),
      )
    const entry: Entry = { model, opening }
    entries.set(key, entry)
    opening.then(
      (servable) => (entry.servable = servable),
      (error: unknown) => (entry.reason = messageOf(error)), // the next request tries again
    )
    return opening
  }

  const findRegistered = (name: string, version: string): Models => {
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
    return answerOf(servable, await servable.run(run), { ...identity(vector, active), andon_in_domain: inDomain }, request.outputs)
  }

  const isRegistered = (name: string): boolean => registry.has(name)
  const repository =
    options.repository === undefined
      ? undefined
      : openRepository({
          takesUploads: false,
          ...options.repository,
          folder: openFolder(options.repository.path),
          open,
          defaults,
          nowMs,
          isTaken: isRegistered,
          resolveOther: (name, version) => {
            const model = findRegistered(name, version)
            const servable = entries.get(keyOf(model))?.servable
            if (servable === undefined) throw modelNotReady(name, version, 'it is registered and not loaded')
            return servable
          },
          ...(options.logger === undefined ? {} : { logger: options.logger }),
        })

  /** A registered model goes before a folder of its name. */
  const isInFolder = (name: string): boolean => !isRegistered(name) && repository?.has(name) === true

  const loaded = (): Servable[] => [
    ...[...entries.values()].flatMap(({ servable }) => servable ?? []),
    ...(repository?.served() ?? []).map(({ servable }) => servable),
  ]

  return {
    servableOf,
    isLoaded,
    loaded,
    started: async () => repository?.started(),
    isReady: () =>
      repository?.isReady() !== false &&
      registry.current().every((model) => isLoaded(model) || entries.get(keyOf(model))?.reason !== undefined),
    isModelReady(name, version) {
      try {
        if (isInFolder(name)) return repository!.find(name, version).servable.name === name
        const model = findRegistered(name, version)
        if (!isLoaded(model)) servableOf(model).catch(() => {}) // the index has the reason; whoever asks again finds it ready
        return isLoaded(model)
      } catch {
        return false
      }
    },
    async infer(request) {
      const assetId = assetOf(request.parameters)
      if (assetId !== undefined) {
        if (request.inputs.length > 0) throw invalidRequest('A request has either the parameter andon_asset or inputs, found both')
        return scoreLatest(request, assetId)
      }
      // Nothing is awaited between finding a version of the folder and handing it the request: it may be replaced at any time.
      const { model: name, version } = request
      const { servable, labels } = isInFolder(name)
        ? repository!.find(name, version)
        : { servable: await servableOf(findRegistered(name, version)), labels: undefined }
      const parameters = artefactOf(servable, request.parameters)
      const answer = await servable.run(checkedRequest(signatureOf(servable), request))
      return answerOf(servable, answer, parameters, request.outputs, labels)
    },
    async describe(name, version) {
      const servable = isInFolder(name) ? repository!.find(name, version).servable : await servableOf(findRegistered(name, version))
      const { config, inputs, outputs } = servable
      const versions = isInFolder(name) ? repository!.versions(name) : registry.versions(name).map((each) => each.version)
      return { name, versions: versions.map(String), platform: config.platform, inputs, outputs, config }
    },
    index: () => [
      ...registry.names().flatMap((name) =>
        registry.versions(name).map((model): IndexEntry => {
          const entry = entries.get(keyOf(model))
          const state =
            entry === undefined || entry.reason !== undefined ? 'UNAVAILABLE' : entry.servable === undefined ? 'LOADING' : 'READY'
          const reason = entry === undefined ? 'registered; it is loaded when somebody asks for it' : (entry.reason ?? '')
          return { name, version: String(model.version), state, reason }
        }),
      ),
      ...(repository?.index() ?? []),
    ],
    load: async (name, how) => {
      if (!isRegistered(name) && repository !== undefined) return repository.load(name, how)
      await servableOf(findRegistered(name, ''))
    },
    unload: async (name, { withDependents }) => {
      if (!isRegistered(name) && repository !== undefined) return repository.unload(name, withDependents)
      findRegistered(name, '')
      throw explicitOnly(name)
    },
    statistics: (name, version): readonly ModelStatistics[] => {
      const wanted = loaded().filter((each) => (name === '' || each.name === name) && (version === '' || String(each.version) === version))
      if (name !== '' && wanted.length === 0) {
        if (isInFolder(name)) repository!.find(name, version)
        else findRegistered(name, version)
      }
      return wanted.map((servable) => servable.statistics())
    },
    async close() {
      await repository?.close()
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
  isTextOnly: config.backend === 'onnxruntime',
})

const answerOf = (
  { name, version, config }: Servable,
  { outputs, provider }: RunAnswer,
  parameters: Parameters,
  requested: readonly RequestedOutput[] = [],
  labels?: ServedVersion['labels'],
): InferAnswer => ({
  model: name,
  version: String(version),
  outputs: outputs.map((output) => {
    const classes = requested.find((each) => each.name === output.name)?.classes ?? 0
    return classes > 0 ? classified(output, classes, config.maxBatchSize > 0, labels?.get(output.name)) : output
  }),
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
