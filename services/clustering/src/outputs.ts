// What clustering publishes on anomalies, with ids that follow from what was judged: equal on every replay.

import { findingId, uuid8 } from '@andon/kit'
import type { Output } from '@andon/kit'
import type { AnomaliesInput, FindingInput } from '@andon/schemas'
import type { KeptWindow } from './asset-state.ts'
import type { Episode, Transition } from './episode.ts'
import { featureWords } from '@andon/schemas/feature-names'
import { anomalyTitle, closedTitle, findingBase } from './finding.ts'
import type { WindowFacts, WindowWords } from './finding.ts'
import type { MicroCluster } from './micro-clusters.ts'

const TYPES = { opened: 'EpisodeOpened', updated: 'EpisodeUpdated', closed: 'EpisodeClosed' } as const
/** Severity of an episode that a correction withdraws. */
const WITHDRAWN_SEVERITY = 4

const record = (facts: WindowWords, type: string, id: string, value: AnomaliesInput): Output<AnomaliesInput> => ({
  topic: 'anomalies',
  key: facts.assetId,
  value,
  id,
  type,
  subject: facts.assetId,
  timeUs: facts.prediction.windowEndUs,
})

export const findingRecord = (facts: WindowWords, type: string, finding: FindingInput): Output<AnomaliesInput> =>
  record(facts, type, finding.findingId, { type, assetId: facts.assetId, finding })

/** An episode opens once; its other transitions are told apart by the vector that caused them, and all by promotions. */
const transitionId = ({ assetId, detectorSet, prediction, promotion }: WindowFacts, opening: string, transition: string): string => {
  const told = transition === 'opened' ? transition : `${transition}:${prediction.vectorId}`
  return findingId(assetId, detectorSet, opening, promotion === 0 ? told : `${told}:${promotion}`)
}

const episodeFields = (facts: WindowFacts, episode: Episode, transition: string) => ({
  ...findingBase(facts),
  contributions: facts.contributions,
  clusterId: facts.cluster?.clusterId ?? null,
  clusterIsNovel: facts.cluster?.isNovel ?? false,
  findingId: transitionId(facts, episode.openingVectorId, transition),
  episodeId: episode.episodeId,
  transition,
  peakRatio: episode.peakRatio,
  openedUs: episode.openedUs,
  openingVectorId: episode.openingVectorId,
})

export const transitionFinding = (facts: WindowFacts, { kind, episode, ratio }: Transition, closeBelow: number): Output<AnomaliesInput> =>
  findingRecord(facts, TYPES[kind], {
    ...episodeFields(facts, episode, kind),
    severity: episode.severity,
    ratio,
    title: kind === 'closed' ? closedTitle(facts.asset, episode, ratio < closeBelow) : anomalyTitle(facts, ratio),
  })

/** What was told because of the window, and what its revision says instead. */
export const correction = (
  facts: WindowFacts,
  told: NonNullable<KeptWindow['told']>,
  now: { readonly ratio: number; readonly severity: number | null; readonly isOpen: boolean },
): Output<AnomaliesInput> => {
  const state = now.isOpen ? `severity ${now.severity ?? told.severity}` : told.kind === 'opened' ? 'withdrawn' : 'closed'
  return findingRecord(facts, 'FindingCorrected', {
    ...episodeFields(facts, told.episode, 'corrected'),
    severity: now.severity ?? WITHDRAWN_SEVERITY,
    ratio: now.ratio,
    title: `${facts.asset.name}: corrected by later data, episode ${state} (was ${told.kind} with severity ${told.severity})`,
  })
}

/** A pattern that only episodes show; told once. */
export const discovery = (facts: WindowFacts, cluster: MicroCluster): Output<AnomaliesInput> => {
  const signals = facts.contributions.slice(0, 3).map(({ name }) => featureWords(name))
  const detail = `${facts.asset.name}: new fault mode ${cluster.clusterId}${signals.length > 0 ? `, led by ${signals.join(', ')}` : ''}`
  const id = uuid8('fault-mode', cluster.clusterId)
  return record(facts, 'FaultModeDiscovered', id, { type: 'FaultModeDiscovered', assetId: facts.assetId, detail })
}
