// Patterns over time: which micro-cluster a window belongs to, whether the present episode brought it up, and when a
// pattern that only shows in episodes is announced as a fault mode.

import { uuid8 } from '@andon/kit'
import type { Predictions, Verdict } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import type { DetectorSet } from './detector-set.ts'
import type { Machine } from './episode.ts'
import { assign, coordinates } from './micro-clusters.ts'
import type { ClusterSpace, MicroCluster, Standard } from './micro-clusters.ts'
import type { Card } from './model-cards.ts'

/** A window's pattern, as findings name it. */
export interface Pattern {
  readonly cluster: MicroCluster
  /** First seen in the present run above the line. */
  readonly isNovel: boolean
  /** Seen in an earlier episode. */
  readonly isKnownFault: boolean
  /** To be announced now. */
  readonly isDiscovered: boolean
}

const ROLES = ['champion', 'advisory', 'canary', 'shadow']

/** Normal as one model learnt it: always the same model of an asset, so that patterns stay comparable. */
export const standardOf = (prediction: Predictions, cardOf: (digest: string) => Card | undefined): Standard | undefined => {
  const rank = (verdict: Verdict) => ROLES.indexOf(verdict.role)
  const verdicts = prediction.verdicts.toSorted((a, b) => rank(a) - rank(b) || (a.model < b.model ? -1 : 1))
  for (const { digest } of verdicts) {
    const card = cardOf(digest)
    if (card === undefined) continue
    const axes = prediction.names.flatMap((name, at) => {
      const normal = card.features.get(name)
      return normal !== undefined && normal.isUsed && normal.std > 0 ? [{ at, mean: normal.mean, std: normal.std }] : []
    })
    if (axes.length > 0) return { space: `${card.digest}/${prediction.featureSetDigest}`, axes }
  }
  return undefined
}

/** Assigns the window that `machine` has just judged; undefined when no model card says what normal is. */
export const assignWindow = (
  space: ClusterSpace,
  machine: Machine,
  prediction: Predictions,
  values: ArrayLike<number>,
  ratio: number,
  standard: Standard | undefined,
  set: DetectorSet,
  detectorSet: string,
): Pattern | undefined => {
  if (standard === undefined) return undefined
  const window = { number: machine.windows, vectorId: prediction.vectorId, atUs: prediction.windowEndUs }
  const masked = maskedNames(prediction.names, prediction.health)
  const believed = Array.from(values, (value, at) => (masked.has(prediction.names[at] ?? '') ? Number.NaN : value))
  const { cluster } = assign(space, standard, coordinates(believed, standard), window, set.clusters, (opening) =>
    uuid8('cluster', prediction.assetId, detectorSet, opening),
  )
  const { episode } = machine
  const isNovel = (episode !== null || machine.above > 0) && cluster.openedAt >= machine.runStart
  const isKnownFault = cluster.isAnnounced && cluster.lastEpisodeId !== (episode?.episodeId ?? null)
  let isDiscovered = false
  if (episode !== null && ratio > 1) {
    cluster.anomalousWindows++
    const isMostlyAnomalous = 2 * cluster.anomalousWindows > cluster.weight
    isDiscovered = !cluster.isAnnounced && isMostlyAnomalous && cluster.anomalousWindows >= set.clusters.announceAfter
    if (isDiscovered) cluster.isAnnounced = true
    if (!isKnownFault) cluster.lastEpisodeId = episode.episodeId
  }
  return { cluster, isNovel, isKnownFault, isDiscovered }
}
