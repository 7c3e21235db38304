// Which fault modes came before failures: episodes of a mode that were followed by a failure of the same asset within a horizon, against how
// often a failure follows any moment at all. Counts, not causes; what people did to the machine is not counted as luck. Pure.

import { adjusted } from '../drift/benjamini-hochberg.ts'
import { betaCdf, betaQuantile } from './beta.ts'

export interface FailureOptions {
  /** How long after an episode's start a failure still counts as preceded by it. */
  readonly horizonUs: number
  /** Age in which the weight of a moment halves. */
  readonly halfLifeUs: number
  /** Needed before anything is claimed: trials, and failures among them. */
  readonly leastTrials: number
  readonly leastFailures: number
  /** What the lower bound of the lift must exceed, and the level of that bound. */
  readonly leastLift: number
  readonly confidence: number
  /** Expected share of false claims among claims, all modes together (Benjamini-Hochberg). */
  readonly falseShare: number
}

const DAY_US = 86_400_000_000

export const failureDefaults: FailureOptions = {
  horizonUs: 14 * DAY_US,
  halfLifeUs: 365 * DAY_US,
  leastTrials: 5,
  leastFailures: 2,
  leastLift: 1.5,
  confidence: 0.9,
  falseShare: 0.05,
}

export interface ModeEpisode {
  readonly episodeId: string
  readonly modeId: string
  readonly assetId: string
  readonly startUs: number
}

/** A failure, or an intervention (service, repair, part exchanged) that kept it from coming by itself. */
export interface AssetEvent {
  readonly eventId: string
  readonly assetId: string
  readonly atUs: number
}

/** When an asset was watched, so that silence means something. */
export interface WatchedSpan {
  readonly assetId: string
  readonly fromUs: number
  readonly toUs: number
}

export interface FailureHistory {
  readonly asOfUs: number
  readonly watched: readonly WatchedSpan[]
  readonly episodes: readonly ModeEpisode[]
  readonly failures: readonly AssetEvent[]
  readonly interventions: readonly AssetEvent[]
}

/** Episodes of one mode on one asset within one horizon: they wait for the same failure and count once. */
export interface Trial {
  readonly assetId: string
  readonly startUs: number
  readonly episodeIds: readonly string[]
  /** `pending`: the horizon is not over; `censored`: somebody intervened first. Neither counts. */
  readonly outcome: 'failure' | 'none' | 'censored' | 'pending'
  readonly eventId: string | null
  readonly leadUs: number | null
}

export interface ModeFailures {
  readonly modeId: string
  /** Trials that count, and those that a failure followed. */
  readonly trials: number
  readonly failures: number
  readonly censored: number
  readonly pending: number
  /** Share of trials followed by a failure: posterior mean and bounds, weighted by age. */
  readonly rate: number
  readonly rateLow: number
  readonly rateHigh: number
  /** Share of all watched moments of the class that a failure follows within the horizon. */
  readonly baseRate: number
  readonly lift: number
  readonly liftLow: number
  readonly pValue: number
  /** Adjusted over all modes with a trial. */
  readonly adjustedPValue: number
  readonly hasPrecededFailures: boolean
  readonly lead: { readonly medianUs: number; readonly leastUs: number; readonly mostUs: number; readonly lowUs: number } | null
  /** What it stands on, oldest first. */
  readonly evidence: readonly Trial[]
}

/** One line per mode, of one asset class, strongest first. */
export const correlateFailures = (history: FailureHistory, options: FailureOptions = failureDefaults): ModeFailures[] => {
  const { episodes, asOfUs } = history
  const base = baseRateOf(history, options)
  const weightOf = (atUs: number): number => 2 ** (-Math.max(0, asOfUs - atUs) / options.halfLifeUs)
  const found = groups(episodes, ({ modeId }) => modeId).map(([modeId, of]) => {
    const evidence = trialsOf(of, history, options)
    const counted = evidence.filter(({ outcome }) => outcome === 'failure' || outcome === 'none')
    const hits = counted.filter(({ outcome }) => outcome === 'failure')
    const weigh = (trials: readonly Trial[]): number => trials.reduce((sum, { startUs }) => sum + weightOf(startUs), 0)
    const [weightAll, weightHits] = [weigh(counted), weigh(hits)]
    const [a, b] = [0.5 + weightHits, 0.5 + weightAll - weightHits] as const
    const rate = a / (a + b)
    const rateLow = betaQuantile(1 - options.confidence, a, b)
    const rateHigh = betaQuantile(options.confidence, a, b)
    // The chance of so many hits and more when the mode says nothing; with weights, the binomial tail continued between whole numbers.
    const pValue = weightHits > 0 && Number.isFinite(base) ? betaCdf(base, weightHits, weightAll - weightHits + 1) : 1
    const leads = hits.map(({ leadUs }) => leadUs as number).toSorted((x, y) => x - y)
    const isBaseKnown = Number.isFinite(base) && base > 0
    return {
      modeId,
      trials: counted.length,
      failures: new Set(hits.map(({ eventId }) => eventId)).size,
      censored: evidence.filter(({ outcome }) => outcome === 'censored').length,
      pending: evidence.filter(({ outcome }) => outcome === 'pending').length,
      rate,
      rateLow,
      rateHigh,
      baseRate: base,
      lift: isBaseKnown ? rate / base : Number.NaN,
      liftLow: isBaseKnown ? rateLow / base : Number.NaN,
      pValue,
      lead:
        leads.length === 0
          ? null
          : { medianUs: quantile(leads, 0.5), leastUs: leads[0] as number, mostUs: leads.at(-1) as number, lowUs: quantile(leads, 0.25) },
      evidence,
    }
  })
  const adjustedPValues = adjusted(found.map(({ pValue }) => pValue))
  return found
    .map(({ lead, evidence, ...one }, i): ModeFailures => {
      const adjustedPValue = adjustedPValues[i] as number
      const isEnough = one.trials >= options.leastTrials && one.failures >= options.leastFailures
      const hasPrecededFailures = isEnough && one.liftLow > options.leastLift && adjustedPValue < options.falseShare
      return { ...one, adjustedPValue, hasPrecededFailures, lead, evidence }
    })
    .toSorted((x, y) => x.adjustedPValue - y.adjustedPValue || x.pValue - y.pValue || (x.modeId < y.modeId ? -1 : 1))
}

/** The first event after a moment, and whether it is a failure; of two at one time the failure. */
const nextEventOf = (
  history: FailureHistory,
  assetId: string,
): ((atUs: number) => { event: AssetEvent; isFailure: boolean } | undefined) => {
  const of = (events: readonly AssetEvent[], isFailure: boolean) =>
    events.filter((event) => event.assetId === assetId).map((event) => ({ event, isFailure }))
  const events = [...of(history.failures, true), ...of(history.interventions, false)].toSorted(
    (a, b) => a.event.atUs - b.event.atUs || Number(b.isFailure) - Number(a.isFailure),
  )
  return (atUs) => events.find(({ event }) => event.atUs > atUs)
}

const trialsOf = (episodes: readonly ModeEpisode[], history: FailureHistory, { horizonUs }: FailureOptions): Trial[] =>
  groups(episodes, ({ assetId }) => assetId)
    .flatMap(([assetId, of]) => {
      const nextEvent = nextEventOf(history, assetId)
      const spans = history.watched.filter((span) => span.assetId === assetId)
      const trials: (Omit<Trial, 'episodeIds'> & { episodeIds: string[]; endUs: number })[] = []
      for (const { episodeId, startUs } of of.toSorted((a, b) => a.startUs - b.startUs || (a.episodeId < b.episodeId ? -1 : 1))) {
        const open = trials.at(-1)
        if (open !== undefined && startUs < open.endUs) {
          open.episodeIds.push(episodeId)
          continue
        }
        const span = spans.find(({ fromUs, toUs }) => startUs >= fromUs && startUs <= toUs)
        const next = nextEvent(startUs)
        const isIn = next !== undefined && next.event.atUs <= startUs + horizonUs
        // A failure counts only where silence would have counted too: when the whole horizon was watched.
        const isOver = span !== undefined && startUs + horizonUs <= Math.min(span.toUs, history.asOfUs)
        const outcome = !isOver ? 'pending' : !isIn ? 'none' : next.isFailure ? 'failure' : 'censored'
        const isFailure = outcome === 'failure'
        trials.push({
          assetId,
          startUs,
          episodeIds: [episodeId],
          outcome,
          eventId: isFailure || outcome === 'censored' ? (next?.event.eventId ?? null) : null,
          leadUs: isFailure ? (next?.event.atUs ?? startUs) - startUs : null,
          endUs: isIn ? next.event.atUs : startUs + horizonUs,
        })
      }
      return trials.map(({ endUs: _endUs, ...trial }) => trial)
    })
    .toSorted((a, b) => a.startUs - b.startUs || (a.assetId < b.assetId ? -1 : 1))

/**
 * The share of watched moments that a failure follows within the horizon, by the rules of a trial: a moment whose next event is an intervention
 * does not count, nor does one whose horizon is not over. Weighted by age; NaN when no moment counts.
 */
const baseRateOf = (history: FailureHistory, { horizonUs, halfLifeUs }: FailureOptions): number => {
  const { asOfUs, watched } = history
  /** Weight of all moments from one to another. */
  const mass = (fromUs: number, toUs: number): number => {
    if (toUs <= fromUs) return 0
    if (!Number.isFinite(halfLifeUs)) return toUs - fromUs
    const at = (timeUs: number): number => 2 ** ((timeUs - asOfUs) / halfLifeUs)
    return ((at(toUs) - at(fromUs)) * halfLifeUs) / Math.LN2
  }
  let hits = 0
  let misses = 0
  for (const { assetId, fromUs, toUs } of watched) {
    const nextEvent = nextEventOf(history, assetId)
    const endUs = Math.min(toUs, asOfUs) - horizonUs
    for (let atUs = fromUs; atUs < endUs;) {
      const next = nextEvent(atUs)
      const eventUs = next?.event.atUs ?? Number.POSITIVE_INFINITY
      const untilUs = Math.min(endUs, eventUs)
      const nearUs = Math.min(untilUs, Math.max(atUs, eventUs - horizonUs))
      misses += mass(atUs, nearUs)
      if (next?.isFailure === true) hits += mass(nearUs, untilUs)
      atUs = untilUs
    }
  }
  return hits / (hits + misses)
}

const groups = <T>(items: readonly T[], keyOf: (item: T) => string): [string, T[]][] => {
  const of = new Map<string, T[]>()
  for (const item of items) {
    const group = of.get(keyOf(item))
    if (group === undefined) of.set(keyOf(item), [item])
    else group.push(item)
  }
  return [...of].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Between the neighbours in linear proportion. */
const quantile = (sorted: readonly number[], q: number): number => {
  const place = q * (sorted.length - 1)
  const low = sorted[Math.floor(place)] as number
  return low + (place - Math.floor(place)) * ((sorted[Math.ceil(place)] as number) - low)
}
