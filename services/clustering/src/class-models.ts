// Which fitted fault modes of a class hold for a window: activations of kind `clusters` on `models`, by event time, and their artefacts
// from the blob store. An activation counts for records that came to the log after it, so a replay, whose records keep their times,
// assigns the same ids as the live service did.

import type { Blobs } from '@andon/kit'
import { messageOf } from '@andon/kit'
import type { Models } from '@andon/schemas'
import { type ClassModel, type ModeFacts, modelName, readArtefact } from './class-model.ts'
import { openAssigner } from './modes/members.ts'

/** An artefact in memory, ready to assign. */
export interface LoadedModel {
  readonly digest: string
  readonly model: ClassModel
  readonly modeOf: (point: Float64Array) => string | undefined
  readonly factsOf: (modeId: string) => ModeFacts | undefined
}

export const loadedModel = (digest: string, model: ClassModel): LoadedModel => {
  const assign = openAssigner(model.model)
  const facts = new Map(model.modes.map((mode) => [mode.modeId, mode]))
  return { digest, model, modeOf: (point) => assign(point).modeId, factsOf: (modeId) => facts.get(modeId) }
}

export interface ClassModels {
  /** Takes the facts of `models` in log order, with the time at which they came onto the log. */
  apply(fact: Models, appendedUs: number): void
  /** The artefact that holds for a window of the class that ends then and whose record has that time; undefined while there is none. */
  at(classId: string, windowEndUs: number, recordUs: number): LoadedModel | undefined
  /** Resolves when `at` can answer for those times, as far as `models` has been read. */
  load(classId: string, windowEndUs: number, recordUs: number): Promise<void>
  /** The one in force for the newest data. */
  newest(classId: string): Promise<LoadedModel | undefined>
  /** Digest of it; null: none. */
  digestInForce(classId: string): string | null
  /** Classes that have one, sorted. */
  classes(): string[]
}

/** Artefacts that stay in memory: the newest of each class are asked for again and again. */
const MOST_LOADED = 256

export interface ClassModelsDeps {
  readonly blobs: () => Promise<Pick<Blobs, 'get'>>
  /** An activation holds for records that came to the log so much later: by then it has been read everywhere. It has the time of its request. */
  readonly delayUs: number
  /** Told when an artefact cannot be read: its class is judged without modes. */
  readonly onMissing: (digest: string, reason: string) => void
}

export const openClassModels = ({ blobs, delayUs, onMissing }: ClassModelsDeps): ClassModels => {
  /** Facts that change what holds, in log order, by class. */
  const timelines = new Map<string, { readonly fact: Models; readonly heldFromUs: number }[]>()
  const loaded = new Map<string, LoadedModel | null>()

  const factAt = (classId: string, windowEndUs: number, recordUs: number): Models | undefined => {
    let last: Models | undefined
    for (const { fact, heldFromUs } of timelines.get(classId) ?? []) {
      if (heldFromUs > recordUs || fact.effectiveFromUs >= windowEndUs) continue
      if (fact.effectiveFromUs >= (last?.effectiveFromUs ?? Number.NEGATIVE_INFINITY)) last = fact
    }
    return last?.type === 'ModelActivated' ? last : undefined
  }
  const factNow = (classId: string): Models | undefined => factAt(classId, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)

  const fetch = async ({ digest, uri }: Models): Promise<LoadedModel | null> => {
    const known = loaded.get(digest)
    if (known !== undefined) return known
    let found: LoadedModel | null = null
    try {
      found = loadedModel(digest, readArtefact(await (await blobs()).get(uri)))
    } catch (error) {
      onMissing(digest, messageOf(error))
    }
    loaded.set(digest, found)
    if (loaded.size > MOST_LOADED) loaded.delete([...loaded.keys()][0] as string)
    return found
  }

  return {
    apply(fact, appendedUs) {
      if (fact.kind !== 'clusters' || fact.model !== modelName(fact.assetClass)) return
      if (fact.type !== 'ModelActivated' && fact.type !== 'ModelRolledBack' && fact.type !== 'ModelRetired') return
      const timeline = timelines.get(fact.assetClass) ?? []
      timelines.set(fact.assetClass, timeline)
      timeline.push({ fact, heldFromUs: appendedUs + delayUs })
    },
    at(classId, windowEndUs, recordUs) {
      const fact = factAt(classId, windowEndUs, recordUs)
      return fact === undefined ? undefined : (loaded.get(fact.digest) ?? undefined)
    },
    async load(classId, windowEndUs, recordUs) {
      const fact = factAt(classId, windowEndUs, recordUs)
      if (fact !== undefined && !loaded.has(fact.digest)) await fetch(fact)
    },
    async newest(classId) {
      const fact = factNow(classId)
      return fact === undefined ? undefined : ((await fetch(fact)) ?? undefined)
    },
    digestInForce: (classId) => factNow(classId)?.digest ?? null,
    classes: () => [...timelines.keys()].filter((classId) => factNow(classId) !== undefined).toSorted(),
  }
}
