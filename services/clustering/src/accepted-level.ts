// "This is normal now": a person accepts the level of an open episode. It closes at once, and what follows is judged against that
// level, until the asset has been quiet without it, or a service begins another baseline. Pure.

import type { DetectorSet } from './detector-set.ts'
import type { Machine, Step } from './episode.ts'

export interface AcceptedLevel {
  /** Largest ratio that was accepted. */
  readonly ratio: number
  /** Windows in a row that are quiet without it. */
  readonly quiet: number
}

/** Closes the open episode of a machine at the level it has; undefined where none is open. */
export const acceptEpisode = (
  machine: Machine,
  ratio: number,
  set: DetectorSet,
): { readonly step: Step; readonly accepted: AcceptedLevel } | undefined => {
  const { episode } = machine
  if (episode === null) return undefined
  const peakRatio = Math.max(episode.peakRatio, ratio)
  const closed = { ...episode, windows: episode.windows + 1, peakRatio, windowsSinceTold: episode.windowsSinceTold + 1 }
  const next: Machine = {
    ...machine,
    windows: machine.windows + 1,
    above: 0,
    // as after a close at a new level that nobody had to name
    settling: set.episode.settle,
    smoothed: null,
    level: null,
    episode: null,
  }
  return { step: { machine: next, transition: { kind: 'closed', episode: closed, ratio } }, accepted: { ratio: peakRatio, quiet: 0 } }
}

/** The level after a window of this ratio; null once the asset has been quiet without it for as long as closes an episode. */
export const followAccepted = (level: AcceptedLevel, ratio: number, { episode }: DetectorSet): AcceptedLevel | null => {
  const quiet = ratio < episode.closeBelow ? level.quiet + 1 : 0
  return quiet >= episode.off ? null : { ...level, quiet }
}

/** A ratio as it counts against what was accepted: 1 is the line again. */
export const beyondAccepted = (ratio: number, level: AcceptedLevel): number => ratio / Math.max(1, level.ratio)
