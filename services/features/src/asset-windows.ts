// The windows of one asset: which samples belong to them, when they close, what is late. Pure: (state, block or
// partition time) → windows to publish and late reports, in an order that follows from the data alone.

import type { Block } from '@andon/schemas'
import { moveTime } from './asset-time.ts'
import { rowsOf } from './block-rows.ts'
import type { Rows, Run } from './block-rows.ts'
import { carriesRows, keepNewest, reachUs } from './carried-rows.ts'
import type { CarriedRow } from './carried-rows.ts'
import type { CorrectedRange } from './corrections.ts'
import { NEVER_US, UNKNOWN_US } from './intervals.ts'
import { Lane } from './lanes.ts'
import { comparePlans, isEqualPlan } from './plan-identity.ts'
import type { AssetPlan } from './plan.ts'
import { rangesOf } from './ranges.ts'
import type { Range } from './ranges.ts'
import { silentFromUs, silenceOf } from './silence.ts'
import type { Silence } from './silence.ts'
import { newSource, noteReceived, takeAhead, takeNumber, trimSource } from './source-clock.ts'
import type { SourceClock, Taken } from './source-clock.ts'
import { closesAtUs, finalAtUs, firstEndUs, firstNeededUs, isByRow, nextEndUs, startUsOf } from './window-ends.ts'
import { WindowRows } from './window-rows.ts'

/** One-off sources whose numbers are remembered, beside those that lanes hold samples of: these would count twice. */
const ONE_OFFS_KEPT = 64
/** Plans kept before unused ones are dropped. */
const PLANS_KEPT = 4

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
  carried: CarriedRow[]
  /** Closed windows that can be revised, and until they are cleared away some more. Ascending by end, then plan. */
  windows: Window[]
  damages: Damage[]
  /** A record of this asset could not be decoded: the windows of the next row are damaged. */
  damageNext: boolean
  /** Ranges that people have corrected, in log order, while a window they touch may still change. */
  corrections: CorrectedRange[]
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

export const newAsset = (): AssetWindows => ({
  plans: [],
  begunUs: [],
  current: 0,
  timeUs: NEVER_US,
  sources: new Map(),
  lanes: [],
  carried: [],
  windows: [],
  damages: [],
  damageNext: false,
  corrections: [],
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

/** Ends of closed windows that a record changed, by plan. */
type Touched = Map<number, Set<number>>

/**
 * Adds a block and closes what it closes. Samples are taken once per (source, epoch, number); rows whose first window is
 * final are reported late, and ranges that fell out of the bounded memory are reported lost.
 */
export const addBlock = (asset: AssetWindows, block: Block, planAt: PlanAt, partitionTimeUs: number, gapBound: number): BlockResult => {
  const rows = rowsOf(block)
  if (asset.isToClear) tidy(asset)
  const planOf = planOfRows(asset, planAt, rows)
  if (planOf(rows.oldestUs) === undefined && planOf(rows.newestUs) === undefined) {
    return { closings: NONE, accepted: 0, repeated: 0, unplanned: block.rows }
  }
  asset.quietUntilUs = Number.NaN
  const closedUs = asset.timeUs
  moveTime(asset, partitionTimeUs)

  const clock = sourceOf(asset, block.sourceId, closedUs)
  const taken = takeBlock(clock, block, rows)
  if (taken !== undefined) asset.settledUs = Number.NaN

  let touched: Touched | undefined
  let closings: Closing[] = NONE
  let sorting: Sorting | undefined
  const whole = taken === undefined ? planOfWhole(asset, block, rows, planOf) : undefined
  if (whole !== undefined) touched = join(asset, block, rows, whole, wholeRuns, closedUs, touched)
  else {
    sorting = sortRows(asset, block, rows, taken, planOf)
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
    if (isLasting || hasOnlyOneOffs(asset)) follow(asset, clock, rows.newestUs, block.receivedUs, planOf(rows.newestUs))
  }
  moveTime(asset, partitionTimeUs)
  const vectors = close(asset, closedUs, touched)
  if (closings.length === 0) closings = vectors
  else closings.push(...vectors)
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

/** The ordinary case: every row is new and none is late. The plan that holds for all of them; undefined otherwise. */
const planOfWhole = (
  asset: AssetWindows,
  block: Block,
  { oldestUs, newestUs }: Rows,
  planOf: (timeUs: number) => number | undefined,
): number | undefined => {
  const plan = planOf(oldestUs)
  if (plan === undefined || block.rows === 0 || plan !== planOf(newestUs) || !isJoinable(asset, plan, oldestUs)) return undefined
  wholeRun.to = block.rows
  return plan
}

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
  if (entersWindows(plan, lane)) asset.begunUs[planIndex] = Math.min(asset.begunUs[planIndex] ?? oldestUs, oldestUs)
  if (closesAtUs(plan, firstEndUs(plan, oldestUs)) <= closedUs && entersWindows(plan, lane))
    touched = touch(asset, rows, planIndex, plan, runs, oldestUs, closedUs, touched)
  if (!isByRow(plan) || lane.endsWindows)
    asset.dueUs = Math.min(asset.dueUs, closesAtUs(plan, firstEndUs(plan, Math.max(oldestUs, closedUs))))
  if (asset.damageNext) {
    asset.damageNext = false
    const timeUs = rows.timesUs[(runs[0] as Run).from] as number
    asset.damages.push({ fromUs: timeUs, toUs: timeUs })
  }
  return touched
}

/** Rows without a channel of the plan end no window, and of windows that end at rows they are no part. */
const entersWindows = (plan: AssetPlan, lane: Lane): boolean => !isByRow(plan) || lane.layout.kept.length > 0

const laneOf = (asset: AssetWindows, block: Block, planIndex: number, plan: AssetPlan): Lane => {
  for (const lane of asset.lanes) if (lane.isOf(block, planIndex)) return lane
  const created = new Lane({ ...block, isRecorded: block.recordedUs !== null }, planIndex, plan)
  asset.lanes.push(created)
  return created
}

/** Windows that are closed already and that these rows change. */
const touch = (
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
const correct = (
  asset: AssetWindows,
  { sourceId, correction }: Block,
  closedUs: number,
  before: Touched | undefined,
): Touched | undefined => {
  if (correction === null || asset.corrections.some((known) => known.sourceId === sourceId)) return before
  const neededUs = clear(asset, closedUs)
  const { fromUs, toUs, channels } = correction
  if (toUs <= neededUs) return before
  asset.corrections.push({ sourceId, fromUs, toUs, channels })
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

/** A correction without samples, of windows that are final: told once, at the first of them. */
const lateDeletion = (asset: AssetWindows, { sourceId, epoch, seqFrom, seqTo, rows, correction }: Block): Closing[] => {
  const plan = asset.plans[asset.current]
  if (rows > 0 || correction === null || plan === undefined) return []
  const isLate = isByRow(plan)
    ? correction.toUs + plan.latenessUs <= asset.timeUs
    : finalAtUs(plan, firstEndUs(plan, correction.fromUs)) <= asset.timeUs
  const windowStartUs = isByRow(plan) ? correction.fromUs : startUsOf(plan, firstEndUs(plan, correction.fromUs))
  return isLate ? [{ kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom, seqTo }], lost: false }] : []
}

/** Rows that came too late, as reports: ascending by window. */
const lateRows = (block: Block, rows: Rows, runsByWindow: ReadonlyMap<number, readonly Run[]>, lost: boolean): Closing[] => {
  return [...runsByWindow]
    .toSorted(([a], [b]) => a - b)
    .map(([windowStartUs, runs]) => {
      const numbers = runs.flatMap(({ from, to }) => [...rows.numbers.subarray(from, to)])
      return { kind: 'late', windowStartUs, ranges: rangesOf(block.sourceId, block.epoch, numbers), lost }
    })
}

/** Moves the asset's time to the partition's and closes what that closes: how silent sources' windows close, and silence is noticed. */
export const advance = (asset: AssetWindows, partitionTimeUs: number): readonly Closing[] => {
  if (asset.isToClear) tidy(asset)
  let closings: Closing[] = NONE
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
  asset.damages.push({ fromUs, toUs: Math.max(fromUs, newestUs) })
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

/** Index of the plan per event time; asked per row only when a change lies inside the block. */
const planOfRows = (asset: AssetWindows, planAt: PlanAt, { oldestUs, newestUs }: Rows): ((timeUs: number) => number | undefined) => {
  const first = planAt(oldestUs)
  if (oldestUs === newestUs || first === planAt(newestUs)) {
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
  const equal = asset.plans.findIndex((candidate) => isEqualPlan(candidate, plan))
  if (equal < 0) return asset.plans.push(plan) - 1
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

/** A range that fell out of memory: reported, and what its samples may have belonged to is damaged. */
const lostRange = (
  asset: AssetWindows,
  sourceId: string,
  epoch: number,
  gap: { readonly from: number; readonly to: number; readonly belowUs: number; readonly aboveUs: number },
): Closing => {
  let newestUs = NEVER_US
  for (const { from, to, timesUs } of asset.lanes) if (from < to) newestUs = Math.max(newestUs, timesUs[to - 1] as number)
  asset.damages.push({ fromUs: gap.belowUs, toUs: Math.min(gap.aboveUs, newestUs) }) // of jittering times the end may lie before the start
  const plan = asset.plans[asset.current]
  const aroundUs = gap.belowUs === NEVER_US ? gap.aboveUs : gap.belowUs
  const isPlaced = aroundUs !== UNKNOWN_US && plan !== undefined
  const windowStartUs = !isPlaced ? 0 : isByRow(plan) ? aroundUs : startUsOf(plan, firstEndUs(plan, aroundUs))
  return { kind: 'late', windowStartUs, ranges: [{ sourceId, epoch, seqFrom: gap.from, seqTo: gap.to }], lost: true }
}

/** Windows that closed since asset time was `closedUs`, and closed ones that were touched: ascending by end. */
const close = (asset: AssetWindows, closedUs: number, touched: Touched | undefined): Closing[] => {
  if (touched === undefined && asset.timeUs < asset.dueUs) return NONE
  const closings: VectorClosing[] = []
  asset.dueUs = Number.POSITIVE_INFINITY
  for (let at = 0; at < asset.plans.length; at++) {
    const plan = asset.plans[at] as AssetPlan
    const ends = touched?.get(at)
    if (ends !== undefined) for (const endUs of [...ends].sort((a, b) => a - b)) closings.push(closing(asset, at, plan, endUs))
    let endUs = nextEndUs(asset, at, plan, closedUs)
    for (; closesAtUs(plan, endUs) <= asset.timeUs; endUs = nextEndUs(asset, at, plan, closesAtUs(plan, endUs)))
      closings.push(closing(asset, at, plan, endUs))
    asset.dueUs = Math.min(asset.dueUs, closesAtUs(plan, endUs))
  }
  if (asset.plans.length > 1) closings.sort((a, b) => a.window.endUs - b.window.endUs || comparePlans(a.plan, b.plan))
  asset.isToClear = true
  return closings
}

const nextDueUs = (asset: AssetWindows): number => {
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
    windows.splice(at, 0, window)
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
const clear = (asset: AssetWindows, closedUs: number, inUse?: Lane): number => {
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

/** Adds a row to the runs of its key; rows come in order. */
const push = <K>(runsByKey: Map<K, Run[]>, key: K, row: number): void => {
  const runs = runsByKey.get(key)
  const last = runs?.at(-1)
  if (last?.to === row) last.to++
  else if (runs === undefined) runsByKey.set(key, [{ from: row, to: row + 1 }])
  else runs.push({ from: row, to: row + 1 })
}
