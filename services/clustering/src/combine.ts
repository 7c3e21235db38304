// Many verdicts on one vector → one evidence: the largest ratio of the models that may speak, and the doubts that go with it.

import type { Predictions, Verdict } from '@andon/schemas'

export interface Evidence {
  /** 1 is the line. */
  readonly ratio: number
  /** The verdict with the largest ratio. */
  readonly verdict: Verdict
  /** Why a human must look; sorted. */
  readonly doubts: readonly string[]
}

/** Shadow models are watched, not heard. */
const isHeard = (verdict: Verdict): boolean => verdict.role !== 'shadow'

/**
 * Undefined when no model gave a score: then nothing is known about the window. Equal ratios: the first by name wins.
 * `isStale`: the model learnt before the baseline's present epoch.
 */
export const combine = (
  prediction: Pick<Predictions, 'verdicts' | 'complete' | 'missing' | 'quality'>,
  isStale: (digest: string) => boolean,
): Evidence | undefined => {
  const heard = prediction.verdicts.filter(isHeard)
  const scored = heard
    .filter(({ error, ratio }) => error === null && Number.isFinite(ratio))
    .toSorted((a, b) => b.ratio - a.ratio || (a.model < b.model ? -1 : a.model > b.model ? 1 : b.version - a.version))
  const verdict = scored[0]
  if (verdict === undefined) return undefined

  const doubts = new Set<string>()
  if (!prediction.complete || prediction.missing.length > 0) doubts.add('missing-features')
  if (prediction.quality === 'uncertain') doubts.add('uncertain-samples')
  if (isStale(verdict.digest)) doubts.add('stale-calibration')
  if (!verdict.inDomain) doubts.add('out-of-domain')
  if (verdict.role !== 'champion') doubts.add('non-champion')
  if (heard.some(({ error }) => error !== null)) doubts.add('gate-error')
  return { ratio: verdict.ratio, verdict, doubts: [...doubts].toSorted() }
}
