// Drift of one asset, live: the reference is learnt from the windows its detector learnt from and lies in the same artefact; a drift
// is told when it begins, when it stays long enough to propose retraining, and when it is over. Bounded; deterministic at any cut.

import { featureChannels } from '@andon/schemas/feature-names'
import { packed, unpacked } from './detectors/packed.ts'
import { autocorrelationTime } from './drift/autocorrelation.ts'
import { fitDrift } from './drift/calibration.ts'
import type { DriftReference } from './drift/calibration.ts'
import { DriftMonitor } from './drift/monitor.ts'
import type { DriftContext, DriftEvent, DriftState } from './drift/monitor.ts'
import { defaultRetrainingRules, noRetraining, retrainingAfter } from './drift/retraining.ts'
import type { RetrainingState } from './drift/retraining.ts'
import type { LearntPrefix } from './judged.ts'
import type { Matrix } from './matrix.ts'

export interface DriftRules {
  /** Windows between two false alarms that are expected at least. */
  readonly expectedRunWindows: number
}

/** Half a year of windows of five minutes. */
export const defaultDriftRules: DriftRules = { expectedRunWindows: 100_000 }

/** What an artefact keeps: numbers packed. */
export interface FittedDrift {
  readonly version: 1
  /** By regime, '' = none. */
  readonly references: Readonly<Record<string, PackedReference>>
  /** Regimes without a reference, and why. */
  readonly refused: Readonly<Record<string, string>>
}

type PackedReference = Omit<DriftReference, 'features' | 'joint' | 'relations'> & {
  readonly features: readonly (Omit<DriftReference['features'][number], 'points'> & { readonly points: Float64Array })[]
  readonly joint: { readonly frequencies: Float64Array; readonly mean: Float64Array; readonly chance: DriftReference['joint']['chance'] }
  readonly relations: {
    readonly pairs: Float64Array
    readonly correlations: Float64Array
    readonly chance: DriftReference['relations']['chance']
  }
}

/** Window of the comparison, as the calibration has it; a short prefix takes a tenth of itself. */
const USUAL_WINDOW = 64
const WINDOWS_OF_PREFIX = 10
const INDEPENDENT_VALUES = 10
/** Below, spreads and correlations of a window say nothing. */
const LEAST_WINDOW = 24
/** Share of a column that must be there; what is missing takes the value before. */
const LEAST_KNOWN = 0.8
/** What the bootstrap may cost: correlations of all pairs, times bootstraps. */
const MOST_WORK = 150e6
const MOST_BOOTSTRAPS = 500
const LEAST_BOOTSTRAPS = 200

/** The references of an asset's regimes. */
export const fitDriftWatch = (prefix: LearntPrefix, rules: DriftRules = defaultDriftRules): FittedDrift => {
  const byRegime = new Map<string, number[]>()
  prefix.regimes.forEach((regime, row) => {
    const known = byRegime.get(regime ?? '')
    if (known === undefined) byRegime.set(regime ?? '', [row])
    else known.push(row)
  })
  const references: Record<string, PackedReference> = {}
  const refused: Record<string, string> = {}
  for (const [regime, at] of [...byRegime].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const fitted = fitRegime(filled(prefix.rows, at), rules)
    if (typeof fitted === 'string') refused[regime] = fitted
    else references[regime] = fitted
  }
  return { version: 1, references, refused }
}

const fitRegime = (rows: Matrix, { expectedRunWindows }: DriftRules): PackedReference | string => {
  let slowest = 1
  for (let j = 0; j < rows.width; j++) {
    const column = Float64Array.from({ length: rows.rows }, (_, i) => rows.values[i * rows.width + j] as number)
    const first = column[0] as number
    if (column.some((value) => value !== first)) slowest = Math.max(slowest, autocorrelationTime(column))
  }
  const windowRows = Math.max(Math.ceil(INDEPENDENT_VALUES * slowest), Math.min(USUAL_WINDOW, Math.floor(rows.rows / WINDOWS_OF_PREFIX)))
  if (windowRows < LEAST_WINDOW || rows.rows < WINDOWS_OF_PREFIX * windowRows)
    return `${rows.rows} windows are no reference: ${WINDOWS_OF_PREFIX * Math.max(LEAST_WINDOW, windowRows)} are needed`
  const pairs = Math.min((rows.width * (rows.width - 1)) / 2, 2016)
  const work = windowRows * (pairs + 128 + 8 * rows.width)
  const bootstraps = Math.max(LEAST_BOOTSTRAPS, Math.min(MOST_BOOTSTRAPS, Math.floor(MOST_WORK / work)))
  const expectedRunRows = Math.max(expectedRunWindows, windowRows)
  const { features, joint, relations, ...rest } = fitDrift(rows, { expectedRunRows, windowRows, bootstraps })
  return {
    ...rest,
    features: features.map((feature) => ({ ...feature, points: Float64Array.from(feature.points) })),
    joint: { ...joint, frequencies: Float64Array.from(joint.frequencies), mean: Float64Array.from(joint.mean) },
    relations: {
      ...relations,
      pairs: Float64Array.from(relations.pairs),
      correlations: Float64Array.from(relations.correlations),
    },
  }
}

/** The rows of a regime, without holes; a column that is mostly missing stands still, and is not compared. */
const filled = ({ values, width }: Matrix, at: readonly number[]): Matrix => {
  const out = new Float64Array(at.length * width)
  for (let j = 0; j < width; j++) {
    const column = Float64Array.from(at, (row) => values[row * width + j] as number)
    const known = column.filter(Number.isFinite)
    let last = known[0] ?? 0
    const isKnown = known.length >= LEAST_KNOWN * column.length
    column.forEach((value, i) => {
      if (Number.isFinite(value)) last = value
      out[i * width + j] = isKnown ? last : 0
    })
  }
  return { values: out, rows: at.length, width }
}

const opened = new WeakMap<FittedDrift, Readonly<Record<string, DriftReference>>>()

/** References as the monitor takes them; unpacked once per artefact in memory. */
const referencesOf = (fitted: FittedDrift): Readonly<Record<string, DriftReference>> => {
  const known = opened.get(fitted)
  if (known !== undefined) return known
  const references = Object.fromEntries(
    Object.entries(fitted.references).map(([regime, { features, joint, relations, ...rest }]) => [
      regime,
      {
        ...rest,
        features: features.map((feature) => ({ ...feature, points: [...feature.points] })),
        joint: { ...joint, frequencies: [...joint.frequencies], mean: [...joint.mean] },
        relations: { ...relations, pairs: [...relations.pairs], correlations: [...relations.correlations] },
      },
    ]),
  )
  opened.set(fitted, references)
  return references
}

export interface DriftWindow extends DriftContext {
  readonly vectorId: string
  /** In the order of the reference's names; NaN where a number is missing or its sensor is suspected. */
  readonly values: ArrayLike<number>
  /** Channels with an open sensor fault. */
  readonly faultyChannels: ReadonlySet<string>
  /** The detector does not know the window's regime. */
  readonly isNewRegime: boolean
}

export interface StandingDrift {
  readonly openingVectorId: string
  readonly openedUs: number
  readonly event: DriftEvent
}

export type DriftCause = 'drift' | 'sensor' | 'regime'

export interface DriftTold {
  readonly kind: 'opened' | 'updated' | 'closed'
  readonly standing: StandingDrift
  readonly cause: DriftCause
  readonly proposesRetraining: boolean
  /** Closed: it is over, or what it was compared with is not the reference any more. */
  readonly reason: 'found' | 'stays' | 'over' | 'renewed' | 'accepted'
  readonly trigger: string
}

interface SavedRegime {
  readonly values: Float64Array
  readonly timesUs: Float64Array
  readonly sinceCheck: number
  readonly sinceUs: number | null
  readonly quiet: number
}

export interface SavedDrift {
  readonly digest: string
  /** Packed. */
  readonly monitor: string
  readonly standing: StandingDrift | null
  readonly retraining: RetrainingState
  readonly isAccepted: boolean
}

/** Against the reference of one artefact. */
export class DriftWatch {
  readonly digest: string
  standing: StandingDrift | null
  private isAccepted: boolean
  private retraining: RetrainingState
  private saved: string | undefined
  private monitor: DriftMonitor | undefined

  constructor(digest: string, saved?: SavedDrift) {
    this.digest = digest
    this.saved = saved?.monitor
    this.standing = saved?.standing ?? null
    this.retraining = saved?.retraining ?? noRetraining
    this.isAccepted = saved?.isAccepted ?? false
  }

  /** One window after the judgement of its episode. `isNormalNow`: a person says that what the drift shows is normal from now on. */
  take(fitted: FittedDrift, learntWindows: number, window: DriftWindow, isNormalNow: boolean): DriftTold | undefined {
    if (this.isAccepted) return undefined
    const { standing } = this
    if (standing !== null && isNormalNow) {
      // Nothing is compared until there is a new reference: the old one would tell the same again.
      this.isAccepted = true
      return this.close('accepted')
    }
    this.monitor ??= new DriftMonitor(referencesOf(fitted), this.saved === undefined ? undefined : driftState(this.saved))
    this.saved = undefined
    const { event, driftedShare, leftOut } = this.monitor.push(window.values, window)
    const cause = causeOf(event ?? standing?.event, window)
    const proposal = this.learnt(window, learntWindows, leftOut, driftedShare, cause)
    if (event?.type === 'DriftDetected') {
      this.standing = { openingVectorId: window.vectorId, openedUs: window.atUs, event }
      return {
        kind: 'opened',
        standing: this.standing,
        cause,
        proposesRetraining: proposal,
        reason: 'found',
        trigger: 'block bootstrap of the reference',
      }
    }
    if (event?.type === 'DriftEnded' && standing !== null) return this.close('over')
    if (proposal && standing !== null)
      return { kind: 'updated', standing, cause, proposesRetraining: true, reason: 'stays', trigger: 'drift that stays' }
    return undefined
  }

  /** The reference is another one from now on. */
  end(): DriftTold | undefined {
    return this.standing === null ? undefined : this.close('renewed')
  }

  toJSON(): SavedDrift {
    const { digest, standing, retraining, isAccepted } = this
    const monitor = this.monitor === undefined ? (this.saved ?? '') : savedMonitor(this.monitor.state())
    return { digest, monitor, standing, retraining, isAccepted }
  }

  static restored(saved: SavedDrift): DriftWatch {
    return new DriftWatch(saved.digest, saved.monitor === '' ? withoutMonitor(saved) : saved)
  }

  private close(reason: DriftTold['reason']): DriftTold {
    const standing = this.standing as StandingDrift
    this.standing = null
    this.retraining = { ...this.retraining, driftedChecks: 0 }
    return { kind: 'closed', standing, cause: 'drift', proposesRetraining: false, reason, trigger: '' }
  }

  /** Whether drift that stays proposes retraining now. A sensor and a regime never do. */
  private learnt(window: DriftWindow, learntWindows: number, leftOut: string | null, share: number | null, cause: DriftCause): boolean {
    const { state, proposal } = retrainingAfter(
      this.retraining,
      {
        atUs: window.atUs,
        learntWindows,
        // Novelty and new windows are the fitter's triggers; here only drift counts.
        ...(share === null ? {} : { driftedShare: cause === 'drift' ? share : 0 }),
        isFrozen: leftOut !== null || window.isEpisodeOpen || window.faultyChannels.size > 0 || window.isNewRegime,
      },
      defaultRetrainingRules,
    )
    this.retraining = state
    return proposal?.includes('drift') === true
  }
}

const withoutMonitor = (saved: SavedDrift): SavedDrift => {
  const { monitor: _, ...rest } = saved
  return rest as SavedDrift
}

/** A drift that only numbers of faulty sensors show is the sensors'; one of a regime that nobody knows is the regime's. */
const causeOf = (event: DriftEvent | undefined, { faultyChannels, isNewRegime }: DriftWindow): DriftCause => {
  if (isNewRegime) return 'regime'
  const features = event?.features ?? []
  const isFaulty = ({ name }: { readonly name: string }): boolean => featureChannels(name).some((channel) => faultyChannels.has(channel))
  return features.length > 0 && features.every(isFaulty) ? 'sensor' : 'drift'
}

const savedMonitor = ({ regimes, ...rest }: DriftState): string => {
  const saved = Object.entries(regimes).map(([regime, { values, timesUs, ...counts }]): [string, SavedRegime] => [
    regime,
    { ...counts, values: Float64Array.from(values, (value) => value ?? Number.NaN), timesUs: Float64Array.from(timesUs) },
  ])
  return packed({ ...rest, regimes: Object.fromEntries(saved) })
}

const driftState = (text: string): DriftState => {
  const { regimes, ...rest } = unpacked(text) as Omit<DriftState, 'regimes'> & { readonly regimes: Readonly<Record<string, SavedRegime>> }
  const plain = Object.entries(regimes).map(
    ([regime, { values, timesUs, ...counts }]) =>
      [regime, { ...counts, values: Array.from(values, (value) => (Number.isNaN(value) ? null : value)), timesUs: [...timesUs] }] as const,
  )
  return { ...rest, regimes: Object.fromEntries(plain) }
}
