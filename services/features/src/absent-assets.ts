// Assets that the plant names and that never sent anything: each is unmonitored once, as long after partition time found it
// in the plant as one that fell silent (silence.ts). Only the partition that its key belongs to may say so. A pure function of records and documents.

import type { AssetPlan } from './plan.ts'
import type { Silence } from './silence.ts'
import { patienceOfUs } from './silence.ts'

/** Assets waited for: since which partition time; null = it was said. */
export type AbsentAssets = Map<string, number | null>

export interface AbsentAsset extends Silence {
  readonly assetId: string
  readonly plan: AssetPlan
}

/**
 * Looks for `expected` assets that are not known, at a partition time. Those found silent for long enough are told once, in
 * the order of their ids. What was noted changes when the list of absent ones does.
 */
export const findAbsent = (
  absent: AbsentAssets,
  expected: readonly string[],
  isKnown: (assetId: string) => boolean,
  planAt: (assetId: string, timeUs: number) => AssetPlan | undefined,
  partitionTimeUs: number,
): { readonly found: readonly AbsentAsset[]; readonly isChanged: boolean } => {
  const found: AbsentAsset[] = []
  let isChanged = false
  for (const assetId of expected) {
    if (isKnown(assetId)) {
      if (absent.delete(assetId)) isChanged = true
      continue
    }
    const sinceUs = absent.get(assetId)
    if (sinceUs === null) continue
    if (sinceUs === undefined) {
      absent.set(assetId, partitionTimeUs)
      isChanged = true
      continue
    }
    const plan = planAt(assetId, partitionTimeUs)
    const length = plan?.scales[0]?.length
    // How often rows come is not known before there are some: windows that count rows have no length yet.
    if (plan === undefined || length === undefined || 'rows' in length) continue
    const endUs = sinceUs + patienceOfUs(length.us)
    if (endUs > partitionTimeUs) continue
    absent.set(assetId, null)
    isChanged = true
    found.push({ assetId, plan, startUs: sinceUs, endUs, historical: false })
  }
  return { found: found.toSorted((a, b) => (a.assetId < b.assetId ? -1 : 1)), isChanged }
}

interface PlantVersion {
  readonly effectiveFromUs: number
  readonly value: { readonly assets: readonly { readonly id: string }[] }
}

/** Ids of the assets that the plant in force at a time names and that are `ours`; listed once per version of the plant. */
export const expectedAssets = (
  plantAt: (timeUs: number) => PlantVersion | undefined,
  isOurs: (assetId: string) => boolean,
): ((timeUs: number) => readonly string[]) => {
  let listed: { readonly version: PlantVersion; readonly ids: readonly string[] } | undefined
  return (timeUs) => {
    const version = plantAt(timeUs)
    if (version === undefined || version.effectiveFromUs > timeUs) return []
    if (listed?.version !== version) listed = { version, ids: version.value.assets.map(({ id }) => id).filter(isOurs) }
    return listed.ids
  }
}
