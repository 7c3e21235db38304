// What a model says about itself, as JSON on `models`: how and on what it was trained, its limits, and the normal range of
// every feature. The console shows it; scoring reads from it what to put in the place of a missing feature.

import type { T2SpeModel } from '../learning/t2spe.ts'

export interface CardFeature {
  readonly name: string
  readonly mean: number
  readonly std: number
  /** Normal range: 1 and 99 % quantiles of the training rows. */
  readonly q01: number
  readonly q99: number
  /** `constant` and `missing` features take no part in the score. */
  readonly use: 'used' | 'constant' | 'missing'
}

export interface ModelCard {
  readonly method: string
  readonly training: {
    /** Event time: start of the first and end of the last training window, microseconds UTC. */
    readonly fromUs: number
    readonly toUs: number
    readonly rows: number
    readonly rowsTrimmed: number
    /** Where the rows came from: `commissioning`, or a description of the data. */
    readonly source: string
    readonly licence?: string
  }
  readonly limits: { readonly t2: number; readonly spe: number; readonly components: number }
  readonly features: readonly CardFeature[]
  /** Output that places a vector; `embedding` where the card does not say. */
  readonly embedding?: string
  /** Of the interval that `remaining_hours` gives, in (0, 1). */
  readonly coverage?: number
}

export type TrainingOrigin = Pick<ModelCard['training'], 'fromUs' | 'toUs' | 'source' | 'licence'>

export const cardOf = (model: T2SpeModel, training: TrainingOrigin): ModelCard => ({
  method: 'Regularised T2 + SPE on standardised features; limits from held-out folds; contributions by reconstruction',
  training: { ...training, rows: model.rowsUsed, rowsTrimmed: model.rowsTrimmed },
  limits: { t2: model.t2Limit, spe: model.speLimit, components: model.loadings.columns },
  features: model.features.map((name, j) => ({
    name,
    mean: model.mean[j]!,
    std: model.std[j]!,
    q01: model.q01[j]!,
    q99: model.q99[j]!,
    use: model.unused.get(name) ?? 'used',
  })),
})

/** Reads a card; undefined when it is not one of ours (an imported model). */
export const readCard = (text: string): ModelCard | undefined => {
  try {
    const card = JSON.parse(text) as Partial<ModelCard> | null
    const isOurs =
      card?.features?.every(({ name, mean, use }) => typeof name === 'string' && Number.isFinite(mean) && typeof use === 'string') === true
    return isOurs ? (card as ModelCard) : undefined
  } catch {
    return undefined
  }
}

/** Share of machines whose end lies in the interval that a model of remaining life gives; undefined where the card does not say. */
export const coverageOf = (text: string): number | undefined => {
  try {
    const coverage = (JSON.parse(text) as { coverage?: unknown } | null)?.coverage
    return typeof coverage === 'number' && coverage > 0 && coverage < 1 ? coverage : undefined
  } catch {
    return undefined
  }
}

/** Name of the output that places a vector, by a card of anybody's. */
export const embeddingOutput = (text: string): string => {
  try {
    const name = (JSON.parse(text) as { embedding?: unknown } | null)?.embedding
    return typeof name === 'string' ? name : 'embedding'
  } catch {
    return 'embedding'
  }
}
