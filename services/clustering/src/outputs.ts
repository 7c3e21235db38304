// What clustering publishes on anomalies, with ids that follow from what was judged: equal on every replay.

import { episodeId, findingId, uuid8 } from '@andon/kit'
import type { Output } from '@andon/kit'
import type { AnomaliesInput, FindingInput, ModelsInput, Precedent } from '@andon/schemas'
import type { KeptWindow } from './asset-state.ts'
import { detectorName } from './combine.ts'
import type { Episode, Transition } from './episode.ts'
import { featureWords } from '@andon/schemas/feature-names'
import type { FittedAsset } from './fitted-asset.ts'
import { anomalyTitle, closedTitle, findingBase } from './finding.ts'
import type { WindowFacts, WindowWords } from './finding.ts'
import type { NamedMode } from './fault-modes.ts'

/** Seen by whoever plans, paged to nobody. */
const REGIME_SEVERITY = 4

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
  nearest: transition === 'closed' ? [] : facts.nearest,
  clusterId: facts.cluster?.clusterId ?? null,
  clusterIsNovel: facts.cluster?.isNovel ?? false,
  faultModeId: facts.cluster?.modeId ?? null,
  faultMode: facts.cluster?.name ?? null,
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

/**
 * A mode that preceded failures is back: graver than the episode it shows in, with what followed before. Told once per episode and mode.
 */
export const reappearance = (facts: WindowFacts, episode: Episode, { modeId, name, reappeared }: NamedMode): Output<AnomaliesInput> => {
  const { asset, assetId, detectorSet } = facts
  const mode = name ?? `fault mode ${modeId}`
  const days = (us: number): string => `${Math.max(1, Math.round(us / 86_400_000_000))} days`
  const lead = reappeared?.leadTimeUs == null ? '' : `, ${days(reappeared.leadTimeUs)} after it began`
  const followed = `a failure followed ${reappeared?.failures ?? 0} of ${reappeared?.episodes ?? 0} earlier episodes${lead}`
  return findingRecord(facts, 'FaultModeReappeared', {
    ...episodeFields(facts, episode, 'updated'),
    findingId: findingId(assetId, detectorSet, episode.openingVectorId, `reappeared:${modeId}`),
    severity: Math.max(1, episode.severity - 1),
    ratio: facts.evidence.ratio,
    title: `${asset.name}: ${mode} is back; ${followed}`,
    precedent: reappeared && precedentOf(reappeared),
  })
}

const precedentOf = ({ episodes, failures, horizonUs, probabilityLow, probability, probabilityHigh, ...rest }: Precedent) => {
  const { liftLow, leadTimeLowUs, leadTimeUs, failureIds } = rest
  const chances = { probabilityLow, probability, probabilityHigh, liftLow }
  return { episodes, failures, horizonUs, ...chances, leadTimeLowUs, leadTimeUs, failureIds: [...failureIds] }
}

/** What the asset does was never learnt, small and steady: told once per artefact, as a proposal. */
export const regimeFinding = (facts: WindowFacts, digest: string): Output<AnomaliesInput> => {
  const signals = facts.contributions.slice(0, 3).map(({ name }) => featureWords(name))
  const led = signals.length > 0 ? `, led by ${signals.join(', ')}` : ''
  const detail = `${facts.asset.name}: steady in a state that was not learnt${led}; if it is normal, record a service so that its normal is learnt anew`
  const id = uuid8('regime', facts.assetId, facts.detectorSet, digest)
  const { vectorId, windowEndUs } = facts.prediction
  const finding: FindingInput = {
    ...findingBase(facts),
    findingId: id,
    episodeId: episodeId(facts.assetId, `${facts.detectorSet}/regime`, vectorId),
    transition: 'opened',
    severity: REGIME_SEVERITY,
    ratio: facts.evidence.ratio,
    peakRatio: facts.evidence.ratio,
    openedUs: windowEndUs,
    openingVectorId: vectorId,
    contributions: facts.contributions,
    title: detail,
  }
  return record(facts, 'RegimeNew', id, { type: 'RegimeNew', assetId: facts.assetId, finding, detail })
}

/** Asks for the registration of a detector that has just learnt. Nothing waits for the answer. */
export const registrationRequest = (digest: string, fitted: FittedAsset): Output<ModelsInput> => {
  const model = detectorName(fitted.assetId)
  const requestId = uuid8('registration', model, digest)
  const { names, normal, detector } = fitted
  const card = {
    detector: detector.kind,
    training: {
      fromUs: fitted.learntFromUs,
      toUs: fitted.learntUntilUs,
      windows: fitted.windows,
      isShort: detector.fitted.isShortLearning,
    },
    offered: fitted.offered,
    features: names.flatMap((name, at) => {
      const [mean, std, q01, q99] = [normal.mean, normal.std, normal.low, normal.high].map((of) => of[at] as number)
      return Number.isFinite(mean) ? [{ name, mean, std, q01, q99, use: std === 0 ? 'constant' : 'used' }] : []
    }),
  }
  return {
    topic: 'models',
    key: model,
    value: {
      type: 'RegistrationRequested',
      model,
      version: 0,
      kind: 'detector',
      assetId: fitted.assetId,
      featureSet: fitted.featureSet,
      featureSetDigest: fitted.featureSetDigest,
      digest,
      uri: `sha256:${digest}`,
      role: 'advisory',
      features: [...names],
      card: JSON.stringify(card),
      effectiveFromUs: fitted.learntUntilUs,
      by: 'clustering',
      atUs: fitted.learntUntilUs,
      assetClass: '',
      requestId,
      reason: `learnt from ${fitted.windows} windows`,
    },
    id: requestId,
    type: 'RegistrationRequested',
    subject: fitted.assetId,
    timeUs: fitted.learntUntilUs,
  }
}
