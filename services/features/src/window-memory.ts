// What the windows of an asset no longer need goes: rows, final windows, plans. It changes nothing but memory.

import type { AssetWindows, Window } from './asset-windows.ts'
import { keepNewest } from './carried-rows.ts'
import { NEVER_US } from './intervals.ts'
import type { Lane } from './lanes.ts'
import type { AssetPlan } from './plan.ts'
import { entersWindows, finalAtUs, firstNeededUs, isByRow } from './window-ends.ts'
import { WindowRows } from './window-rows.ts'

/** Plans kept before unused ones are dropped. */
const PLANS_KEPT = 4

/** Between records: clears the lanes, and drops plans that are not used any more. */
export const tidy = (asset: AssetWindows): void => {
  clear(asset, asset.timeUs)
  if (asset.plans.length > PLANS_KEPT) forgetPlans(asset)
}

/**
 * Clears away what no open or revisable window can need: rows, and what is known of final windows. It changes nothing but
 * memory. Returns the event time from which on something is still needed. `closedUs`: asset time until which windows were
 * closed; while a record is applied, asset time may be ahead of it, and what ends between them is still to be made.
 */
export const clear = (asset: AssetWindows, closedUs: number, inUse?: Lane): number => {
  asset.isToClear = false
  if (closedUs === NEVER_US) return NEVER_US
  let neededUs = Number.POSITIVE_INFINITY
  for (let at = 0; at < asset.plans.length; at++) {
    neededUs = Math.min(neededUs, clearPlan(asset, at, asset.plans[at] as AssetPlan, closedUs))
  }
  let isAnyEmpty = false
  for (const lane of asset.lanes) if (lane.from === lane.to && lane !== inUse) isAnyEmpty = true
  if (isAnyEmpty) asset.lanes = asset.lanes.filter((lane) => lane.from < lane.to || lane === inUse)
  dropFinal(asset, closedUs)
  if (asset.corrections.length > 0) asset.corrections = asset.corrections.filter(({ toUs }) => toUs > neededUs)
  if (asset.damages.length > 0) asset.damages = asset.damages.filter(({ toUs }) => toUs >= neededUs)
  return neededUs
}

/** They lie in front, but for those of another plan with more patience, which wait for these. */
const dropFinal = ({ windows, plans }: AssetWindows, closedUs: number): void => {
  let final = 0
  while (final < windows.length) {
    const { plan, endUs } = windows[final] as Window
    if (finalAtUs(plans[plan] as AssetPlan, endUs) > closedUs) break
    final++
  }
  if (final === 0) return
  for (let at = final; at < windows.length; at++) windows[at - final] = windows[at] as Window
  windows.length -= final
}

const clearPlan = (asset: AssetWindows, planIndex: number, plan: AssetPlan, closedUs: number): number => {
  let neededUs = firstNeededUs(plan, closedUs)
  if (!isByRow(plan)) {
    keepNewest(asset, planIndex, plan, neededUs)
    for (const lane of asset.lanes) if (lane.plan === planIndex) lane.leave(lane.at(neededUs))
    return neededUs
  }
  const countedUs = closedUs - 2 * plan.latenessUs // rows that count in the revision of the oldest window that can change
  for (const lane of asset.lanes) if (lane.plan === planIndex && !entersWindows(plan, lane)) lane.leave(lane.to)
  const { lanes, from } = rowsOfOne.open(asset.lanes, planIndex, plan, closedUs - plan.latenessUs, null)
  for (let i = 0; i < lanes.length; i++) {
    const lane = lanes[i] as Lane
    lane.leave(Math.min(from[i] as number, lane.at(countedUs)))
    if (lane.from < lane.to) neededUs = Math.min(neededUs, lane.timesUs[lane.from] as number)
  }
  return neededUs
}

/** Drops plans that no lane, no window and nothing current uses. */
const forgetPlans = (asset: AssetWindows): void => {
  const inLanes = asset.lanes.map(({ plan }) => plan)
  const used = [...new Set([asset.current, ...inLanes, ...asset.windows.map(({ plan }) => plan)])].toSorted((a, b) => a - b)
  asset.plans = used.map((at) => asset.plans[at] as AssetPlan)
  asset.begunUs = used.map((at) => asset.begunUs[at] as number)
  for (const window of asset.windows) window.plan = used.indexOf(window.plan)
  for (const lane of asset.lanes) lane.plan = used.indexOf(lane.plan)
  asset.carried = asset.carried.flatMap((row) => (used.includes(row.plan) ? [{ ...row, plan: used.indexOf(row.plan) }] : []))
  asset.current = used.indexOf(asset.current)
}

const rowsOfOne = new WindowRows()
