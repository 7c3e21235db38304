// Registry facts (topic `models`) as state: which model versions exist, and which of them hold for a vector. Which one holds
// depends on the vector's event time and the facts in log order, never on a clock. Detectors belong to clustering and are left out.

import { canonicalJson, sha256Hex } from '@andon/kit'
import type { Models } from '@andon/schemas'

interface Version {
  readonly registered: Models
  /** Activations and withdrawals, in log order. */
  readonly timeline: Models[]
}

/** A model version in force. */
export type ActiveModel = Models

export class ModelRegistry {
  readonly #models = new Map<string, Map<number, Version>>()
  readonly #byArtefact = new Map<string, Models>()
  /** Names of the models registered for an asset. */
  readonly #byAsset = new Map<string, Set<string>>()

  /** Takes facts in log order. Of two registrations of one version the first holds; repeats change nothing. */
  apply(fact: Models): void {
    if (fact.kind !== 'onnx') return
    const versions = this.#models.get(fact.model) ?? new Map<number, Version>()
    this.#models.set(fact.model, versions)
    const version = versions.get(fact.version)
    if (fact.type === 'ModelRegistered') {
      if (version !== undefined) return
      versions.set(fact.version, { registered: fact, timeline: [] })
      if (!this.#byArtefact.has(fact.digest)) this.#byArtefact.set(fact.digest, fact)
      this.#byAsset.set(fact.assetId, (this.#byAsset.get(fact.assetId) ?? new Set()).add(fact.model))
      return
    }
    if (version === undefined || version.registered.digest !== fact.digest) return // somebody else's registration came first
    if (changesWhatHolds.has(fact.type)) version.timeline.push(fact)
  }

  /** Model versions that hold for a vector of this feature set whose window ends then; at most one per model name, by name. */
  activeAt(assetId: string, featureSetDigest: string, windowEndUs: number): ActiveModel[] {
    return this.#each(
      this.#of(assetId),
      (activation) => isHeard(activation) && activation.assetId === assetId && activation.featureSetDigest === featureSetDigest,
      windowEndUs,
    )
  }

  /** As activeAt, of the models in role `shadow`: they are watched, and no verdict, id or action depends on them. */
  shadowsAt(assetId: string, featureSetDigest: string, windowEndUs: number): ActiveModel[] {
    return this.#each(
      this.#of(assetId),
      (activation) => !isHeard(activation) && activation.assetId === assetId && activation.featureSetDigest === featureSetDigest,
      windowEndUs,
    )
  }

  /** Model versions that hold for the newest data, without shadows. */
  current(): ActiveModel[] {
    return this.#each([...this.#models.keys()], isHeard, Number.POSITIVE_INFINITY)
  }

  currentShadows(): ActiveModel[] {
    return this.#each([...this.#models.keys()], (activation) => !isHeard(activation), Number.POSITIVE_INFINITY)
  }

  /**
   * True once a model was activated for the asset and feature set, whatever became of it; for a baseline's epoch, once one was
   * that holds from within it. A shadow is no reason to stop learning.
   */
  isCommissioned(assetId: string, featureSetDigest: string, epochUs: number | null = null): boolean {
    const isOfEpoch = (fact: Models): boolean => isHeard(fact) && (epochUs === null || fact.effectiveFromUs > epochUs)
    return this.#of(assetId).some((model) =>
      [...(this.#models.get(model)?.values() ?? [])].some(
        ({ registered, timeline }) =>
          timeline.some(isOfEpoch) && registered.assetId === assetId && registered.featureSetDigest === featureSetDigest,
      ),
    )
  }

  /** A registered version, or without a version the one in force (else the newest). */
  find(model: string, version?: number): Models | undefined {
    const versions = this.#models.get(model)
    if (versions === undefined) return undefined
    if (version !== undefined) return versions.get(version)?.registered
    return this.#each([model], isHeard, Number.POSITIVE_INFINITY).at(-1) ?? versions.get(Math.max(...versions.keys()))?.registered
  }

  /** The version in force in this role now, by its activation. */
  inRole(model: string, role: string): Models | undefined {
    return [...this.current(), ...this.currentShadows()].findLast((active) => active.model === model && active.role === role)
  }

  /** The last activation of a version, whatever became of it. */
  activationOf(model: string, version: number): Models | undefined {
    return this.#models
      .get(model)
      ?.get(version)
      ?.timeline.findLast(({ type }) => type === 'ModelActivated')
  }

  /** Registered versions of a model, ascending. */
  versions(model: string): Models[] {
    return [...(this.#models.get(model)?.values() ?? [])].map(({ registered }) => registered).toSorted((a, b) => a.version - b.version)
  }

  has(model: string): boolean {
    return (this.#models.get(model)?.size ?? 0) > 0
  }

  /** Names of the registered models, sorted. */
  names(): string[] {
    return [...this.#models.keys()].toSorted()
  }

  isActivated(model: string, version: number): boolean {
    return (this.#models.get(model)?.get(version)?.timeline.length ?? 0) > 0
  }

  /** The first registered version with this artefact. */
  byArtefact(digest: string): Models | undefined {
    return this.#byArtefact.get(digest)
  }

  #of(assetId: string): string[] {
    return [...(this.#byAsset.get(assetId) ?? [])]
  }

  #each(models: readonly string[], matches: (activation: Models) => boolean, windowEndUs: number): ActiveModel[] {
    const active: ActiveModel[] = []
    for (const model of models) {
      // One model may hold for two feature sets while its asset changes over: the newest activation per feature set counts.
      const bySet = new Map<string, Models>()
      for (const { timeline } of this.#models.get(model)?.values() ?? []) {
        const activation = holdsAt(timeline, windowEndUs)
        if (activation === undefined || !matches(activation)) continue
        const best = bySet.get(activation.featureSetDigest)
        if (best === undefined || isNewer(activation, best)) bySet.set(activation.featureSetDigest, activation)
      }
      active.push(...bySet.values())
    }
    return active.toSorted((a, b) => (a.model === b.model ? a.effectiveFromUs - b.effectiveFromUs : a.model < b.model ? -1 : 1))
  }
}

const isHeard = ({ role }: Models): boolean => role !== 'shadow'

const changesWhatHolds = new Set(['ModelActivated', 'ModelRolledBack', 'ModelRetired'])

/** The activation of a version that holds then: the last fact effective before it decides. */
const holdsAt = (timeline: readonly Models[], windowEndUs: number): Models | undefined => {
  let last: Models | undefined
  for (const fact of timeline) {
    if (fact.effectiveFromUs < windowEndUs && fact.effectiveFromUs >= (last?.effectiveFromUs ?? Number.NEGATIVE_INFINITY)) last = fact
  }
  return last?.type === 'ModelActivated' ? last : undefined
}

const isNewer = (a: Models, b: Models): boolean =>
  a.effectiveFromUs > b.effectiveFromUs || (a.effectiveFromUs === b.effectiveFromUs && a.version > b.version)

/** Names the set of model versions a prediction was made with; part of the prediction's id. */
export const verdictSetDigest = (active: readonly ActiveModel[]): string =>
  sha256Hex(canonicalJson(active.map(({ model, version, digest, role }) => ({ model, version, digest, role }))))
