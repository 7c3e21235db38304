// A closed window → the content of its vector: the rows of the lanes as series, without copying them where all are good and
// one lane has the channel; else in one order (time, source, epoch, number), so that no bit depends on how rows arrived.

import { isDamaged } from './asset-windows.ts'
import type { AssetWindows, VectorClosing } from './asset-windows.ts'
import type { Samples } from './block-rows.ts'
import { carriedChannels, carriedInto, carriesRows, isOnlyCarried, newestGood, rangeOf, reachUs } from './carried-rows.ts'
import type { CarriedRow } from './carried-rows.ts'
import { supersededOf } from './corrections.ts'
import type { CorrectedRange } from './corrections.ts'
import { namesFedBy } from './fed-names.ts'
import type { Before, Series } from './functions/kernel.ts'
import { compute } from './functions/prepare.ts'
import type { WindowView } from './functions/prepare.ts'
import { BAD, UNCERTAIN } from './lanes.ts'
import type { Lane } from './lanes.ts'
import type { AssetPlan } from './plan.ts'
import { mergeRanges } from './ranges.ts'
import type { Range } from './ranges.ts'
import { regimeOf } from './regime.ts'
import { sensorFlags } from './sensor-health.ts'
import { isByRow, startUsOf } from './window-ends.ts'
import { compareRows, WindowRows } from './window-rows.ts'
import { isYoung } from './youth.ts'

export interface Summary {
  readonly startUs: number
  readonly endUs: number
  /** Rises with every accepted row that falls into the window, and depends on the accepted rows alone. */
  readonly revision: number
  /** One per name of the plan; NaN = could not be computed. */
  readonly values: Float64Array
  /** Channels without a good row, in the window or, where nothing else is asked of them, carried into it. */
  readonly missing: readonly string[]
  readonly ranges: readonly Range[]
  readonly isComplete: boolean
  readonly historical: boolean
  /** Recorded time of the first row, if the rows are a replayed recording. */
  readonly recordedStartUs: number | null
  readonly quality: 'good' | 'uncertain'
  readonly regime: string | null
  readonly machineOff: boolean
  readonly health: readonly { readonly channel: string; readonly flags: readonly string[]; readonly names: readonly string[] }[]
  /** The asset was serviced then: rows before it are no part of the window. */
  readonly baselineEpochUs: number | null
  /** Event time of the newest row; the last moment of the window where it has none. */
  readonly newestUs: number
  readonly uncertainRows: number
  readonly badRows: number
  /** Not yet full of rows, see youth.ts; then it is not complete. */
  readonly isYoung: boolean
}

/** When the asset was serviced last before a window's end; null where that is not known. */
export type ServicedAt = (endUs: number) => number | null

const rows = new WindowRows()
const uncut = new WindowRows()

/** What a closing has to say; undefined when the asset was serviced and the window has no row since. */
export const summarise = (asset: AssetWindows, { window, plan }: VectorClosing, servicedUs: number | null): Summary | undefined => {
  const { endUs } = window
  rows.open(asset.lanes, window.plan, plan, endUs, servicedUs)
  const oldestUs = rows.oldestUs()
  const carried = isByRow(plan) ? NO_ROWS : carriedRows(asset, window.plan, plan, endUs, servicedUs, oldestUs === undefined)
  if (oldestUs === undefined && carried.length === 0) return undefined
  const startUs = isByRow(plan) ? oldestUs! : startUsOf(plan, endUs)
  const sinceUs = servicedUs === null ? startUs : Math.max(startUs, servicedUs)
  const values = numbers(plan.names.length)
  view.open(asset, window.plan, plan, sinceUs, endUs, servicedUs)
  compute(plan, view, values)
  const regime = plan.regimes.length === 0 ? null : regimeOf(plan, values)
  const { health, missing } = channelsOf(plan, sinceUs, endUs, regime?.isOff ?? false)
  const young = isYoung(
    plan,
    rows,
    Math.max(asset.begunUs[window.plan] ?? Number.NEGATIVE_INFINITY, servicedUs ?? Number.NEGATIVE_INFINITY),
  )
  const { uncertainRows, badRows } = view.isPlain ? noOddRows : oddRows(asset.corrections)
  const isUncertain = uncertainRows > 0 || health.length > 0 || carried.some((row) => row.quality === UNCERTAIN)
  return {
    startUs,
    endUs,
    revision: revisionOf(asset, window.plan, plan, startUs, endUs, servicedUs),
    values,
    missing,
    ranges: rangesOfRows(carried),
    isComplete: missing.length === 0 && !young && !isDamaged(asset, startUs, endUs),
    historical: rows.lanes.some((lane, i) => lane.historical && (rows.from[i] as number) < (rows.to[i] as number)),
    recordedStartUs: recordedStart(),
    quality: isUncertain ? 'uncertain' : 'good',
    regime: regime?.id ?? null,
    machineOff: regime?.isOff ?? false,
    health,
    baselineEpochUs: servicedUs,
    newestUs: rows.newestUs() ?? endUs - 1,
    uncertainRows,
    badRows,
    isYoung: young,
  }
}

/** Values of many vectors lie in one piece of memory: small ones of their own are dear. */
const SLAB_BYTES = 65_536
let slab = new ArrayBuffer(SLAB_BYTES)
let used = 0

const numbers = (count: number): Float64Array => {
  if (used + count * 8 > slab.byteLength) {
    slab = new ArrayBuffer(Math.max(SLAB_BYTES, count * 8))
    used = 0
  }
  const values = new Float64Array(slab, used, count).fill(Number.NaN)
  used += count * 8
  return values
}

/** The window that is summarised, as the kernels see it: one object, set to the next window again and again. */
class LanesView implements WindowView {
  startUs = 0
  endUs = 0
  /** Every row is good, and no correction touches any. */
  isPlain = true
  private channels = 0
  private scales: AssetPlan['scales'] = []
  private corrections: readonly CorrectedRange[] = []
  private asset: AssetWindows | undefined
  private plan: AssetPlan | undefined
  private planIndex = 0
  /** Rows before it are no part of the window, nor carried into it. */
  private servicedUs: number | null = null
  private carriedChannels: readonly number[] = []
  /** By scale and channel; null = not looked at yet. */
  private held: (Series | undefined | null)[] = []
  /** By channel: rows of the longest scale that are bad or not a number. */
  private bad: number[] = []
  /** By scale and lane: the times of its rows. */
  private times: (Float64Array | undefined)[] = []

  open(asset: AssetWindows, planIndex: number, plan: AssetPlan, startUs: number, endUs: number, servicedUs: number | null): void {
    const { corrections } = asset
    this.asset = asset
    this.plan = plan
    this.planIndex = planIndex
    this.servicedUs = servicedUs
    this.carriedChannels = carriedChannels(plan)
    this.startUs = startUs
    this.endUs = endUs
    this.scales = plan.scales
    this.channels = plan.channels.length
    this.corrections = corrections
    const places = this.channels * plan.scales.length
    this.held.length = places
    for (let i = 0; i < places; i++) this.held[i] = null
    this.bad.length = this.channels
    for (let i = 0; i < this.channels; i++) this.bad[i] = 0
    this.times.length = plan.scales.length * rows.lanes.length
    for (let i = 0; i < this.times.length; i++) this.times[i] = undefined
    this.isPlain = corrections.length === 0
    for (let i = 0; this.isPlain && i < rows.lanes.length; i++) {
      const lane = rows.lanes[i] as Lane
      const from = rows.from[i] as number
      this.isPlain = from >= (rows.to[i] as number) || (lane.timesUs[from] as number) > lane.oddUs
    }
  }

  badRows(channel: number): number {
    return this.bad[channel] as number
  }

  readonly series = (channel: number, scale: number): Series | undefined => {
    const at = scale * this.channels + channel
    const held = this.held[at]
    if (held !== null) return held
    const found = this.find(channel, scale)
    this.held[at] = found
    return found
  }

  readonly before = (channel: number, scale: number): Before | null => {
    const { length } = this.scales[scale]!
    if (!('us' in length) || !this.carriedChannels.includes(channel)) return null
    const sinceUs = this.servicedUs ?? Number.NEGATIVE_INFINITY
    return newestGood(this.asset!, this.planIndex, this.plan!, channel, this.endUs - length.us, sinceUs) ?? null
  }

  private find(channel: number, scale: number): Series | undefined {
    let only = -1
    for (let i = 0; i < rows.lanes.length; i++) {
      if (((rows.lanes[i] as Lane).layout.places[channel] ?? -1) < 0 || rows.firstOf(i, scale) >= (rows.to[i] as number)) continue
      if (only >= 0) return this.gather(channel, scale)
      only = i
    }
    if (only < 0) return undefined
    const lane = rows.lanes[only] as Lane
    const from = rows.firstOf(only, scale)
    const to = rows.to[only] as number
    const elements = lane.elements(lane.layout.places[channel] as number, from, to)
    if (!this.isPlain && (this.corrections.length > 0 || hasBad(lane, from, to) || !areFinite(elements))) return this.gather(channel, scale)
    const { width, sampleRateHz } = lane
    const timesUs = this.timesOf(only, scale, lane, from, to)
    return { rows: to - from, timesUs, elements, width, widths: null, sampleRateHz, before: this.beforeIn(channel, scale) }
  }

  private beforeIn(channel: number, scale: number): Before | null {
    return this.carriedChannels.length === 0 ? null : this.before(channel, scale)
  }

  private timesOf(i: number, scale: number, lane: Lane, from: number, to: number): Float64Array {
    const at = scale * rows.lanes.length + i
    return (this.times[at] ??= lane.timesUs.subarray(from, to))
  }

  /** The good rows of a channel in their order, where they cannot be shown as they lie. */
  private gather(channel: number, scale: number): Series | undefined {
    const found = rowsOfChannel(channel, scale, this.scales)
    const superseded = rows.lanes.map((lane) => supersededOf(this.corrections, lane.sourceId, channelName(channel)))
    const good = found.filter(({ i, row }) => {
      const lane = rows.lanes[i] as Lane
      if (superseded[i]?.(lane.timesUs[row] as number) === true) return false
      if (!hasBad(lane, row, row + 1) && areFinite(lane.elements(lane.layout.places[channel] as number, row, row + 1))) return true
      if (scale === 0) this.bad[channel] = (this.bad[channel] as number) + 1
      return false
    })
    const last = good.at(-1)
    if (last === undefined) return undefined
    const widths = good.map(({ i }) => (rows.lanes[i] as Lane).width)
    const elements = new Float64Array(widths.reduce((sum, width) => sum + width, 0))
    let at = 0
    for (const { i, row } of good) {
      const lane = rows.lanes[i] as Lane
      elements.set(lane.elements(lane.layout.places[channel] as number, row, row + 1), at)
      at += lane.width
    }
    const [width = 0] = widths
    const isEven = widths.every((each) => each === width)
    return {
      rows: good.length,
      timesUs: Float64Array.from(good, ({ i, row }) => (rows.lanes[i] as Lane).timesUs[row] as number),
      elements,
      width: isEven ? width : 0,
      widths: isEven ? null : widths,
      sampleRateHz: (rows.lanes[last.i] as Lane).sampleRateHz,
      before: this.beforeIn(channel, scale),
    }
  }
}

const view = new LanesView()

const channelName = (channel: number): string => rows.plan!.channels[channel]!.id

interface Row {
  /** Index into the window's lanes. */
  readonly i: number
  readonly row: number
}

/** All rows of a channel at a scale, in their order. */
const rowsOfChannel = (channel: number, scale: number, scales: AssetPlan['scales']): Row[] => {
  const holding = rows.lanes.flatMap((lane, i) => ((lane.layout.places[channel] ?? -1) < 0 ? [] : [i]))
  const { length } = scales[scale]!
  const found: Row[] = []
  if (holding.length > 1 && 'rows' in length) {
    rows.lastOf(holding, length.rows, (i, row) => found.push({ i, row }))
    return found.reverse()
  }
  for (const i of holding) for (let row = rows.firstOf(i, scale); row < (rows.to[i] as number); row++) found.push({ i, row })
  if (holding.length > 1) found.sort((a, b) => compareRows(rows.lanes[a.i] as Lane, a.row, rows.lanes[b.i] as Lane, b.row))
  return found
}

const hasBad = ({ qualities }: Lane, from: number, to: number): boolean => {
  if (qualities === undefined) return false
  for (let row = from; row < to; row++) if ((qualities[row] as number) >= BAD) return true
  return false
}

const areFinite = (elements: Samples): boolean => {
  let odd = 0
  for (let i = 0; i < elements.length; i++) odd += (elements[i] as number) - (elements[i] as number)
  return odd === 0 // NaN for infinities and NaN alike
}

const NO_HEALTH: Summary['health'] = []
const NO_NAMES: readonly string[] = []
const channelWindow = { good: undefined as Series | undefined, badRows: 0, startUs: 0, endUs: 0, isMachineOff: false }

/** Suspicions against the sensors, and the channels without a good row. */
const channelsOf = (plan: AssetPlan, startUs: number, endUs: number, isMachineOff: boolean): Pick<Summary, 'health' | 'missing'> => {
  let health = NO_HEALTH
  let missing = NO_NAMES
  channelWindow.startUs = startUs
  channelWindow.endUs = endUs
  channelWindow.isMachineOff = isMachineOff
  for (let channel = 0; channel < plan.channels.length; channel++) {
    channelWindow.good = view.series(channel, 0)
    channelWindow.badRows = view.badRows(channel)
    if (channelWindow.good === undefined && !(isOnlyCarried(plan, channel) && view.before(channel, 0) !== null))
      missing = [...missing, plan.channels[channel]!.id]
    const flags = sensorFlags(plan, channel, channelWindow)
    if (flags.length > 0) health = [...health, { channel: plan.channels[channel]!.id, flags, names: namesFedBy(plan, channel) }]
  }
  return { health, missing }
}

const noOddRows = { uncertainRows: 0, badRows: 0 }

/** Rows of the window that are uncertain, and those of which something was left out: bad, not a number, or superseded. */
const oddRows = (corrections: readonly CorrectedRange[]): typeof noOddRows => {
  const counted = { uncertainRows: 0, badRows: 0 }
  const { channels } = rows.plan!
  rows.lanes.forEach((lane, i) => {
    const held = channels.flatMap(({ id }, channel) => {
      const place = lane.layout.places[channel] ?? -1
      return place < 0 ? [] : [{ place, isSuperseded: supersededOf(corrections, lane.sourceId, id) }]
    })
    for (let row = rows.from[i] as number; row < (rows.to[i] as number); row++) {
      const isOut = ({ place, isSuperseded }: (typeof held)[number]): boolean =>
        isSuperseded?.(lane.timesUs[row] as number) === true || !areFinite(lane.elements(place, row, row + 1))
      if (hasBad(lane, row, row + 1) || held.some(isOut)) counted.badRows++
      else if (lane.qualities?.[row] === UNCERTAIN) counted.uncertainRows++
    }
  })
  return counted
}

/** Accepted rows in the window, wherever the asset was serviced, and corrections that touch it. */
const revisionOf = (
  { lanes, corrections }: AssetWindows,
  planIndex: number,
  plan: AssetPlan,
  startUs: number,
  endUs: number,
  servicedUs: number | null,
): number => {
  let revision = 0
  let fromUs = startUs
  if (isByRow(plan)) {
    revision = (servicedUs === null ? rows : uncut.open(lanes, planIndex, plan, endUs, null)).mostRows
    for (const lane of lanes) {
      if (lane.plan === planIndex && lane.layout.kept.length > 0) revision += lane.at(endUs) - lane.at(endUs - 1 - plan.latenessUs)
    }
  } else if (carriesRows(plan)) {
    // A row that comes late may be what is carried in, or take the place of what is: all that could are counted.
    fromUs = startUs - reachUs(plan)
    revision = 1 // of a window without a row, too
    for (const lane of lanes) if (lane.plan === planIndex) revision += lane.at(endUs) - lane.at(fromUs)
  } else if (servicedUs === null) revision = rows.rows
  else for (const lane of lanes) if (lane.plan === planIndex) revision += lane.at(endUs) - lane.at(startUs)
  for (const corrected of corrections) if (corrected.fromUs < endUs && fromUs < corrected.toUs) revision++
  return revision
}

const NO_ROWS: readonly CarriedRow[] = []

const carriedRows = (
  asset: AssetWindows,
  planIndex: number,
  plan: AssetPlan,
  endUs: number,
  servicedUs: number | null,
  isEmpty: boolean,
): readonly CarriedRow[] => carriedInto(asset, planIndex, plan, startUsOf(plan, endUs), servicedUs ?? Number.NEGATIVE_INFINITY, isEmpty)

const rangesOfRows = (carried: readonly CarriedRow[]): readonly Range[] => {
  const ranges: Range[] = carried.map(rangeOf)
  for (let i = 0; i < rows.lanes.length; i++) (rows.lanes[i] as Lane).identify(rows.from[i] as number, rows.to[i] as number, ranges)
  return ranges.length > 1 ? mergeRanges(ranges) : ranges
}

const recordedStart = (): number | null => {
  let firstUs = Number.POSITIVE_INFINITY
  let found: number | null = null
  for (let i = 0; i < rows.lanes.length; i++) {
    const { recordedUs, timesUs } = rows.lanes[i] as Lane
    if (recordedUs === undefined) continue
    for (let row = rows.from[i] as number; row < (rows.to[i] as number); row++) {
      const timeUs = timesUs[row] as number
      if (timeUs > firstUs || timeUs > (timesUs[rows.from[i] as number] as number)) break
      const recorded = recordedUs[row] as number
      if (timeUs < firstUs || found === null || recorded < found) found = recorded
      firstUs = timeUs
    }
  }
  return found
}
