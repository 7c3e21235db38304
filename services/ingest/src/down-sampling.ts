// Rows that say nothing new are left out, where the plant file asks for it: their numbers are withheld, and what the kept rows say of
// them is off by no more than the stated bound. Pure.
//
// dead-band: a row left out has the value of the last kept row, within the bound. swinging-door: it lies on the line between the kept
// rows around it, within the bound; which rows that takes shows with the row behind it, so the newest row of a block is kept until the
// block goes on, and for good when the block closes. Nothing waits for a row to come, and a restart only keeps a row more.

import type { Channel } from '@andon/schemas'

/** Down-sampling of a layout, per channel. A row is left out only when every one of its channels allows it. */
export interface Sampling {
  readonly methods: readonly ('dead-band' | 'swinging-door')[]
  readonly bounds: readonly number[]
  /** Longest time between two kept rows, microseconds: the shortest that a channel asks for. */
  readonly maxGapUs: number
  readonly hasDoors: boolean
}

/** Undefined unless all of these channels are down-sampled. */
export const samplingOf = (channels: readonly Channel[]): Sampling | undefined => {
  const asked = channels.flatMap((channel) => (channel.kind === 'scalar' && channel.downsample !== undefined ? [channel.downsample] : []))
  if (asked.length < channels.length || asked.length === 0) return undefined
  return {
    methods: asked.map(({ method }) => method),
    bounds: asked.map(({ bound }) => bound),
    maxGapUs: Math.min(...asked.map(({ maxGapS }) => maxGapS)) * 1e6,
    hasDoors: asked.some(({ method }) => method === 'swinging-door'),
  }
}

/** One source's rows of one layout, in the order in which they come. */
export class DownSampler {
  readonly sampling: Sampling
  readonly #width: number
  /** The last row kept for good: what rows are measured from. */
  readonly #kept: Float64Array
  #keptUs = Number.NaN
  #keptQuality = 0
  /** The newest row, while it may still be left out. */
  readonly #newest: Float64Array
  #newestUs = 0
  #hasNewest = false
  /** Slopes from the kept row that pass every row since within the bound, per channel, units per microsecond. */
  readonly #least: Float64Array
  readonly #greatest: Float64Array

  constructor(sampling: Sampling) {
    this.sampling = sampling
    this.#width = sampling.methods.length
    this.#kept = new Float64Array(this.#width)
    this.#newest = new Float64Array(this.#width)
    this.#least = new Float64Array(this.#width)
    this.#greatest = new Float64Array(this.#width)
  }

  /** True while the newest row may still be left out. */
  get isOpen(): boolean {
    return this.#hasNewest
  }

  /**
   * Looks at the next row, and says whether the one before it is left out after all (only ever true while `isOpen`).
   * Afterwards `isOpen` tells whether this row may be left out in turn.
   */
  next(timeUs: number, row: Float64Array, quality: number): boolean {
    let leavesOutNewest = this.#hasNewest
    let isAllowed = this.#allows(timeUs, row, quality)
    if (!isAllowed && this.#hasNewest && this.sampling.hasDoors) {
      leavesOutNewest = false
      this.#keep(this.#newestUs, this.#newest, this.#keptQuality)
      isAllowed = this.#allows(timeUs, row, quality)
    }
    if (isAllowed) {
      this.#narrow(timeUs, row)
      this.#newest.set(row.subarray(0, this.#width))
      this.#newestUs = timeUs
      this.#hasNewest = true
    } else this.#keep(timeUs, row, quality)
    return leavesOutNewest
  }

  /** The block of the newest row closes: true when that row is left out. */
  settle(): boolean {
    if (!this.#hasNewest) return false
    if (this.sampling.hasDoors) this.#keep(this.#newestUs, this.#newest, this.#keptQuality)
    this.#hasNewest = false
    return !this.sampling.hasDoors
  }

  #keep(timeUs: number, row: Float64Array, quality: number): void {
    this.#kept.set(row.subarray(0, this.#width))
    this.#keptUs = timeUs
    this.#keptQuality = quality
    this.#hasNewest = false
    this.#least.fill(Number.NEGATIVE_INFINITY)
    this.#greatest.fill(Number.POSITIVE_INFINITY)
  }

  /** True when the kept rows say this one, and it and the kept row say those between them. */
  #allows(timeUs: number, row: Float64Array, quality: number): boolean {
    const passedUs = timeUs - this.#keptUs
    if (!(passedUs > 0 && passedUs < this.sampling.maxGapUs) || quality !== this.#keptQuality) return false
    if (this.#hasNewest && timeUs <= this.#newestUs) return false
    const { methods, bounds } = this.sampling
    for (let i = 0; i < this.#width; i++) {
      const rise = row[i]! - this.#kept[i]!
      if (Number.isNaN(rise)) {
        if (Number.isNaN(row[i]!) !== Number.isNaN(this.#kept[i]!)) return false
      } else if (methods[i] === 'dead-band') {
        if (Math.abs(rise) > bounds[i]!) return false
      } else if (rise / passedUs < this.#least[i]! || rise / passedUs > this.#greatest[i]!) return false
    }
    return true
  }

  #narrow(timeUs: number, row: Float64Array): void {
    const passedUs = timeUs - this.#keptUs
    const { bounds } = this.sampling
    for (let i = 0; i < this.#width; i++) {
      const rise = row[i]! - this.#kept[i]!
      this.#least[i] = Math.max(this.#least[i]!, (rise - bounds[i]!) / passedUs)
      this.#greatest[i] = Math.min(this.#greatest[i]!, (rise + bounds[i]!) / passedUs)
    }
  }
}
