// What a finding says: contributing signals with their normal ranges, and one plain sentence.

import type { ContributionInput, NearestEpisodeInput, Plant, Predictions, Verdict } from '@andon/schemas'
import { featureChannels, featureParts, featureUnit, featureWords } from '@andon/schemas/feature-names'
import { readDoubles } from '@andon/schemas/packed'
import { zoneLimitsMmS } from '@andon/schemas/iso-zones'
import type { Evidence } from './combine.ts'
import type { Episode } from './episode.ts'
import type { NamedMode } from './fault-modes.ts'
import type { Card } from './model-cards.ts'
import { figure, signalWords } from './words.ts'

const CONTRIBUTIONS_TOLD = 5

/** The plant's words for an asset. */
export interface AssetWords {
  readonly name: string
  /** Its asset class; the asset itself where the plant file names none. */
  readonly classId: string
  readonly unitOf: (channel: string) => string
  /** Sources that the plant file names for it. */
  readonly sources: readonly string[]
  /** It decides about stops. */
  readonly isControl: boolean
  /** Upper limits of zones A, B and C of the velocity, mm/s RMS; null where the plant file says none. */
  readonly zoneLimitsMmS: readonly [number, number, number] | null
}

/** The plant's words for an asset; its id when the plant does not describe it. */
export const assetWords = (plant: Plant | undefined, assetId: string): AssetWords => {
  const asset = plant?.assets.find(({ id }) => id === assetId)
  const assetClass = plant?.assetClasses.find(({ id }) => id === asset?.class)
  return {
    name: asset?.name ?? assetId,
    classId: asset?.class ?? assetId,
    unitOf: (channel) => asset?.channels.find(({ id }) => id === channel)?.unit ?? '',
    sources: asset?.sources ?? [],
    isControl: asset?.priority === 'control' || assetClass?.control === true,
    zoneLimitsMmS: asset?.zones === undefined ? null : zoneLimitsMmS(asset.zones),
  }
}

/** What a model says each number adds to its score. */
export const sharesOf = (verdict: Verdict): { readonly name: string; readonly share: number }[] => {
  const shares = readDoubles(verdict.contributions)
  return verdict.contributionNames.map((name, i) => ({ name, share: shares[i] ?? 0 }))
}

/** The largest contributions, largest first. */
export const contributionsOf = (
  shares: readonly { readonly name: string; readonly share: number }[],
  names: readonly string[],
  values: ArrayLike<number>,
  card: Card | undefined,
  asset: AssetWords,
): ContributionInput[] => {
  return shares
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
    unit: featureUnit(name, asset.unitOf(featureChannels(name)[0] ?? channel)),
    normalLow: normal?.low ?? null,
    normalHigh: normal?.high ?? null,
  }
}

/** The window in hand, whatever is found in it. */
export interface WindowWords {
  readonly assetId: string
  readonly prediction: Predictions
  readonly asset: AssetWords
  readonly detectorSet: string
  /** What the models say; undefined where none was asked or gave a score. */
  readonly evidence: Evidence | undefined
}

/** Everything about a judged window that the findings of its episode share. */
export interface WindowFacts extends WindowWords {
  /** How often the window was promoted before or by this judgement. */
  readonly promotion: number
  readonly evidence: Evidence
  readonly contributions: readonly ContributionInput[]
  readonly cluster: NamedMode | undefined
  /** Past episodes that looked alike. */
  readonly nearest: readonly NearestEpisodeInput[]
}

/** A finding about the window, without what the transition says. */
export const findingBase = ({ assetId, prediction, evidence, detectorSet }: WindowWords) => ({
  assetId,
  atUs: prediction.windowEndUs,
  vectorId: prediction.vectorId,
  predictionId: prediction.predictionId,
  model: evidence?.verdict?.model ?? '',
  modelVersion: evidence?.verdict?.version ?? 0,
  modelDigest: evidence?.verdict?.digest ?? '',
  modelRole: evidence?.verdict?.role ?? '',
  detectorSet,
  clusterId: null,
  clusterIsNovel: false,
  faultMode: null,
  doubts: evidence?.doubts ?? [],
  historical: prediction.historical,
  recordedUs: prediction.recordedStartUs,
  regime: prediction.regime,
  pValue: evidence?.detector?.pValue ?? null,
  sources: [...(evidence?.sources ?? [])],
})

/** Name, then the signal that stands out most, and how far. Ratios are of squared distances; people are told distances. */
export const anomalyTitle = ({ asset, contributions, cluster }: WindowFacts, ratio: number): string => {
  const top = contributions[0]
  const signal = top === undefined ? 'unusual behaviour' : signalWords(definedOf(top))
  const isPlain = top === undefined || signal === featureWords(top.name)
  const known = cluster?.name != null ? ` (${cluster.name})` : cluster?.isKnownFault === true ? ' (pattern seen before)' : ''
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
