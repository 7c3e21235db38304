// Reports of rows that came too late for every window they belong to, and of numbers that fell out of memory: they stay in
// their blocks, and nothing of them goes into a vector.

import type { Block } from '@andon/schemas'
import type { AssetWindows, Closing } from './asset-windows.ts'
import type { Rows, Run } from './block-rows.ts'
import { NEVER_US, UNKNOWN_US } from './intervals.ts'
import { rangesOf } from './ranges.ts'
import { finalAtUs, firstEndUs, isByRow, startUsOf } from './window-ends.ts'

/** Rows that came too late, as reports: ascending by window. */
export const lateRows = (block: Block, rows: Rows, runsByWindow: ReadonlyMap<number, readonly Run[]>, lost: boolean): Closing[] => {
  return [...runsByWindow]
    .toSorted(([a], [b]) => a - b)
    .map(([windowStartUs, runs]) => {
      const numbers = runs.flatMap(({ from, to }) => [...rows.numbers.subarray(from, to)])
      return { kind: 'late', windowStartUs, ranges: rangesOf(block.sourceId, block.epoch, numbers), lost }
    })
}

/** A correction without samples, of windows that are final: told once, at the first of them. */
export const lateDeletion = (asset: AssetWindows, { sourceId, epoch, seqFrom, seqTo, rows, correction }: Block): Closing[] => {
  const plan = asset.plans[asset.current]
  if (rows > 0 || correction === null || plan === undefined) return []
  const isLate = isByRow(plan)
    ? correction.toUs + plan.latenessUs <= asset.timeUs
    : finalAtUs(plan, firstEndUs(plan, correction.fromUs)) <= asset.timeUs
  const windowStartUs = isByRow(plan) ? correction.fromUs : startUsOf(plan, firstEndUs(plan, correction.fromUs))
  return isLate ? [{ kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom, seqTo }], lost: false }] : []
}

/** A range that fell out of memory: reported, and what its samples may have belonged to is damaged. */
export const lostRange = (
  asset: AssetWindows,
  sourceId: string,
  epoch: number,
  gap: { readonly from: number; readonly to: number; readonly belowUs: number; readonly aboveUs: number },
): Closing => {
  let newestUs = NEVER_US
  for (const { from, to, timesUs } of asset.lanes) if (from < to) newestUs = Math.max(newestUs, timesUs[to - 1] as number)
  // Of jittering times the end may lie before the start.
  asset.damages = [...asset.damages, { fromUs: gap.belowUs, toUs: Math.min(gap.aboveUs, newestUs) }]
  const plan = asset.plans[asset.current]
  const aroundUs = gap.belowUs === NEVER_US ? gap.aboveUs : gap.belowUs
  const isPlaced = aroundUs !== UNKNOWN_US && plan !== undefined
  const windowStartUs = !isPlaced ? 0 : isByRow(plan) ? aroundUs : startUsOf(plan, firstEndUs(plan, aroundUs))
  return { kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom: gap.from, seqTo: gap.to }], lost: true }
}
