// Which windows that are closed already a record changes: each of them gives one revision.

import type { Block } from '@andon/schemas'
import type { AssetWindows } from './asset-windows.ts'
import type { Rows, Run } from './block-rows.ts'
import { carriesRows, reachUs } from './carried-rows.ts'
import type { AssetPlan } from './plan.ts'
import { closesAtUs, firstEndUs, isByRow, nextEndUs, startUsOf } from './window-ends.ts'
import { clear } from './window-memory.ts'
import { WindowRows } from './window-rows.ts'

/** Ends of closed windows that a record changed, by plan. */
export type Touched = Map<number, Set<number>>

/** Windows that are closed already and that these rows change. */
export const touch = (
  asset: AssetWindows,
  rows: Rows,
  planIndex: number,
  plan: AssetPlan,
  runs: readonly Run[],
  oldestUs: number,
  closedUs: number,
  before: Touched | undefined,
): Touched => {
  const touched: Touched = before ?? new Map()
  const ends = endsOf(touched, planIndex)
  if (isByRow(plan)) {
    // A row may push others out of every later window, and counts as their input in any case.
    for (let endUs = nextEndUs(asset, planIndex, plan, oldestUs - 1); closesAtUs(plan, endUs) <= closedUs;) {
      ends.add(endUs)
      endUs = nextEndUs(asset, planIndex, plan, closesAtUs(plan, endUs))
    }
    return touched
  }
  if (carriesRows(plan)) {
    // A row may be what later windows take over, and counts as their input in any case.
    const newestUs = newestOf(rows, runs)
    for (let endUs = nextEndUs(asset, planIndex, plan, oldestUs); endUs <= closedUs; endUs = nextEndUs(asset, planIndex, plan, endUs)) {
      const fromUs = startUsOf(plan, endUs) - reachUs(plan)
      if (fromUs > newestUs) break
      if (isAnyIn(rows, runs, fromUs, endUs)) ends.add(endUs)
    }
    return touched
  }
  const { us: hopUs } = plan.hop as { readonly us: number }
  for (const { from, to } of runs) {
    for (let row = from; row < to; row++) {
      const timeUs = rows.timesUs[row] as number
      for (let endUs = firstEndUs(plan, timeUs); endUs <= closedUs && startUsOf(plan, endUs) <= timeUs; endUs += hopUs) ends.add(endUs)
    }
  }
  return touched
}

const newestOf = ({ timesUs }: Rows, runs: readonly Run[]): number => {
  let newestUs = Number.NEGATIVE_INFINITY
  for (const { from, to } of runs) for (let row = from; row < to; row++) newestUs = Math.max(newestUs, timesUs[row] as number)
  return newestUs
}

/** True when one of the rows lies in [fromUs, toUs). */
const isAnyIn = ({ timesUs }: Rows, runs: readonly Run[], fromUs: number, toUs: number): boolean => {
  for (const { from, to } of runs)
    for (let row = from; row < to; row++) if ((timesUs[row] as number) >= fromUs && (timesUs[row] as number) < toUs) return true
  return false
}

const endsOf = (touched: Touched, plan: number): Set<number> => {
  const known = touched.get(plan)
  if (known !== undefined) return known
  const created = new Set<number>()
  touched.set(plan, created)
  return created
}

/** Notes a correction; its further blocks change nothing more. Returns what it touches beside what was touched before. */
export const correct = (
  asset: AssetWindows,
  { sourceId, correction }: Block,
  closedUs: number,
  before: Touched | undefined,
): Touched | undefined => {
  if (correction === null || asset.corrections.some((known) => known.sourceId === sourceId)) return before
  const neededUs = clear(asset, closedUs)
  const { fromUs, toUs, channels } = correction
  if (toUs <= neededUs) return before
  asset.corrections = [...asset.corrections, { sourceId, fromUs, toUs, channels }]
  const touched: Touched = before ?? new Map()
  for (const [planIndex, plan] of asset.plans.entries()) {
    const ends = endsOf(touched, planIndex)
    const finalUs = asset.timeUs - plan.latenessUs - (isByRow(plan) ? 1 : 0)
    let endUs = nextEndUs(asset, planIndex, plan, Math.max(finalUs, isByRow(plan) ? fromUs - 1 : fromUs))
    for (; closesAtUs(plan, endUs) <= closedUs; endUs = nextEndUs(asset, planIndex, plan, closesAtUs(plan, endUs))) {
      const startUs = isByRow(plan)
        ? (rowsOfOne.open(asset.lanes, planIndex, plan, endUs, null).oldestUs() ?? endUs)
        : startUsOf(plan, endUs) - reachUs(plan)
      if (startUs < toUs) ends.add(endUs)
    }
  }
  asset.carried = asset.carried.filter(({ plan, channel, timeUs }) => {
    const isSuperseded = timeUs >= fromUs && timeUs < toUs && channels.includes(asset.plans[plan]?.channels[channel]?.id ?? '')
    return !isSuperseded
  })
  return touched
}

const rowsOfOne = new WindowRows()
