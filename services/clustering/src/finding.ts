// What a finding says: contributing signals with their normal ranges, and one plain sentence.

import type { ContributionInput, FindingInput, Plant, Predictions, Verdict } from '@andon/schemas'
import { readDoubles } from '@andon/schemas/packed'
import type { Evidence } from './combine.ts'
import type { Episode } from './episode.ts'
import type { Card } from './model-cards.ts'
import { featureParts, featureUnit, featureWords, figure, signalWords } from './words.ts'

const CONTRIBUTIONS_TOLD = 5

/** The plant's words for an asset. */
export interface AssetWords {
  readonly name: string
  readonly unitOf: (channel: string) => string
}

/** The plant's words for an asset; its id when the plant does not describe it. */
export const assetWords = (plant: Plant | undefined, assetId: string): AssetWords => {
  const asset = plant?.assets.find(({ id }) => id === assetId)
  return { name: asset?.name ?? assetId, unitOf: (channel) => asset?.channels.find(({ id }) => id === channel)?.unit ?? '' }
}

/** The largest contributions of a verdict, largest first. */
export const contributionsOf = (
  verdict: Verdict,
  names: readonly string[],
  values: ArrayLike<number>,
  card: Card | undefined,
  asset: AssetWords,
): ContributionInput[] => {
  const shares = readDoubles(verdict.contributions)
  return verdict.contributionNames
    .map((name, i) => ({ name, share: shares[i] ?? 0 }))
    .filter(({ share }) => Number.isFinite(share) && share > 0)
    .toSorted((a, b) => b.share - a.share || (a.name < b.name ? -1 : 1))
    .slice(0, CONTRIBUTIONS_TOLD)
    .map(({ name, share }) => contribution(name, share, names, values, card, asset))
}

export const contribution = (
  name: string,
  share: number,
  names: readonly string[],
  values: ArrayLike<number>,
  card: Card | undefined,
  asset: AssetWords,
): ContributionInput => {
  const { channel } = featureParts(name)
  const normal = card?.features.get(name)
  return {
    name,
    channel,
    share,
    value: values[names.indexOf(name)] ?? Number.NaN,
    unit: featureUnit(name, asset.unitOf(channel)),
    normalLow: normal?.low ?? null,
    normalHigh: normal?.high ?? null,
  }
}

/** Everything about the window in hand that its findings share. */
export interface WindowFacts {
  readonly assetId: string
  readonly prediction: Predictions
  /** How often the window was promoted before or by this judgement. */
  readonly promotion: number
  readonly evidence: Evidence
  readonly contributions: readonly ContributionInput[]
  readonly asset: AssetWords
  readonly detectorSet: string
  readonly cluster: { readonly clusterId: string; readonly isNovel: boolean; readonly isKnownFault: boolean } | undefined
}

/** A finding about the window, without what the transition says. */
export const findingBase = ({ assetId, prediction, evidence, contributions, detectorSet, cluster }: WindowFacts) => ({
  assetId,
  atUs: prediction.windowEndUs,
  vectorId: prediction.vectorId,
  predictionId: prediction.predictionId,
  model: evidence.verdict.model,
  modelVersion: evidence.verdict.version,
  modelDigest: evidence.verdict.digest,
  modelRole: evidence.verdict.role,
  detectorSet,
  contributions,
  clusterId: cluster?.clusterId ?? null,
  clusterIsNovel: cluster?.isNovel ?? false,
  faultMode: null,
  doubts: evidence.doubts,
  historical: prediction.historical,
  recordedUs: prediction.recordedStartUs,
})

export type FindingBase = ReturnType<typeof findingBase> & Partial<FindingInput>

/** Name, then the signal that stands out most, and how far. Ratios are of squared distances; people are told distances. */
export const anomalyTitle = ({ asset, contributions, cluster }: WindowFacts, ratio: number): string => {
  const top = contributions[0]
  const signal = top === undefined ? 'unusual behaviour' : signalWords(definedOf(top))
  const isPlain = top === undefined || signal === featureWords(top.name)
  const known = cluster?.isKnownFault === true ? ' (pattern seen before)' : ''
  return `${asset.name}: ${signal}${isPlain ? ` stands out, evidence ${figure(Math.sqrt(ratio))} × the line` : ''}${known}`
}

/** A contribution whose optional fields are present. */
const definedOf = ({ name, value, unit, normalLow, normalHigh }: ContributionInput) => ({
  name,
  value,
  unit: unit ?? '',
  normalLow: normalLow ?? null,
  normalHigh: normalHigh ?? null,
})

export const closedTitle = (asset: AssetWords, episode: Episode, isBelow: boolean): string =>
  `${asset.name}: ${isBelow ? 'back to normal' : 'steady at a new level'} after ${episode.windows} windows, peak ${figure(Math.sqrt(episode.peakRatio))} × the line`
