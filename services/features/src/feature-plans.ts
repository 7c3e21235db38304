// Which plan holds for an asset at an event time, from the documents on `config`: the plant names the asset's class, the
// class its feature set. Compiled once per pair of documents.
//
// A plant file changes often, an asset seldom. A new version that describes an asset as before gives the identical plan, so
// no window is cut at it; `plantDigest` names the version since which the asset is described so. That follows from the
// documents alone, never from the order in which windows asked, and a replay finds the same one.

import { isDeepStrictEqual } from 'node:util'
import { sha256Hex } from '@andon/kit'
import type { FeatureSet, Plant } from '@andon/schemas'
import { compileFeatureSet } from './feature-set.ts'
import type { PlantAsset } from './feature-set.ts'
import type { AssetPlan } from './plan.ts'

/** A document as it held at some event time. */
export interface DocumentVersion<T> {
  readonly digest: string
  readonly effectiveFromUs: number
  readonly value: T
}

export interface PlanDocuments {
  readonly plantAt: (timeUs: number) => DocumentVersion<Plant> | undefined
  readonly featureSetAt: (name: string, timeUs: number) => DocumentVersion<FeatureSet> | undefined
  /** Called once per asset, as it is described, and feature set that do not fit each other. */
  readonly onUnusable: (assetId: string, featureSet: string, reason: string) => void
}

interface Described {
  readonly asset: PlantAsset
  /** Name of its class's feature set. */
  readonly featureSet: string
  /** What plans are made of; versions of the plant with an equal one share this object. */
  readonly description: Description
  /** SHA-256 (hex) of the plant document since which it holds. */
  readonly plantDigest: string
  readonly plans: { readonly setDigest: string; readonly plan: AssetPlan | undefined }[]
}

/** Plans by asset and event time. Equal descriptions and sets give the identical object. */
export const featurePlans = (documents: PlanDocuments): ((assetId: string, timeUs: number) => AssetPlan | undefined) => {
  const plants = new Map<string, Map<string, Described>>()
  const shapes = new Map<string, AssetPlan>()
  let newest: { readonly version: DocumentVersion<Plant>; readonly assets: Map<string, Described> } | undefined

  const assetsOf = (version: DocumentVersion<Plant>): Map<string, Described> => {
    if (newest?.version === version) return newest.assets
    const unknown: DocumentVersion<Plant>[] = []
    let known: DocumentVersion<Plant> | undefined = version
    while (known !== undefined && !plants.has(keyOf(known))) {
      unknown.push(known)
      known = before(known)
    }
    let assets = known && plants.get(keyOf(known))
    for (const each of unknown.toReversed()) {
      assets = describedBy(each, assets)
      plants.set(keyOf(each), assets)
    }
    newest = { version, assets: assets! }
    return newest.assets
  }

  /** The version that was in force until this one; undefined for the first. */
  const before = ({ effectiveFromUs }: DocumentVersion<Plant>): DocumentVersion<Plant> | undefined => {
    const earlier = documents.plantAt(effectiveFromUs - 1)
    return earlier !== undefined && earlier.effectiveFromUs < effectiveFromUs ? earlier : undefined
  }

  /** Assets that differ in their sources alone share all the rest of a plan, names above all. */
  const planOf = ({ asset, description, plantDigest }: Described, set: DocumentVersion<FeatureSet>): AssetPlan => {
    const { sources, ...shape } = description
    const key = sha256Hex(JSON.stringify([set.digest, shape]))
    const known = shapes.get(key)
    const plan = known ?? compileFeatureSet(set.value, set.digest, asset, plantDigest)
    if (known === undefined) shapes.set(key, plan)
    const isSame = plan.plantDigest === plantDigest && isDeepStrictEqual(plan.sources, sources)
    return isSame ? plan : { ...plan, plantDigest, sources }
  }

  /** Of the asset asked for last: the next question is mostly about it, too. */
  let asked: { readonly plant: DocumentVersion<Plant>; readonly assetId: string; readonly described: Described | undefined } | undefined
  const describedAt = (plant: DocumentVersion<Plant>, assetId: string): Described | undefined => {
    if (asked === undefined || asked.assetId !== assetId || asked.plant !== plant)
      asked = { plant, assetId, described: assetsOf(plant).get(assetId) }
    return asked.described
  }

  return (assetId, timeUs) => {
    const plant = documents.plantAt(timeUs)
    const described = plant && describedAt(plant, assetId)
    const set = described && documents.featureSetAt(described.featureSet, timeUs)
    if (described === undefined || set === undefined) return undefined
    const { plans } = described
    for (let at = 0; at < plans.length; at++) if (plans[at]!.setDigest === set.digest) return plans[at]!.plan
    let plan: AssetPlan | undefined
    try {
      plan = planOf(described, set)
    } catch (error) {
      documents.onUnusable(assetId, described.featureSet, (error as Error).message)
    }
    described.plans.push({ setDigest: set.digest, plan })
    return plan
  }
}

const keyOf = ({ digest, effectiveFromUs }: DocumentVersion<Plant>): string => `${digest} ${effectiveFromUs}`

/** Assets by id: the first one of an id, in a class that the plant has. Versions that describe all of them alike share the map. */
const describedBy = ({ digest, value }: DocumentVersion<Plant>, earlier: Map<string, Described> | undefined): Map<string, Described> => {
  const described = new Map<string, Described>()
  const featureSets = new Map(value.assetClasses.map(({ id, featureSet }) => [id, featureSet]))
  const seen = new Set<string>()
  let isNew = false
  for (const asset of value.assets) {
    const featureSet = featureSets.get(asset.class)
    if (featureSet !== undefined && !seen.has(asset.id)) {
      const description = descriptionOf(asset)
      const known = earlier?.get(asset.id)
      const isKnown = known?.featureSet === featureSet && isDeepStrictEqual(known.description, description)
      described.set(asset.id, isKnown ? known : { asset, featureSet, description, plantDigest: digest, plans: [] })
      isNew ||= !isKnown
    }
    seen.add(asset.id)
  }
  return earlier === undefined || isNew || described.size !== earlier.size ? described : earlier
}

type Description = ReturnType<typeof descriptionOf>

/** What a plan says of an asset; its name, line, origin and what is kept of its samples play no part. */
const descriptionOf = (asset: PlantAsset) => {
  const { sources, bearing, nominalSpeedRpm, speedChannel, tacho, gears, zones } = asset
  const channels = asset.channels.map((channel) => {
    const { id, unit, kind, range } = channel
    return kind === 'waveform'
      ? { id, unit, kind, range, sampleRateHz: channel.sampleRateHz, width: channel.width }
      : { id, unit, kind, range }
  })
  return { sources, bearing, nominalSpeedRpm, speedChannel, tacho, gears, zones, channels }
}
