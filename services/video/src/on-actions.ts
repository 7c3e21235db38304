// actions → a stored clip and its digest, on actions. Obeys only `EvidenceOrdered`; answers each order once with EvidenceStored or
// EvidenceFailed, which the line's owner turns into a fact. Killed in the middle, it starts the order again after the restart and
// gives the same ids and, while the ring still holds the segments, the same bytes.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, publish, uuid8, type Codec, type Input, type Log, type Logger } from '@andon/kit'
import type { Actions, ActionsInput, Clip } from '@andon/schemas'
import { makeClip, type ClipTools } from './clip.ts'
import type { Recorder } from './adapters/recorder.ts'
import type { EvidenceOrder, EvidenceOrders } from './evidence-orders.ts'

export interface EvidenceDeps {
  readonly log: Log
  readonly codec: Codec
  readonly logger: Logger
  readonly orders: EvidenceOrders
  readonly tools: ClipTools
  readonly recorder: (cameraId: string) => Recorder | undefined
  /** How long after the range's end (or after the order, if that is later) a missing segment is waited for. */
  readonly waitUs: number
  readonly onAnswered?: (outcome: 'stored' | 'failed', seconds: number) => void
  readonly nowUs?: () => number
}

export interface EvidenceService {
  /** Takes the next record of `actions`. Orders are worked on once `begin` was called. */
  next(input: Input<Actions>): void
  /** The log was read to its end: what has no answer now is worked on. */
  begin(): void
  /** Orders being worked on. */
  inHand(): number
  stop(): Promise<void>
}

const pollMs = 200
const retryMs = 2000

export const evidenceService = (deps: EvidenceDeps): EvidenceService => {
  const { log, codec, logger, orders, tools, recorder, waitUs } = deps
  const nowUs = deps.nowUs ?? (() => Date.now() * 1000)
  const stopping = new AbortController()
  const inHand = new Map<string, Promise<void>>()
  let begun = false

  /** Waits until the ring covers the order's end, or until waiting longer is no use. */
  const covered = async (order: EvidenceOrder, camera: Recorder, seenUs: number): Promise<void> => {
    const deadlineUs = Math.max(order.toUs, seenUs) + waitUs
    while (nowUs() < deadlineUs && (camera.index.all().at(-1)?.endUs ?? 0) < order.toUs) {
      await sleep(pollMs, undefined, { signal: stopping.signal })
    }
  }

  const clipsOf = async (order: EvidenceOrder, seenUs: number): Promise<{ clips: Clip[]; failures: string[] }> => {
    const clips: Clip[] = []
    const failures: string[] = []
    const made = await Promise.allSettled(
      order.cameraIds.map(async (cameraId) => {
        const camera = recorder(cameraId)
        if (!camera) throw new Error(`no camera ${cameraId} is recorded here`)
        const held = camera.index.hold(order)
        try {
          await covered(order, camera, seenUs)
          const { orderId, incidentId, fromUs, toUs } = order
          return await makeClip({ orderId, incidentId, cameraId, range: { fromUs, toUs } }, camera, tools)
        } finally {
          held.release()
        }
      }),
    )
    made.forEach((result, i) => {
      if (result.status === 'fulfilled') clips.push(result.value)
      else failures.push(`${order.cameraIds[i]}: ${messageOf(result.reason)}`)
    })
    return { clips, failures }
  }

  const answer = async (order: EvidenceOrder, clips: readonly Clip[], failures: readonly string[]): Promise<void> => {
    const type = clips.length > 0 ? 'EvidenceStored' : 'EvidenceFailed'
    const id = uuid8(type === 'EvidenceStored' ? 'evidence-stored' : 'evidence-failed', order.orderId)
    const atUs = nowUs()
    const { orderId, cameraIds, fromUs, toUs, line, incidentId, assetId } = order
    const failure = failures.length > 0 ? failures.join('; ') : null
    const value: ActionsInput = {
      type,
      id,
      line,
      atUs,
      by: 'video',
      incidentId,
      assetId,
      evidence: { orderId, cameraIds, fromUs, toUs, clips, failure },
    }
    const output = { topic: 'actions', key: line, partition: order.partition, value, id, type: `andon.actions.${type}`, timeUs: atUs }
    await publish(log, codec, [output], 'andon/video')
  }

  const work = async (order: EvidenceOrder): Promise<void> => {
    const seenUs = nowUs()
    const { clips, failures } = await clipsOf(order, seenUs)
    if (stopping.signal.aborted) return
    const { orderId, incidentId } = order
    while (!orders.isAnswered(orderId)) {
      try {
        await answer(order, clips, failures)
        break
      } catch (error) {
        logger.warn({ err: error, orderId, incidentId }, 'the answer to an evidence order could not be appended, trying again')
        await sleep(retryMs, undefined, { signal: stopping.signal })
      }
    }
    logger.info(
      { orderId, incidentId, clips: clips.length, failures },
      clips.length > 0 ? 'evidence stored' : 'no evidence could be stored',
    )
    deps.onAnswered?.(clips.length > 0 ? 'stored' : 'failed', (nowUs() - order.toUs) / 1e6)
  }

  const take = (order: EvidenceOrder): void => {
    if (inHand.has(order.orderId) || stopping.signal.aborted) return
    inHand.set(
      order.orderId,
      work(order)
        .catch((error: unknown) => {
          if (!stopping.signal.aborted) logger.error({ err: error, orderId: order.orderId }, 'an evidence order failed')
        })
        .finally(() => inHand.delete(order.orderId)),
    )
  }

  return {
    next({ partition, position, timestampMs, value }) {
      const order = orders.next({ partition, offset: position.offset, appendedUs: timestampMs * 1000, record: value })
      if (order && begun) take(order)
    },
    begin() {
      begun = true
      for (const order of orders.open()) take(order)
    },
    inHand: () => inHand.size,
    async stop() {
      stopping.abort()
      await Promise.all(inHand.values())
    },
  }
}
