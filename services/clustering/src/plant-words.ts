// The plant's words for its assets, found once per version of the plant file: every window asks for them several times.

import type { Plant } from '@andon/schemas'
import { assetWords } from './finding.ts'
import type { AssetWords } from './finding.ts'

export interface PlantWords {
  readonly wordsOf: (assetId: string, timeUs: number) => AssetWords
  /** Its asset class; the asset itself where the plant file names none. */
  readonly classOf: (assetId: string, timeUs?: number) => string
}

/** `plantAt`: the version that holds at a time; equal versions are one object. */
export const openPlantWords = (plantAt: (timeUs: number) => Plant | undefined): PlantWords => {
  const known = new WeakMap<Plant, Map<string, AssetWords>>()
  const wordsOf = (assetId: string, timeUs: number): AssetWords => {
    const plant = plantAt(timeUs)
    if (plant === undefined) return assetWords(undefined, assetId)
    let words = known.get(plant)
    if (words === undefined) {
      words = new Map(plant.assets.map(({ id }) => [id, assetWords(plant, id)]))
      known.set(plant, words)
    }
    return words.get(assetId) ?? assetWords(plant, assetId)
  }
  return { wordsOf, classOf: (assetId, timeUs = Number.MAX_SAFE_INTEGER) => wordsOf(assetId, timeUs).classId }
}
