// Follows findings from the closing sample to the proposal: what a reader of the topics saw, and when.

import { followTopic } from '@andon/kit'
import type { Codec, Log } from '@andon/kit'
import type { Actions, Anomalies, Features, Models, Predictions, Telemetry } from '@andon/schemas'

/** In the order in which a sample passes them; each is the moment the record was seen on its topic. */
export const STAGES = ['telemetry', 'features', 'predictions', 'anomalies', 'finding copied', 'step proposed'] as const
export type Stage = (typeof STAGES)[number]

export interface Trail {
  /** When the POST of the closing sample began, and when it was answered. */
  readonly closedByMs: number
  readonly acknowledgedMs: number
  /** LogAppendTime of the proposal. */
  readonly proposedMs: number
  readonly at: Readonly<Record<Stage, number>>
}

interface Closing {
  readonly seq: number
  readonly sentMs: number
  readonly acknowledgedMs: number
}

interface SeenFinding {
  readonly asset: string
  readonly windowEndUs: number
  readonly vectorId: string
  readonly predictionId: string
  readonly anomaliesMs: number
  copiedMs?: number
  proposedMs?: number
  proposalSeenMs?: number
}

const nowMs = (): number => performance.timeOrigin + performance.now()

export class Trails {
  modelsActive = 0
  private readonly closings = new Map<string, Closing>()
  private readonly samples = new Map<string, number>()
  private readonly vectors = new Map<string, number>()
  private readonly predictions = new Map<string, number>()
  private readonly findings = new Map<string, SeenFinding>()
  private readonly assets: ReadonlySet<string>

  constructor(assets: ReadonlySet<string>) {
    this.assets = assets
  }

  /** The sample `seq` of the asset closed the window that ended at this event time. */
  closedBy(asset: string, windowEndUs: number, seq: number, sentMs: number, acknowledgedMs: number): void {
    this.closings.set(`${asset} ${windowEndUs}`, { seq, sentMs, acknowledgedMs })
  }

  async follow(log: Log, codec: Codec): Promise<void> {
    const follow = <T>(topic: string, onRecord: (value: T, timestampMs: number) => void) =>
      followTopic<T>(log, codec, topic, ({ value, timestampMs }) => onRecord(value, timestampMs))
    const isOurs = (asset: string): boolean => this.assets.has(asset)
    await Promise.all([
      follow<Models>('models', ({ type, assetId }) => {
        if (type === 'ModelActivated' && isOurs(assetId)) this.modelsActive++
      }),
      follow<Telemetry>('telemetry', ({ assetId, block }) => {
        if (!block || !isOurs(assetId)) return
        for (let seq = block.seqFrom; seq <= block.seqTo; seq++) first(this.samples, `${assetId} ${seq}`)
      }),
      follow<Features>('features', ({ assetId, vector }) => {
        if (vector && isOurs(assetId)) first(this.vectors, vector.vectorId)
      }),
      follow<Predictions>('predictions', ({ assetId, predictionId }) => {
        if (isOurs(assetId)) first(this.predictions, predictionId)
      }),
      follow<Anomalies>('anomalies', ({ finding }) => {
        if (finding?.transition !== 'opened' || !isOurs(finding.assetId) || this.findings.has(finding.findingId)) return
        const { assetId: asset, atUs: windowEndUs, vectorId, predictionId } = finding
        this.findings.set(finding.findingId, { asset, windowEndUs, vectorId, predictionId, anomaliesMs: nowMs() })
      }),
      follow<Actions>('actions', (fact, timestampMs) => {
        if (fact.type === 'FindingCopied') {
          const seen = this.findings.get(fact.finding?.findingId ?? '')
          if (seen) seen.copiedMs ??= nowMs()
        } else if (fact.type === 'StepProposed') {
          const seen = this.findings.get(fact.requestId ?? '')
          if (!seen || seen.proposedMs !== undefined) return
          seen.proposedMs = timestampMs
          seen.proposalSeenMs = nowMs()
        }
      }),
    ])
  }

  counts(): { findings: number; copied: number; proposed: number } {
    const findings = [...this.findings.values()]
    return {
      findings: findings.length,
      copied: findings.filter(({ copiedMs }) => copiedMs !== undefined).length,
      proposed: findings.filter(({ proposedMs }) => proposedMs !== undefined).length,
    }
  }

  /** Findings seen on every topic and proposed for. */
  complete(): Trail[] {
    const trails: Trail[] = []
    for (const {
      asset,
      windowEndUs,
      vectorId,
      predictionId,
      anomaliesMs,
      copiedMs,
      proposedMs,
      proposalSeenMs,
    } of this.findings.values()) {
      const closing = this.closings.get(`${asset} ${windowEndUs}`)
      const telemetry = this.samples.get(`${asset} ${closing?.seq}`)
      const features = this.vectors.get(vectorId)
      const predictions = this.predictions.get(predictionId)
      if (!closing || telemetry === undefined || features === undefined || predictions === undefined) continue
      if (copiedMs === undefined || proposedMs === undefined || proposalSeenMs === undefined) continue
      trails.push({
        closedByMs: closing.sentMs,
        acknowledgedMs: closing.acknowledgedMs,
        proposedMs,
        at: { telemetry, features, predictions, anomalies: anomaliesMs, 'finding copied': copiedMs, 'step proposed': proposalSeenMs },
      })
    }
    return trails
  }
}

const first = (seen: Map<string, number>, key: string): void => {
  if (!seen.has(key)) seen.set(key, nowMs())
}
