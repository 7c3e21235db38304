// What the judgement of one window says to whoever streams a recording, and what the watches beside the detector are given:
// types only.

import type { ContributionInput } from '@andon/schemas'
import type { Matrix } from './matrix.ts'

export type Outcome =
  | 'judged'
  | 'learning'
  | 'machine-off'
  | 'young'
  | 'unscored'
  | 'unmonitored'
  | 'repeated'
  | 'revised'
  | 'out-of-order'
  | 'no-score'

/** Who was heard about a window, and what it says: 1 is the line. */
export interface Source {
  readonly name: string
  readonly kind: 'model' | 'detector'
  readonly digest: string
  readonly ratio: number
}

/** One window as it was judged. Findings say the same in fewer words; nothing depends on whether somebody listens. */
export interface Judged {
  readonly outcome: Outcome
  readonly assetId: string
  readonly featureSet: string
  readonly vectorId: string
  readonly windowEndUs: number
  /** Largest ratio of all sources; null where nothing was judged. */
  readonly ratio: number | null
  /** Of the asset's detector: share of held-out normal windows at least as far out. */
  readonly pValue: number | null
  /** Largest ratio first. */
  readonly sources: readonly Source[]
  readonly isOpen: boolean
  readonly isOpening: boolean
  readonly isClosing: boolean
  readonly episodeId: string | null
  readonly severity: number | null
  /** The process begins or ceases to change on this window, abnormal or not. */
  readonly changed: boolean
  readonly isNewRegime: boolean
  /** Micro-cluster, stable mode and its name; null where none is known. */
  readonly clusterId: string | null
  readonly faultModeId: string | null
  readonly faultMode: string | null
  /** No known pattern is near. */
  readonly isNovel: boolean
  /** Of the source with the largest ratio, largest first; computed when asked, during the call. */
  contributions(): readonly ContributionInput[]
}

/** The healthy windows that an asset's detector learnt from, when it fits. */
export interface LearntPrefix {
  readonly assetId: string
  readonly featureSet: string
  readonly featureSetDigest: string
  /** Numbers of the feature set that the detector looks at, in the order of the columns. */
  readonly names: readonly string[]
  /** One row per window; NaN where a number is missing or its sensor was suspected. */
  readonly rows: Matrix
  readonly regimes: readonly (string | null)[]
  readonly windowEndsUs: Float64Array
}

/** One window for a watch beside the detector: columns as they were learnt. */
export interface WatchedWindow {
  readonly assetId: string
  readonly names: readonly string[]
  /** Valid during the call; NaN where a number is missing or its sensor is suspected. */
  readonly row: Float64Array
  /** Numbers whose sensor is suspected. */
  readonly masked: ReadonlySet<string>
  readonly regime: string | null
  readonly vectorId: string
  readonly windowEndUs: number
  readonly historical: boolean
  /** An episode of the machine is open: what is normal does not learn from this window. */
  readonly isEpisodeOpen: boolean
}
