// Beside the episodes of an asset: drift of its normal, when a limit is reached, and which past episodes looked alike. One memory per
// asset, in its snapshot. What it tells follows from the windows alone.

import type { NearestEpisodeInput, AnomaliesInput } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import type { Output } from '@andon/kit'
import { DriftWatch } from './drift-watch.ts'
import type { FittedDrift, SavedDrift, StandingDrift } from './drift-watch.ts'
import { driftEpisodeId, driftFinding, lifeFinding, prognosisFinding } from './beside-findings.ts'
import type { WindowWords } from './finding.ts'
import type { FittedAsset } from './fitted-asset.ts'
import { nearestOf, noPatterns, withClosed, withWindow } from './nearest.ts'
import type { PatternState, PatternWindow } from './nearest.ts'
import { noTrend, trendAfter } from './prognosis.ts'
import type { TrendState } from './prognosis.ts'
import { lifeAfter } from './remaining-life.ts'
import type { LifeState } from './remaining-life.ts'
import { layoutOf } from './vector-layout.ts'

export interface SavedBeside {
  readonly drifts: Readonly<Record<string, SavedDrift>>
  readonly trends: Readonly<Record<string, TrendState>>
  readonly patterns: PatternState
  /** By model; absent in snapshots of earlier releases. */
  readonly lives?: Readonly<Record<string, LifeState>>
}

export interface BesideWindow {
  readonly words: WindowWords
  readonly values: Float64Array
  /** Artefact of the detector that judged the window; undefined while it learns. */
  readonly detector: { readonly digest: string; readonly fitted: FittedAsset } | undefined
  readonly isEpisodeOpen: boolean
  readonly isNewRegime: boolean
  readonly faultyChannels: ReadonlySet<string>
  /** What a person said of a finding. */
  readonly verdictOf: (episodeId: string) => string | null
}

/** Says that what an episode or a drift shows is normal from now on. */
const NORMAL_NOW = 'normal-now'

export class Beside {
  private readonly drifts: Map<string, DriftWatch>
  private trends: Record<string, TrendState>
  patterns: PatternState
  private lives: Record<string, LifeState>
  /** What was told of the machine before its service; over with the next window. */
  private ended: ((words: WindowWords) => Output<AnomaliesInput>)[] = []

  constructor(saved?: SavedBeside) {
    this.drifts = new Map(Object.entries(saved?.drifts ?? {}).map(([name, drift]) => [name, DriftWatch.restored(drift)]))
    this.trends = { ...saved?.trends }
    this.patterns = saved?.patterns ?? noPatterns
    this.lives = { ...saved?.lives }
  }

  /** Its drift stands: what is judged by the old normal is in doubt. */
  get standing(): StandingDrift | undefined {
    for (const { standing } of this.drifts.values()) if (standing !== null) return standing
    return undefined
  }

  /** One window, after the judgement of its episode. */
  watch(window: BesideWindow): Output<AnomaliesInput>[] {
    const over = this.ended.splice(0).map((finding) => finding(window.words))
    return [...over, ...this.watchDrift(window), ...this.watchLimits(window), ...this.watchLives(window)]
  }

  /** A window of the open episode. */
  see(window: PatternWindow): void {
    this.patterns = withWindow(this.patterns, window)
  }

  close(episodeId: string, closedUs: number): void {
    this.patterns = withClosed(this.patterns, episodeId, closedUs)
  }

  toJSON(): SavedBeside {
    return {
      drifts: Object.fromEntries([...this.drifts].map(([name, drift]) => [name, drift.toJSON()])),
      trends: this.trends,
      patterns: this.patterns,
      lives: this.lives,
    }
  }

  private *watchDrift(window: BesideWindow): Generator<Output<AnomaliesInput>> {
    const { words, values, detector, verdictOf } = window
    const { prediction } = words
    const { featureSet } = prediction
    const known = this.drifts.get(featureSet)
    // A service or another detector: nothing is compared with the old reference any more.
    const isOther =
      known !== undefined && (detector === undefined ? isServiced(known, prediction.baselineEpochUs) : known.digest !== detector.digest)
    if (isOther) {
      const told = known.end()
      if (told !== undefined) yield driftFinding(words, told, known.digest, [])
      this.drifts.delete(featureSet)
    }
    if (detector === undefined) return
    const reference = detector.fitted.drift as FittedDrift | null
    if (reference === null || Object.keys(reference.references).length === 0) return
    const drift = this.drifts.get(featureSet) ?? new DriftWatch(detector.digest)
    this.drifts.set(featureSet, drift)
    const { names } = detector.fitted
    const { places } = layoutOf(prediction.names)
    const isNormalNow = drift.standing !== null && verdictOf(driftEpisodeOf(words, drift.standing)) === NORMAL_NOW
    const told = drift.take(
      reference,
      detector.fitted.windows,
      {
        type: prediction.type === 'unscored' ? 'learning' : prediction.type, // the asset's own detector judges where no model could
        names,
        quality: prediction.quality,
        regime: prediction.regime,
        machineOff: prediction.machineOff,
        health: prediction.health,
        historical: prediction.historical,
        atUs: prediction.windowEndUs,
        isEpisodeOpen: window.isEpisodeOpen,
        vectorId: prediction.vectorId,
        values: names.map((name) => values[places.get(name) ?? -1] ?? Number.NaN),
        faultyChannels: window.faultyChannels,
        isNewRegime: window.isNewRegime,
      },
      isNormalNow,
    )
    if (told !== undefined) yield driftFinding(words, told, drift.digest, names)
  }

  private *watchLimits({ words, values }: BesideWindow): Generator<Output<AnomaliesInput>> {
    const { prediction, asset } = words
    const limits = asset.zoneLimitsMmS
    // Old data says nothing about what is ahead; a machine that is off does not degrade.
    if (limits === null || prediction.historical || prediction.machineOff || prediction.type === 'young') return
    const { zones } = layoutOf(prediction.names)
    if (zones.length === 0) return
    const masked = maskedNames(prediction.names, prediction.health)
    for (const { name: zone, velocity: name, velocityAt } of zones) {
      if (name === undefined || masked.has(zone)) continue
      const value = values[velocityAt] as number
      if (!Number.isFinite(value)) continue
      const before = this.trends[name] ?? noTrend
      const limit = limitAhead([...before.values.slice(-4), value], limits)
      const { state, transition } = trendAfter(before, { atUs: prediction.windowEndUs, value, limit, vectorId: prediction.vectorId })
      this.trends[name] = state
      if (transition !== undefined) yield prognosisFinding(words, name, transition, value, limits)
    }
  }

  private *watchLives({ words }: BesideWindow): Generator<Output<AnomaliesInput>> {
    const { windowEndUs: atUs, vectorId, type, historical, remaining } = words.prediction
    // Models are not asked about a machine that is off or young, and old data says nothing about what is ahead.
    if (historical || type === 'machine-off' || type === 'young') return
    if (remaining.length === 0 && Object.keys(this.lives).length === 0) return
    const answers = new Map(remaining.filter(({ role }) => role !== 'shadow').map((answer) => [answer.model, answer]))
    for (const model of [...new Set([...Object.keys(this.lives), ...answers.keys()])].toSorted()) {
      const { state, transition } = lifeAfter(this.lives[model], { atUs, vectorId, remaining: answers.get(model) })
      if (state === undefined) delete this.lives[model]
      else this.lives[model] = state
      if (transition !== undefined) yield lifeFinding(words, model, transition)
    }
  }

  /** A service: the machine is another one. */
  forgetTrends(): void {
    for (const [name, { told, values }] of Object.entries(this.trends))
      if (told !== null) {
        const over = { kind: 'closed', told, remaining: undefined } as const
        this.ended.push((words) => prognosisFinding(words, name, over, values.at(-1) ?? told.limit, words.asset.zoneLimitsMmS))
      }
    for (const [model, { told }] of Object.entries(this.lives))
      if (told !== null) this.ended.push((words) => lifeFinding(words, model, { kind: 'closed', told, remaining: undefined }))
    this.trends = {}
    this.lives = {}
  }
}

const isServiced = ({ standing }: DriftWatch, epochUs: number | null): boolean =>
  epochUs !== null && standing !== null && standing.openedUs < epochUs

/** Zone C begins at the second limit, zone D at the third. One window above a limit has not reached it. */
const limitAhead = (newest: readonly number[], [, c, d]: readonly [number, number, number]): number | undefined => {
  const level = newest.toSorted((a, b) => a - b)[Math.floor(newest.length / 2)] as number
  return level < c ? c : level < d ? d : undefined
}

const driftEpisodeOf = ({ assetId, detectorSet }: WindowWords, { openingVectorId }: StandingDrift): string =>
  driftEpisodeId(assetId, detectorSet, openingVectorId)

/** Past episodes like the open one, of the assets that this partition has. */
export const nearestTo = (
  beside: Beside,
  others: Iterable<readonly [string, Beside]>,
  verdictOf: (episodeId: string) => string | null,
): NearestEpisodeInput[] => {
  const past = [...others].map(([assetId, each]) => [assetId, each.patterns] as const)
  return nearestOf(beside.patterns, past).map(({ assetId, signature, distance }) => ({
    episodeId: signature.episodeId,
    assetId,
    faultModeId: signature.faultModeId,
    distance,
    openedUs: signature.openedUs,
    closedUs: signature.closedUs,
    verdict: verdictOf(signature.episodeId),
  }))
}
