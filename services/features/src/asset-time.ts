// How far an asset has come: by its sources, each of which says how far it has come itself.

import type { AssetWindows } from './asset-windows.ts'
import { isOldData, isUnheld, sourceTime } from './source-clock.ts'
import type { AssetPlan } from './plan.ts'
import type { SourceClock } from './source-clock.ts'

/**
 * Asset time: the minimum over the sources the plant names and those seen; one-off sources have none. It starts with the
 * first source seen, so that the first data of an asset, however old, finds no window final. A source that the plant does
 * not name and that brings old data - a file beside the live machine - is not waited for, or it would hold live windows
 * open for as long as it lies behind.
 */
export const moveTime = (asset: AssetWindows, partitionTimeUs: number): void => {
  const plan = asset.plans[asset.current]
  if (plan === undefined || asset.settledUs === partitionTimeUs) return
  let isSettled = true
  const { graceUs, latenessUs } = plan
  let lowestUs = Number.POSITIVE_INFINITY
  let lowestOfOldUs = Number.POSITIVE_INFINITY
  let latestOneOff: SourceClock | undefined
  for (const clock of asset.sources.values()) {
    if (!isUnheld(clock)) isSettled = false
    if (clock.isOneOff) {
      if (latestOneOff === undefined || clock.newestReceivedUs >= latestOneOff.newestReceivedUs) latestOneOff = clock
      continue
    }
    const timeUs = sourceTime(clock, partitionTimeUs, graceUs, latenessUs, asset.timeUs)
    if (isOldData(clock) && !isNamed(asset, plan, clock)) lowestOfOldUs = Math.min(lowestOfOldUs, timeUs)
    else lowestUs = Math.min(lowestUs, timeUs)
  }
  if (lowestUs === Number.POSITIVE_INFINITY) lowestUs = lowestOfOldUs
  // A machine that only files tell of goes by the one that comes in now, or its windows would never close.
  if (lowestUs === Number.POSITIVE_INFINITY && latestOneOff !== undefined)
    lowestUs = sourceTime(latestOneOff, partitionTimeUs, graceUs, latenessUs, asset.timeUs)
  if (lowestUs === Number.POSITIVE_INFINITY) return // no source yet
  if (isAnyUnseen(asset, plan)) lowestUs = Math.min(lowestUs, sourceTime(undefined, partitionTimeUs, graceUs, latenessUs, asset.timeUs))
  if (lowestUs > asset.timeUs) asset.timeUs = lowestUs
  if (isSettled) asset.settledUs = partitionTimeUs
}

const isNamed = ({ sources }: AssetWindows, plan: AssetPlan, clock: SourceClock): boolean => {
  for (const [sourceId, other] of sources) if (other === clock) return plan.sources.includes(sourceId)
  return false
}

/** True when nothing came yet from a source that the plant names. */
const isAnyUnseen = ({ sources }: AssetWindows, plan: AssetPlan): boolean => {
  for (let at = 0; at < plan.sources.length; at++) if (!sources.has(plan.sources[at] as string)) return true
  return false
}
