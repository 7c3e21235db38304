// Page-Hinkley test: the faded sum of deviations from the running mean has moved away from its extreme by more than a threshold.
// Page, "Continuous inspection schemes", Biometrika 1954; with fading as in river, so that thresholds carry over.

export interface PageHinkleyOptions {
  /** Values before the first detection. Default 30. */
  readonly minCount?: number
  /** Deviation that counts for nothing, in the unit of the values. Default 0.005. */
  readonly delta?: number
  /** Distance from the extreme that is a change, in the unit of the values. Default 50. */
  readonly threshold?: number
  /** Weight that older deviations keep with each value. Default 0.9999. */
  readonly alpha?: number
  /** Default `both`. */
  readonly direction?: 'up' | 'down' | 'both'
}

/** Plain data; `openPageHinkley` continues from it with equal bits. */
export interface PageHinkleyState {
  readonly count: number
  readonly mean: number
  readonly rise: number
  readonly lowest: number
  readonly fall: number
  readonly highest: number
  readonly isAfterChange: boolean
}

export interface PageHinkley {
  /** True when the value completes a change; the next one begins anew. A value that is not finite is left out. */
  push(value: number): boolean
  state(): PageHinkleyState
}

export const openPageHinkley = (options: PageHinkleyOptions = {}, state?: PageHinkleyState): PageHinkley =>
  new PageHinkleyStream(options, state)

class PageHinkleyStream implements PageHinkley {
  private readonly minCount: number
  private readonly delta: number
  private readonly threshold: number
  private readonly alpha: number
  private readonly isUp: boolean
  private readonly isDown: boolean
  private count = 0
  private mean = 0
  private rise = 0
  private lowest = 0
  private fall = 0
  private highest = 0
  private isAfterChange = false

  constructor(
    { minCount = 30, delta = 0.005, threshold = 50, alpha = 0.9999, direction = 'both' }: PageHinkleyOptions,
    state?: PageHinkleyState,
  ) {
    this.minCount = minCount
    this.delta = delta
    this.threshold = threshold
    this.alpha = alpha
    this.isUp = direction !== 'down'
    this.isDown = direction !== 'up'
    if (state === undefined) return
    this.count = state.count
    this.mean = state.mean
    this.rise = state.rise
    this.lowest = state.lowest
    this.fall = state.fall
    this.highest = state.highest
    this.isAfterChange = state.isAfterChange
  }

  push(value: number): boolean {
    if (value - value !== 0) return false
    if (this.isAfterChange) this.count = this.mean = this.rise = this.fall = 0
    this.count++
    this.mean += (value - this.mean) / this.count
    const deviation = value - this.mean
    this.rise = this.alpha * this.rise + deviation - this.delta
    this.fall = this.alpha * this.fall + deviation + this.delta
    if (this.count === 1 || this.rise < this.lowest) this.lowest = this.rise
    if (this.count === 1 || this.fall > this.highest) this.highest = this.fall
    this.isAfterChange =
      this.count >= this.minCount &&
      ((this.isUp && this.rise - this.lowest > this.threshold) || (this.isDown && this.highest - this.fall > this.threshold))
    return this.isAfterChange
  }

  state(): PageHinkleyState {
    const { count, mean, rise, lowest, fall, highest, isAfterChange } = this
    return { count, mean, rise, lowest, fall, highest, isAfterChange }
  }
}
