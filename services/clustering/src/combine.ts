// Many verdicts on one vector, and what the asset's own detector says of it → one evidence: who was heard, the largest ratio, and
// the doubts that go with it. Each keeps its own line; nobody's calibration is lost.

import type { Predictions, Verdict } from '@andon/schemas'
import type { DetectorSays } from './asset-detector.ts'
import type { Source } from './judged.ts'

export interface Evidence {
  /** Largest of all; 1 is the line. */
  readonly ratio: number
  /** The verdict with the largest ratio; undefined where no model gave one. */
  readonly verdict: Verdict | undefined
  readonly detector: DetectorSays | undefined
  /** The detector's ratio is the largest. */
  readonly isLedByDetector: boolean
  /** Largest ratio first. */
  readonly sources: readonly Source[]
  /** Why a human must look; sorted. */
  readonly doubts: readonly string[]
}

/** Shadow models are watched, not heard. */
const isHeard = (verdict: Verdict): boolean => verdict.role !== 'shadow'

export const detectorName = (assetId: string): string => `detector.${assetId}`

/**
 * Undefined when neither a model nor the detector gave a ratio: then nothing is known about the window. Equal ratios: a model
 * before the detector, the first by name wins. `isStale`: the model learnt before the baseline's present epoch.
 */
export const combine = (
  prediction: Pick<Predictions, 'assetId' | 'verdicts' | 'complete' | 'missing' | 'quality'>,
  isStale: (digest: string) => boolean,
  detector?: DetectorSays,
): Evidence | undefined => {
  if (prediction.verdicts.length === 0 && detector === undefined) return undefined
  const heard = prediction.verdicts.filter(isHeard)
  const scored = heard
    .filter(({ error, ratio }) => error === null && Number.isFinite(ratio))
    .toSorted((a, b) => b.ratio - a.ratio || (a.model < b.model ? -1 : a.model > b.model ? 1 : b.version - a.version))
  const verdict = scored[0]
  if (verdict === undefined && detector === undefined) return undefined

  const isLedByDetector = detector !== undefined && detector.ratio > (verdict?.ratio ?? Number.NEGATIVE_INFINITY)
  const sources: Source[] = scored.map(({ model, digest, ratio }) => ({ name: model, kind: 'model', digest, ratio }))
  if (detector !== undefined) {
    const { digest, ratio } = detector
    const at = sources.findIndex((source) => source.ratio < ratio)
    sources.splice(at < 0 ? sources.length : at, 0, { name: detectorName(prediction.assetId), kind: 'detector', digest, ratio })
  }

  const doubts = new Set<string>()
  if ((heard.length > 0 && !prediction.complete) || prediction.missing.length > 0) doubts.add('missing-features')
  if (prediction.quality === 'uncertain') doubts.add('uncertain-samples')
  if (verdict !== undefined && isStale(verdict.digest)) doubts.add('stale-calibration')
  if (verdict !== undefined && !verdict.inDomain) doubts.add('out-of-domain')
  // Nobody released the detector to act without a person; a champion above its line needs no other.
  const isReleased = verdict?.role === 'champion' && (!isLedByDetector || verdict.ratio > 1)
  if (!isReleased) doubts.add('non-champion')
  if (heard.some(({ error }) => error !== null)) doubts.add('gate-error')
  const ratio = isLedByDetector ? detector.ratio : (verdict as Verdict).ratio
  return { ratio, verdict, detector, isLedByDetector, sources, doubts: [...doubts].toSorted() }
}
