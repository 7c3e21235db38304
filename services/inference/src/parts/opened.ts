// What the parts of the service that started before have opened, for those that start after them.

import type { Codec, Log, Logger, Metrics } from '@andon/kit'
import type { InferenceConfig } from '../config.ts'
import type { ModelRegistry } from '../models/model-registry.ts'
import type { ModelWriter } from '../models/model-writer.ts'
import type { SessionPool } from '../runtime/session-pool.ts'
import type { LatestVectors } from '../scoring/latest-vectors.ts'
import type { ServableOf } from '../scoring/run-here.ts'
import type { Catalogue } from '../serving/catalogue.ts'
import type { ModelCache } from '../serving/model-cache.ts'
import type { TritonMetrics } from '../serving/triton-metrics.ts'

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
  models?: OpenModels
}

export interface OpenModels {
  readonly registry: ModelRegistry
  readonly catalogue: Catalogue
  /** The catalogue's, counted. */
  readonly servableOf: ServableOf
  readonly cache: ModelCache
  readonly writer: ModelWriter
  readonly pool: SessionPool
  readonly triton: TritonMetrics
  /** Resolves when every fact that is on `models` by now has been read. */
  readonly settled: () => Promise<void>
  /** Calls once, as soon as a model holds in role `shadow`. */
  readonly whenShadowed: (listener: () => void) => void
  /** Every model in force is loaded, or said to be unloadable. */
  isReady(): boolean
}
