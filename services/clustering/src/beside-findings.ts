// What clustering publishes of drift and of limits ahead. Ids follow from what was judged.

import { episodeId, findingId } from '@andon/kit'
import type { Output } from '@andon/kit'
import type { AnomaliesInput, FindingInput } from '@andon/schemas'
import { channelWords, featureParts, featureWords } from '@andon/schemas/feature-names'
import type { DriftTold } from './drift-watch.ts'
import { findingBase } from './finding.ts'
import type { WindowWords } from './finding.ts'
import { findingRecord } from './outputs.ts'
import type { TrendTransition } from './prognosis.ts'
import type { LifeTransition, ToldLife } from './remaining-life.ts'
import { lengthWords } from './state-findings.ts'
import { figure } from './words.ts'

/** Seen by whoever plans, paged to nobody; a proposal is a little more. */
const DRIFT_SEVERITY = 4
const PROPOSAL_SEVERITY = 3
const PROGNOSIS_SEVERITY = 3
const FEATURES_TOLD = 20

export const driftEpisodeId = (assetId: string, detectorSet: string, openingVectorId: string): string =>
  episodeId(assetId, `${detectorSet}/drift`, openingVectorId)

const causeWords = {
  drift: 'has drifted from what was learnt as normal',
  sensor: 'has changed as its sensor did',
  regime: 'has changed with an unknown regime',
}
const endWords: Readonly<Record<string, string>> = {
  over: 'is as it was learnt again',
  renewed: 'drift is over: its normal is learnt anew',
  accepted: 'drift is over: a person said that it is normal now',
}

/** `names`: what the reference compares. */
export const driftFinding = (
  given: WindowWords,
  told: DriftTold,
  referenceDigest: string,
  names: readonly string[],
): Output<AnomaliesInput> => {
  const { assetId, prediction, detectorSet, asset } = given
  const { kind, standing, cause, proposesRetraining, reason, trigger } = told
  const { event, openingVectorId, openedUs } = standing
  const [first] = event.features
  const relation = event.relation === null ? undefined : event.relation.features.map(featureWords).join(' and ')
  const what = first !== undefined ? featureWords(first.name) : (relation ?? 'all numbers together')
  const moved =
    first === undefined
      ? ''
      : ` (mean ${figure(first.current.mean)}, learnt ${figure(first.reference.mean)}; ${event.features.length} of ${Math.max(names.length, event.features.length)} numbers)`
  const title =
    kind === 'closed'
      ? `${asset.name}: ${endWords[reason] ?? 'drift is over'}`
      : `${asset.name}: ${what} ${causeWords[cause]}${moved}${proposesRetraining ? '; its models should be learnt anew' : ''}`
  const shares = event.features.reduce((sum, { distance }) => sum + distance, 0) || 1
  const base = { ...given, evidence: undefined }
  const output = findingRecord(base, 'DriftDetected', {
    ...findingBase(base),
    findingId: findingId(assetId, `${detectorSet}/drift`, openingVectorId, kind === 'opened' ? kind : `${kind}:${prediction.vectorId}`),
    episodeId: driftEpisodeId(assetId, detectorSet, openingVectorId),
    transition: kind,
    openedUs,
    openingVectorId,
    severity: proposesRetraining ? PROPOSAL_SEVERITY : DRIFT_SEVERITY,
    ratio: event.evidence / event.line,
    peakRatio: event.evidence / event.line,
    contributions: event.features
      .slice(0, 5)
      .map(({ name, distance, current, reference }): NonNullable<FindingInput['contributions']>[number] => ({
        name,
        channel: featureParts(name).channel,
        share: distance / shares,
        value: current.mean,
        unit: '',
        normalLow: reference.low,
        normalHigh: reference.high,
      })),
    about: cause === 'sensor' ? 'sensor' : 'machine',
    regime: event.regime,
    title,
  })
  const drift = {
    cause,
    features: event.features.slice(0, FEATURES_TOLD).map(({ name, distance, adjustedPValue, reference, current }) => ({
      name,
      statistic: 'wasserstein',
      distance,
      pValue: adjustedPValue,
      referenceMean: reference.mean,
      currentMean: current.mean,
    })),
    sinceUs: event.sinceUs,
    referenceDigest,
    proposesRetraining,
    trigger,
  }
  return { ...output, value: { ...output.value, drift } }
}

/** What stands ahead of an asset: `place` tells several of one asset apart, `fields` what is particular. */
const aheadFinding = (
  given: WindowWords,
  place: string,
  kind: TrendTransition['kind'],
  { openingVectorId, openedUs }: Pick<ToldLife, 'openingVectorId' | 'openedUs'>,
  fields: Pick<FindingInput, 'ratio' | 'contributions' | 'title'>,
  prognosis: AnomaliesInput['prognosis'],
): Output<AnomaliesInput> => {
  const { assetId, prediction } = given
  const base = { ...given, evidence: undefined }
  const output = findingRecord(base, 'PrognosisUpdated', {
    ...findingBase(base),
    ...fields,
    findingId: findingId(assetId, place, openingVectorId, kind === 'opened' ? kind : `${kind}:${prediction.vectorId}`),
    episodeId: episodeId(assetId, place, openingVectorId),
    transition: kind,
    openedUs,
    openingVectorId,
    severity: PROGNOSIS_SEVERITY,
    peakRatio: fields.ratio,
    about: 'machine',
  })
  return prognosis === null ? output : { ...output, value: { ...output.value, prognosis } }
}

interface Interval {
  readonly lowUs: number
  readonly medianUs: number
  readonly highUs: number | null
  readonly coverage: number
}

const intervalWords = ({ lowUs, medianUs, highUs, coverage }: Interval): string =>
  `expected in ${lengthWords(medianUs)}, ${Math.round(100 * coverage)} % between ${lengthWords(lowUs)} and ${highUs === null ? 'never' : lengthWords(highUs)}`

/** A limit of zone C or D that is ahead. */
export const prognosisFinding = (
  given: WindowWords,
  name: string,
  { kind, told, remaining }: TrendTransition,
  value: number,
  limits: readonly [number, number, number] | null,
): Output<AnomaliesInput> => {
  const { detectorSet, asset } = given
  const { limit } = told
  const { channel } = featureParts(name)
  const zone = limit === limits?.[1] ? 'C' : 'D'
  const quantity = `${channelWords(channel)} velocity towards zone ${zone} of ISO 20816 (${figure(limit)} mm/s RMS)`
  const title =
    remaining === undefined || remaining.medianUs === null
      ? `${asset.name}: no prognosis any more for ${quantity}`
      : `${asset.name}: ${quantity} ${intervalWords({ ...remaining, medianUs: remaining.medianUs })}`
  const contributions = [{ name, channel, share: 1, value, unit: 'mm/s', normalLow: null, normalHigh: limit }]
  const fields = { ratio: value / limit, contributions, title }
  return aheadFinding(
    given,
    `${detectorSet}/prognosis/${name}`,
    kind,
    told,
    fields,
    remaining === undefined ? null : { quantity, ...remaining },
  )
}

/** The end of a machine as a model expects it. */
export const lifeFinding = (given: WindowWords, model: string, { kind, told, remaining }: LifeTransition): Output<AnomaliesInput> => {
  const { detectorSet, asset } = given
  const place = `${detectorSet}/life/${model}`
  const quantity = `end of life by ${model}`
  const fields = { ratio: 1, contributions: [] }
  if (remaining === undefined)
    return aheadFinding(given, place, kind, told, { ...fields, title: `${asset.name}: no ${quantity} is expected any more` }, null)
  const { lowUs, medianUs, highUs, coverage, version, digest } = remaining
  const basis = `model ${model} version ${version} (${digest.slice(0, 12)})`
  const title = `${asset.name}: ${quantity} ${intervalWords(remaining)}`
  return aheadFinding(given, place, kind, told, { ...fields, title }, { quantity, lowUs, medianUs, highUs, coverage, basis })
}
