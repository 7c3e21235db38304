// features → predictions.shadow.inference: what the models in role `shadow` say, beside the live path and unknown to it. It reads in a
// group of its own and runs on sessions of its own, so that a shadow that fails or is slow delays no verdict.

import { emitter } from '@andon/kit'
import type { Handler, Input } from '@andon/kit'
import type { Features, Predictions } from '@andon/schemas'
import type { ModelRegistry } from './models/model-registry.ts'
import { idleReason, outputOf, predict } from './on-features.ts'
import type { Scorer } from './scoring/scorer.ts'

/** `<topic>.shadow.<group>` of the service, and the group that fills it. */
export const SHADOW_TOPIC = 'predictions.shadow.inference'
export const SHADOW_GROUP = 'inference.shadow'

export interface OnShadowFeaturesDeps {
  readonly registry: ModelRegistry
  readonly scorer: Scorer
  readonly settled: () => Promise<void>
}

/** Vectors without a shadow are passed over. The id is that of (vector, set of shadows). */
export const onShadowFeatures =
  ({ registry, scorer, settled }: OnShadowFeaturesDeps): Handler<Features> =>
  async (batch) => {
    await settled()
    const scored: { input: Input<Features>; prediction: Promise<Predictions> }[] = []
    for (const input of batch.inputs) {
      const { assetId, vector } = input.value
      if (vector === null || idleReason(vector) !== undefined) continue
      const shadows = registry.shadowsAt(assetId, vector.featureSetDigest, vector.windowEndUs)
      if (shadows.length === 0) continue
      const prediction = predict(scorer, assetId, vector, shadows)
      prediction.catch(() => {}) // awaited below, in order
      scored.push({ input, prediction })
    }
    const out = emitter()
    for (const { input, prediction } of scored) out.emit(input, outputOf(SHADOW_TOPIC, input, await prediction))
    return out
  }
