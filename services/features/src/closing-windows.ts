// Which windows close as the time of an asset goes on, in one order: by end, then by plan.

import type { AssetWindows, Closing, VectorClosing, Window } from './asset-windows.ts'
import { comparePlans } from './plan-identity.ts'
import type { AssetPlan } from './plan.ts'
import type { Touched } from './touched-windows.ts'
import { closesAtUs, finalAtUs, nextEndUs } from './window-ends.ts'

const NO_VECTORS: VectorClosing[] = []

/** Mostly there is one: a list that grows by itself has room for 16 more. */
const added = (closings: VectorClosing[], one: VectorClosing): VectorClosing[] => {
  if (closings.length === 0) return [one]
  closings.push(one)
  return closings
}

/** Windows that closed since asset time was `closedUs`, and closed ones that were touched: ascending by end. */
export const close = (asset: AssetWindows, closedUs: number, touched: Touched | undefined): readonly Closing[] => {
  if (touched === undefined && asset.timeUs < asset.dueUs) return NO_VECTORS
  let closings: VectorClosing[] = NO_VECTORS
  asset.dueUs = Number.POSITIVE_INFINITY
  for (let at = 0; at < asset.plans.length; at++) {
    const plan = asset.plans[at] as AssetPlan
    const ends = touched?.get(at)
    if (ends !== undefined) for (const endUs of [...ends].sort((a, b) => a - b)) closings = added(closings, closing(asset, at, plan, endUs))
    let endUs = nextEndUs(asset, at, plan, closedUs)
    for (; closesAtUs(plan, endUs) <= asset.timeUs; endUs = nextEndUs(asset, at, plan, closesAtUs(plan, endUs)))
      closings = added(closings, closing(asset, at, plan, endUs))
    asset.dueUs = Math.min(asset.dueUs, closesAtUs(plan, endUs))
  }
  if (asset.plans.length > 1) closings.sort((a, b) => a.window.endUs - b.window.endUs || comparePlans(a.plan, b.plan))
  asset.isToClear = true
  return closings
}

export const nextDueUs = (asset: AssetWindows): number => {
  let dueUs = Number.POSITIVE_INFINITY
  for (let at = 0; at < asset.plans.length; at++) {
    const plan = asset.plans[at] as AssetPlan
    dueUs = Math.min(dueUs, closesAtUs(plan, nextEndUs(asset, at, plan, asset.timeUs)))
  }
  return dueUs
}

const closing = (asset: AssetWindows, planIndex: number, plan: AssetPlan, endUs: number): VectorClosing => {
  const { windows } = asset
  const at = placeOf(windows, endUs, planIndex)
  const known = windows[at]
  if (known?.endUs === endUs && known.plan === planIndex) return { kind: 'vector', window: known, plan }
  const window: Window = { endUs, plan: planIndex, published: null }
  const untilUs = finalAtUs(plan, endUs)
  if (untilUs > asset.timeUs) {
    if (at === windows.length) windows.push(window)
    else windows.splice(at, 0, window)
    if (untilUs > asset.revisableUntilUs) asset.revisableUntilUs = untilUs
  }
  return { kind: 'vector', window, plan }
}

/** Where a window stands or belongs; mostly behind all others. */
const placeOf = (windows: readonly Window[], endUs: number, plan: number): number => {
  const isBefore = (window: Window) => window.endUs < endUs || (window.endUs === endUs && window.plan < plan)
  let low = 0
  let high = windows.length
  if (high === 0 || isBefore(windows[high - 1] as Window)) return high
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(windows[middle] as Window)) low = middle + 1
    else high = middle
  }
  return low
}
