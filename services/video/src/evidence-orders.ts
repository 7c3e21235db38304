// What the log says about evidence: orders that count, and which of them have an answer. Folds `actions` with the decision kernel, so
// that an order of a deposed owner or with a wrong stamp is no order. Pure.

import { emptyState, evolve, type State } from '@andon/decisions'
import type { Actions, Clip } from '@andon/schemas'

export interface EvidenceOrder {
  readonly orderId: string
  readonly partition: number
  readonly line: string
  readonly incidentId: string | null
  readonly assetId: string | null
  readonly cameraIds: readonly string[]
  readonly fromUs: number
  readonly toUs: number
}

/** A stored clip with the order it answers. */
export interface StoredClip extends Clip {
  readonly orderId: string
  readonly incidentId: string | null
  readonly line: string
  readonly requestedFromUs: number
  readonly requestedToUs: number
}

export interface ActionsRecord {
  readonly partition: number
  readonly offset: number
  readonly appendedUs: number
  readonly record: Actions
}

export interface EvidenceOrders {
  /** Takes the next record of its partition; returns the order it makes, if any. */
  next(record: ActionsRecord): EvidenceOrder | undefined
  isAnswered(orderId: string): boolean
  /** Orders without an answer, oldest first. */
  open(): EvidenceOrder[]
  clips(): StoredClip[]
  clip(clipId: string): StoredClip | undefined
}

const answers = new Set(['EvidenceStored', 'EvidenceFailed'])

export const createEvidenceOrders = (): EvidenceOrders => {
  const partitions = new Map<number, State>()
  const open = new Map<string, EvidenceOrder>()
  const answered = new Set<string>()
  const clips = new Map<string, StoredClip>()

  const answer = ({ line, incidentId, evidence }: Actions) => {
    if (!evidence) return
    answered.add(evidence.orderId)
    open.delete(evidence.orderId)
    for (const clip of evidence.clips) {
      clips.set(clip.clipId, {
        ...clip,
        orderId: evidence.orderId,
        incidentId,
        line,
        requestedFromUs: evidence.fromUs,
        requestedToUs: evidence.toUs,
      })
    }
  }

  return {
    next({ partition, offset, appendedUs, record }) {
      let state = partitions.get(partition)
      if (!state) partitions.set(partition, (state = emptyState()))
      const verdict = evolve(state, { record, offset, appendedUs })
      if (verdict !== 'counted' || !record.evidence) return undefined
      if (answers.has(record.type)) {
        if (record.by === 'video') answer(record)
        return undefined
      }
      if (record.type !== 'EvidenceOrdered' || answered.has(record.evidence.orderId)) return undefined
      const { orderId, cameraIds, fromUs, toUs } = record.evidence
      const order = {
        orderId,
        partition,
        line: record.line,
        incidentId: record.incidentId,
        assetId: record.assetId,
        cameraIds,
        fromUs,
        toUs,
      }
      open.set(orderId, order)
      return order
    },
    isAnswered: (orderId) => answered.has(orderId),
    open: () => [...open.values()],
    clips: () => [...clips.values()],
    clip: (clipId) => clips.get(clipId),
  }
}
