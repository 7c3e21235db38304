// One vector and the models that hold for it → verdicts. A feature that could not be computed, or whose sensor is suspected, is
// replaced by what the model learnt as normal beside the others (implied.ts), so that it is no evidence, and the verdict says that
// it is in doubt; a model that cannot answer says why.

import { AndonError, codeOf, messageOf } from '@andon/kit'
import type { Embedding, RemainingLife, Verdict } from '@andon/schemas'
import { maskedNames } from '@andon/schemas/feature-names'
import { modelUnfit, normalUnknown, notFinite, nothingLeft } from '../errors.ts'
import { curvatureOf, implied } from './implied.ts'
import type { Curvature } from './implied.ts'
import { coverageOf, readCard } from '../models/model-card.ts'
import type { CardFeature } from '../models/model-card.ts'
import type { ActiveModel } from '../models/model-registry.ts'
import { packDoubles, readDoubles } from '@andon/schemas/packed'
import type { RowAnswer, Scorer } from './scorer.ts'
import type { ScorableVector } from './vectors.ts'

export interface Verdicts {
  readonly verdicts: readonly Verdict[]
  readonly embeddings: readonly Embedding[]
  readonly remaining: readonly RemainingLife[]
  /** Features that had to be replaced and models that gave no score. */
  readonly missing: readonly string[]
  /** There are models, and none of them could be asked: nothing is known about the vector. */
  readonly isUnscored: boolean
}

/** Rejects only with errors that another try can help; whatever is wrong with one model is said in its verdict. */
export const scoreVector = async (scorer: Scorer, vector: ScorableVector, active: readonly ActiveModel[]): Promise<Verdicts> => {
  const results = await Promise.all(active.map((model) => verdictOf(scorer, vector, model)))
  return {
    verdicts: results.flatMap(({ verdict }) => verdict ?? []),
    embeddings: results.flatMap(({ embedding }) => embedding ?? []),
    remaining: results.flatMap(({ remaining }) => remaining ?? []),
    missing: [...new Set(results.flatMap(({ missing }) => missing))].toSorted(),
    isUnscored: results.length > 0 && results.every(({ isUnscored }) => isUnscored),
  }
}

interface Said {
  /** Absent of a model that gives no ratio. */
  readonly verdict?: Verdict
  readonly embedding?: Embedding
  readonly remaining?: RemainingLife
  readonly missing: readonly string[]
  readonly isUnscored: boolean
}

const verdictOf = async (scorer: Scorer, vector: ScorableVector, model: ActiveModel): Promise<Said> => {
  const { version, digest, role } = model
  const identity = { model: model.model, version, digest, role }
  try {
    const input = await inputOf(scorer, vector, model)
    const answer = await scorer.row(model, input.values)
    const { provider, embedding } = answer
    const hours = answer.remainingHours ?? []
    const beside = {
      ...(embedding && { embedding: { model: model.model, version, digest, ...embedding, provider } }),
      ...(hours.length > 0 && { remaining: { ...identity, ...remainingOf(model, hours), provider } }),
      missing: input.missing,
      isUnscored: false,
    }
    if (!answer.hasVerdict) return beside
    const verdict: Verdict = {
      ...identity,
      score: finite(Number.isNaN(answer.score) ? answer.ratio : answer.score),
      ratio: finite(answer.ratio),
      ...sharesOf(answer, model.features, input.missing),
      inDomain: input.missing.length === 0 && !input.hasMovedConstant,
      error: null,
      provider,
    }
    return { verdict, ...beside }
  } catch (error) {
    if (error instanceof AndonError && error.retriable) throw error
    const verdict: Verdict = {
      ...identity,
      score: 0,
      ratio: 0,
      contributionNames: [],
      contributions: Buffer.alloc(0),
      inDomain: false,
      error: messageOf(error),
      provider: '',
    }
    return { verdict, missing: [model.model], isUnscored: codeOf(error) === 'ANDON_INFERENCE_UNSCORED' }
  }
}

const US_PER_HOUR = 3_600_000_000
/** 100 years: what is longer is as long. */
const MOST_HOURS = 876_600

const remainingOf = (model: ActiveModel, hours: ArrayLike<number>): Pick<RemainingLife, 'lowUs' | 'medianUs' | 'highUs' | 'coverage'> => {
  const [low = Number.NaN, median = Number.NaN, high = Number.NaN] = Array.from(hours)
  if (hours.length !== 3 || !(low >= 0 && low <= median && median <= high && Number.isFinite(high)))
    throw modelUnfit('The answer', 'low, median and high of remaining_hours, from 0 on and in this order', Array.from(hours).join(', '))
  const [lowUs, medianUs, highUs] = [low, median, high].map((each) => Math.round(Math.min(each, MOST_HOURS) * US_PER_HOUR))
  return { lowUs: lowUs!, medianUs: medianUs!, highUs: highUs!, coverage: coverageOf(model.card) ?? 0 }
}

export interface Arranged {
  readonly values: Float64Array
  readonly missing: readonly string[]
  readonly hasMovedConstant: boolean
}

/** Shares without those of features that were replaced: what stood in their place is no reason. */
const sharesOf = (
  { contributions }: RowAnswer,
  features: readonly string[],
  replaced: readonly string[],
): Pick<Verdict, 'contributionNames' | 'contributions'> => {
  if (contributions.length !== features.length) return { contributionNames: [], contributions: Buffer.alloc(0) }
  const contributionNames = [...features]
  if (replaced.length === 0) return { contributionNames, contributions: packDoubles(contributions) }
  const shares = contributions.map((share, j) => (replaced.includes(features[j]!) ? 0 : share))
  const sum = shares.reduce((total, share) => total + share, 0)
  return { contributionNames, contributions: packDoubles(sum > 0 ? shares.map((share) => share / sum) : shares) }
}

/**
 * The vector's values in the model's input order. Throws where a feature has to be replaced and the card does not say by what,
 * and where nothing is left that the model judges by.
 */
export const arrange = (vector: ScorableVector, model: ActiveModel): Arranged => {
  const values = readDoubles(vector.values)
  const position = new Map(vector.names.map((name, i) => [name, i]))
  const features = featuresOf(model)
  const masked = maskedNames(vector.names, vector.health)
  const missing: string[] = []
  const strangers: string[] = []
  let hasMovedConstant = false
  const arranged = Float64Array.from(model.features, (name) => {
    const value = masked.has(name) ? Number.NaN : (values[position.get(name) ?? -1] ?? Number.NaN)
    const feature = features.get(name)
    if (Number.isFinite(value)) {
      if (feature?.use === 'constant' && Math.abs(value - feature.mean) > 1e-6 * (1 + Math.abs(feature.mean))) hasMovedConstant = true
      return value
    }
    if (feature === undefined) strangers.push(name)
    if (feature?.use !== 'missing') missing.push(name)
    return feature?.mean ?? 0
  })
  if (strangers.length > 0) throw normalUnknown(model.model, strangers)
  const isLeft = (name: string): boolean => (features.get(name)?.use ?? 'used') === 'used' && !missing.includes(name)
  if (missing.length > 0 && !model.features.some(isLeft)) throw nothingLeft(model.model)
  return { values: arranged, missing, hasMovedConstant }
}

/** What the model is given: the vector's values, with what the others imply where one has to be replaced. */
export const inputOf = async (scorer: Pick<Scorer, 'scores'>, vector: ScorableVector, model: ActiveModel): Promise<Arranged> => {
  const arranged = arrange(vector, model)
  if (arranged.missing.length === 0) return arranged
  const features = featuresOf(model)
  const left = arranged.missing.flatMap((name) => {
    const feature = features.get(name)
    return feature?.use === 'used' && feature.std > 0 ? [{ at: model.features.indexOf(name), step: feature.std }] : []
  })
  if (left.length === 0 || left.length > MOST_IMPLIED) return arranged
  const scoresOf = (rows: readonly Float64Array[]): Promise<Float64Array> => scorer.scores(model, rows)
  const key = left.map(({ at }) => at).join()
  const known = curvatures.get(model) ?? new Map<string, Promise<Curvature>>()
  curvatures.set(model, known)
  let curvature = known.get(key)
  if (curvature === undefined) {
    if (known.size >= CURVATURES_KEPT) known.clear()
    const means = Float64Array.from(model.features, (name) => features.get(name)?.mean ?? 0)
    curvature = curvatureOf(means, left, scoresOf)
    known.set(key, curvature)
    curvature.catch(() => known.delete(key)) // the next vector tries again
  }
  return { ...arranged, values: await implied(arranged.values, left, await curvature, scoresOf) }
}

/** Features that are implied at most; the score is asked for about half its square times, once. More than that keep their means. */
const MOST_IMPLIED = 96
/** By fact of the registry (artefact and card together) and what is left out. */
const curvatures = new WeakMap<ActiveModel, Map<string, Promise<Curvature>>>()
const CURVATURES_KEPT = 256
const finite = (value: number): number => {
  if (!Number.isFinite(value)) throw notFinite(value)
  return value
}

/** Cards by fact of the registry: parsed once. */
const cards = new WeakMap<ActiveModel, ReadonlyMap<string, CardFeature>>()
const featuresOf = (model: ActiveModel): ReadonlyMap<string, CardFeature> => {
  let features = cards.get(model)
  if (features === undefined) {
    features = new Map((readCard(model.card)?.features ?? []).map((feature) => [feature.name, feature]))
    cards.set(model, features)
  }
  return features
}
