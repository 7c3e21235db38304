// The episode machine: a run of windows above the models' line opens an episode, a run of quiet ones (or a level that has become
// normal) closes it; the asset's detector has an episode of its own. What is told is open while either is. Pure: (state, window) →
// (state, transitions). Constants in the detector set.

import type { DetectorSet } from './detector-set.ts'

/** An open episode, as it is told. */
export interface Episode {
  readonly episodeId: string
  readonly openingVectorId: string
  readonly openedUs: number
  readonly windows: number
  readonly peakRatio: number
  readonly severity: number
  /** Peak at the last finding, and windows since it. */
  readonly toldPeakRatio: number
  readonly windowsSinceTold: number
  readonly historical: boolean
}

/** The models' own episode. */
export interface Level {
  readonly windows: number
  /** Running mean of ln(ratio). */
  readonly level: number
  /** Consecutive quiet windows. */
  readonly quiet: number
}

export interface Machine {
  /** Consecutive windows above the models' line, while their episode is closed. */
  readonly above: number
  /** Windows left without judgement after a close at a new normal level. */
  readonly settling: number
  /** Windows judged so far. */
  readonly windows: number
  /** `windows` at the start of the present run above the line. */
  readonly runStart: number
  readonly smoothed: number | null
  readonly level: Level | null
  readonly episode: Episode | null
}

export const quietMachine: Machine = { above: 0, settling: 0, windows: 0, runStart: 0, smoothed: null, level: null, episode: null }

export interface WindowEvidence {
  /** Largest ratio of the models; undefined where none gave one. */
  readonly ratio: number | undefined
  /** What the asset's detector says; absent where there is none. */
  readonly detector?: { readonly ratio: number | undefined; readonly isOpen: boolean }
  readonly vectorId: string
  /** Event time of the window's end. */
  readonly atUs: number
  readonly historical: boolean
  /** False where a sensor is suspected that led the episode: what is left may open one, but not say that this one is over. */
  readonly mayQuieten: boolean
}

export type TransitionKind = 'opened' | 'updated' | 'closed'

export interface Transition {
  readonly kind: TransitionKind
  /** The episode after the transition; of a closed one its last state. */
  readonly episode: Episode
  /** The largest ratio, that of the models smoothed. */
  readonly ratio: number
}

export interface Step {
  readonly machine: Machine
  /** At most one per window. */
  readonly transition: Transition | undefined
}

/** ln of a ratio of 0 is taken as that of a very quiet window. */
const SMALLEST_RATIO = 1e-6

export const severityOf = (ratio: number, { severity }: DetectorSet): number => (ratio >= severity.one ? 1 : ratio >= severity.two ? 2 : 3)

/** Judges one window. `idOf` names the episode by its opening vector. */
export const judge = (machine: Machine, window: WindowEvidence, set: DetectorSet, idOf: (openingVectorId: string) => string): Step => {
  const counted: Machine = { ...machine, windows: machine.windows + 1 }
  const next = window.ratio === undefined ? counted : judgeModels(counted, window.ratio, set)
  const isOpen = next.level !== null || window.detector?.isOpen === true
  const ratio = Math.max(window.ratio === undefined ? 0 : (next.smoothed ?? 0), window.detector?.ratio ?? 0)
  if (machine.episode === null) return isOpen ? opened(next, window, ratio, set, idOf) : { machine: next, transition: undefined }
  const isQuieter = !isOpen || (next.level?.quiet ?? 0) > (machine.level?.quiet ?? 0)
  if (isQuieter && !window.mayQuieten) return { machine, transition: undefined }
  return followed(next, machine.episode, isOpen, ratio, window.historical, set)
}

/** The models' part: when their run opens and what closes it. */
const judgeModels = (machine: Machine, ratio: number, set: DetectorSet): Machine => {
  const smoothed = machine.smoothed === null ? ratio : machine.smoothed + set.ewmaAlpha * (ratio - machine.smoothed)
  const next: Machine = { ...machine, smoothed }
  if (machine.level !== null) return judgeLevel(next, machine.level, smoothed, set)
  if (machine.settling > 0) return { ...next, settling: machine.settling - 1, above: 0 }
  if (smoothed <= 1) return { ...next, above: 0 }
  const above = machine.above + 1
  const runStart = machine.above === 0 ? next.windows : machine.runStart
  if (above < set.episode.on) return { ...next, above, runStart }
  return { ...next, above: 0, runStart, level: { windows: 1, level: Math.log(smoothed), quiet: 0 } }
}

const judgeLevel = (machine: Machine, before: Level, ratio: number, set: DetectorSet): Machine => {
  const { off, closeBelow, armAfter, goneBelow, levelWindows, settle } = set.episode
  const windows = before.windows + 1
  const log = Math.log(Math.max(ratio, SMALLEST_RATIO))
  const isBelow = ratio < closeBelow
  const isGone = windows > armAfter && log < Math.log(goneBelow) + before.level
  const quiet = isBelow || isGone ? before.quiet + 1 : 0
  // Not below but gone: the signal has found a new normal level, which is not judged until it has settled.
  if (quiet >= off) return { ...machine, above: 0, settling: isBelow ? 0 : settle, level: null }
  const level = isGone ? before.level : before.level + (log - before.level) / Math.min(windows, levelWindows)
  return { ...machine, level: { windows, level, quiet } }
}

const opened = (machine: Machine, window: WindowEvidence, ratio: number, set: DetectorSet, idOf: (id: string) => string): Step => {
  const episode: Episode = {
    episodeId: idOf(window.vectorId),
    openingVectorId: window.vectorId,
    openedUs: window.atUs,
    windows: 1,
    peakRatio: ratio,
    severity: severityOf(ratio, set),
    toldPeakRatio: ratio,
    windowsSinceTold: 0,
    historical: window.historical,
  }
  // The detector counts its own run, of the same length.
  const runStart = machine.level === null ? machine.windows - set.episode.on + 1 : machine.runStart
  return { machine: { ...machine, runStart, episode }, transition: { kind: 'opened', episode, ratio } }
}

const followed = (machine: Machine, before: Episode, isOpen: boolean, ratio: number, historical: boolean, set: DetectorSet): Step => {
  const peakRatio = Math.max(before.peakRatio, ratio)
  const moved: Episode = {
    ...before,
    windows: before.windows + 1,
    peakRatio,
    severity: Math.min(before.severity, severityOf(peakRatio, set)),
    windowsSinceTold: before.windowsSinceTold + 1,
  }
  if (!isOpen) return { machine: { ...machine, episode: null }, transition: { kind: 'closed', episode: moved, ratio } }
  // An episode out of old data reaches the present: whoever was not told then is told now.
  const isLiveNow = before.historical && !historical && ratio > 1
  const isGraver = moved.severity < before.severity
  const hasGrown = peakRatio >= before.toldPeakRatio * set.update.growth && moved.windowsSinceTold >= set.update.everyWindows
  if (!isGraver && !hasGrown && !isLiveNow) return { machine: { ...machine, episode: moved }, transition: undefined }
  const told: Episode = { ...moved, toldPeakRatio: peakRatio, windowsSinceTold: 0, historical: before.historical && !isLiveNow }
  return { machine: { ...machine, episode: told }, transition: { kind: 'updated', episode: told, ratio } }
}
