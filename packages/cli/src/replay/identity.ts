// What makes two records of two runs the same statement: their logical identity, per topic, and the fields that a
// comparison leaves out because a clock or the run itself made them.

import { runTopic } from '@andon/kit/replay/names'
import type { ShownRecord } from '../data/readable.ts'

/** The name of a topic on one side of a comparison: `live`, or a run. */
export const sideTopic = (topic: string, side: string): string => (side === 'live' ? topic : runTopic(topic, side))

export interface Identity {
  /** Records with the same key say something about the same thing. */
  readonly key: string
  readonly assetId: string
  /** Event time of what the record is about, microseconds UTC; null where it has none. */
  readonly atUs: number | null
  /** True for records of which only the highest order counts: revisions of one window. */
  readonly isWindow: boolean
}

type Fields = Readonly<Record<string, unknown>>

const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')
const time = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const join = (...parts: readonly unknown[]): string => parts.map(text).join(' ')

/**
 * The identity of a record of `topic` (the base topic). Windows: (asset, feature set, window end), so that two versions
 * of features or models meet. Findings: (asset, opening vector, transition, vector). Actions: (incident, step, what
 * happened). Anything else: its ce_id. Undefined for a record that cannot be decoded or is a tick.
 */
export const identityOf = (topic: string, record: ShownRecord): Identity | undefined => {
  const value = record.value as Fields | null
  if (value === null || 'undecodable' in value || value['type'] === 'tick') return undefined
  const assetId = text(value['assetId']) || (record.key ?? '')
  const byId: Identity = { key: join(value['type'], record.id), assetId, atUs: null, isWindow: false }
  if (topic === 'features' && value['vector']) {
    const { featureSet, windowEndUs } = value['vector'] as Fields
    return { key: join(assetId, featureSet, windowEndUs), assetId, atUs: time(windowEndUs), isWindow: true }
  }
  if (topic === 'predictions') {
    const { featureSet, windowEndUs } = value
    return { key: join(assetId, featureSet, windowEndUs), assetId, atUs: time(windowEndUs), isWindow: true }
  }
  if (topic === 'anomalies' && value['finding']) {
    const finding = value['finding'] as Fields
    const { openingVectorId, transition, vectorId, atUs } = finding
    return { key: join(value['type'], assetId, openingVectorId, transition, vectorId), assetId, atUs: time(atUs), isWindow: false }
  }
  if (topic === 'actions') {
    const { type, incidentId, stepId } = value
    const attempt = (value['execution'] as Fields | null)?.['attempt']
    const finding = (value['finding'] as Fields | null)?.['findingId']
    return incidentId || stepId ? { ...byId, key: join(type, incidentId, stepId, attempt, finding), atUs: null } : byId
  }
  return byId
}

/**
 * Fields that a comparison leaves out, by topic; `[]` stands for any element of a list. Log positions are headers and are
 * never compared.
 */
export const IGNORED: Readonly<Record<string, readonly string[]>> = {
  telemetry: ['block.receivedUs', 'block.skewUs', 'block.lateness'],
  features: ['vector.vectorId', 'vector.supersedes', 'vector.featureSetDigest'],
  predictions: ['predictionId', 'vectorId', 'featureSetDigest', 'verdicts[].version', 'verdicts[].digest'],
  anomalies: [
    'finding.findingId',
    'finding.episodeId',
    'finding.predictionId',
    'finding.detectorSet',
    'finding.modelVersion',
    'finding.modelDigest',
  ],
  actions: [
    'id',
    'atUs',
    'epoch',
    'owner',
    'requestId',
    'proposal.expiresUs',
    'proposal.escalateUs',
    'execution.notAfterUs',
    'timer.dueUs',
    'finding.findingId',
    'finding.predictionId',
  ],
  models: ['atUs'],
  devices: ['atUs'],
  config: ['atUs'],
}

/** Lists whose elements belong together by a name rather than by their place. */
export const KEYED_LISTS: Readonly<Record<string, string>> = { verdicts: 'model', 'finding.contributions': 'name' }
