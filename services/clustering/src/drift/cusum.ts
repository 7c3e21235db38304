// Tabular CUSUM of standardised values, both sides: finds small lasting shifts of a mean soonest for a given run time between false alarms.
// Page, Biometrika 1954; k 0.5 and h 5 as in Montgomery, "Introduction to statistical quality control": 465 values between false alarms, 10.4 to find 1 σ.

export interface CusumOptions {
  /** Normal level; without it, mean and standard deviation come from the first `learnCount` values. */
  readonly normal?: { readonly mean: number; readonly std: number }
  /** Default 100. */
  readonly learnCount?: number
  /** Deviation that counts for nothing, in standard deviations: half of the shift to be found. Default 0.5. */
  readonly slack?: number
  /** Sum that is a change, in standard deviations. Default 5. */
  readonly threshold?: number
}

/** Plain data; `openCusum` continues from it with equal bits. */
export interface CusumState {
  /** Values learnt from. */
  readonly count: number
  readonly mean: number
  readonly squares: number
  readonly high: number
  readonly low: number
}

export interface Cusum {
  /** 1 when a rise is complete, -1 a fall, else 0; after either the sums begin anew. A value that is not finite is left out. */
  push(value: number): -1 | 0 | 1
  state(): CusumState
}

export const openCusum = ({ normal, learnCount = 100, slack = 0.5, threshold = 5 }: CusumOptions = {}, state?: CusumState): Cusum => {
  if (!(learnCount >= 2)) throw new RangeError(`learnCount is ${learnCount}, expected 2 or more`)
  let { count, mean, squares, high, low } = state ?? { count: 0, mean: 0, squares: 0, high: 0, low: 0 }
  return {
    push: (value) => {
      if (!Number.isFinite(value)) return 0
      if (normal === undefined && count < learnCount) {
        count++
        const off = value - mean
        mean += off / count
        squares += off * (value - mean)
        return 0
      }
      const centre = normal?.mean ?? mean
      const std = normal?.std ?? Math.sqrt(squares / (count - 1))
      const off = value - centre
      // A level that never moved: any step away from it is a change.
      const z = std > 0 ? off / std : off === 0 ? 0 : Math.sign(off) * (threshold + slack + 1)
      high = Math.max(0, high + z - slack)
      low = Math.max(0, low - z - slack)
      const side = high > threshold ? 1 : low > threshold ? -1 : 0
      if (side !== 0) high = low = 0
      return side
    },
    state: () => ({ count, mean, squares, high, low }),
  }
}
