// Which rows of an asset's lanes lie in one window, scale by scale. One object is set to window after window, so that
// closing one allocates nothing.

import type { Lane } from './lanes.ts'
import type { AssetPlan, Length } from './plan.ts'

export class WindowRows {
  plan: AssetPlan | undefined
  /** The window ends before it, exclusive. */
  endUs = 0
  /** Lanes of the plan that have rows before the end. */
  readonly lanes: Lane[] = []
  /** By lane: one after the last row. */
  readonly to: number[] = []
  /** By lane: the first row of any scale. */
  readonly from: number[] = []
  /** By scale and lane: the first row of a channel that no other lane here has. */
  private readonly first: number[] = []
  /** By lane: no row before it, since the asset was serviced there, or a window that is cut by time begins. */
  private readonly floor: number[] = []

  /** Goes to the window of a plan that ends before `endUs`. Rows before `floorUs` do not belong to it. */
  open(lanes: readonly Lane[], planIndex: number, plan: AssetPlan, endUs: number, floorUs: number | null): this {
    this.plan = plan
    this.endUs = endUs
    const { length: window } = plan.scales[0]!
    let sinceUs = floorUs ?? Number.NEGATIVE_INFINITY
    if ('us' in window) sinceUs = Math.max(sinceUs, endUs - window.us) // shorter scales lie in the window too, where they count rows
    let count = 0
    for (const lane of lanes) {
      if (lane.plan !== planIndex || lane.from === lane.to || (plan.hop === 'row' && lane.layout.kept.length === 0)) continue
      const to = lane.at(endUs)
      if (to === lane.from) continue
      this.lanes[count] = lane
      this.to[count] = to
      this.floor[count] = lane.at(sinceUs)
      count++
    }
    this.lanes.length = count
    for (let i = 0; i < count; i++) this.from[i] = this.to[i] as number
    this.first.length = count * plan.scales.length
    for (let scale = 0; scale < plan.scales.length; scale++) this.widen(plan, scale)
    return this
  }

  /** Event time of the oldest row; undefined without one. */
  oldestUs(): number | undefined {
    let oldestUs: number | undefined
    for (let i = 0; i < this.lanes.length; i++) {
      if ((this.from[i] as number) >= (this.to[i] as number)) continue
      const timeUs = (this.lanes[i] as Lane).timesUs[this.from[i] as number] as number
      if (oldestUs === undefined || timeUs < oldestUs) oldestUs = timeUs
    }
    return oldestUs
  }

  /** Event time of the newest row; undefined without one. */
  newestUs(): number | undefined {
    let newestUs: number | undefined
    for (let i = 0; i < this.lanes.length; i++) {
      if ((this.from[i] as number) >= (this.to[i] as number)) continue
      const timeUs = (this.lanes[i] as Lane).timesUs[(this.to[i] as number) - 1] as number
      if (newestUs === undefined || timeUs > newestUs) newestUs = timeUs
    }
    return newestUs
  }

  get rows(): number {
    let rows = 0
    for (let i = 0; i < this.lanes.length; i++) rows += (this.to[i] as number) - (this.from[i] as number)
    return rows
  }

  /**
   * Rows of the channel that has most of them here. Every further row leaves it as it is or makes it more, which cannot be
   * said of all rows: one that two channels share may push out one of each.
   */
  get mostRows(): number {
    if (this.lanes.length === 1) return this.rows
    const { channels, scales } = this.plan!
    let most = 0
    for (let scale = 0; scale < scales.length; scale++) {
      const { length } = scales[scale]!
      for (let channel = 0; channel < channels.length; channel++) {
        let count = 0
        for (let i = 0; i < this.lanes.length; i++)
          if (((this.lanes[i] as Lane).layout.places[channel] ?? -1) >= 0) count += (this.to[i] as number) - this.firstOf(i, scale)
        most = Math.max(most, 'us' in length ? count : Math.min(count, length.rows))
      }
    }
    return most
  }

  /** First row of a lane at a scale, of a channel that no other lane here has. */
  firstOf(i: number, scale: number): number {
    return this.first[scale * this.lanes.length + i] as number
  }

  /** Lets the rows of a scale in: of lanes that share a channel, the last rows of that channel. */
  private widen(plan: AssetPlan, scale: number): void {
    const { lanes, from } = this
    const { length } = plan.scales[scale]!
    for (let i = 0; i < lanes.length; i++) {
      const floor = this.floor[i] as number
      this.first[scale * lanes.length + i] = Math.max(floor, this.unboundedFirst(i, scale, length))
    }
    if ('us' in length || lanes.length === 1) {
      for (let i = 0; i < lanes.length; i++) from[i] = Math.min(from[i] as number, this.firstOf(i, scale))
      return
    }
    for (let channel = 0; channel < plan.channels.length; channel++) {
      const holding = lanes.flatMap((lane, i) => ((lane.layout.places[channel] ?? -1) < 0 ? [] : [i]))
      const [only] = holding
      if (holding.length === 1 && only !== undefined) from[only] = Math.min(from[only] as number, this.firstOf(only, scale))
      else this.lastOf(holding, length.rows, (i, row) => (from[i] = Math.min(from[i] as number, row)))
    }
  }

  /** How many rows a channel has at a scale, `count` at most, and the time of the oldest of these. */
  lastRowsOf(channel: number, scale: number, count: number): { readonly held: number; readonly oldestUs: number } {
    const holding = this.lanes.flatMap((lane, i) => ((lane.layout.places[channel] ?? -1) < 0 ? [] : [i]))
    let held = 0
    let oldestUs = Number.POSITIVE_INFINITY
    for (const i of holding) {
      const first = this.firstOf(i, scale)
      held += (this.to[i] as number) - first
      if (first < (this.to[i] as number)) oldestUs = Math.min(oldestUs, (this.lanes[i] as Lane).timesUs[first] as number)
    }
    if (held <= count) return { held, oldestUs }
    this.lastOf(holding, count, (i, row) => (oldestUs = (this.lanes[i] as Lane).timesUs[row] as number))
    return { held: count, oldestUs }
  }

  private unboundedFirst(i: number, scale: number, length: Length): number {
    if ('rows' in length) return (this.to[i] as number) - length.rows
    return scale === 0 ? 0 : (this.lanes[i] as Lane).at(this.endUs - length.us) // the window itself begins at its floor
  }

  /** The last `count` rows of some of the lanes, newest first. */
  lastOf(holding: readonly number[], count: number, each: (i: number, row: number) => void): void {
    const next = holding.map((i) => (this.to[i] as number) - 1)
    for (let taken = 0; taken < count; taken++) {
      let newest = -1
      for (let h = 0; h < holding.length; h++) {
        if ((next[h] as number) < (this.floor[holding[h] as number] as number)) continue
        if (newest < 0 || this.isAfter(holding[h] as number, next[h] as number, holding[newest] as number, next[newest] as number))
          newest = h
      }
      if (newest < 0) return
      each(holding[newest] as number, next[newest] as number)
      next[newest] = (next[newest] as number) - 1
    }
  }

  private isAfter(i: number, row: number, j: number, other: number): boolean {
    return compareRows(this.lanes[i] as Lane, row, this.lanes[j] as Lane, other) > 0
  }
}

/** The one order of rows: by time, source, epoch and number. */
export const compareRows = (a: Lane, row: number, b: Lane, other: number): number =>
  (a.timesUs[row] as number) - (b.timesUs[other] as number) ||
  (a.sourceId < b.sourceId ? -1 : a.sourceId > b.sourceId ? 1 : 0) ||
  a.epochAt(row) - b.epochAt(other) ||
  a.numberAt(row) - b.numberAt(other)
