// The two scores of SKAB, after its own code: rows pooled over all runs, never point-adjusted, and changepoints by the flips of a
// flag within 60 s to the right of each label.

export interface FlagRun {
  readonly timeS: ArrayLike<number>
  readonly anomaly: ArrayLike<number>
  readonly changepoint: ArrayLike<number>
  /** 1 where the detector says anomalous. The same rows: only the scored ones. */
  readonly flag: ArrayLike<number>
}

export interface RowScore {
  readonly F1: number
  readonly FAR: number
  readonly MAR: number
}

/** F1 and shares of false and missed rows over all runs together. */
export const rowScore = (runs: readonly FlagRun[]): RowScore => {
  let tp = 0
  let fp = 0
  let fn = 0
  let tn = 0
  for (const { anomaly, flag } of runs) {
    for (let t = 0; t < anomaly.length; t++) {
      const isFlagged = flag[t] === 1
      if (anomaly[t] === 1) tp += isFlagged ? 1 : 0
      else fp += isFlagged ? 1 : 0
      if (anomaly[t] === 1 && !isFlagged) fn++
      if (anomaly[t] !== 1 && !isFlagged) tn++
    }
  }
  return { F1: tp / (tp + (fn + fp) / 2), FAR: fp / Math.max(1, fp + tn), MAR: fn / Math.max(1, fn + tp) }
}

export interface ChangeScore {
  readonly standard: number
  readonly lowFP: number
  readonly lowFN: number
  readonly missed: number
  readonly falseFlips: number
  readonly delayS: number
}

const profiles = { standard: [1, -0.11, -1], lowFP: [1, -0.22, -1], lowFN: [1, -0.11, -2] } as const

/** 1 at the left edge of a window, 0 at the right one. */
const reward = (position: number): number => (Math.tanh(Math.PI / 2 - Math.PI * position) / Math.tanh(Math.PI / 2) + 1) / 2

export const changeScore = (runs: readonly FlagRun[], windowS = 60): ChangeScore => {
  let missed = 0
  let falseFlips = 0
  let windowCount = 0
  let rewards = 0
  const delays: number[] = []
  for (const { timeS, changepoint, flag } of runs) {
    const flips: number[] = []
    const windows: [number, number][] = []
    for (let t = 0; t < changepoint.length; t++) {
      if (t > 0 && flag[t] !== flag[t - 1]) flips.push(timeS[t] as number)
      if (changepoint[t] === 1) windows.push([timeS[t] as number, (timeS[t] as number) + windowS])
    }
    // A window that reaches into the next one cuts it; the edge belongs to both.
    for (let i = 1; i < windows.length; i++) {
      const [window, before] = [windows[i] as [number, number], windows[i - 1] as [number, number]]
      if (before[1] >= window[0]) window[0] = before[1]
    }
    const isUsed = flips.map(() => false)
    for (const [from, to] of windows) {
      windowCount++
      let first: number | undefined
      flips.forEach((at, i) => {
        if (at < from || at > to) return
        isUsed[i] = true
        first ??= at
      })
      if (first === undefined) missed++
      else {
        rewards += reward((first - from) / Math.max(1, to - from))
        delays.push(first - from)
      }
    }
    falseFlips += isUsed.filter((used) => !used).length
  }
  const scaled = ([tp, fp, fn]: readonly [number, number, number]): number => {
    const found = windowCount - missed
    const score = fp * falseFlips + fn * missed + fp * found + (tp - fp) * rewards
    return (100 * (score - fn * windowCount)) / ((tp - fn) * windowCount)
  }
  return {
    standard: scaled(profiles.standard),
    lowFP: scaled(profiles.lowFP),
    lowFN: scaled(profiles.lowFN),
    missed,
    falseFlips,
    delayS: delays.length === 0 ? Number.NaN : delays.reduce((sum, delay) => sum + delay, 0) / delays.length,
  }
}
