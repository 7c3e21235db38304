// Sensor fault, regime change and drift told apart, from what a prediction carries. Only a window of plain rows of a known regime can
// show drift: what a faulty sensor reads, what another product does, and what an open episode explains is no drift of the asset.

import type { Predictions } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'

/** What drift needs to know of a prediction. */
export type DriftRow = Pick<Predictions, 'type' | 'names' | 'quality' | 'regime' | 'machineOff' | 'health' | 'historical'>

export type LeftOut = 'not-judged' | 'frozen' | 'regime-change' | 'sensor-fault'

export type RowStanding = { readonly leftOut: LeftOut } | { readonly leftOut: null; readonly masked: ReadonlySet<string> }

/** Share of masked numbers from which a row says more about its sensors than about the asset. */
const MOST_MASKED = 0.5

/** Whether a row may show drift, and which of its numbers may not. `isKnownRegime`: there is a reference of the row's regime. */
export const standingOf = (row: DriftRow, isKnownRegime: boolean, isEpisodeOpen: boolean): RowStanding => {
  if (row.machineOff || (row.type !== 'verdicts' && row.type !== 'learning')) return { leftOut: 'not-judged' }
  const masked = maskedNames(row.names, row.health)
  // Uncertain, and no sensor is named for it: any number may be wrong.
  if (masked.size > MOST_MASKED * row.names.length || (row.quality !== 'good' && row.health.length === 0))
    return { leftOut: 'sensor-fault' }
  if (!isKnownRegime) return { leftOut: 'regime-change' }
  if (isEpisodeOpen) return { leftOut: 'frozen' }
  return { leftOut: null, masked }
}
