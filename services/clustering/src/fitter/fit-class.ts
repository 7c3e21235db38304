// One fit of an asset class: summaries of all partitions and the model in force → the next model, or the reasons why it may not take its
// place. Pure: the same summaries, model and words of people give the same bytes.

import { uuid8 } from '@andon/kit/ids'
import type { ClassModel, ModeFacts, PastTransition } from '../class-model.ts'
import { type ClassSummary, type MergedClass, assetOfRow, isAnomalousGroup, mergeSummaries, vectorOfRow } from '../class-summaries.ts'
import { classAgreement } from '../density/agreement.ts'
import { bootstrapStability } from '../density/bootstrap-stability.ts'
import { hdbscan } from '../density/hdbscan.ts'
import { silhouette } from '../density/silhouette.ts'
import { densityValidity } from '../density/validity.ts'
import { type Matrix, rowOf } from '../matrix.ts'
import { type AssetEvent, correlateFailures, failureDefaults } from '../modes/failures.ts'
import { emptyRegistry } from '../modes/identity.ts'
import type { Transition } from '../modes/identity.ts'
import { openAssigner } from '../modes/members.ts'
import type { MicroClusters } from '../modes/micro-clusters.ts'
import { type ModesInForce, type Refit, refit } from '../modes/refit.ts'
import { type RefitMeasures, type RefusalReason, judgeRefit } from '../modes/refit-gate.ts'

/** What people said about the class, as of the fit. */
export interface Taught {
  readonly failures: readonly AssetEvent[]
  readonly interventions: readonly AssetEvent[]
  /** Verdicts by episode. */
  readonly verdicts: Readonly<Record<string, string>>
}

export interface FitRequest {
  readonly summaries: readonly ClassSummary[]
  /** Full hour that the fit stands for. */
  readonly hourUs: number
  readonly inForce: { readonly digest: string; readonly model: ClassModel } | null
  readonly taught: Taught
}

export type FitResult =
  | { readonly decision: 'activate'; readonly model: ClassModel }
  | { readonly decision: 'refuse'; readonly reasons: readonly RefusalReason[]; readonly measures: RefitMeasures }

/** Fits to subsamples per judgement: each costs as much as the fit. */
const STABILITY_FITS = 10
/** Rows outside episodes that make one way of running before clusters are clear. */
const LEAST_HEALTHY = 60
const MOST_HISTORY = 400
const MOST_ASSETS_TOLD = 10
const MOST_EXEMPLARS = 5
const FAULT_SHARE = 0.5

export const fitClass = ({ summaries, hourUs, inForce, taught }: FitRequest): FitResult => {
  const merged = mergeSummaries(summaries)
  const { classId, space } = merged
  const fitId = uuid8('fit', classId, inForce?.digest ?? '', hourUs)
  const isComparable = inForce?.model.space.featureSetDigest === space.featureSetDigest
  const start = startOf(classId, fitId, inForce?.model, isComparable)
  const rows = [...new Map(merged.sample.all().map((row) => [row.rowId, row])).values()]
  const isAnomalous = rows.map(({ group }) => isAnomalousGroup(group))

  let clusters: ReturnType<typeof hdbscan> | undefined
  const density = (points: Matrix): Int32Array => hdbscan(points).labels
  const clustered = fitted(start, merged, fitId, (points) => (clusters = hdbscan(points)).labels)
  let { result } = clustered
  let measures: RefitMeasures = {
    ...clustered.measures,
    bootstrapAri: bootstrapStability(clustered.points, clustered.labels, density, { refits: STABILITY_FITS, seed: 1 }).median,
  }
  const previous = isComparable ? { dbcv: inForce?.model.measures.dbcv ?? Number.NaN } : undefined
  let judgement = judgeRefit(result.modeIds.length === 0 ? { ...measures, bootstrapAri: Number.NaN } : measures, previous)
  let labels = clustered.labels
  if (judgement.decision === 'refuse' && previous === undefined && isAnomalous.filter((is) => !is).length >= LEAST_HEALTHY) {
    // Nothing is clear yet: what is outside episodes is one way of running, until there is something to tell apart.
    clusters = undefined
    const single = fitted(start, merged, fitId, ({ rows: count }) =>
      Int32Array.from({ length: count }, (_, i) => (isAnomalous[i] === true ? -1 : 0)),
    )
    // Without a choice of clusters every subsample agrees.
    const ofSingle: RefitMeasures = { ...single.measures, bootstrapAri: 1 }
    const again = judgeRefit(ofSingle, undefined)
    if (again.decision === 'activate') {
      result = single.result
      labels = single.labels
      measures = ofSingle
      judgement = again
    }
  }
  if (judgement.decision === 'refuse') return { decision: 'refuse', reasons: judgement.reasons, measures }

  const before = new Map((isComparable ? (inForce?.model.modes ?? []) : []).map((mode) => [mode.modeId, mode]))
  const assign = openAssigner(result.model)
  const modeOf = (point: Float64Array): string | undefined => assign(point).modeId
  const all = massOf(merged.micro, modeOf)
  const inEpisodes = massOf(merged.anomalous, modeOf)
  const shown = rows.map(({ values }) => modeOf(values))
  const failures = failuresOf(merged, modeOf, hourUs, taught)
  const exemplars = exemplarsOf(
    result,
    labels,
    rows.map(({ rowId }) => rowId),
    clusters?.exemplars,
  )
  const total = [...all.values()].reduce((sum, mass) => sum + mass, 0)
  const modes = result.registry.modes.map(({ modeId, parentId }): ModeFacts => {
    const mass = all.get(modeId) ?? 0
    const anomalousShare = mass > 0 ? Math.min(1, (inEpisodes.get(modeId) ?? 0) / mass) : (before.get(modeId)?.anomalousShare ?? 0)
    const wasFault = before.get(modeId)?.isFault === true || (parentId !== null && before.get(parentId)?.isFault === true)
    return {
      modeId,
      share: total > 0 ? mass / total : 0,
      anomalousShare,
      isFault: wasFault || anomalousShare >= FAULT_SHARE,
      assets: assetsOf(rows.flatMap(({ rowId }, i) => (shown[i] === modeId ? [assetOfRow(rowId)] : []))),
      exemplars: exemplars.get(modeId) ?? before.get(modeId)?.exemplars ?? [],
      failures: failures.get(modeId) ?? null,
    }
  })
  const transitions: Transition[] = [...start.ended, ...result.transitions]
  const past = transitions.filter(({ type }) => type !== 'survived').map((transition): PastTransition => ({ ...transition, fitId, hourUs }))
  const model: ClassModel = {
    version: 1,
    classId,
    space,
    fitId,
    hourUs,
    basedOn: inForce?.digest ?? null,
    windows: merged.windows,
    registry: result.registry,
    model: result.model,
    measures,
    agreement: agreementOf(merged, modeOf, taught),
    modes,
    transitions,
    // A part of a fault mode is told as a split.
    discovered: modes
      .filter(({ modeId, isFault }) => isFault && before.get(modeId)?.isFault !== true && !isPart(transitions, modeId))
      .map(({ modeId }) => modeId),
    history: [...(inForce?.model.history ?? []), ...past].slice(-MOST_HISTORY),
  }
  return { decision: 'activate', model }
}

const isPart = (transitions: readonly Transition[], modeId: string): boolean =>
  transitions.some((transition) => transition.type === 'split' && transition.children.some((child) => child.modeId === modeId))

/** The registry goes on. Modes of another feature set are over: nothing can be compared with them, and their ids are never used again. */
const startOf = (
  classId: string,
  fitId: string,
  model: ClassModel | undefined,
  isComparable: boolean,
): ModesInForce & { readonly ended: readonly Transition[] } => {
  if (model === undefined) return { registry: emptyRegistry(classId), model: undefined, ended: [] }
  if (isComparable) return { registry: model.registry, model: model.model, ended: [] }
  const { modes, retired } = model.registry
  const over = modes.map(({ modeId, parentId }) => ({ modeId, parentId, intoId: null, retiredFitId: fitId }))
  return {
    registry: { ...model.registry, modes: [], retired: [...retired, ...over] },
    model: undefined,
    ended: modes.map(({ modeId }) => ({ type: 'disappeared', modeId })),
  }
}

const fitted = (
  start: ModesInForce,
  { sample }: MergedClass,
  fitId: string,
  cluster: (points: Matrix) => Int32Array,
): {
  readonly result: Refit
  readonly points: Matrix
  readonly labels: Int32Array
  readonly measures: Omit<RefitMeasures, 'bootstrapAri'>
} => {
  let points: Matrix | undefined
  let labels: Int32Array | undefined
  const result = refit(start, sample, (given) => (labels = cluster((points = given))), fitId)
  if (points === undefined || labels === undefined) throw new RangeError('a refit did not cluster')
  const measures = {
    dbcv: densityValidity(points, labels),
    silhouette: silhouette(points, labels),
    noiseShare: result.noiseShare,
    largestShare: result.largestShare,
    survival: result.survival,
  }
  return { result, points, labels, measures }
}

/** Windows by mode, older ones faded: what the sample's quotas hide. */
const massOf = (micro: MicroClusters, modeOf: (point: Float64Array) => string | undefined): Map<string | undefined, number> => {
  const { centres, weights } = micro.centres()
  const mass = new Map<string | undefined, number>()
  weights.forEach((weight, i) => {
    const mode = modeOf(rowOf(centres, i))
    mass.set(mode, (mass.get(mode) ?? 0) + weight)
  })
  return mass
}

const assetsOf = (assets: readonly string[]): ModeFacts['assets'] => {
  const counts = new Map<string, number>()
  for (const assetId of assets) counts.set(assetId, (counts.get(assetId) ?? 0) + 1)
  return [...counts]
    .map(([assetId, rows]) => ({ assetId, rows }))
    .toSorted((a, b) => b.rows - a.rows || (a.assetId < b.assetId ? -1 : 1))
    .slice(0, MOST_ASSETS_TOLD)
}

const exemplarsOf = (
  { modeIds }: Refit,
  labels: Int32Array,
  rowIds: readonly string[],
  densest: readonly Int32Array[] | undefined,
): Map<string, readonly string[]> =>
  new Map(
    modeIds.map((modeId, label) => {
      const rows = densest?.[label] ?? [...labels.keys()].filter((row) => labels[row] === label)
      return [modeId, Array.from(rows.slice(0, MOST_EXEMPLARS), (row) => vectorOfRow(rowIds[row] as string))]
    }),
  )

const failuresOf = (
  { episodes, assets }: MergedClass,
  modeOf: (point: Float64Array) => string | undefined,
  asOfUs: number,
  { failures, interventions }: Taught,
): Map<string, NonNullable<ModeFacts['failures']>> => {
  const placed = episodes.flatMap(({ episodeId, assetId, openedUs, place }) => {
    const modeId = modeOf(place)
    return modeId === undefined ? [] : [{ episodeId, modeId, assetId, startUs: openedUs }]
  })
  const watched = [...assets].flatMap(([assetId, { spans }]) => spans.map(([fromUs, toUs]) => ({ assetId, fromUs, toUs })))
  const found = correlateFailures({ asOfUs, watched, episodes: placed, failures, interventions })
  return new Map(
    found.map((mode) => [
      mode.modeId,
      {
        episodes: mode.trials,
        failures: mode.failures,
        horizonUs: failureDefaults.horizonUs,
        probabilityLow: mode.rateLow,
        probability: mode.rate,
        probabilityHigh: mode.rateHigh,
        liftLow: Number.isFinite(mode.liftLow) ? mode.liftLow : 0,
        leadTimeLowUs: mode.lead === null ? null : Math.round(mode.lead.lowUs),
        leadTimeUs: mode.lead === null ? null : Math.round(mode.lead.medianUs),
        failureIds: [
          ...new Set(mode.evidence.flatMap(({ outcome, eventId }) => (outcome === 'failure' && eventId !== null ? [eventId] : []))),
        ],
        hasPrecededFailures: mode.hasPrecededFailures,
      },
    ]),
  )
}

/** Verdicts say what an episode was; how well modes go with them is for people to see. */
const agreementOf = (
  { episodes }: MergedClass,
  modeOf: (point: Float64Array) => string | undefined,
  { verdicts }: Taught,
): ClassModel['agreement'] => {
  const judged = episodes.filter(({ episodeId }) => verdicts[episodeId] !== undefined)
  if (judged.length === 0) return null
  const numberOf = (names: readonly string[]): number[] => names.map((name) => names.indexOf(name))
  const { purity, vMeasure } = classAgreement(
    numberOf(judged.map(({ episodeId }) => verdicts[episodeId] as string)),
    numberOf(judged.map(({ place }) => modeOf(place) ?? 'novel')),
  )
  return { episodes: judged.length, purity, vMeasure }
}
