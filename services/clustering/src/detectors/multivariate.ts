// The multivariate detector as a stream: a fitted detector and rows in, one judgement per row out. Strictly causal, one pass, no
// clock, no random number, nothing allocated per row; state saved anywhere and restored goes on with the same bits.

import type { Matrix } from '../matrix.ts'
import { openCleaner } from './cleaning.ts'
import type { CleaningState } from './cleaning.ts'
import { openLine } from './line.ts'
import type { Line, LineState } from './line.ts'
import type { FittedFamily, FittedLine, FittedMultivariate } from './multivariate-fit.ts'
import { openWindows } from './windows.ts'
import type { WindowState } from './windows.ts'

export interface MultivariateState {
  readonly version: 1
  readonly cleaning: CleaningState
  readonly windows: WindowState
  /** Per family: its last values, a ring of `window` rows, and the place of the oldest. */
  readonly earlier: readonly Float64Array[]
  readonly place: Float64Array
  readonly alarms: readonly LineState[]
  readonly change: LineState | null
  readonly isUnknownRegime: boolean
  readonly lastUs: number | null
}

/** One object per stream, rewritten by every row. */
export interface Judgement {
  /** Score; the line is at 1. */
  readonly ratio: number
  /** False while the windows fill after a gap: nothing can be said. */
  readonly isJudged: boolean
  readonly flag: boolean
  readonly isEpisodeOpen: boolean
  readonly isOpening: boolean
  readonly isClosing: boolean
  /** An episode went on so long and evenly that it is a regime nobody learned: told once, and a new commissioning is proposed. */
  readonly isNewRegime: boolean
  /** Since then: what is judged is judged against a provisional baseline. */
  readonly isUnknownRegime: boolean
  /** The step family is in an episode of its own: the process changes. */
  readonly isChanging: boolean
  /** That began or ended on this row: what a changepoint is. */
  readonly changed: boolean
  /** Share of held-out rows of the prefix that were as far out, never below 1/(rows + 1). */
  readonly pValue: number
}

export interface MultivariateStream {
  push(row: ArrayLike<number>, timeUs?: number): Judgement
  /** Input channel that stands out most in the leading family, by reconstruction; -1 before anything was judged. */
  topChannel(): number
  /** Per input channel: reconstruction-based contributions (Me)²/M, and the shares e·Me that sum to the score. */
  contributions(reconstruction: Float64Array, shares: Float64Array): void
  /** Input channels that held back wild values or, though constant while learning, moved: rows of each. */
  health(): { readonly held: readonly { channel: number; rows: number }[]; readonly moved: readonly { channel: number; rows: number }[] }
  state(): MultivariateState
}

export interface OpenOptions {
  /** Expected time between rows; with it, a longer silence than two windows empties them. */
  readonly periodUs?: number
  /** Begin with empty windows instead of the prefix's last rows: after a restart without state. */
  readonly isColdStart?: boolean
}

export const openMultivariate = (fitted: FittedMultivariate, from?: MultivariateState, options: OpenOptions = {}): MultivariateStream => {
  const { families, cleaning, mean, std, tail } = fitted
  const { channels } = cleaning
  const d = channels.length
  const longest = Math.max(...fitted.constants.families.map(({ window }) => window))
  const cleaner = openCleaner(cleaning, from?.cleaning ?? fitted.cleaned)
  const windows = openWindows(d, families, from?.windows)
  const alarms = fitted.alarms.map((line, i) => ({
    line: openLine(families, line, fitted.constants, fitted.rows, from?.alarms[i]),
    members: line.families,
    now: [] as Float64Array[],
    earlier: [] as Float64Array[],
  }))
  const [first] = alarms as [(typeof alarms)[number]]
  const change =
    fitted.change === undefined ? undefined : openLine(families, fitted.change, fitted.constants, fitted.rows, from?.change ?? undefined)
  const row = new Float64Array(d)
  const now = families.map(() => new Float64Array(d).fill(Number.NaN))
  const earlier = families.map(() => new Float64Array(d).fill(Number.NaN))
  const rings = families.map(({ window }, k) => from?.earlier[k]?.slice() ?? new Float64Array(window * d).fill(Number.NaN))
  const place = from?.place.slice() ?? new Float64Array(families.length)
  for (const alarm of alarms) {
    for (const k of alarm.members) {
      alarm.now.push(now[k] as Float64Array)
      alarm.earlier.push(earlier[k] as Float64Array)
    }
  }
  const changeNow = (fitted.change?.families ?? []).map((k) => now[k] as Float64Array)
  const changeEarlier = (fitted.change?.families ?? []).map((k) => earlier[k] as Float64Array)
  let lastUs = from?.lastUs ?? Number.NaN

  /** Values of all families for the newest row; false when none is ready. */
  const read = (): boolean => {
    let isReady = false
    for (let k = 0; k < families.length; k++) {
      const family = families[k] as FittedFamily
      const { kind, window, floor, mean: centre, std: spread } = family
      const F = now[k] as Float64Array
      if (windows.read(family, F)) {
        isReady = true
        if (kind === 'rough' || kind === 'band') for (let j = 0; j < d; j++) F[j] = Math.log((F[j] as number) + (floor[j] as number))
        for (let j = 0; j < d; j++) F[j] = ((F[j] as number) - (centre[j] as number)) / (spread[j] as number)
      } else F.fill(Number.NaN)
      const ring = rings[k] as Float64Array
      const before = earlier[k] as Float64Array
      const at = (place[k] as number) * d
      for (let j = 0; j < d; j++) {
        before[j] = ring[at + j] as number
        ring[at + j] = F[j] as number
      }
      place[k] = ((place[k] as number) + 1) % window
    }
    return isReady
  }

  if (from === undefined && options.isColdStart !== true) {
    for (let t = 0; t < tail.rows; t++) {
      windows.push(tail.values.subarray(t * d, (t + 1) * d))
      read()
    }
  }
  if (from === undefined && options.isColdStart === true) cleaner.forget()

  let isJudged = false
  let leader = first
  let isOpen = alarms.some(({ line }) => line.isOpen)
  let isOpening = false
  let isClosing = false
  let isNewRegime = false
  let isUnknownRegime = from?.isUnknownRegime ?? false
  let wasChanging = change?.isOpen ?? false
  let changed = false

  const judgement: Judgement = {
    get ratio() {
      return leader.line.ratio
    },
    get isJudged() {
      return isJudged
    },
    get flag() {
      return leader.line.ratio > 1
    },
    get isEpisodeOpen() {
      return isOpen
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
    get isUnknownRegime() {
      return isUnknownRegime
    },
    get isChanging() {
      return change?.isOpen ?? false
    },
    get changed() {
      return changed
    },
    get pValue() {
      return pValueOf((fitted.alarms[alarms.indexOf(leader)] as FittedLine).heldOut, leader.line.ratio, fitted.rows)
    },
  }

  return {
    push(input, timeUs) {
      if (timeUs !== undefined) {
        const { periodUs } = options
        if (periodUs !== undefined && timeUs - lastUs > 2 * longest * periodUs) {
          windows.forget()
          cleaner.forget()
          const missed = Math.round((timeUs - lastUs) / periodUs)
          for (const { line } of alarms) line.skip(missed)
          change?.skip(missed)
          for (const ring of rings) ring.fill(Number.NaN)
        }
        lastUs = timeUs
      }
      cleaner.clean(input, row)
      for (let j = 0; j < d; j++) row[j] = ((row[j] as number) - (mean[j] as number)) / (std[j] as number)
      windows.push(row)
      isJudged = read()
      isNewRegime = false
      isOpening = false
      isClosing = false
      changed = false
      if (isJudged) {
        const wasOpen = isOpen
        const ledRows = first.line.episodeRows
        isOpen = false
        leader = first
        for (const alarm of alarms) {
          alarm.line.push(alarm.now, alarm.earlier)
          if (alarm !== first && first.line.isClosing && alarm.line.episodeRows <= ledRows + 1) alarm.line.mute()
          if (alarm.line.isOpen) isOpen = true
          if (alarm.line.ratio > leader.line.ratio) leader = alarm
        }
        isOpening = isOpen && !wasOpen
        isClosing = wasOpen && !isOpen
        // Other lines may find that they wander in one; that is theirs alone.
        if (first.line.isNewRegime) {
          isNewRegime = !isUnknownRegime
          isUnknownRegime = true
          if (isNewRegime) for (const { line, now: values } of alarms) if (line !== first.line) line.loosen(values)
        }
        if (change !== undefined) {
          change.push(changeNow, changeEarlier)
          changed = change.isOpen !== wasChanging
          wasChanging = change.isOpen
        }
      } else {
        for (const { line } of alarms) line.skip(1)
        change?.skip(1)
      }
      return judgement
    },
    topChannel() {
      if (!isJudged) return -1
      const { v, M } = leading(leader, families)
      let top = 0
      let best = -1
      for (let j = 0; j < d; j++) {
        const value = ((v[j] as number) * (v[j] as number)) / (M[j * d + j] as number)
        if (value > best) {
          best = value
          top = j
        }
      }
      return channels[top] as number
    },
    contributions(reconstruction, shares) {
      reconstruction.fill(0)
      shares.fill(0)
      if (!isJudged) return
      const { e, v, M } = leading(leader, families)
      for (let j = 0; j < d; j++) {
        const channel = channels[j] as number
        reconstruction[channel] = ((v[j] as number) * (v[j] as number)) / (M[j * d + j] as number)
        shares[channel] = (e[j] as number) * (v[j] as number)
      }
    },
    health: () => ({
      held: channels.map((channel, j) => ({ channel, rows: cleaner.heldRows[j] as number })).filter(({ rows }) => rows > 0),
      moved: cleaning.constants.map(({ channel }, k) => ({ channel, rows: cleaner.moved[k] as number })).filter(({ rows }) => rows > 0),
    }),
    state: () => ({
      version: 1,
      cleaning: cleaner.state(),
      windows: windows.state(),
      earlier: rings.map((ring) => ring.slice()),
      place: place.slice(),
      alarms: alarms.map(({ line }) => line.state()),
      change: change?.state() ?? null,
      isUnknownRegime,
      lastUs: Number.isNaN(lastUs) ? null : lastUs,
    }),
  }
}

const leading = ({ line, members }: { readonly line: Line; readonly members: readonly number[] }, families: readonly FittedFamily[]) => ({
  e: line.error(line.family),
  v: line.weighted(line.family),
  M: (families[members[line.family] as number] as FittedFamily).precision,
})

/** By binary search in the held-out ratios, which are evenly spaced ranks. */
const pValueOf = (heldOut: Float64Array, ratio: number, rows: number): number => {
  let low = 0
  let high = heldOut.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((heldOut[middle] as number) < ratio) low = middle + 1
    else high = middle
  }
  return Math.max((heldOut.length - low) / heldOut.length, 1 / (rows + 1))
}

/** Every row of a recording through a stream; for tests and for small histories. */
export const judgeAll = (
  stream: MultivariateStream,
  { values, rows, width }: Matrix,
): { ratio: Float64Array; open: Uint8Array; changing: Uint8Array } => {
  const ratio = new Float64Array(rows)
  const open = new Uint8Array(rows)
  const changing = new Uint8Array(rows)
  for (let t = 0; t < rows; t++) {
    const judged = stream.push(values.subarray(t * width, (t + 1) * width))
    ratio[t] = judged.ratio
    open[t] = judged.isEpisodeOpen ? 1 : 0
    changing[t] = judged.isChanging ? 1 : 0
  }
  return { ratio, open, changing }
}
