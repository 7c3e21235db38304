// Drift of one asset: keeps the newest plain rows of each known regime, compares them with that regime's reference every half window,
// and says so once when a change begins and once when it is over. Bounded by the references; state is plain data; no clock, no chance.

import type { Matrix } from '../matrix.ts'
import { standingOf } from './attribution.ts'
import type { DriftRow, LeftOut } from './attribution.ts'
import { compare } from './calibration.ts'
import type { Comparison, DriftReference } from './calibration.ts'

/** Adjusted p-value up to which a feature of a changed window is reported: one in twenty of those reported may be false. */
const FALSE_DISCOVERIES = 0.05
/** Checks in a row without a change that end one. */
const QUIET_CHECKS = 3
/** Newest rows taken back when an episode opens: it was opened by as many windows, which began it. */
const ONSET_ROWS = 3

/** References per regime; '' is that of rows without one. */
export type DriftReferences = Readonly<Record<string, DriftReference>>

export interface DriftContext extends DriftRow {
  readonly atUs: number
  readonly isEpisodeOpen: boolean
}

export interface DriftedFeature {
  /** Place in the vector. */
  readonly at: number
  readonly name: string
  /** Wasserstein-1, standard deviations of the reference. */
  readonly distance: number
  readonly pValue: number
  readonly adjustedPValue: number
  /** Middle 98 %. */
  readonly reference: { readonly low: number; readonly high: number; readonly mean: number }
  readonly current: { readonly low: number; readonly high: number; readonly mean: number }
}

export interface DriftEvent {
  readonly type: 'DriftDetected' | 'DriftEnded'
  readonly regime: string | null
  readonly atUs: number
  /** When the change most likely began: the row that parts the window's values of the strongest feature best. */
  readonly sinceUs: number
  /** Strongest first. None where only the relation between features has changed. */
  readonly features: readonly DriftedFeature[]
  readonly mmd: number
  readonly jointPValue: number
  readonly relation: (Omit<NonNullable<Comparison['relation']>, 'features'> & { readonly features: readonly [string, string] }) | null
  /** Evidence and its line, -ln of probability. */
  readonly evidence: number
  readonly line: number
  /** Rows between false alarms that the line is for. */
  readonly expectedRunRows: number
}

export interface DriftStep {
  /** Why the row shows nothing about drift, null = it was taken. */
  readonly leftOut: LeftOut | null
  /** A check was made with this row: share of compared features that drifted, 0 where nothing changed. */
  readonly driftedShare: number | null
  readonly event: DriftEvent | null
}

interface RegimeState {
  /** Rows in the window, oldest first, and their times. */
  readonly values: readonly (number | null)[]
  readonly timesUs: readonly number[]
  readonly sinceCheck: number
  readonly sinceUs: number | null
  readonly quiet: number
}

/** Plain data, JSON too: missing values are null. */
export interface DriftState {
  readonly regimes: Readonly<Record<string, RegimeState>>
  readonly wasEpisodeOpen: boolean
  /** Regime of the newest row taken. */
  readonly lastRegime: string | null
}

interface Watch {
  readonly reference: DriftReference
  readonly values: Float64Array
  readonly timesUs: Float64Array
  rows: number
  sinceCheck: number
  sinceUs: number | null
  quiet: number
}

const nothing = (leftOut: LeftOut | null): DriftStep => ({ leftOut, driftedShare: null, event: null })

export class DriftMonitor {
  private readonly watches: ReadonlyMap<string, Watch>
  private wasEpisodeOpen: boolean
  private lastRegime: string | null

  constructor(references: DriftReferences, state?: DriftState) {
    this.watches = new Map(Object.entries(references).map(([regime, reference]) => [regime, watchOf(reference, state?.regimes[regime])]))
    this.wasEpisodeOpen = state?.wasEpisodeOpen ?? false
    this.lastRegime = state?.lastRegime ?? null
  }

  push(vector: ArrayLike<number>, context: DriftContext): DriftStep {
    const regime = context.regime ?? ''
    const watch = this.watches.get(regime)
    if (context.isEpisodeOpen && !this.wasEpisodeOpen) this.takeBackOnset()
    this.wasEpisodeOpen = context.isEpisodeOpen
    const standing = standingOf(context, watch !== undefined, context.isEpisodeOpen)
    if (standing.leftOut !== null || watch === undefined) return nothing(standing.leftOut ?? 'regime-change')
    const { reference } = watch
    const width = reference.features.length
    if (vector.length !== width) throw new RangeError(`the vector has ${vector.length} numbers, its reference ${width}`)
    append(watch, context.atUs, (j) => {
      const value = vector[j] as number
      return Number.isFinite(value) && !standing.masked.has(context.names[j] as string) ? value : Number.NaN
    })
    this.lastRegime = regime
    if (watch.rows < reference.windowRows || watch.sinceCheck < reference.hopRows) return nothing(null)
    watch.sinceCheck = 0
    return this.check(watch, context)
  }

  state(): DriftState {
    const regimes = [...this.watches].map(([regime, { reference, values, timesUs, rows, sinceCheck, sinceUs, quiet }]) => {
      const kept = values.subarray(0, rows * reference.features.length)
      const plain = Array.from(kept, (value) => (Number.isNaN(value) ? null : value))
      return [regime, { values: plain, timesUs: [...timesUs.subarray(0, rows)], sinceCheck, sinceUs, quiet }] as const
    })
    return { regimes: Object.fromEntries(regimes), wasEpisodeOpen: this.wasEpisodeOpen, lastRegime: this.lastRegime }
  }

  private takeBackOnset(): void {
    const watch = this.lastRegime === null ? undefined : this.watches.get(this.lastRegime)
    if (watch === undefined) return
    const taken = Math.min(ONSET_ROWS, watch.rows)
    watch.rows -= taken
    watch.sinceCheck = Math.max(0, watch.sinceCheck - taken)
  }

  private check(watch: Watch, context: DriftContext): DriftStep {
    const { reference } = watch
    const window = { values: watch.values, rows: reference.windowRows, width: reference.features.length }
    const found = compare(reference, window)
    const drifted = found.isChanged ? driftedOf(found) : []
    const compared = found.pValues.filter((p) => !Number.isNaN(p)).length
    const driftedShare = compared === 0 ? 0 : drifted.length / compared
    const tell = (type: DriftEvent['type'], sinceUs: number): DriftStep => ({
      leftOut: null,
      driftedShare,
      event: eventOf(type, sinceUs, watch, window, found, drifted, context),
    })
    if (found.isChanged) {
      watch.quiet = 0
      if (watch.sinceUs !== null) return { leftOut: null, driftedShare, event: null }
      watch.sinceUs = beginning(watch, window, drifted[0])
      return tell('DriftDetected', watch.sinceUs)
    }
    if (watch.sinceUs === null || ++watch.quiet < QUIET_CHECKS) return { leftOut: null, driftedShare, event: null }
    const { sinceUs } = watch
    watch.sinceUs = null
    watch.quiet = 0
    return tell('DriftEnded', sinceUs)
  }
}

const watchOf = (reference: DriftReference, state: RegimeState | undefined): Watch => {
  const width = reference.features.length
  const values = new Float64Array(reference.windowRows * width)
  const timesUs = new Float64Array(reference.windowRows)
  if (state === undefined) return { reference, values, timesUs, rows: 0, sinceCheck: 0, sinceUs: null, quiet: 0 }
  if (state.timesUs.length > reference.windowRows || state.values.length !== state.timesUs.length * width)
    throw new RangeError('the state is of another reference')
  values.set(state.values.map((value) => value ?? Number.NaN))
  timesUs.set(state.timesUs)
  return {
    reference,
    values,
    timesUs,
    rows: state.timesUs.length,
    sinceCheck: state.sinceCheck,
    sinceUs: state.sinceUs,
    quiet: state.quiet,
  }
}

const append = (watch: Watch, atUs: number, valueOf: (j: number) => number): void => {
  const { reference, values, timesUs } = watch
  const width = reference.features.length
  if (watch.rows === reference.windowRows) {
    values.copyWithin(0, width)
    timesUs.copyWithin(0, 1)
    watch.rows--
  }
  for (let j = 0; j < width; j++) values[watch.rows * width + j] = valueOf(j)
  timesUs[watch.rows++] = atUs
  watch.sinceCheck++
}

/** Places of features reported, strongest first. */
const driftedOf = ({ adjusted, pValues }: Comparison): number[] =>
  adjusted.flatMap((p, at) => (p <= FALSE_DISCOVERIES ? [at] : [])).sort((a, b) => (pValues[a] as number) - (pValues[b] as number) || a - b)

const columnOf = ({ values, rows, width }: Matrix, j: number): Float64Array =>
  Float64Array.from({ length: rows }, (_, i) => values[i * width + j] as number)

/** Largest bend of the summed deviations, of values or of their squares: where the first of two levels ends. */
const beginning = ({ timesUs, reference }: Watch, window: Matrix, feature: number | undefined): number => {
  if (feature === undefined) return timesUs[0] as number
  const { mean, std } = reference.features[feature] as DriftReference['features'][number]
  const z = columnOf(window, feature).map((value) => (Number.isFinite(value) ? (value - mean) / std : 0))
  let best = 0
  let at = 0
  for (const series of [z, z.map((value) => value * value)]) {
    const level = series.reduce((sum, value) => sum + value, 0) / series.length
    const spread = Math.sqrt(series.reduce((sum, value) => sum + (value - level) ** 2, 0)) || 1
    let sum = 0
    series.forEach((value, i) => {
      sum += (value - level) / spread
      // A window that has changed as a whole has no bend that stands out: its first row it is.
      if (Math.abs(sum) > Math.max(best, 1.36)) {
        best = Math.abs(sum)
        at = i + 1
      }
    })
  }
  return timesUs[Math.min(at, timesUs.length - 1)] as number
}

const eventOf = (
  type: DriftEvent['type'],
  sinceUs: number,
  { reference }: Watch,
  window: Matrix,
  found: Comparison,
  drifted: readonly number[],
  { regime, atUs, names }: DriftContext,
): DriftEvent => {
  const nameOf = (at: number): string => names[at] ?? String(at)
  return {
    type,
    regime,
    atUs,
    sinceUs,
    features: drifted.map((at) => {
      const { low, high, mean } = reference.features[at] as DriftReference['features'][number]
      return {
        at,
        name: nameOf(at),
        distance: found.distances[at] as number,
        pValue: found.pValues[at] as number,
        adjustedPValue: found.adjusted[at] as number,
        reference: { low, high, mean },
        current: rangeOf(columnOf(window, at).filter(Number.isFinite)),
      }
    }),
    mmd: found.mmd,
    jointPValue: found.jointPValue,
    relation: found.relation && { ...found.relation, features: [nameOf(found.relation.features[0]), nameOf(found.relation.features[1])] },
    evidence: found.evidence,
    line: reference.line,
    expectedRunRows: reference.expectedRunRows,
  }
}

const rangeOf = (column: Float64Array): { low: number; high: number; mean: number } => {
  const rising = column.sort()
  const at = (share: number): number => rising[Math.round(share * (rising.length - 1))] as number
  return { low: at(0.01), high: at(0.99), mean: rising.reduce((sum, value) => sum + value / rising.length, 0) }
}
