// Models that other servers run, behind a name in this one: `backend: "andon_remote"` in their configuration. What comes back is checked
// like a stranger's bytes: a tensor of another shape, size or datatype, or NaN where the model's policy has none, is an error and
// never a score.

import type { Metrics } from '@andon/kit'
import type { ModelConfig } from '@andon/schemas/inference'
import type { Runner } from '../runtime/runner.ts'

export const REMOTE_BACKEND = 'andon_remote'

export interface RemoteRunnerOptions {
  /** Name and version, for messages. */
  readonly label: string
  /**
   * Its tensors are what the other server's metadata is compared with. Parameters: `andon_remote_url`, `andon_remote_protocol`
   * (grpc | http | http-binary | bentoml | ray), `andon_remote_model`, `andon_remote_version`, `andon_remote_timeout_ms`.
   */
  readonly config: ModelConfig
  readonly metrics?: Metrics
}

/** Rejects with ANDON_INFERENCE_MODEL_UNLOADABLE when the other server's model is not the configured one, retriable when it does not answer. */
export declare const openRemoteRunner: (options: RemoteRunnerOptions) => Promise<Runner>
