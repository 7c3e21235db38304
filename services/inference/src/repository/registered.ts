// The configuration of a model of the registry: nobody writes one, the graph says what it takes.

import { ModelConfig } from '@andon/schemas/inference'
import { noConfigText } from './config-text.ts'
import { declareConfig } from './model-config.ts'
import type { ConfigDefaults, DeclaredConfig } from './model-config.ts'

/** Its scores are acted upon: a NaN is no number to score, and is refused by name at the doors. */
export const registeredConfig = (name: string, defaults: ConfigDefaults): DeclaredConfig => {
  const config = ModelConfig.fromPartial({ parameters: { andon_non_finite: { stringValue: 'refuse' } } })
  // Batches are put together as for every model whose configuration does not state max_batch_size.
  return declareConfig(name, { ...noConfigText(`model ${name}`), config }, defaults)
}
