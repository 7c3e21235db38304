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
  readonly seenMs: number
}

interface SeenProposal {
  readonly appendedMs: number
  readonly seenMs: number
}

const nowMs = (): number => performance.timeOrigin + performance.now()

export class Trails {
  modelsActive = 0
  private readonly closings = new Map<string, Closing>()
  private readonly samples = new Map<string, number>()
  private readonly vectors = new Map<string, number>()
  private readonly predictions = new Map<string, number>()
  private readonly findings = new Map<string, SeenFinding>()
  /** By finding; topics are read side by side, so a copy may be seen before what it copies. */
  private readonly copies = new Map<string, number>()
  private readonly proposals = new Map<string, SeenProposal>()
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
        this.findings.set(finding.findingId, { asset, windowEndUs, vectorId, predictionId, seenMs: nowMs() })
      }),
      follow<Actions>('actions', ({ type, finding, requestId }, timestampMs) => {
        if (type === 'FindingCopied' && finding) first(this.copies, finding.findingId)
        if (type !== 'StepProposed' || requestId === null || this.proposals.has(requestId)) return
        this.proposals.set(requestId, { appendedMs: timestampMs, seenMs: nowMs() })
      }),
    ])
  }

  /** Closed windows that no finding was opened for, as asset and event time of their end. */
  withoutFinding(): string[] {
    const found = new Set([...this.findings.values()].map(({ asset, windowEndUs }) => `${asset} ${windowEndUs}`))
    return [...this.closings.keys()].filter((window) => !found.has(window))
  }

  /** Findings with their closing sample, seen on every topic and proposed for. */
  complete(): Trail[] {
    return [...this.findings].flatMap(([findingId, { asset, windowEndUs, vectorId, predictionId, seenMs: anomalies }]) => {
      const closing = this.closings.get(`${asset} ${windowEndUs}`)
      const telemetry = this.samples.get(`${asset} ${closing?.seq}`)
      const features = this.vectors.get(vectorId)
      const predictions = this.predictions.get(predictionId)
      const copied = this.copies.get(findingId)
      const proposal = this.proposals.get(findingId)
      if (!closing || !proposal || telemetry === undefined) return []
      if (features === undefined || predictions === undefined || copied === undefined) return []
      const at = { telemetry, features, predictions, anomalies, 'finding copied': copied, 'step proposed': proposal.seenMs }
      return [{ closedByMs: closing.sentMs, acknowledgedMs: closing.acknowledgedMs, proposedMs: proposal.appendedMs, at }]
    })
  }
}

const first = (seen: Map<string, number>, key: string): void => {
  if (!seen.has(key)) seen.set(key, nowMs())
}
