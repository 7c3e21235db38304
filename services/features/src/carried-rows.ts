// What windows of time take over from before they begin: per channel the newest good row, for counters and states, which
// would else lose a step, or all knowledge, at every seam. Kept per asset and plan when the rows leave their lanes, however old.

import { statistics } from '@andon/schemas'
import type { AssetWindows } from './asset-windows.ts'
import { supersededOf } from './corrections.ts'
import { BAD } from './lanes.ts'
import type { Lane } from './lanes.ts'
import type { AssetPlan, Call } from './plan.ts'
import type { Range } from './ranges.ts'
import { WINDOWS_OF_SILENCE } from './silence.ts'
import { compareRows } from './window-rows.ts'

/** Stands for the newest row of any channel, good or not: it says that the asset is alive. */
export const ANY_CHANNEL = -1

/** A row from before a window. */
export interface CarriedRow {
  /** Index into the asset's plans. */
  readonly plan: number
  /** Index into the plan's channels, or ANY_CHANNEL. */
  readonly channel: number
  readonly timeUs: number
  readonly value: number
  readonly quality: number
  readonly sourceId: string
  readonly epoch: number
  readonly number: number
}

/** Channels of a plan of which windows take over a row: all of them, and those of which nothing else is asked. */
interface Carrying {
  readonly channels: readonly number[]
  readonly only: readonly number[]
}

const nothing: Carrying = { channels: [], only: [] }
/** By the calls of a plan, which plans of equal assets share. */
const known = new WeakMap<readonly Call[], Carrying>()

const carryingOf = ({ hop, calls, scales }: AssetPlan): Carrying => {
  if (hop === 'row') return nothing
  const found = known.get(calls)
  if (found !== undefined) return found
  const channels = new Set<number>()
  const others = new Set<number>()
  for (const call of calls) {
    const isOfTime = 'us' in scales[call.scale]!.length
    for (const { statistic } of call.asked) {
      const into = isOfTime && statistics[statistic].carriesIn ? channels : others
      for (const channel of call.channels) into.add(channel)
    }
  }
  const sorted = [...channels].toSorted((a, b) => a - b)
  const made = { channels: sorted, only: sorted.filter((channel) => !others.has(channel)) }
  known.set(calls, made)
  return made
}

/** Channels of which a window takes over the newest good row from before it; none where windows end at rows. */
export const carriedChannels = (plan: AssetPlan): readonly number[] => carryingOf(plan).channels

/** True where all that is asked of a channel can be said by what was carried in: without a row it is not missing then. */
export const isOnlyCarried = (plan: AssetPlan, channel: number): boolean => carryingOf(plan).only.includes(channel)

export const carriesRows = (plan: AssetPlan): boolean => carriedChannels(plan).length > 0

/**
 * How far before its start a window is touched by rows: one that comes late may be the newest from before it. A row from
 * before that is late, as the window that it would lie in is final.
 */
export const reachUs = (plan: AssetPlan): number => (carriesRows(plan) ? plan.latenessUs : 0)

/** How long after the last row of an asset windows without any may begin, for what was carried into them; it ends before the asset is unmonitored. */
export const aliveUs = (plan: AssetPlan): number => {
  const { length } = plan.scales[0]!
  return 'us' in length ? Math.max(0, (WINDOWS_OF_SILENCE - 1) * length.us - plan.graceUs) : 0
}

/** The newest good row of a channel before a time, and not before another. */
export const newestGood = (
  asset: AssetWindows,
  planIndex: number,
  plan: AssetPlan,
  channel: number,
  beforeUs: number,
  sinceUs: number,
): CarriedRow | undefined => {
  const { id } = plan.channels[channel]!
  let newest: Lane | undefined
  let at = -1
  for (const lane of asset.lanes) {
    const place = lane.layout.places[channel] ?? -1
    if (lane.plan !== planIndex || lane.width !== 1 || place < 0) continue
    const isSuperseded = supersededOf(asset.corrections, lane.sourceId, id)
    for (let row = lane.at(beforeUs) - 1; row >= lane.from; row--) {
      const timeUs = lane.timesUs[row] as number
      if (timeUs < sinceUs || (newest !== undefined && compareRows(lane, row, newest, at) < 0)) break
      if (!isGood(lane, place, row) || isSuperseded?.(timeUs) === true) continue
      newest = lane
      at = row
      break
    }
  }
  if (newest !== undefined) return rowOf(newest, at, planIndex, channel)
  const kept = keptOf(asset, planIndex, channel)
  return kept !== undefined && kept.timeUs >= sinceUs ? kept : undefined
}

const isGood = (lane: Lane, place: number, row: number): boolean =>
  (lane.qualities?.[row] ?? 0) < BAD && Number.isFinite(lane.samples[place * lane.room + row])

const rowOf = (lane: Lane, row: number, plan: number, channel: number): CarriedRow => ({
  plan,
  channel,
  timeUs: lane.timesUs[row] as number,
  value: channel === ANY_CHANNEL ? 0 : (lane.samples[(lane.layout.places[channel] as number) * lane.room + row] as number),
  quality: lane.qualities?.[row] ?? 0,
  sourceId: lane.sourceId,
  epoch: lane.epochAt(row),
  number: lane.numberAt(row),
})

const keptOf = ({ carried }: AssetWindows, planIndex: number, channel: number): CarriedRow | undefined => {
  for (const row of carried) if (row.plan === planIndex && row.channel === channel) return row
  return undefined
}

/** The newest row of the plan before a time, good or not. */
export const newestRow = (asset: AssetWindows, planIndex: number, beforeUs: number): CarriedRow | undefined => {
  let newest: Lane | undefined
  let at = -1
  for (const lane of asset.lanes) {
    if (lane.plan !== planIndex) continue
    const row = lane.at(beforeUs) - 1
    if (row < lane.from || (newest !== undefined && compareRows(lane, row, newest, at) < 0)) continue
    newest = lane
    at = row
  }
  return newest === undefined ? keptOf(asset, planIndex, ANY_CHANNEL) : rowOf(newest, at, planIndex, ANY_CHANNEL)
}

/** Its event time; -Infinity without one. */
export const newestRowUs = ({ lanes, carried }: AssetWindows, planIndex: number, beforeUs: number): number => {
  let newestUs = Number.NEGATIVE_INFINITY
  for (const lane of lanes) {
    const row = lane.plan === planIndex ? lane.at(beforeUs) - 1 : -1
    if (row >= lane.from) newestUs = Math.max(newestUs, lane.timesUs[row] as number)
  }
  for (const { plan, channel, timeUs } of carried) if (plan === planIndex && channel === ANY_CHANNEL) newestUs = Math.max(newestUs, timeUs)
  return newestUs
}

/** Keeps what windows from a time on may take over, before the rows until then leave their lanes. */
export const keepNewest = (asset: AssetWindows, planIndex: number, plan: AssetPlan, untilUs: number): void => {
  const channels = carriedChannels(plan)
  if (channels.length === 0) return
  const isAnyLeaving = asset.lanes.some((lane) => lane.plan === planIndex && lane.from < lane.at(untilUs))
  if (!isAnyLeaving) return
  const kept = channels.map((channel) => newestGood(asset, planIndex, plan, channel, untilUs, Number.NEGATIVE_INFINITY))
  const all = [newestRow(asset, planIndex, untilUs), ...kept].filter((row) => row !== undefined)
  asset.carried = [...asset.carried.filter((row) => row.plan !== planIndex), ...all]
}

/** What a window of time takes over; without a row of its own also the one that says that the asset is alive. */
export const carriedInto = (
  asset: AssetWindows,
  planIndex: number,
  plan: AssetPlan,
  startUs: number,
  sinceUs: number,
  isEmpty: boolean,
): readonly CarriedRow[] => {
  const channels = carriedChannels(plan)
  if (channels.length === 0) return noRows
  const found = channels.map((channel) => newestGood(asset, planIndex, plan, channel, startUs, sinceUs)).filter((row) => row !== undefined)
  const alive = isEmpty && found.length > 0 ? newestRow(asset, planIndex, startUs) : undefined
  return alive === undefined ? found : [...found, alive]
}

const noRows: readonly CarriedRow[] = []

export const rangeOf = ({ sourceId, epoch, number }: CarriedRow): Range => ({ sourceId, epoch, seqFrom: number, seqTo: number })
