// The episode machine: a run of windows above the line opens an episode, a run of quiet ones (or a level that has become
// normal) closes it. Pure: (state, window) → (state, transitions). Constants in the detector set.

import type { DetectorSet } from './detector-set.ts'

/** An open episode. */
export interface Episode {
  readonly episodeId: string
  readonly openingVectorId: string
  readonly openedUs: number
  readonly windows: number
  /** Running mean of ln(ratio). */
  readonly level: number
  readonly peakRatio: number
  readonly severity: number
  /** Peak at the last finding, and windows since it. */
  readonly toldPeakRatio: number
  readonly windowsSinceTold: number
  /** Consecutive quiet windows. */
  readonly quiet: number
  readonly historical: boolean
}

/** A closed machine counts windows above the line; an open one carries its episode. */
export interface Machine {
  readonly above: number
  /** Windows left without judgement after a close at a new normal level. */
  readonly settling: number
  /** Windows judged so far. */
  readonly windows: number
  /** `windows` at the start of the present run above the line. */
  readonly runStart: number
  readonly smoothed: number | null
  readonly episode: Episode | null
}

export const quietMachine: Machine = { above: 0, settling: 0, windows: 0, runStart: 0, smoothed: null, episode: null }

export interface WindowEvidence {
  readonly ratio: number
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
  /** Smoothed ratio that caused it. */
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
  const smoothed = machine.smoothed === null ? window.ratio : machine.smoothed + set.ewmaAlpha * (window.ratio - machine.smoothed)
  const next: Machine = { ...machine, smoothed, windows: machine.windows + 1 }
  if (machine.episode !== null) {
    const step = judgeOpen(next, machine.episode, smoothed, window.historical, set)
    const isQuieter = step.transition?.kind === 'closed' || (step.machine.episode?.quiet ?? 0) > machine.episode.quiet
    return isQuieter && !window.mayQuieten ? { machine, transition: undefined } : step
  }
  if (machine.settling > 0) return { machine: { ...next, settling: machine.settling - 1, above: 0 }, transition: undefined }
  if (smoothed <= 1) return { machine: { ...next, above: 0 }, transition: undefined }

  const above = machine.above + 1
  const runStart = machine.above === 0 ? next.windows : machine.runStart
  if (above < set.episode.on) return { machine: { ...next, above, runStart }, transition: undefined }
  const episode: Episode = {
    episodeId: idOf(window.vectorId),
    openingVectorId: window.vectorId,
    openedUs: window.atUs,
    windows: 1,
    level: Math.log(smoothed),
    peakRatio: smoothed,
    severity: severityOf(smoothed, set),
    toldPeakRatio: smoothed,
    windowsSinceTold: 0,
    quiet: 0,
    historical: window.historical,
  }
  return { machine: { ...next, above: 0, runStart, episode }, transition: { kind: 'opened', episode, ratio: smoothed } }
}

const judgeOpen = (machine: Machine, before: Episode, ratio: number, historical: boolean, set: DetectorSet): Step => {
  const { off, closeBelow, armAfter, goneBelow, levelWindows, settle } = set.episode
  const windows = before.windows + 1
  const log = Math.log(Math.max(ratio, SMALLEST_RATIO))
  const isBelow = ratio < closeBelow
  const isGone = windows > armAfter && log < Math.log(goneBelow) + before.level
  const quiet = isBelow || isGone ? before.quiet + 1 : 0
  const peakRatio = Math.max(before.peakRatio, ratio)
  const moved: Episode = {
    ...before,
    windows,
    level: isGone ? before.level : before.level + (log - before.level) / Math.min(windows, levelWindows),
    peakRatio,
    severity: Math.min(before.severity, severityOf(peakRatio, set)),
    windowsSinceTold: before.windowsSinceTold + 1,
    quiet,
  }
  if (quiet >= off) {
    // Not below but gone: the signal has found a new normal level, which is not judged until it has settled.
    const closed = { ...machine, above: 0, settling: isBelow ? 0 : settle, episode: null }
    return { machine: closed, transition: { kind: 'closed', episode: moved, ratio } }
  }
  // An episode out of old data reaches the present: whoever was not told then is told now.
  const isLiveNow = before.historical && !historical && ratio > 1
  const isGraver = moved.severity < before.severity
  const hasGrown = peakRatio >= before.toldPeakRatio * set.update.growth && moved.windowsSinceTold >= set.update.everyWindows
  if (!isGraver && !hasGrown && !isLiveNow) return { machine: { ...machine, episode: moved }, transition: undefined }
  const told: Episode = { ...moved, toldPeakRatio: peakRatio, windowsSinceTold: 0, historical: before.historical && !isLiveNow }
  return { machine: { ...machine, episode: told }, transition: { kind: 'updated', episode: told, ratio } }
}
