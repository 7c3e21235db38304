// Where windows end, when they close and when they are final, by the plan. A window is known by its end: one after the last
// moment in it. One that closes at every row ends one microsecond after that row.

import type { AssetWindows } from './asset-windows.ts'
import { aliveUs, carriesRows, newestRowUs, reachUs } from './carried-rows.ts'
import type { Lane } from './lanes.ts'
import type { AssetPlan } from './plan.ts'

/** A window ends at every row. */
export const isByRow = ({ hop }: AssetPlan): boolean => hop === 'row'

/** Asset time at which a window closes. Its own row closes one that ends at it. */
export const closesAtUs = (plan: AssetPlan, endUs: number): number => (plan.hop === 'row' ? endUs - 1 : endUs)

/** Asset time from which nothing enters a window any more. */
export const finalAtUs = (plan: AssetPlan, endUs: number): number => endUs + plan.latenessUs

/** End of the first window that a row belongs to. */
export const firstEndUs = ({ hop }: AssetPlan, timeUs: number): number =>
  hop === 'row' ? timeUs + 1 : Math.floor(timeUs / hop.us) * hop.us + hop.us

/** Start of a window that is cut by time. */
export const startUsOf = ({ scales }: AssetPlan, endUs: number): number => {
  const { length } = scales[0]!
  return 'us' in length ? endUs - length.us : endUs - 1
}

/**
 * End of the first window that closes after an asset time and has a row, or begins so soon after one that what is carried
 * into it still holds; Infinity when the lanes have none.
 */
export const nextEndUs = (asset: AssetWindows, planIndex: number, plan: AssetPlan, afterUs: number): number => {
  const { lanes } = asset
  const { hop } = plan
  if (hop === 'row') return firstRowUs(lanes, planIndex, afterUs + 1, true) + 1
  const nextUs = Math.floor(afterUs / hop.us) * hop.us + hop.us
  const startUs = startUsOf(plan, nextUs)
  if (carriesRows(plan) && newestRowUs(asset, planIndex, nextUs) >= startUs - aliveUs(plan)) return nextUs
  const rowUs = firstRowUs(lanes, planIndex, startUs, false)
  return rowUs === Number.POSITIVE_INFINITY ? rowUs : Math.max(nextUs, firstEndUs(plan, rowUs))
}

/** Event time of the first row at or after a time. */
const firstRowUs = (lanes: readonly Lane[], planIndex: number, fromUs: number, isEnding: boolean): number => {
  let firstUs = Number.POSITIVE_INFINITY
  for (const lane of lanes) {
    if (lane.plan !== planIndex || (isEnding && !lane.endsWindows)) continue
    const row = lane.at(fromUs)
    if (row < lane.to && (lane.timesUs[row] as number) < firstUs) firstUs = lane.timesUs[row] as number
  }
  return firstUs
}

/** Event time from which on rows are needed by windows that are not final at an asset time, whatever their lanes hold. */
export const firstNeededUs = (plan: AssetPlan, assetTimeUs: number): number => {
  const { hop, scales, latenessUs } = plan
  const finalUs = assetTimeUs - latenessUs
  if (hop !== 'row') return startUsOf(plan, Math.floor(finalUs / hop.us) * hop.us + hop.us) - reachUs(plan)
  let longestUs = 0
  for (const { length } of scales) if ('us' in length) longestUs = Math.max(longestUs, length.us)
  return finalUs - longestUs
}

/** Rows without a channel of the plan end no window, and of windows that end at rows they are no part. */
export const entersWindows = (plan: AssetPlan, lane: Lane): boolean => !isByRow(plan) || lane.layout.kept.length > 0
