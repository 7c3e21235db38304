// anomalies → actions. Copies each finding to its line's partition, so that a line's holds, budgets and plans are one owner's state.
// The request's id is the finding's: a copy that is written twice is decided once.

import { emitter } from '@andon/kit'
import type { Handler } from '@andon/kit'
import { record } from '@andon/decisions'
import type { Anomalies } from '@andon/schemas'
import { ACTIONS } from './actions-log.ts'
import type { PlantView } from './plant-view.ts'

/** Control group of assets that the plant file does not know. */
export const UNASSIGNED = 'unassigned'

export const onAnomalies =
  (plant: PlantView): Handler<Anomalies> =>
  (batch) => {
    const out = emitter()
    for (const input of batch.inputs) {
      const { finding, type } = input.value
      if (!finding) continue
      const line = plant.controlGroupOf(finding.assetId) ?? UNASSIGNED
      const value = record('FindingCopied', finding.findingId, line, finding.atUs, {
        by: 'clustering',
        assetId: finding.assetId,
        title: finding.title,
        finding,
        detail: JSON.stringify({ type }),
      })
      out.emit(input, {
        topic: ACTIONS,
        key: line,
        value,
        id: finding.findingId,
        type: 'FindingCopied',
        subject: finding.assetId,
        timeUs: finding.atUs,
      })
    }
    return out
  }
