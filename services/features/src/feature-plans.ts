// Which plan holds for an asset at an event time, from the documents on `config`: the plant names the asset's class, the
// class its feature set. Compiled once per pair of documents.

import type { FeatureSet, Plant } from '@andon/schemas'
import { compileFeatureSet } from './feature-set.ts'
import type { PlantAsset } from './feature-set.ts'
import type { AssetPlan } from './plan.ts'

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

interface Described {
  readonly asset: PlantAsset
  /** Name of its class's feature set. */
  readonly featureSet: string
  readonly plans: { readonly setDigest: string; readonly plan: AssetPlan | undefined }[]
}

/** Plans by asset and event time. Equal documents give the identical object. */
export const featurePlans = (documents: PlanDocuments): ((assetId: string, timeUs: number) => AssetPlan | undefined) => {
  const plants = new Map<string, Map<string, Described>>()
  let newest: { readonly digest: string; readonly assets: Map<string, Described> } | undefined
  const assetsOf = ({ digest, value }: DocumentVersion<Plant>): Map<string, Described> => {
    if (newest?.digest === digest) return newest.assets
    const assets = plants.get(digest) ?? describedBy(value)
    plants.set(digest, assets)
    newest = { digest, assets }
    return assets
  }
  return (assetId, timeUs) => {
    const plant = documents.plantAt(timeUs)
    const described = plant && assetsOf(plant).get(assetId)
    const set = described && documents.featureSetAt(described.featureSet, timeUs)
    if (described === undefined || set === undefined) return undefined
    for (const { setDigest, plan } of described.plans) if (setDigest === set.digest) return plan
    let plan: AssetPlan | undefined
    try {
      plan = compileFeatureSet(set.value, set.digest, described.asset, plant!.digest)
    } catch (error) {
      documents.onUnusable(assetId, described.featureSet, (error as Error).message)
    }
    described.plans.push({ setDigest: set.digest, plan })
    return plan
  }
}

/** Assets by id: the first one of an id, in a class that the plant has. */
const describedBy = ({ assets, assetClasses }: Plant): Map<string, Described> => {
  const described = new Map<string, Described>()
  const seen = new Set<string>()
  for (const asset of assets) {
    const assetClass = assetClasses.find(({ id }) => id === asset.class)
    if (assetClass !== undefined && !seen.has(asset.id)) described.set(asset.id, { asset, featureSet: assetClass.featureSet, plans: [] })
    seen.add(asset.id)
  }
  return described
}
