// The detector set: every constant that decides when verdicts become an episode, how grave it is and what counts as a
// known pattern. Its digest is part of every id, so findings of different settings never mix.

import { canonicalJson, sha256Hex } from '@andon/kit'
import { multivariateDefaults, univariateDefaults } from './detectors/constants.ts'
import type { MultivariateConstants, UnivariateConstants } from './detectors/constants.ts'

export interface DetectorSet {
  readonly version: 2
  /** The asset's own detector, learned in the stream. */
  readonly detector: {
    /** Healthy windows it learns from: of 400 it takes ten times as many false episodes as of 1,600. */
    readonly learningWindows: number
    /** Numbers of a window it looks at, at most. */
    readonly mostColumns: number
    /** Windows to learn from per number. */
    readonly windowsPerColumn: number
    /** Windows after which those numbers are chosen, where there are more. */
    readonly chooseAfter: number
    /** Numbers of all windows it learns from together: what a snapshot can carry. */
    readonly mostNumbers: number
    readonly multivariate: MultivariateConstants
    readonly univariate: UnivariateConstants
  }
  /** Weight of the newest ratio in the running one; 1 = no smoothing. */
  readonly ewmaAlpha: number
  readonly episode: {
    /** Consecutive windows above the line that open an episode. */
    readonly on: number
    /** Consecutive windows below `closeBelow`, or at a new normal level, that close it. */
    readonly off: number
    /** Ratio below which a window counts towards closing. */
    readonly closeBelow: number
    /** Windows an episode lasts before its level can be called a new normal one. */
    readonly armAfter: number
    /** Part of the episode's level below which it counts as gone, although above the line. */
    readonly goneBelow: number
    /** Windows the level is averaged over at most. */
    readonly levelWindows: number
    /** Windows without judgement after a close at a new normal level. */
    readonly settle: number
  }
  /** Smallest ratio of severity 1 and 2; below, an anomaly has severity 3. Ratios are of squared distances: 36 is six times as far out as the line. */
  readonly severity: { readonly one: number; readonly two: number }
  readonly update: {
    /** Growth of the peak that is worth an update. */
    readonly growth: number
    /** Windows between two updates for growth; a graver severity is told at once. */
    readonly everyWindows: number
  }
  /** Windows a channel must stand still, although it never did while learning, to be called faulty. */
  readonly stuckWindows: number
}

/** Measured on public recordings (episodes), see the constants' docs for what each decides. */
export const defaultDetectorSet: DetectorSet = {
  version: 2,
  detector: {
    learningWindows: 1600,
    mostColumns: 64,
    windowsPerColumn: 5,
    chooseAfter: 64,
    mostNumbers: 80_000,
    multivariate: multivariateDefaults,
    univariate: univariateDefaults,
  },
  ewmaAlpha: 1,
  episode: { on: 3, off: 10, closeBelow: 0.7, armAfter: 30, goneBelow: 0.1, levelWindows: 90, settle: 20 },
  severity: { one: 36, two: 4 },
  update: { growth: 1.25, everyWindows: 10 },
  stuckWindows: 10,
}

export const detectorSetDigest = (set: DetectorSet): string => sha256Hex(canonicalJson(set))
