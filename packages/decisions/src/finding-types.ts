// What kind of finding was copied. Most open an incident by themselves; some are for review, and become work only by a policy.

import type { Actions } from '@andon/schemas'

const FOR_REVIEW: ReadonlySet<string> = new Set([
  'DriftDetected',
  'RegimeNew',
  'FaultModeDiscovered',
  'FaultModeSplit',
  'FaultModeMerged',
  'FaultModeDisappeared',
  'FaultModeDrifted',
])

/** Never an alarm by itself: an incident only where a policy names the type. */
export const isForReview = (type: string): boolean => FOR_REVIEW.has(type)

/** Type of the record on `anomalies` that a FindingCopied copies; empty where it does not say, as before types were copied. */
export const findingTypeOf = ({ detail }: Pick<Actions, 'detail'>): string => {
  if (detail === null) return ''
  try {
    const { type } = JSON.parse(detail) as { readonly type?: unknown }
    return typeof type === 'string' ? type : ''
  } catch {
    return '' // not ours: it opens an incident as any finding does
  }
}
