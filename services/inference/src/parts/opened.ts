// What the parts of the service that started before have opened, for those that start after them.

import type { Codec, Log, Logger, Metrics } from '@andon/kit'
import type { InferenceConfig } from '../config.ts'
import type { ModelRegistry } from '../models/model-registry.ts'
import type { ModelWriter } from '../models/model-writer.ts'
import type { Registrations } from '../models/registrations.ts'
import type { Providers } from '../runtime/providers.ts'
import type { LatestVectors } from '../scoring/latest-vectors.ts'
import type { Catalogue } from '../serving/catalogue.ts'

/** What every part is given. */
export interface Surroundings {
  readonly config: InferenceConfig
  readonly logger: Logger
  readonly metrics: Metrics
  readonly opened: Opened
}

export interface Opened {
  log?: Log
  codec?: Codec
  /** There from the beginning; answers once its part has started. */
  latest?: LatestVectors
  providers?: Providers
  models?: OpenModels
}

export interface OpenModels {
  readonly registry: ModelRegistry
  /** Detectors and cluster models. */
  readonly registrations: Registrations
  readonly catalogue: Catalogue
  readonly writer: ModelWriter
  /** Resolves when every fact that is on `models` by now has been read. */
  readonly settled: () => Promise<void>
  /** Whether the blob store has it. */
  readonly hasArtefact: (uri: string) => Promise<boolean>
  /** Calls once, as soon as a model holds in role `shadow`. */
  readonly whenShadowed: (listener: () => void) => void
  /** Every model in force is loaded, or said to be unloadable. */
  isReady(): boolean
}
