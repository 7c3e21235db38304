// The models of a repository folder as they are served: loaded at start, when the folder changes, or on request. A version is replaced
// without a gap: the new one is ready before the old one takes no more, and what the old one took it answers. What cannot be loaded
// says why in the index; a version that is served stays so when its replacement cannot be loaded.

import { AndonError, isRetriable, messageOf, sha256Hex } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { ModelEnsembling } from '@andon/schemas/inference'
import { controlRefused, modelNotReady, modelUnknown } from '../errors.ts'
import { ensembleServable } from '../serving/ensembles.ts'
import type { ResolvePart } from '../serving/ensembles.ts'
import type { OpenModel } from '../serving/open-model.ts'
import { targetText } from '../serving/latency.ts'
import type { Servable } from '../serving/servable.ts'
import type { IndexEntry, LoadOptions } from '../serving/serving.ts'
import { statisticsOf } from '../serving/statistics.ts'
import { measuredSamples, warmUpSamples } from '../serving/warm-up.ts'
import type { WarmUpSample } from '../serving/warm-up.ts'
import { readConfigText } from './config-text.ts'
import { servedVersions } from './folder.ts'
import type { Folder, FolderModel } from './folder.ts'
import { completeEnsemble } from './complete-config.ts'
import { uploadedFolder } from './uploads.ts'
import { declareConfig } from './model-config.ts'
import type { ConfigDefaults, DeclaredConfig } from './model-config.ts'

export interface RepositoryOptions {
  readonly folder: Folder
  readonly control: 'none' | 'poll' | 'explicit'
  /** With `poll`: how often the folder is looked at. */
  readonly pollMs: number
  /** Files that come with a request to load are taken. */
  readonly takesUploads: boolean
  readonly open: OpenModel
  readonly defaults: ConfigDefaults
  /** Parts of ensembles that are no models of the folder; throws when there is none. */
  readonly resolveOther: ResolvePart
  /** True where another source serves a model of that name. */
  readonly isTaken: (name: string) => boolean
  readonly nowMs: () => number
  readonly logger?: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** A version that can be scored, with what the doors need beside. */
export interface ServedVersion {
  readonly servable: Servable
  /** Labels of outputs, for classification. */
  readonly labels: ReadonlyMap<string, readonly string[]>
  readonly declared: DeclaredConfig
  /** What it is measured on. */
  readonly samples: () => readonly WarmUpSample[]
}

export interface ModelRepository {
  /** False while models are loaded for the first time. */
  isReady(): boolean
  /** Resolves when the first loading is over; never rejects. */
  started(): Promise<void>
  /** True for every name in the folder, loaded or not. */
  has(name: string): boolean
  /** Empty version: the highest that is ready. Throws when there is none, with the reason. */
  find(name: string, version: string): ServedVersion
  /** Versions that can be scored, ascending. */
  versions(name: string): number[]
  index(): IndexEntry[]
  served(): ServedVersion[]
  load(name: string, options: LoadOptions): Promise<void>
  unload(name: string, withDependents: boolean): Promise<void>
  /** Looks at the folder once; what changed is loaded when it looks the same for the second time. */
  poll(): Promise<void>
  /** Tries again what could not be loaded and may go well another time; without polling it is done by itself every five seconds. */
  retry(): Promise<void>
  close(): Promise<void>
}

interface Slot {
  state: IndexEntry['state']
  reason: string
  served?: ServedVersion
  /** What it was loaded from. */
  mark: string
}

interface Model {
  readonly name: string
  readonly versions: Map<number, Slot>
  /** Nothing of it can be loaded, and why. */
  problem: string
  declared?: DeclaredConfig
  /** JSON in the place of the folder's configuration. */
  override: string | undefined
  /** Where its files are. */
  source: Folder
  /** As of the last try to load it. */
  triedMark: string
  /** It should be served. */
  isWanted: boolean
}

const RETRY_MS = 5_000
/** Models that are loaded side by side. */
const LOADS = 4

export const openRepository = (options: RepositoryOptions): ModelRepository => {
  const { folder, control, open, defaults, logger } = options
  const models = new Map<string, Model>()
  /** Marks of the last look, for what changed since. */
  let lastLook: ReadonlyMap<string, FolderModel> = new Map()
  const locks = new Map<string, Promise<unknown>>()
  const logged = new Map<string, string>()
  let isStarted = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let polling: Promise<void> = Promise.resolve()

  /** One thing at a time per model. */
  const exclusive = <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const next = (locks.get(name) ?? Promise.resolve()).then(work, work)
    locks.set(
      name,
      next.catch(() => {}),
    )
    return next
  }

  const modelOf = (name: string): Model => {
    let model = models.get(name)
    if (model === undefined) {
      model = { name, versions: new Map(), problem: '', override: undefined, source: folder, triedMark: '', isWanted: false }
      models.set(name, model)
    }
    return model
  }

  const resolve: ResolvePart = (name, version) => (models.has(name) ? find(name, version).servable : options.resolveOther(name, version))

  const openVersion = async ({ name, source }: Model, version: number, declared: DeclaredConfig): Promise<ServedVersion> => {
    const labels = new Map<string, readonly string[]>()
    for (const { name: output, labelFilename } of declared.config.output)
      if (labelFilename !== '') labels.set(output, await source.readLabels(name, labelFilename))
    const files = await source.readVersion(name, version, declared)
    if (declared.kind !== 'ensemble') {
      const servable = await open({ name, version, declared, ...files })
      const samples = () => measuredSamples(warmUpSamples(declared.text, servable, files.warmUpFiles), servable)
      return { servable, labels, declared, samples }
    }
    for (const { modelName } of stepsOf(declared)) {
      const way = wayTo(name, modelName)
      if (way !== undefined)
        throw declared.text.fault(
          ['ensemble_scheduling'],
          'models that do not wait for each other',
          `a cycle: ${[name, ...way].join(', ')}`,
        )
    }
    const statistics = statisticsOf(name, String(version), options.nowMs)
    const complete = completeEnsemble(declared, defaults)
    const servable = ensembleServable({ name, version, digest: files.digest, text: declared.text, complete, resolve, statistics })
    return { servable, labels, declared, samples: () => measuredSamples([], servable) }
  }

  const declare = async (model: Model): Promise<DeclaredConfig> => {
    const text =
      model.override === undefined
        ? await model.source.readConfig(model.name)
        : readConfigText(`parameter config of the request for ${model.name}`, model.override, 'json')
    return declareConfig(model.name, text, defaults)
  }

  const fail = (model: Model, version: number | undefined, error: unknown): void => {
    const reason = error instanceof AndonError ? `${error.code}: ${error.message}` : messageOf(error)
    const about = { model: model.name, ...(version === undefined ? {} : { version }) }
    const key = JSON.stringify(about)
    // Once, however often it is tried again.
    if (logged.get(key) !== reason) logger?.error({ ...about, reason }, 'a model of the repository cannot be loaded')
    logged.set(key, reason)
    if (version === undefined) {
      model.problem = reason
      for (const slot of model.versions.values()) slot.reason = `not replaced: ${reason}`
      return
    }
    const slot = model.versions.get(version)!
    if (slot.served === undefined) slot.state = 'UNAVAILABLE'
    slot.reason = slot.served === undefined ? reason : `not replaced: ${reason}`
  }

  /** Brings what is served in line with the folder; rejects with the first thing that could not be loaded. */
  const bring = async (model: Model, seen: FolderModel): Promise<void> => {
    model.isWanted = true
    model.triedMark = markOf(seen)
    model.problem = ''
    let declared: DeclaredConfig
    try {
      if (options.isTaken(model.name))
        throw controlRefused(`A model ${model.name} is registered on the topic models: rename the folder`, model.name)
      declared = await declare(model)
    } catch (error) {
      fail(model, undefined, error)
      throw error
    }
    model.declared = declared
    const wanted = servedVersions(seen.versions, declared.versionPolicy)
    const failures: unknown[] = []
    if (wanted.length === 0) {
      failures.push(modelNotReady(model.name, '', 'there is no folder of a version that its version_policy serves'))
      fail(model, undefined, failures[0])
    }
    for (const version of wanted) {
      const mark = `${seen.mark}\n${model.override ?? ''}\n${seen.versionMarks.get(version)}`
      try {
        await replace(model, version, mark, declared)
      } catch (error) {
        fail(model, version, error)
        failures.push(error)
      }
    }
    // What was to take its place is not there: it goes on, unless its files are gone as well.
    const isGone = (version: number): boolean => model.source === folder && !seen.versions.includes(version)
    const goes = [...model.versions.keys()].filter((version) => !wanted.includes(version) && (failures.length === 0 || isGone(version)))
    await Promise.all(goes.map((version) => drop(model, version)))
    if (failures.length === 0) return
    if (failures.some(isRetriable)) model.triedMark = '' // the next look tries again
    throw failures[0]
  }

  const replace = async (model: Model, version: number, mark: string, declared: DeclaredConfig): Promise<void> => {
    const slot = model.versions.get(version) ?? { state: 'LOADING', reason: '', mark: '' }
    if (slot.served !== undefined && slot.mark === mark) {
      slot.reason = slot.served.servable.latency === undefined ? '' : targetText(slot.served.servable.latency)
      return
    }
    if (slot.served === undefined) slot.state = 'LOADING'
    model.versions.set(version, slot)
    const served = await openVersion(model, version, declared)
    if (isClosed) {
      await served.servable.close()
      return
    }
    const old = slot.served
    Object.assign(slot, {
      served,
      mark,
      state: 'READY',
      reason: served.servable.latency === undefined ? '' : targetText(served.servable.latency),
    } satisfies Slot)
    logger?.info({ model: model.name, version }, 'model of the repository is loaded')
    await old?.servable.close()
  }

  const drop = async (model: Model, version: number): Promise<void> => {
    const slot = model.versions.get(version)!
    const { served } = slot
    slot.state = 'UNLOADING'
    delete slot.served
    await served?.servable.close()
    model.versions.delete(version)
    if (served !== undefined) logger?.info({ model: model.name, version }, 'model of the repository is unloaded')
  }

  /** Failures are in the index. */
  const bringAll = async (seen: readonly FolderModel[]): Promise<void> => {
    const rest = [...seen]
    const worker = async (): Promise<void> => {
      for (let next = rest.shift(); next !== undefined && !isClosed; next = rest.shift()) {
        const each = next
        await bringParts(each.name, new Set([each.name]))
        await exclusive(each.name, () => bring(modelOf(each.name), each)).catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: LOADS }, worker))
    await bringEnsembles()
  }

  /** Ensembles that miss a part are tried again when another model has come. */
  const bringEnsembles = async (): Promise<void> => {
    for (let isProgress = true; isProgress && !isClosed;) {
      isProgress = false
      for (const model of models.values()) {
        const seen = lastLook.get(model.name)
        if (!model.isWanted || model.declared?.kind !== 'ensemble' || seen === undefined || isServed(model)) continue
        await exclusive(model.name, () => bring(model, seen)).then(
          () => (isProgress = true),
          () => {},
        )
      }
    }
  }

  /** What an ensemble is made of comes before it, as far as it is not there; what cannot be loaded the ensemble names. */
  const bringParts = async (name: string, visited: Set<string>): Promise<void> => {
    const declared = await declare(modelOf(name)).catch(() => undefined)
    for (const { modelName } of declared === undefined ? [] : stepsOf(declared)) {
      const part = lastLook.get(modelName)
      if (part === undefined || visited.has(modelName) || isServed(modelOf(modelName))) continue
      visited.add(modelName)
      await bringParts(modelName, visited)
      await exclusive(modelName, () => bring(modelOf(modelName), part)).catch(() => {})
    }
  }

  const isServed = ({ versions }: Model): boolean => [...versions.values()].some(({ served }) => served !== undefined)

  /** Why an ensemble cannot be scored although it is loaded; empty: it can. */
  const lacking = (declared: DeclaredConfig): string => {
    for (const { modelName, modelVersion } of stepsOf(declared)) {
      try {
        resolve(modelName, modelVersion > 0n ? String(modelVersion) : '')
      } catch (error) {
        return messageOf(error)
      }
    }
    return ''
  }

  /** The way from a model through ensembles that are served back to `target`. */
  const wayTo = (target: string, from: string): string[] | undefined => {
    if (from === target) return [target]
    for (const { served } of models.get(from)?.versions.values() ?? [])
      for (const { modelName } of served === undefined ? [] : stepsOf(served.declared)) {
        const way = wayTo(target, modelName)
        if (way !== undefined) return [from, ...way]
      }
    return undefined
  }

  const find = (name: string, version: string): ServedVersion => {
    const model = models.get(name)
    if (model === undefined || (version !== '' && !/^[1-9]\d{0,8}$/.test(version))) throw modelUnknown(name, version)
    const slot = model.versions.get(version === '' ? highest(model) : Number(version))
    if (slot?.served !== undefined) {
      const lack = lacking(slot.served.declared)
      if (lack !== '') throw modelNotReady(name, version, lack)
      return slot.served
    }
    const other = version === '' ? [...model.versions.values()].at(-1) : model.versions.get(Number(version))
    if (version !== '' && other === undefined) throw modelUnknown(name, version)
    throw modelNotReady(name, version, other?.reason ?? (model.problem === '' ? 'it is not loaded' : model.problem))
  }

  const poll = async (): Promise<void> => {
    const look = await folder.look()
    const before = lastLook
    lastLook = look
    const changed = [...look.values()].filter((seen) => {
      const mark = markOf(seen)
      const previous = before.get(seen.name)
      return models.get(seen.name)?.triedMark !== mark && previous !== undefined && markOf(previous) === mark
    })
    const gone = [...models.values()].filter(({ name }) => !look.has(name))
    await bringAll(changed)
    await Promise.all(gone.map((model) => exclusive(model.name, () => remove(model))))
  }

  const remove = async (model: Model): Promise<void> => {
    models.delete(model.name)
    await Promise.all([...model.versions.keys()].map((version) => drop(model, version)))
  }

  /** What may go well another time: a server that did not answer, a part that was not there. */
  const due = (): FolderModel[] =>
    [...models.values()].flatMap((model) => (model.isWanted && model.triedMark === '' ? (lastLook.get(model.name) ?? []) : []))
  const retry = (): Promise<void> => bringAll(due())

  const again = (): void => {
    if (isClosed || (control !== 'poll' && due().length === 0)) return
    timer = setTimeout(
      () => {
        polling = (control === 'poll' ? poll() : retry())
          .catch((error: unknown) => logger?.error({ err: error }, 'the model repository cannot be looked at'))
          .then(again)
      },
      control === 'poll' ? options.pollMs : RETRY_MS,
    )
    timer.unref()
  }

  const start = async (): Promise<void> => {
    try {
      lastLook = await folder.look()
      if (control === 'explicit') for (const name of lastLook.keys()) modelOf(name)
      else await bringAll([...lastLook.values()])
    } catch (error) {
      logger?.error({ err: error }, 'the model repository cannot be looked at')
    }
    isStarted = true
    if (control !== 'explicit') again()
  }
  const starting = start()

  const explicitly = (name: string): void => {
    if (control !== 'explicit')
      throw controlRefused(`Model ${name}: loading and unloading on request needs INFERENCE_MODEL_CONTROL=explicit, found ${control}`, name)
  }

  return {
    isReady: () => isStarted,
    started: () => starting,
    has: (name) => models.has(name),
    find,
    versions: (name) =>
      [...(models.get(name)?.versions ?? [])]
        .flatMap(([version, { served }]) => (served === undefined ? [] : [version]))
        .toSorted((a, b) => a - b),
    index: () =>
      [...models.values()]
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .flatMap((model): IndexEntry[] => {
          const { name, versions, problem } = model
          if (versions.size === 0) return [{ name, version: '', state: 'UNAVAILABLE', reason: problem === '' ? 'not loaded' : problem }]
          return [...versions]
            .toSorted(([a], [b]) => a - b)
            .map(([version, { state, reason, served }]) => {
              const lack = served === undefined ? '' : lacking(served.declared)
              return { name, version: String(version), state: lack === '' ? state : 'UNAVAILABLE', reason: lack === '' ? reason : lack }
            })
        }),
    served: () => [...models.values()].flatMap(({ versions }) => [...versions.values()].flatMap(({ served }) => served ?? [])),
    async load(name, { config, files }) {
      explicitly(name)
      const isUploaded = files !== undefined && files.size > 0
      if (isUploaded && !options.takesUploads)
        throw controlRefused(
          `Model ${name}: files are taken with a request only with INFERENCE_MODEL_UPLOADS=allow; put them into the folder of the model repository`,
          name,
        )
      lastLook = await folder.look()
      const uploaded = isUploaded ? uploadedFolder(name, files) : undefined
      const seen = uploaded?.seen ?? lastLook.get(name)
      if (seen === undefined) throw modelUnknown(name, '')
      const model = modelOf(name)
      const before = { override: model.override, source: model.source }
      Object.assign(model, { override: config, source: uploaded?.folder ?? folder } satisfies Partial<Model>)
      try {
        await bringParts(name, new Set([name]))
        await exclusive(name, () => bring(model, seen))
      } catch (error) {
        Object.assign(model, before) // what was refused is not tried again
        throw error
      }
      await bringEnsembles()
    },
    async unload(name, withDependents) {
      explicitly(name)
      const model = models.get(name)
      if (model === undefined) throw modelUnknown(name, '')
      const parts = withDependents && model.declared !== undefined ? stepsOf(model.declared).map(({ modelName }) => modelName) : []
      for (const each of [name, ...new Set(parts)]) {
        const goes = models.get(each)
        if (goes === undefined) continue
        await exclusive(each, async () => {
          goes.isWanted = false
          goes.override = undefined
          goes.source = folder
          goes.problem = 'unloaded'
          await Promise.all([...goes.versions.keys()].map((version) => drop(goes, version)))
        })
      }
    },
    poll,
    retry,
    async close() {
      isClosed = true
      clearTimeout(timer)
      await starting
      await polling
      await Promise.all(locks.values())
      await Promise.all([...models.values()].map(remove))
    },
  }
}

const stepsOf = ({ config }: DeclaredConfig): ModelEnsembling['step'] =>
  config.schedulingChoice?.$case === 'ensembleScheduling' ? config.schedulingChoice.value.step : []

/** Of those that can be scored; -1: none. */
const highest = ({ versions }: Model): number => {
  let found = -1
  for (const [version, { served }] of versions) if (served !== undefined && version > found) found = version
  return found
}

const markOf = ({ mark, versionMarks }: FolderModel): string =>
  sha256Hex([mark, ...[...versionMarks].map(([version, each]) => `${version}\u{1f}${each}`)].join('\u{1e}'))
