// Rows of healthy windows → artefact and card, here or in a worker thread. The same rows give the same bytes.

import { Worker } from 'node:worker_threads'
import { cardOf } from '../models/model-card.ts'
import type { ModelCard, TrainingOrigin } from '../models/model-card.ts'
import { matrix } from './linear-algebra.ts'
import { t2SpeGraph } from './t2spe-graph.ts'
import { TrainingRefused, trainT2Spe } from './t2spe.ts'

export interface TrainingRequest {
  readonly features: readonly string[]
  readonly featureSetDigest: string
  /** Row-major; NaN marks a missing value. */
  readonly values: Float64Array
  readonly origin: TrainingOrigin
}

export type TrainingResult = { readonly artefact: Uint8Array; readonly card: ModelCard } | { readonly refused: string }

/** Trains in this thread. */
export const train = ({ features, featureSetDigest, values, origin }: TrainingRequest): TrainingResult => {
  try {
    const model = trainT2Spe(features, matrix(values.length / features.length, features.length, values))
    const artefact = t2SpeGraph(model, { 'andon.features': JSON.stringify(features), 'andon.feature_set_digest': featureSetDigest })
    return { artefact: new Uint8Array(artefact), card: cardOf(model, origin) }
  } catch (error) {
    if (error instanceof TrainingRefused) return { refused: error.message }
    throw error
  }
}

/** Trains in a worker thread of its own. */
export const trainInWorker = (request: TrainingRequest): Promise<TrainingResult> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./train-worker.ts', import.meta.url), { workerData: request })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`training ended without a result, exit code ${code}`)))
  })
