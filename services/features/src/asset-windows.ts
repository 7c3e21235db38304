// The windows of one asset: which samples belong to them, when they close, what is late. Pure: (state, block or
// partition time) → windows to publish and late reports, in an order that follows from the data alone.

import type { Block } from '@andon/schemas'
import { moveTime } from './asset-time.ts'
import { rowsOf } from './block-rows.ts'
import type { Rows, Run } from './block-rows.ts'
import type { CarriedRow } from './carried-rows.ts'
import { close, nextDueUs } from './closing-windows.ts'
import type { CorrectedRange } from './corrections.ts'
import { NEVER_US } from './intervals.ts'
import { Lane } from './lanes.ts'
import { lateDeletion, lateRows, lostRange } from './late-rows.ts'
import { isEqualPlan } from './plan-identity.ts'
import type { AssetPlan } from './plan.ts'
import type { Range } from './ranges.ts'
import { silentFromUs, silenceOf } from './silence.ts'
import type { Silence } from './silence.ts'
import { newSource, noteReceived, takeAhead, takeNumber, trimSource } from './source-clock.ts'
import type { SourceClock, Taken } from './source-clock.ts'
import { correct, touch } from './touched-windows.ts'
import type { Touched } from './touched-windows.ts'
import { closesAtUs, entersWindows, finalAtUs, firstEndUs, isByRow, startUsOf } from './window-ends.ts'
import { clear, tidy } from './window-memory.ts'

/** One-off sources whose numbers are remembered, beside those that lanes hold samples of: these would count twice. */
const ONE_OFFS_KEPT = 64

/** A closed window that may still be revised. What is in it, lies on the lanes. */
export interface Window {
  /** What it is known by: one after the last moment in it. */
  readonly endUs: number
  /** Index into the asset's plans. */
  plan: number
  /** vectorId of the revision published last. */
  published: string | null
}

/** Event times, both included, of which something was lost or could not be decoded: windows that begin by its end and end after its start. */
export interface Damage {
  readonly fromUs: number
  readonly toUs: number
}

export interface AssetWindows {
  /** Plans in use or used by a lane; rows keep the one that held at their time. */
  plans: AssetPlan[]
  /** By plan: event time of the first row that was accepted for it. */
  begunUs: number[]
  /** Plan of the newest event time seen; decides whom to wait for and how long. */
  current: number
  /** Asset time: windows that end at or before it are closed. Never goes back. */
  timeUs: number
  sources: Map<string, SourceClock>
  /** Rows that an open or revisable window may need, and until they are cleared away some more. */
  lanes: Lane[]
  /** The newest rows that left the lanes, where later windows take them over. */
  carried: readonly CarriedRow[]
  /** Closed windows that can be revised, and until they are cleared away some more. Ascending by end, then plan. */
  windows: Window[]
  damages: readonly Damage[]
  /** A record of this asset could not be decoded: the windows of the next row are damaged. */
  damageNext: boolean
  /** Ranges that people have corrected, in log order, while a window they touch may still change. */
  corrections: readonly CorrectedRange[]
  /** When ingest received the newest block of rows from a source that goes on; NEVER_US without one. */
  heardUs: number
  /** It was reported unmonitored, and nothing came since. */
  isSilent: boolean
  /** Snapshots taken of it so far. */
  snapshots: number
  /** Asset time at which the next window closes; follows from the lanes. */
  dueUs: number
  /** Asset time at which the last of the closed windows is final. */
  revisableUntilUs: number
  /** Partition time for which asset time is worked out, and nothing changed since; NaN = it is to be. */
  settledUs: number
  /** Partition time at which it is unmonitored; NaN = to be worked out. */
  silentFromUs: number
  /** Partition time before which ticks close no window of it and do not find it silent; NaN = to be worked out. */
  quietUntilUs: number
  /** Windows have closed since the lanes were cleared. */
  isToClear: boolean
}

/** A window to publish; its rows lie on the lanes until the next block or tick is applied. */
export interface VectorClosing {
  readonly kind: 'vector'
  readonly window: Window
  readonly plan: AssetPlan
}

export type Closing =
  | VectorClosing
  | { readonly kind: 'late'; readonly windowStartUs: number; readonly ranges: readonly Range[]; readonly lost: boolean }
  | ({ readonly kind: 'unmonitored'; readonly plan: AssetPlan } & Silence)

/** Most assets have none of these: they share one list. */
const NOTHING: readonly never[] = []

export const newAsset = (): AssetWindows => ({
  plans: [],
  begunUs: [],
  current: 0,
  timeUs: NEVER_US,
  sources: new Map(),
  lanes: [],
  carried: NOTHING,
  windows: [],
  damages: NOTHING,
  damageNext: false,
  corrections: NOTHING,
  heardUs: NEVER_US,
  isSilent: false,
  snapshots: 0,
  dueUs: Number.POSITIVE_INFINITY,
  revisableUntilUs: NEVER_US,
  settledUs: Number.NaN,
  silentFromUs: Number.NaN,
  quietUntilUs: Number.NaN,
  isToClear: false,
})

/** Works out what follows from the rest, after that was restored. */
export const derive = (asset: AssetWindows): void => {
  asset.dueUs = nextDueUs(asset)
  for (const { plan, endUs } of asset.windows) {
    asset.revisableUntilUs = Math.max(asset.revisableUntilUs, finalAtUs(asset.plans[plan] as AssetPlan, endUs))
  }
}

/** The plan that holds for the asset at an event time; undefined when the plant does not describe it. */
export type PlanAt = (timeUs: number) => AssetPlan | undefined

/** Numbers, times and rows of a block that nobody has seen before. */
export interface BlockResult {
  readonly closings: readonly Closing[]
  readonly accepted: number
  readonly repeated: number
  /** Rows for whose event time the plant has no plan. */
  readonly unplanned: number
}

/**
 * Adds a block and closes what it closes. Samples are taken once per (source, epoch, number); rows whose first window is
 * final are reported late, and ranges that fell out of the bounded memory are reported lost.
 */
export const addBlock = (asset: AssetWindows, block: Block, planAt: PlanAt, partitionTimeUs: number, gapBound: number): BlockResult => {
  const rows = rowsOf(block)
  if (asset.isToClear) tidy(asset)
  const first = planAt(rows.oldestUs)
  const last = rows.oldestUs === rows.newestUs ? first : planAt(rows.newestUs)
  const oldest = pin(asset, first)
  const newest = last === first ? oldest : pin(asset, last)
  if (oldest === undefined && newest === undefined) {
    return { closings: NONE, accepted: 0, repeated: 0, unplanned: block.rows }
  }
  asset.quietUntilUs = Number.NaN
  const beforeUs = asset.timeUs
  moveTime(asset, partitionTimeUs)
  // Where nothing was due, it makes no difference which ticks in between were looked at.
  const closedUs = asset.timeUs < asset.dueUs ? asset.timeUs : beforeUs

  const clock = sourceOf(asset, block.sourceId, closedUs)
  const taken = takeBlock(clock, block, rows)
  if (taken !== undefined) asset.settledUs = Number.NaN

  let touched: Touched | undefined
  let closings: readonly Closing[] = NONE
  let sorting: Sorting | undefined
  // The ordinary case: every row is new, none is late, and one plan holds for all of them.
  const isWhole = taken === undefined && block.rows > 0 && oldest === newest && isJoinable(asset, oldest as number, rows.oldestUs)
  if (isWhole) {
    wholeRun.to = block.rows
    touched = join(asset, block, rows, oldest as number, wholeRuns, closedUs, touched)
  } else {
    sorting = sortRows(asset, block, rows, taken, (timeUs) => (first === last ? oldest : pin(asset, planAt(timeUs))))
    for (const [plan, runs] of sorting.joining) touched = join(asset, block, rows, plan, runs, closedUs, touched)
  }
  if (block.correction !== null) {
    touched = correct(asset, block, closedUs, touched)
    closings = [...lateDeletion(asset, block)]
  }
  if (sorting !== undefined && sorting.late.size + sorting.forgotten.size > 0)
    closings = [...closings, ...lateRows(block, rows, sorting.late, false), ...lateRows(block, rows, sorting.forgotten, true)]
  const lost = trimSource(clock, gapBound)
  if (lost.length > 0) closings = [...closings, ...lost.map((range) => lostRange(asset, block.sourceId, range.epoch, range.gap))]

  if (block.rows > 0) {
    const isLasting = !clock.isOneOff
    if (isLasting) hear(asset, block.receivedUs)
    if (isLasting || hasOnlyOneOffs(asset)) follow(asset, clock, rows.newestUs, block.receivedUs, newest)
  }
  moveTime(asset, partitionTimeUs)
  const vectors = close(asset, closedUs, touched)
  closings = closings.length === 0 ? vectors : [...closings, ...vectors]
  const { accepted, repeated, unplanned } = sorting ?? { accepted: block.rows, repeated: 0, unplanned: 0 }
  return { closings, accepted, repeated, unplanned }
}

const NONE: Closing[] = []

/** What becomes of the rows of a block. */
interface Sorting {
  /** By plan. */
  readonly joining: ReadonlyMap<number, Run[]>
  /** By start of the window that is final. */
  readonly late: ReadonlyMap<number, Run[]>
  readonly forgotten: ReadonlyMap<number, Run[]>
  readonly accepted: number
  readonly repeated: number
  readonly unplanned: number
}

const sortRows = (
  asset: AssetWindows,
  block: Block,
  rows: Rows,
  taken: readonly Taken[] | undefined,
  planOf: (timeUs: number) => number | undefined,
): Sorting => {
  const joining = new Map<number, Run[]>()
  const late = new Map<number, Run[]>()
  const forgotten = new Map<number, Run[]>()
  let accepted = 0
  let repeated = 0
  let unplanned = 0
  // Windows that end at every row are as many as their rows: one report says what came too late.
  const startOf = (plan: AssetPlan, timeUs: number) => (isByRow(plan) ? rows.oldestUs : startUsOf(plan, firstEndUs(plan, timeUs)))
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
    if (outcome === 'forgotten') push(forgotten, startOf(asset.plans[at] as AssetPlan, timeUs), row)
    else if (!isJoinable(asset, at, timeUs)) push(late, startOf(asset.plans[at] as AssetPlan, timeUs), row)
    else {
      push(joining, at, row)
      accepted++
    }
  }
  return { joining, late, forgotten, accepted, repeated, unplanned }
}

const wholeRun: Run = { from: 0, to: 0 }

const wholeRuns: Run[] = [wholeRun]

/** True while the first window that a row belongs to is not final. */
const isJoinable = (asset: AssetWindows, plan: number, timeUs: number): boolean => {
  const own = asset.plans[plan] as AssetPlan
  return finalAtUs(own, firstEndUs(own, timeUs)) > asset.timeUs
}

/** Puts accepted rows on their lane; returns what they touch beside what was touched before. */
const join = (
  asset: AssetWindows,
  block: Block,
  rows: Rows,
  planIndex: number,
  runs: readonly Run[],
  closedUs: number,
  before: Touched | undefined,
): Touched | undefined => {
  const plan = asset.plans[planIndex] as AssetPlan
  const lane = laneOf(asset, block, planIndex, plan)
  if (lane.isFullFor(block.rows)) clear(asset, closedUs, lane)
  let touched = before
  let oldestUs = rows.oldestUs
  if (runs !== wholeRuns) {
    oldestUs = Number.POSITIVE_INFINITY
    for (const { from, to } of runs) for (let row = from; row < to; row++) oldestUs = Math.min(oldestUs, rows.timesUs[row] as number)
  }
  for (const { from, to } of runs) lane.add(block, rows, from, to)
  if (entersWindows(plan, lane) && !((asset.begunUs[planIndex] ?? Number.POSITIVE_INFINITY) <= oldestUs))
    asset.begunUs = asset.plans.map((_, at) => (at === planIndex ? oldestUs : (asset.begunUs[at] as number)))
  if (closesAtUs(plan, firstEndUs(plan, oldestUs)) <= closedUs && entersWindows(plan, lane))
    touched = touch(asset, rows, planIndex, plan, runs, oldestUs, closedUs, touched)
  if (!isByRow(plan) || lane.endsWindows)
    asset.dueUs = Math.min(asset.dueUs, closesAtUs(plan, firstEndUs(plan, Math.max(oldestUs, closedUs))))
  if (asset.damageNext) {
    asset.damageNext = false
    const timeUs = rows.timesUs[(runs[0] as Run).from] as number
    asset.damages = [...asset.damages, { fromUs: timeUs, toUs: timeUs }]
  }
  return touched
}

const laneOf = (asset: AssetWindows, block: Block, planIndex: number, plan: AssetPlan): Lane => {
  for (const lane of asset.lanes) if (lane.isOf(block, planIndex)) return lane
  const created = new Lane({ ...block, isRecorded: block.recordedUs !== null }, planIndex, plan)
  asset.lanes = [...asset.lanes, created] // of its length: one that was pushed to has room for 16 more
  return created
}

/** Moves the asset's time to the partition's and closes what that closes: how silent sources' windows close, and silence is noticed. */
export const advance = (asset: AssetWindows, partitionTimeUs: number): readonly Closing[] => {
  if (asset.isToClear) tidy(asset)
  let closings: readonly Closing[] = NONE
  if (isWaiting(asset)) {
    const closedUs = asset.timeUs
    moveTime(asset, partitionTimeUs)
    closings = close(asset, closedUs, undefined)
  }
  if (partitionTimeUs >= silentFrom(asset)) closings = [...closings, ...silence(asset)]
  // Asset time goes no faster than partition time. Where a gap holds it, it may jump: then every tick counts.
  const isSettled = !isWaiting(asset) || asset.settledUs === partitionTimeUs
  if (isSettled) asset.quietUntilUs = Math.min(partitionTimeUs + (asset.dueUs - asset.timeUs), silentFrom(asset))
  return closings
}

/** True when partition time may close windows of the asset, find it silent, or pass a gap that holds its time. */
export const isMovedBy = (asset: AssetWindows, partitionTimeUs: number): boolean => {
  if (partitionTimeUs < asset.quietUntilUs) return false
  return isWaiting(asset) || partitionTimeUs >= silentFrom(asset)
}

/** True when the last ticks left everything as it follows from partition time and the records before: nothing is to be stored. */
export const isQuiet = (asset: AssetWindows): boolean => !Number.isNaN(asset.quietUntilUs)

/** Without a window nothing has to close; the asset's time catches up with its next block. */
const isWaiting = (asset: AssetWindows): boolean => asset.dueUs !== Number.POSITIVE_INFINITY || asset.revisableUntilUs > asset.timeUs

const silentFrom = (asset: AssetWindows): number => {
  if (asset.isSilent) return Number.POSITIVE_INFINITY
  if (Number.isNaN(asset.silentFromUs)) asset.silentFromUs = silentFromUs(asset)
  return asset.silentFromUs
}

const silence = (asset: AssetWindows): Closing[] => {
  const plan = asset.plans[asset.current]
  const found = silenceOf(asset)
  asset.isSilent = true
  return plan === undefined || found === undefined ? [] : [{ kind: 'unmonitored', plan, ...found }]
}

const hear = (asset: AssetWindows, receivedUs: number): void => {
  asset.isSilent = false
  asset.silentFromUs = Number.NaN
  if (receivedUs > asset.heardUs) asset.heardUs = receivedUs
}

/** Marks the asset's open windows: a record that may have belonged to them could not be decoded. */
export const markDamaged = (asset: AssetWindows, partitionTimeUs: number): void => {
  moveTime(asset, partitionTimeUs)
  let oldestUs = Number.POSITIVE_INFINITY
  let newestUs = Number.NEGATIVE_INFINITY
  for (const { from, to, timesUs } of asset.lanes) {
    if (from === to) continue
    oldestUs = Math.min(oldestUs, timesUs[from] as number)
    newestUs = Math.max(newestUs, timesUs[to - 1] as number)
  }
  asset.damageNext = asset.dueUs === Number.POSITIVE_INFINITY
  if (asset.damageNext) return
  const fromUs = Math.max(asset.timeUs, oldestUs)
  asset.damages = [...asset.damages, { fromUs, toUs: Math.max(fromUs, newestUs) }]
}

/** True when something that may have belonged to a window is known to be lost. */
export const isDamaged = (asset: AssetWindows, startUs: number, endUs: number): boolean =>
  asset.damages.length > 0 && asset.damages.some(({ fromUs, toUs }) => startUs <= toUs && fromUs < endUs)

const sourceOf = (asset: AssetWindows, sourceId: string, closedUs: number): SourceClock => {
  const known = asset.sources.get(sourceId)
  if (known !== undefined) return known
  const created = newSource(sourceId)
  asset.sources.set(sourceId, created)
  const oneOffs = [...asset.sources].flatMap(([id, { isOneOff }]) => (isOneOff ? [id] : []))
  if (oneOffs.length > ONE_OFFS_KEPT) {
    clear(asset, closedUs)
    const kept = new Set([sourceId, ...asset.lanes.map((lane) => lane.sourceId)])
    const old = oneOffs.filter((each) => !kept.has(each))
    for (const oldest of old.slice(0, oneOffs.length - ONE_OFFS_KEPT)) asset.sources.delete(oldest)
  }
  return created
}

const hasOnlyOneOffs = (asset: AssetWindows): boolean => {
  for (const clock of asset.sources.values()) if (!clock.isOneOff) return false
  return true
}

/** Takes every number the block covers. What became of each row; undefined when all of them are new. */
const takeBlock = (clock: SourceClock, block: Block, { numbers, timesUs, newestUs }: Rows): Taken[] | undefined => {
  const { epoch, seqFrom, seqTo, withheld } = block
  if (withheld.length === 0 && takeAhead(clock, epoch, seqFrom, seqTo, timesUs[0] as number, newestUs)) return undefined
  const taken: Taken[] = []
  for (let number = seqFrom; number <= seqTo; number++) {
    const row = taken.length
    const isRow = row < block.rows && numbers[row] === number
    const outcome = takeNumber(clock, epoch, number, isRow ? (timesUs[row] as number) : null)
    if (isRow) taken.push(outcome)
  }
  return taken
}

/** Remembers a plan: equal ones share a place. The one given last stands there, so that it is known at sight the next time. */
const pin = (asset: AssetWindows, plan: AssetPlan | undefined): number | undefined => {
  if (plan === undefined) return undefined
  const same = asset.plans.indexOf(plan)
  if (same >= 0) return same
  const equal = asset.plans.findIndex((candidate) => isEqualPlan(candidate, plan))
  if (equal < 0) {
    asset.plans = [...asset.plans, plan]
    return asset.plans.length - 1
  }
  asset.plans[equal] = plan
  return equal
}

/** The newest sample of a block moves its source's clock; the newest of the asset decides the current plan. */
const follow = (asset: AssetWindows, clock: SourceClock, timeUs: number, receivedUs: number, plan: number | undefined): void => {
  asset.settledUs = Number.NaN
  let assetNewestUs = NEVER_US
  for (const other of asset.sources.values()) assetNewestUs = Math.max(assetNewestUs, other.newestUs)
  noteReceived(clock, timeUs, receivedUs)
  if (timeUs >= assetNewestUs) asset.current = plan ?? asset.current
}

/** Adds a row to the runs of its key; rows come in order. */
const push = <K>(runsByKey: Map<K, Run[]>, key: K, row: number): void => {
  const runs = runsByKey.get(key)
  const last = runs?.at(-1)
  if (last?.to === row) last.to++
  else if (runs === undefined) runsByKey.set(key, [{ from: row, to: row + 1 }])
  else runs.push({ from: row, to: row + 1 })
}
