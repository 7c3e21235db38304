// Which plan holds for an asset at an event time, from the documents on `config`: the plant names the asset's class, the
// class its feature set. Compiled once per pair of documents.

import type { FeatureSet, Plant } from '@andon/schemas'
import { compileFeatureSet } from './feature-set.ts'
import type { AssetPlan } from './feature-set.ts'

/** A document as it held at some event time. */
export interface DocumentVersion<T> {
  readonly digest: string
  readonly value: T
}

export interface PlanDocuments {
  readonly plantAt: (timeUs: number) => DocumentVersion<Plant> | undefined
  readonly featureSetAt: (name: string, timeUs: number) => DocumentVersion<FeatureSet> | undefined
  /** Called once per asset and pair of documents that do not fit each other. */
  readonly onUnusable: (assetId: string, featureSet: string, reason: string) => void
}

/** Plans by asset and event time. Equal documents give the identical object. */
export const featurePlans = (documents: PlanDocuments): ((assetId: string, timeUs: number) => AssetPlan | undefined) => {
  const compiled = new Map<string, { plantDigest: string; setDigest: string; plan: AssetPlan | undefined }[]>()
  return (assetId, timeUs) => {
    const plant = documents.plantAt(timeUs)
    const asset = plant?.value.assets.find(({ id }) => id === assetId)
    const assetClass = plant?.value.assetClasses.find(({ id }) => id === asset?.class)
    if (plant === undefined || asset === undefined || assetClass === undefined) return undefined
    const set = documents.featureSetAt(assetClass.featureSet, timeUs)
    if (set === undefined) return undefined

    const known = compiled.get(assetId) ?? []
    compiled.set(assetId, known)
    const hit = known.find(({ plantDigest, setDigest }) => plantDigest === plant.digest && setDigest === set.digest)
    if (hit !== undefined) return hit.plan
    let plan: AssetPlan | undefined
    try {
      plan = compileFeatureSet(set.value, set.digest, asset)
    } catch (error) {
      documents.onUnusable(assetId, assetClass.featureSet, (error as Error).message)
    }
    known.push({ plantDigest: plant.digest, setDigest: set.digest, plan })
    return plan
  }
}
