// The windows of one asset: which samples belong to them, when they close, what is late. Pure: (state, block or
// partition time) → windows to publish and late reports, in an order that follows from the data alone.

import type { Block } from '@andon/schemas'
import { addRows, mergeRanges, rangesOf, rowsOf } from './chunk.ts'
import type { Chunk, Range, Rows, Run } from './chunk.ts'
import type { CorrectedRange } from './corrections.ts'
import type { AssetPlan } from './feature-set.ts'
import { NEVER_US, UNKNOWN_US } from './intervals.ts'
import { isOldData, isOneOff, newSource, noteReceived, sourceTime, takeAhead, takeNumber, trimSource } from './source-clock.ts'
import type { SourceClock, Taken } from './source-clock.ts'

/** One-off sources whose numbers are remembered, beside those that kept windows hold samples of: these would count twice. */
const ONE_OFFS_KEPT = 64
/** Plans kept before unused ones are dropped. */
const PLANS_KEPT = 4

/** Samples of one asset inside [startUs, startUs + plan.windowUs). Kept until nothing can join it any more. */
export interface Window {
  readonly startUs: number
  /** Index into the asset's plans. */
  plan: number
  chunks: Chunk[]
  /** Distinct rows accepted. */
  revision: number
  isClosed: boolean
  /** A range inside was lost or could not be decoded. */
  isDamaged: boolean
  /** vectorId of the revision published last. */
  published: string | null
}

export interface AssetWindows {
  /** Plans in use or used by a kept window; a window keeps the one it was opened with. */
  plans: AssetPlan[]
  /** Plan of the newest event time seen; decides whom to wait for and how long. */
  current: number
  /** Asset time: windows that end at or before it are closed. Never goes back. */
  timeUs: number
  sources: Map<string, SourceClock>
  /** Ascending by start, then plan. */
  windows: Window[]
  /** A record of this asset could not be decoded: the next window opened is damaged. */
  damageNext: boolean
  /** Ranges that people have corrected, in log order, while a window they touch may still change. */
  corrections: CorrectedRange[]
  /** Snapshots taken of it so far. */
  snapshots: number
}

/** What to publish. */
export interface VectorClosing {
  readonly kind: 'vector'
  readonly window: Window
  readonly plan: AssetPlan
  readonly corrections: readonly CorrectedRange[]
}

export type Closing =
  | VectorClosing
  | { readonly kind: 'late'; readonly windowStartUs: number; readonly ranges: readonly Range[]; readonly lost: boolean }

export const newAsset = (): AssetWindows => ({
  plans: [],
  current: 0,
  timeUs: NEVER_US,
  sources: new Map(),
  windows: [],
  damageNext: false,
  corrections: [],
  snapshots: 0,
})

/** The plan that holds for the asset at an event time; undefined when the plant does not describe it. */
export type PlanAt = (timeUs: number) => AssetPlan | undefined

const endUs = (asset: AssetWindows, window: Window): number => window.startUs + (asset.plans[window.plan] as AssetPlan).windowUs

/** Numbers, times and rows of a block that nobody has seen before. */
export interface BlockResult {
  readonly closings: Closing[]
  readonly accepted: number
  readonly repeated: number
  /** Rows for whose event time the plant has no plan. */
  readonly unplanned: number
}

/**
 * Adds a block and closes what it closes. Samples are taken once per (source, epoch, number); rows of a window that is
 * final are reported late, and ranges that fell out of the bounded memory are reported lost.
 */
export const addBlock = (asset: AssetWindows, block: Block, planAt: PlanAt, partitionTimeUs: number, gapBound: number): BlockResult => {
  const rows = rowsOf(block)
  const [oldestUs, newestUs] = span(rows.timesUs, block)
  const planOf = planOfRows(asset, planAt, oldestUs, newestUs)
  if (planOf(oldestUs) === undefined && planOf(newestUs) === undefined) {
    return { closings: [], accepted: 0, repeated: 0, unplanned: block.rows }
  }
  moveTime(asset, partitionTimeUs)

  const clock = sourceOf(asset, block.sourceId)
  const taken = takeBlock(clock, block, rows, newestUs)

  const closings: Closing[] = []
  const late = new Map<number, Run[]>()
  const forgotten = new Map<number, Run[]>()
  const joining = new Map<Window, Run[]>()
  let window: Window | undefined
  let repeated = 0
  let unplanned = 0
  for (let row = 0; row < block.rows; row++) {
    const outcome = taken?.[row] ?? 'new'
    if (outcome === 'seen') {
      repeated++
      continue
    }
    const timeUs = rows.timesUs[row] as number
    const at = planOf(timeUs)
    if (at === undefined) {
      unplanned++
      continue
    }
    const { windowUs, latenessUs } = asset.plans[at] as AssetPlan
    const startUs = Math.floor(timeUs / windowUs) * windowUs
    if (outcome === 'forgotten') push(forgotten, startUs, row)
    else if (startUs + windowUs + latenessUs <= asset.timeUs) push(late, startUs, row)
    else {
      if (window?.startUs !== startUs || window.plan !== at) window = windowAt(asset, startUs, at)
      push(joining, window, row)
    }
  }

  let accepted = 0
  for (const [joined, runs] of joining) {
    const { channels } = asset.plans[joined.plan] as AssetPlan
    for (const run of runs) {
      addRows(joined.chunks, block, rows, run, channels)
      joined.revision += run.to - run.from
      accepted += run.to - run.from
    }
  }
  if (block.correction !== null) {
    for (const touched of correct(asset, block)) {
      if (!joining.has(touched)) joining.set(touched, [])
      touched.revision++
    }
    closings.push(...lateDeletion(asset, block))
  }
  closings.push(...lateRows(block, rows, late, false), ...lateRows(block, rows, forgotten, true))
  closings.push(...lostRanges(asset, block.sourceId, clock, gapBound))

  if (block.rows > 0 && (!isOneOff(block.sourceId) || hasOnlyOneOffs(asset)))
    follow(asset, clock, newestUs, block.receivedUs, planOf(newestUs))
  moveTime(asset, partitionTimeUs)
  closings.push(...close(asset, joining))
  return { closings, accepted, repeated, unplanned }
}

/** Notes a correction; its further blocks change nothing more. Returns the kept windows whose content it changes. */
const correct = (asset: AssetWindows, { sourceId, correction }: Block): Window[] => {
  if (correction === null || asset.corrections.some((known) => known.sourceId === sourceId)) return []
  const { fromUs, toUs, channels } = correction
  asset.corrections.push({ sourceId, fromUs, toUs, channels })
  return asset.windows.filter((window) => window.startUs < toUs && fromUs < endUs(asset, window))
}

/** A correction without samples, of windows that are final: told once, at the first of them. */
const lateDeletion = (asset: AssetWindows, { sourceId, epoch, seqFrom, seqTo, rows, correction }: Block): Closing[] => {
  const plan = asset.plans[asset.current]
  if (rows > 0 || correction === null || plan === undefined) return []
  const windowStartUs = Math.floor(correction.fromUs / plan.windowUs) * plan.windowUs
  if (windowStartUs + plan.windowUs + plan.latenessUs > asset.timeUs) return []
  return [{ kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom, seqTo }], lost: false }]
}

/** Drops corrections whose windows are all final. */
const trimCorrections = (asset: AssetWindows): void => {
  const waitsUs = Math.max(...asset.plans.map(({ windowUs, latenessUs }) => windowUs + latenessUs))
  if (asset.corrections.some(({ toUs }) => toUs + waitsUs <= asset.timeUs))
    asset.corrections = asset.corrections.filter(({ toUs }) => toUs + waitsUs > asset.timeUs)
}

/** Rows that came too late, as reports: ascending by window. */
const lateRows = (block: Block, rows: Rows, runsByWindow: ReadonlyMap<number, readonly Run[]>, lost: boolean): Closing[] => {
  if (runsByWindow.size === 0) return []
  return [...runsByWindow]
    .toSorted(([a], [b]) => a - b)
    .map(([windowStartUs, runs]) => {
      const seqs = runs.flatMap(({ from, to }) => [...rows.seqs.subarray(from, to)])
      return { kind: 'late', windowStartUs, ranges: rangesOf(block.sourceId, block.epoch, seqs), lost }
    })
}

/** Moves the asset's time to the partition's and closes what that closes: how silent sources' windows close. */
export const advance = (asset: AssetWindows, partitionTimeUs: number): Closing[] => {
  moveTime(asset, partitionTimeUs)
  return close(asset, new Map())
}

/** Marks the asset's unpublished windows: a record that may have belonged to them could not be decoded. */
export const markDamaged = (asset: AssetWindows): void => {
  const open = asset.windows.filter((window) => !window.isClosed)
  for (const window of open) window.isDamaged = true
  asset.damageNext = open.length === 0
}

const sourceOf = (asset: AssetWindows, sourceId: string): SourceClock => {
  const known = asset.sources.get(sourceId)
  if (known !== undefined) return known
  const created = newSource()
  asset.sources.set(sourceId, created)
  const oneOffs = [...asset.sources.keys()].filter(isOneOff)
  if (oneOffs.length > ONE_OFFS_KEPT) {
    const kept = new Set([sourceId, ...asset.windows.flatMap(({ chunks }) => chunks.map((chunk) => chunk.sourceId))])
    const old = oneOffs.filter((each) => !kept.has(each))
    for (const oldest of old.slice(0, oneOffs.length - ONE_OFFS_KEPT)) asset.sources.delete(oldest)
  }
  return created
}

const hasOnlyOneOffs = (asset: AssetWindows): boolean => {
  for (const sourceId of asset.sources.keys()) if (!isOneOff(sourceId)) return false
  return true
}

/** Takes every number the block covers. What became of each row; undefined when all of them are new. */
const takeBlock = (clock: SourceClock, block: Block, { seqs, timesUs }: Rows, newestUs: number): Taken[] | undefined => {
  const { epoch, seqFrom, seqTo, withheld } = block
  if (withheld.length === 0 && takeAhead(clock, epoch, seqFrom, seqTo, timesUs[0] as number, newestUs)) return undefined
  const taken: Taken[] = []
  for (let number = seqFrom; number <= seqTo; number++) {
    const row = taken.length
    const isRow = row < block.rows && seqs[row] === number
    const outcome = takeNumber(clock, epoch, number, isRow ? (timesUs[row] as number) : null)
    if (isRow) taken.push(outcome)
  }
  return taken
}

/** Oldest and newest event time of a block; of an empty one the time it was received. */
const span = (timesUs: Float64Array, { rows, receivedUs }: Block): [number, number] => {
  if (rows === 0) return [receivedUs, receivedUs]
  let oldestUs = timesUs[0] as number
  let newestUs = oldestUs
  for (let row = 1; row < rows; row++) {
    const timeUs = timesUs[row] as number
    if (timeUs < oldestUs) oldestUs = timeUs
    if (timeUs > newestUs) newestUs = timeUs
  }
  return [oldestUs, newestUs]
}

/** Index of the plan per event time; asked per row only when a change lies inside the block. */
const planOfRows = (asset: AssetWindows, planAt: PlanAt, oldestUs: number, newestUs: number): ((timeUs: number) => number | undefined) => {
  const first = planAt(oldestUs)
  if (first === planAt(newestUs)) {
    const at = first === undefined ? undefined : pin(asset, first)
    return () => at
  }
  return (timeUs) => {
    const plan = planAt(timeUs)
    return plan === undefined ? undefined : pin(asset, plan)
  }
}

/** Remembers a plan: equal ones share a place. The one given last stands there, so that it is known at sight the next time. */
const pin = (asset: AssetWindows, plan: AssetPlan): number => {
  const same = asset.plans.indexOf(plan)
  if (same >= 0) return same
  const text = JSON.stringify(plan)
  const equal = asset.plans.findIndex((candidate) => JSON.stringify(candidate) === text)
  if (equal < 0) return asset.plans.push(plan) - 1
  asset.plans[equal] = plan
  return equal
}

const windowAt = (asset: AssetWindows, startUs: number, plan: number): Window => {
  const { windows } = asset
  let at = windows.length
  while (at > 0) {
    const before = windows[at - 1] as Window
    if (before.startUs === startUs && before.plan === plan) return before
    if (before.startUs < startUs || (before.startUs === startUs && before.plan < plan)) break
    at--
  }
  const created: Window = { startUs, plan, chunks: [], revision: 0, isClosed: false, isDamaged: asset.damageNext, published: null }
  asset.damageNext = false
  windows.splice(at, 0, created)
  return created
}

/** The newest sample of a block moves its source's clock; the newest of the asset decides the current plan. */
const follow = (asset: AssetWindows, clock: SourceClock, timeUs: number, receivedUs: number, plan: number | undefined): void => {
  let assetNewestUs = NEVER_US
  for (const other of asset.sources.values()) assetNewestUs = Math.max(assetNewestUs, other.newestUs)
  noteReceived(clock, timeUs, receivedUs)
  if (timeUs >= assetNewestUs) asset.current = plan ?? asset.current
}

const lostRanges = (asset: AssetWindows, sourceId: string, clock: SourceClock, gapBound: number): Closing[] =>
  trimSource(clock, gapBound).map(({ epoch, gap }) => {
    const windowUs = asset.plans[asset.current]?.windowUs ?? 1
    for (const window of asset.windows) {
      if (window.startUs <= gap.aboveUs && gap.belowUs < endUs(asset, window)) window.isDamaged = true
    }
    const aroundUs = gap.belowUs === NEVER_US ? gap.aboveUs : gap.belowUs
    const windowStartUs = aroundUs === UNKNOWN_US ? 0 : Math.floor(aroundUs / windowUs) * windowUs
    return { kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom: gap.from, seqTo: gap.to }], lost: true } as const
  })

/**
 * Asset time: the minimum over the sources the plant names and those seen; one-off sources have none. It starts with the
 * first source seen, so that the first data of an asset, however old, finds no window final. A source that the plant does
 * not name and that brings old data - a file beside the live machine - is not waited for, or it would hold live windows
 * open for as long as it lies behind.
 */
const moveTime = (asset: AssetWindows, partitionTimeUs: number): void => {
  const plan = asset.plans[asset.current]
  if (plan === undefined) return
  const timeOf = (clock: SourceClock | undefined) => sourceTime(clock, partitionTimeUs, plan.graceUs, plan.latenessUs, asset.timeUs)
  let lowestUs = Number.POSITIVE_INFINITY
  let lowestOfOldUs = Number.POSITIVE_INFINITY
  let latestOneOff: SourceClock | undefined
  for (const [sourceId, clock] of asset.sources) {
    if (isOneOff(sourceId)) {
      if (latestOneOff === undefined || clock.newestReceivedUs >= latestOneOff.newestReceivedUs) latestOneOff = clock
      continue
    }
    if (isOldData(clock) && !plan.sources.includes(sourceId)) lowestOfOldUs = Math.min(lowestOfOldUs, timeOf(clock))
    else lowestUs = Math.min(lowestUs, timeOf(clock))
  }
  if (lowestUs === Number.POSITIVE_INFINITY) lowestUs = lowestOfOldUs
  // A machine that only files tell of goes by the one that comes in now, or its windows would never close.
  if (lowestUs === Number.POSITIVE_INFINITY && latestOneOff !== undefined) lowestUs = timeOf(latestOneOff)
  if (lowestUs === Number.POSITIVE_INFINITY) return // no source yet
  if (plan.sources.some((sourceId) => !asset.sources.has(sourceId))) lowestUs = Math.min(lowestUs, timeOf(undefined))
  if (lowestUs > asset.timeUs) asset.timeUs = lowestUs
}

/** Windows that closed now, and closed ones that `touched` names; windows that are final leave. Ascending by start. */
const close = (asset: AssetWindows, touched: ReadonlyMap<Window, unknown>): Closing[] => {
  const closings: Closing[] = []
  const isFinal = (window: Window): boolean => endUs(asset, window) + (asset.plans[window.plan] as AssetPlan).latenessUs <= asset.timeUs
  for (const window of asset.windows) {
    const plan = asset.plans[window.plan] as AssetPlan
    const closesNow = !window.isClosed && endUs(asset, window) <= asset.timeUs
    if (closesNow || (window.isClosed && touched.has(window)))
      closings.push({ kind: 'vector', window, plan, corrections: asset.corrections })
    if (closesNow) window.isClosed = true
  }
  if (asset.windows.some(isFinal)) asset.windows = asset.windows.filter((window) => !isFinal(window))
  if (asset.corrections.length > 0) trimCorrections(asset)
  if (asset.plans.length > PLANS_KEPT) forgetPlans(asset)
  return closings
}

/** Drops plans that no window and nothing current uses. */
const forgetPlans = (asset: AssetWindows): void => {
  const used = [...new Set([asset.current, ...asset.windows.map(({ plan }) => plan)])].toSorted((a, b) => a - b)
  asset.plans = used.map((at) => asset.plans[at] as AssetPlan)
  for (const window of asset.windows) window.plan = used.indexOf(window.plan)
  asset.current = used.indexOf(asset.current)
}

/** Adds a row to the runs of its key; rows come in order. */
const push = <K>(runsByKey: Map<K, Run[]>, key: K, row: number): void => {
  const runs = runsByKey.get(key)
  const last = runs?.at(-1)
  if (last?.to === row) last.to++
  else if (runs === undefined) runsByKey.set(key, [{ from: row, to: row + 1 }])
  else runs.push({ from: row, to: row + 1 })
}

/** Sample ranges of a window, in canonical form. */
export const windowRanges = (window: Window): Range[] =>
  mergeRanges(window.chunks.flatMap(({ sourceId, epoch, seqs, rows }) => rangesOf(sourceId, epoch, seqs, rows)))
