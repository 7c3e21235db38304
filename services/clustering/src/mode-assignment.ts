// Which fault mode a window shows. Coordinates are standardised by the asset's own normal, so that machines of a class share modes; the
// class's model in force, by event time, assigns the window or calls it novel; its partition's part of the class takes the window in.
// Nothing here reads a clock: the same windows and activations in the same order give the same answers.

import type { Precedent, Predictions, Verdict } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import { ClassState } from './class-summaries.ts'
import type { ClassSpace } from './class-summaries.ts'
import type { LoadedModel } from './class-models.ts'
import type { Episode } from './episode.ts'
import type { Card } from './model-cards.ts'
import { layoutOf } from './vector-layout.ts'

/** Normal of one asset, by feature. */
export type Normal = ReadonlyMap<string, { readonly mean: number; readonly std: number; readonly isUsed: boolean }>

/** Coordinates are compressed already: farther out than this, all is equally far. */
const FARTHEST = 30
const MOST_EARLIER = 64

/** What an asset remembers of the patterns that its episodes showed. */
export interface AssetModes {
  /** Modes and micro-clusters of earlier episodes, the latest last. */
  earlier: string[]
  /** Since when windows are above the line or in an episode without a break. */
  runSinceUs: number | null
  /** Of the open episode. */
  open: {
    readonly episodeId: string
    /** Weight of the windows above the line by mode or micro-cluster. */
    counts: Record<string, number>
    /** Weighted sums of their coordinates, and the weights'. */
    sums: number[]
    windows: number
    /** Modes that a finding said are back. */
    told: string[]
  } | null
}

export const noModes = (): AssetModes => ({ earlier: [], runSinceUs: null, open: null })

/** Where a window lies, before anything is decided about it. */
export interface PlacedWindow {
  readonly classId: string
  readonly space: ClassSpace
  readonly point: Float64Array
  readonly modeId: string | null
  readonly loaded: LoadedModel | undefined
}

/** What findings say about the pattern of a window. */
export interface ShownMode {
  readonly clusterId: string
  /** Stable id; null while no model knows the pattern. */
  readonly modeId: string | null
  /** No known pattern is near. */
  readonly isNovel: boolean
  /** A fault mode of the class, or a pattern of an earlier episode of the asset. */
  readonly isKnownFault: boolean
  /** To be told now: a mode that preceded failures is back in this episode. */
  readonly reappeared: Precedent | null
}

const ROLES = ['champion', 'advisory', 'canary', 'shadow']

/** Normal as one model learnt it: always the same model of an asset, so that patterns stay comparable. */
export const normalOfModels = (prediction: Predictions, cardOf: (digest: string) => Card | undefined): Normal | undefined => {
  const rank = (verdict: Verdict): number => ROLES.indexOf(verdict.role)
  const verdicts = prediction.verdicts.toSorted((a, b) => rank(a) - rank(b) || (a.model < b.model ? -1 : 1))
  for (const { digest } of verdicts) {
    const card = cardOf(digest)
    if (card !== undefined && [...card.features.values()].some(({ isUsed, std }) => isUsed && std > 0)) return card.features
  }
  return undefined
}

/**
 * Standard deviations from normal, compressed (asinh) so that a fault that doubles in size stays near itself. What is missing, masked, or
 * never moved while normal was learnt counts as normal.
 */
export const coordinates = (
  prediction: Predictions,
  values: ArrayLike<number>,
  normal: Normal,
  names: readonly string[] = prediction.names,
): Float64Array => {
  const masked = maskedNames(prediction.names, prediction.health)
  const { places } = layoutOf(prediction.names)
  const point = new Float64Array(names.length)
  for (let at = 0; at < names.length; at++) {
    const name = names[at] as string
    const axis = normal.get(name)
    const value = values[prediction.names[at] === name ? at : (places.get(name) ?? -1)]
    if (axis === undefined || !axis.isUsed || !(axis.std > 0) || masked.has(name)) continue
    if (value === undefined || !Number.isFinite(value)) continue
    point[at] = Math.max(-FARTHEST, Math.min(FARTHEST, Math.asinh((value - axis.mean) / axis.std)))
  }
  return point
}

/** Places a window by the model in force; changes nothing. `known`: what the class's coordinates on this partition mean so far. */
export const placeWindow = (
  classId: string,
  prediction: Predictions,
  values: ArrayLike<number>,
  normal: Normal | undefined,
  loaded: LoadedModel | undefined,
  known: ClassSpace | undefined,
): PlacedWindow | undefined => {
  if (normal === undefined || prediction.names.length === 0) return undefined
  const { featureSet, featureSetDigest } = prediction
  const isComparable = loaded?.model.space.featureSetDigest === featureSetDigest
  const names =
    (isComparable ? loaded?.model.space : known?.featureSetDigest === featureSetDigest ? known : undefined)?.names ?? prediction.names
  const point = coordinates(prediction, values, normal, names)
  return {
    classId,
    space: { featureSet, featureSetDigest, names },
    point,
    loaded: isComparable ? loaded : undefined,
    modeId: (isComparable ? loaded?.modeOf(point) : undefined) ?? null,
  }
}

export interface Recording {
  readonly classes: Map<string, ClassState>
  /** Names the micro-clusters, which partitions count for themselves. */
  readonly partition: number
  /** The class's state up to a full hour of event time, when one is behind. */
  readonly summarised: (state: ClassState, hourUs: number) => void
}

export interface JudgedPlace {
  readonly prediction: Predictions
  readonly isAbove: boolean
  /** The episode that the window is in; of one that it closed, its last state. */
  readonly episode: Episode | null
  readonly isClosing: boolean
}

/** Takes a placed window into its class and says what it shows; undefined for a window of a feature set that the class has left behind. */
export const recordWindow = (
  { classes, partition, summarised }: Recording,
  modes: AssetModes,
  { classId, space, point, modeId, loaded }: PlacedWindow,
  { prediction, isAbove, episode, isClosing }: JudgedPlace,
): ShownMode | undefined => {
  const { assetId, vectorId, windowEndUs } = prediction
  const state = classes.get(classId) ?? new ClassState(classId, partition)
  classes.set(classId, state)
  const hourUs = state.hourBefore(windowEndUs)
  if (hourUs !== undefined) {
    summarised(state, hourUs)
    state.hourUs = hourUs
  }
  if (!state.enter(space, windowEndUs)) return undefined
  if (loaded !== undefined) state.regroup(loaded.digest, loaded.modeOf)

  if (!isAbove && (episode === null || isClosing)) modes.runSinceUs = null
  else modes.runSinceUs ??= windowEndUs
  const isAnomalous = episode !== null && isAbove
  const { number, openedUs } = state.absorb({ assetId, vectorId, windowEndUs, point, isAnomalous, modeId: modeId ?? undefined })
  const clusterId = state.clusterId(number)
  const facts = modeId === null ? undefined : loaded?.factsOf(modeId)
  const shows = modeId ?? clusterId
  const isKnownFault = facts?.isFault === true || modes.earlier.includes(shows)
  const isNovel = loaded === undefined ? modes.runSinceUs !== null && openedUs >= modes.runSinceUs : modeId === null

  let reappeared: Precedent | null = null
  if (episode !== null) {
    const open = openOf(modes, episode, point.length)
    if (isAbove) {
      // By how far out they are: evidence of many windows stays above the line for a while after the machine is well again.
      const weight = point.reduce((sum, value) => sum + value * value, 1e-4) ** 2
      open.counts[shows] = (open.counts[shows] ?? 0) + weight
      open.sums = open.sums.map((sum, i) => sum + weight * (point[i] as number))
      open.windows += weight
    }
    const failures = facts?.failures
    if (isAbove && modeId !== null && failures?.hasPrecededFailures === true && !open.told.includes(modeId)) {
      open.told.push(modeId)
      reappeared = failures
    }
    if (isClosing) closeEpisode(state, modes, assetId, episode, windowEndUs)
  }
  return { clusterId, modeId, isNovel, isKnownFault, reappeared }
}

const openOf = (modes: AssetModes, { episodeId }: Episode, width: number): NonNullable<AssetModes['open']> => {
  const isSame = modes.open?.episodeId === episodeId && modes.open.sums.length === width
  if (!isSame) modes.open = { episodeId, counts: {}, sums: Array.from({ length: width }, () => 0), windows: 0, told: [] }
  return modes.open as NonNullable<AssetModes['open']>
}

const closeEpisode = (state: ClassState, modes: AssetModes, assetId: string, { episodeId, openedUs }: Episode, closedUs: number): void => {
  const { open } = modes
  modes.open = null
  if (open === null || open.windows === 0) return
  const place = Float64Array.from(open.sums, (sum) => sum / open.windows)
  state.keepEpisode({ episodeId, assetId, openedUs, closedUs, place })
  const [shown] = Object.entries(open.counts).reduce((a, b) => (b[1] > a[1] ? b : a))
  modes.earlier = [...modes.earlier.filter((id) => id !== shown), shown].slice(-MOST_EARLIER)
}
