// Feature vectors as scoring sees them, whether they came from the log or from the store of latest vectors.

import type { ChannelHealth } from '@andon/schemas'

/** What scoring needs of a vector. */
export interface ScorableVector {
  readonly assetId: string
  readonly featureSetDigest: string
  readonly names: readonly string[]
  /** Packed little-endian f64 per name; NaN = could not be computed. */
  readonly values: Uint8Array
  /** Channels whose sensor is suspected. */
  readonly health: readonly ChannelHealth[]
}
