// One line: several families against their baselines, the largest ratio, and the episode it is in. Opens after a few rows above the
// line, closes when the ratio is low or its level is gone, and lets the baseline follow only what is normal.

import type { MultivariateConstants } from './constants.ts'
import type { FittedFamily, FittedLine } from './multivariate-fit.ts'
import { quadraticForm } from './numeric.ts'
import { firstUsable } from './windows.ts'

export interface LineState {
  readonly baseline: readonly Float64Array[]
  readonly uncertainty: readonly Float64Array[]
  readonly wander: readonly Float64Array[]
  readonly signature: readonly Float64Array[]
  readonly weightedSignature: readonly Float64Array[]
  readonly counters: Float64Array
}

export interface Line {
  /** Largest ratio of the last row; 1 is the line. 0 while no window is full. */
  readonly ratio: number
  /** Which of the line's families had it. */
  readonly family: number
  readonly isOpen: boolean
  readonly isOpening: boolean
  readonly isClosing: boolean
  /** This row's episode went on so long, and so evenly, that it is a regime nobody learned. */
  readonly isNewRegime: boolean
  /** Rows the open episode has lasted, 0 when closed. */
  readonly episodeRows: number
  /** Error and weighted error (Me) of a family on the last row. */
  error(family: number): Float64Array
  weighted(family: number): Float64Array
  /** Judges a row. `now` has a family's standardised values, `earlier` those a window before, NaN where unknown. */
  push(now: readonly Float64Array[], earlier: readonly Float64Array[]): void
  /** Rows nobody saw: the baseline knows less by so much. */
  skip(rows: number): void
  /**
   * An episode that another line led is over: for as long as this line's windows hold its rows, they are no evidence of their own. A
   * slow line then begins at the level it finds: what remains was told.
   */
  mute(): void
  /** Another line found an unknown regime: this one's line is not calibrated for it either, and its episode is over. */
  loosen(now: readonly Float64Array[]): void
  state(): LineState
}

const never = 1e9

export const openLine = (
  families: readonly FittedFamily[],
  fitted: FittedLine,
  constants: MultivariateConstants,
  learnedRows: number,
  from?: LineState,
): Line => {
  const members = fitted.families.map((k) => families[k] as FittedFamily)
  const K = members.length
  const d = (members[0] as FittedFamily).mean.length
  const longest = Math.max(...members.map(({ window }) => window))
  const reach = Math.max(...members.map(firstUsable))
  const { armAfter, on, off, regimeAfter, regimeLevel, regimeWander, closeBelow, goneBelow, undoneBelow, maxGain } = constants
  const copies = (saved: readonly Float64Array[] | undefined, begin: (member: FittedFamily) => Float64Array): Float64Array[] =>
    members.map((member, k) => (saved?.[k] ?? begin(member)).slice())
  const zeros = (): Float64Array => new Float64Array(d)
  const baseline = copies(from?.baseline, (member) => member.baseline)
  const uncertainty = copies(from?.uncertainty, (member) => member.uncertainty)
  const wanders = copies(from?.wander, (member) => member.wander)
  const signature = copies(from?.signature, zeros)
  const weightedSignature = copies(from?.weightedSignature, zeros)
  const errors = members.map(zeros)
  const weighted = members.map(zeros)
  /** Me is asked for in episodes only. */
  const isWeighted = new Uint8Array(K).fill(1)
  const lineAt = members.map(({ line }) => line)
  const { correction } = fitted
  const isSlow = fitted.name === 'slow'

  let [open = 0, count = 0, level = 0, episodeRows = 0, sinceClose = never, isSettling = 0, muted = 0, rowsSeen = 0, isProvisional = 0] =
    from?.counters ?? []
  let ratio = 0
  let winner = 0
  let isOpening = false
  let isClosing = false
  let isNewRegime = false

  const score = (now: readonly Float64Array[]): void => {
    ratio = 0
    winner = 0
    for (let k = 0; k < K; k++) {
      const { precision, single } = members[k] as FittedFamily
      const F = now[k] as Float64Array
      const e = errors[k] as Float64Array
      const b = baseline[k] as Float64Array
      const P = uncertainty[k] as Float64Array
      isWeighted[k] = 0
      for (let j = 0; j < d; j++) {
        const value = F[j] as number
        e[j] = value === value ? (value - (b[j] as number)) / Math.sqrt(1 + (P[j] as number)) : 0
      }
      let s = quadraticForm(precision, e) / (lineAt[k] as number)
      for (let j = 0; j < d; j++) {
        const alone = (e[j] as number) * (e[j] as number) * (single[j] as number)
        if (alone > s) s = alone
      }
      s /= isProvisional === 1 ? correction * regimeLevel : correction
      if (s > ratio) {
        ratio = s
        winner = k
      }
    }
  }

  const weightedOf = (k: number): Float64Array => {
    const v = weighted[k] as Float64Array
    if (isWeighted[k] === 1) return v
    isWeighted[k] = 1
    const { precision } = members[k] as FittedFamily
    const e = errors[k] as Float64Array
    for (let i = 0; i < d; i++) {
      let sum = 0
      const at = i * d
      for (let j = 0; j < d; j++) sum += (precision[at + j] as number) * (e[j] as number)
      v[i] = sum
    }
    return v
  }

  /** The baseline jumps along while an episode that ended at a new level settles. */
  const settle = (now: readonly Float64Array[]): void => {
    for (let k = 0; k < K; k++) {
      const { noise, window } = members[k] as FittedFamily
      const F = now[k] as Float64Array
      const b = baseline[k] as Float64Array
      const P = uncertainty[k] as Float64Array
      for (let j = 0; j < d; j++) {
        const value = F[j] as number
        if (value !== value) continue
        b[j] = value
        P[j] = Math.max(P[j] as number, (noise[j] as number) / window)
      }
    }
  }

  /** True when every family that carried the episode's signature has lost it. */
  const isUndone = (): boolean => {
    let carried = 0
    let undone = 0
    for (let k = 0; k < K; k++) {
      const sig = signature[k] as Float64Array
      const sigv = weightedSignature[k] as Float64Array
      const v = weightedOf(k)
      let now = 0
      let then = 0
      for (let j = 0; j < d; j++) {
        now += (sig[j] as number) * (v[j] as number)
        then += (sig[j] as number) * (sigv[j] as number)
      }
      if (then > 0.5 * correction * (lineAt[k] as number)) {
        carried++
        if (now < undoneBelow * then) undone++
      }
    }
    return carried > 0 && undone === carried
  }

  const follow = (gain: number): void => {
    for (let k = 0; k < K; k++) {
      const sig = signature[k] as Float64Array
      const sigv = weightedSignature[k] as Float64Array
      const e = errors[k] as Float64Array
      const v = weightedOf(k)
      for (let j = 0; j < d; j++) {
        sig[j] = (sig[j] as number) + ((e[j] as number) - (sig[j] as number)) * gain
        sigv[j] = (sigv[j] as number) + ((v[j] as number) - (sigv[j] as number)) * gain
      }
    }
  }

  const judge = (x: number): void => {
    const logRatio = Math.log(x + 1e-12)
    if (open === 0) {
      count = x > 1 ? count + 1 : 0
      if (count < on) return
      open = 1
      isOpening = true
      count = 0
      episodeRows = 1
      level = logRatio
      follow(1)
      return
    }
    episodeRows++
    const isBelow = x < closeBelow
    const isGone = episodeRows > armAfter && (logRatio < Math.log(goneBelow) + level || isUndone())
    count = isBelow || isGone ? count + 1 : 0
    if (!isGone) {
      const gain = 1 / Math.min(episodeRows, 3 * armAfter)
      level += (logRatio - level) * gain
      follow(gain)
    }
    if (episodeRows >= regimeAfter && level <= Math.log(regimeLevel) && isWander()) {
      isNewRegime = true
      end(true)
    } else if (count >= off) end(!isBelow)
  }

  /** True when everything is normal but for channels that are known to wander, and have had the time to. */
  const isWander = (): boolean => {
    for (let k = 0; k < K; k++) {
      const { precision, single } = members[k] as FittedFamily
      const e = errors[k] as Float64Array
      const P = uncertainty[k] as Float64Array
      let s = 0
      for (let i = 0; i < d; i++) {
        if ((P[i] as number) >= regimeWander) continue
        let sum = 0
        for (let j = 0; j < d; j++) if ((P[j] as number) < regimeWander) sum += (precision[i * d + j] as number) * (e[j] as number)
        s += sum * (e[i] as number)
        if ((e[i] as number) * (e[i] as number) * (single[i] as number) > correction) return false
      }
      if (s > correction * (lineAt[k] as number)) return false
    }
    return true
  }

  const end = (isNewLevel: boolean): void => {
    open = 0
    isClosing = true
    count = 0
    episodeRows = 0
    sinceClose = 0
    isSettling = isNewLevel ? 1 : 0
  }

  /** A channel that came so far wanders at least so much: its distance squared over the rows it had. */
  const widen = (now: readonly Float64Array[]): void => {
    for (let k = 0; k < K; k++) {
      const F = now[k] as Float64Array
      const b = baseline[k] as Float64Array
      const wander = wanders[k] as Float64Array
      for (let j = 0; j < d; j++) {
        const distance = (F[j] as number) - (b[j] as number)
        if (distance === distance) wander[j] = Math.max(wander[j] as number, (distance * distance) / (learnedRows + rowsSeen))
      }
    }
  }

  const learn = (now: readonly Float64Array[], earlier: readonly Float64Array[], mayLearn: boolean): void => {
    for (let k = 0; k < K; k++) {
      const { noise, window } = members[k] as FittedFamily
      const wander = wanders[k] as Float64Array
      const F = earlier[k] as Float64Array
      const b = baseline[k] as Float64Array
      const P = uncertainty[k] as Float64Array
      const current = now[k] as Float64Array
      const isFree = mayLearn && sinceClose > 2 * window
      for (let j = 0; j < d; j++) {
        if (current[j] !== current[j]) continue // a missing value teaches nothing
        let p = (P[j] as number) + (wander[j] as number)
        const value = isFree ? (F[j] as number) : Number.NaN
        if (value === value) {
          const gain = Math.min(maxGain, p / (p + (noise[j] as number)))
          b[j] = (b[j] as number) + gain * (value - (b[j] as number))
          p *= 1 - gain
        }
        P[j] = p
      }
    }
  }

  return {
    get ratio() {
      return ratio
    },
    get family() {
      return winner
    },
    get isOpen() {
      return open === 1
    },
    get isOpening() {
      return isOpening
    },
    get isClosing() {
      return isClosing
    },
    get isNewRegime() {
      return isNewRegime
    },
    get episodeRows() {
      return episodeRows
    },
    error: (family) => errors[family] as Float64Array,
    weighted: weightedOf,
    push(now, earlier) {
      isOpening = false
      isClosing = false
      isNewRegime = false
      if (sinceClose < never) sinceClose++
      score(now)
      let x = ratio
      if (isSettling === 1 && sinceClose < longest) {
        settle(now)
        x = 0
      }
      if (muted > 0) {
        muted--
        x = 0
        if (isSlow) settle(now)
      }
      judge(x)
      rowsSeen++
      if (isNewRegime) {
        widen(now)
        isProvisional = 1
      }
      learn(now, earlier, open === 0 && muted === 0 && x <= 1)
    },
    skip(rows) {
      isOpening = false
      isClosing = false
      isNewRegime = false
      ratio = 0
      for (let k = 0; k < K; k++) {
        const wander = wanders[k] as Float64Array
        const P = uncertainty[k] as Float64Array
        for (let j = 0; j < d; j++) P[j] = (P[j] as number) + rows * (wander[j] as number)
      }
    },
    loosen(now) {
      if (isProvisional === 0) widen(now)
      isProvisional = 1
      if (open === 1) end(true)
    },
    mute() {
      open = 0
      count = 0
      episodeRows = 0
      muted = reach
    },
    state: () => ({
      baseline: baseline.map((values) => values.slice()),
      uncertainty: uncertainty.map((values) => values.slice()),
      wander: wanders.map((values) => values.slice()),
      signature: signature.map((values) => values.slice()),
      weightedSignature: weightedSignature.map((values) => values.slice()),
      counters: Float64Array.of(open, count, level, episodeRows, sinceClose, isSettling, muted, rowsSeen, isProvisional),
    }),
  }
}
