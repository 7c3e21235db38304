// features → predictions: every vector is answered by one prediction with the verdicts of the models that hold for it, or, while
// its asset has none, by one of type `learning`. A machine that is off, a window that is not yet full of rows and an asset without
// telemetry are not scored; the prediction says so, as it does when nothing could score the vector (`unscored`). Vectors of a batch are
// scored together and answered in their order. Replaying the same vectors beside the same `models` facts gives the same predictions with
// the same ids.

import { emitter, predictionId } from '@andon/kit'
import type { Handler, Input, Output } from '@andon/kit'
import type { Features, Predictions, Vector } from '@andon/schemas'
import type { Commissioning } from './learning/commissioning.ts'
import { verdictSetDigest } from './models/model-registry.ts'
import type { ActiveModel, ModelRegistry } from './models/model-registry.ts'
import type { Scorer } from './scoring/scorer.ts'
import { scoreVector } from './scoring/verdicts.ts'

export interface OnFeaturesDeps {
  readonly registry: ModelRegistry
  readonly scorer: Scorer
  /** Resolves when every fact about models that is on the log by now has been read: vectors behind an activation are scored by it. */
  readonly settled: () => Promise<void>
  /** Collects the windows of assets without a model. */
  readonly commissioning: Pick<Commissioning, 'observe'>
}

export const onFeatures =
  ({ registry, scorer, settled, commissioning }: OnFeaturesDeps): Handler<Features> =>
  async (batch) => {
    await settled()
    const scored: { input: Input<Features>; prediction: Promise<Predictions> }[] = []
    for (const input of batch.inputs) {
      const { assetId, vector } = input.value
      if (vector === null) continue // a late report changes no verdict: its samples stay in their blocks
      const { featureSetDigest, windowEndUs, baselineEpochUs } = vector
      const idle = idleReason(vector)
      const active = idle === undefined ? registry.activeAt(assetId, featureSetDigest, windowEndUs) : []
      // After a service the old model goes on, in doubt, until one of the new epoch is learnt.
      if (idle === undefined && !registry.isCommissioned(assetId, featureSetDigest, baselineEpochUs))
        await commissioning.observe(input, vector)
      const prediction = predict(scorer, assetId, vector, active, idle)
      prediction.catch(() => {}) // awaited below, in order
      scored.push({ input, prediction })
    }
    const out = emitter()
    for (const { input, prediction } of scored) out.emit(input, outputOf('predictions', input, await prediction))
    return out
  }

/** Why a vector is not scored: no telemetry came, the machine is off, which is no fault of it, or its numbers come from fewer rows than others. */
export const idleReason = ({ quality, machineOff, young }: Vector): 'unmonitored' | 'machine-off' | 'young' | undefined =>
  quality === 'unmonitored' ? 'unmonitored' : machineOff ? 'machine-off' : young ? 'young' : undefined

/** The prediction on a vector by these models; with `idle`, or without models, by none. */
export const predict = async (
  scorer: Scorer,
  assetId: string,
  vector: Vector,
  active: readonly ActiveModel[],
  idle?: ReturnType<typeof idleReason>,
): Promise<Predictions> => {
  const { verdicts, embeddings, remaining, missing, isUnscored } = await scoreVector(scorer, { ...vector, assetId }, active)
  const { vectorId, featureSet, featureSetDigest, windowStartUs, windowEndUs, revision, names, values } = vector
  const { historical, recordedStartUs, quality, regime, machineOff, health, baselineEpochUs } = vector
  return {
    type: idle ?? (active.length === 0 ? 'learning' : isUnscored ? 'unscored' : 'verdicts'),
    assetId,
    // No model of the set was heard: a later answer of the set to the same vector is another prediction.
    predictionId: predictionId(vectorId, verdictSetDigest(isUnscored ? [] : active)),
    vectorId,
    featureSet,
    featureSetDigest,
    windowStartUs,
    windowEndUs,
    revision,
    names,
    values,
    verdicts,
    complete: active.length > 0 && vector.complete && missing.length === 0,
    missing: [...vector.missing, ...missing],
    historical,
    recordedStartUs,
    quality,
    regime,
    machineOff,
    health,
    baselineEpochUs,
    embeddings,
    remaining,
  }
}

export const outputOf = (topic: string, input: Input<Features>, prediction: Predictions): Output<Predictions> => ({
  topic,
  key: prediction.assetId,
  value: prediction,
  id: prediction.predictionId,
  type: prediction.type,
  subject: prediction.assetId,
  timeUs: prediction.windowEndUs,
  ...(input.order === undefined ? {} : { order: input.order }),
})
