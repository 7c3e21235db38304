// One model version that can be scored: what the doors and the event path meet, whether it runs in a thread here, in a process of its
// own, on another server, or is an ensemble of others.

import type { ModelConfig, ModelStatistics } from '@andon/schemas/inference'
import type { TensorSpec } from '../tensors/tensors.ts'
import type { Latency } from './latency.ts'
import type { FailureReason } from './statistics.ts'

/** Bytes of one tensor, at any alignment. */
export interface TensorBytes {
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export type OutputTensor = TensorSpec & TensorBytes

export interface RunRequest {
  /** In the order of the model's inputs, sizes checked against the shapes; undefined where an optional input was left out. */
  readonly inputs: readonly (TensorBytes | undefined)[]
  /** Names of the outputs wanted, at least one. */
  readonly outputs: readonly string[]
  /** 1 is the highest; 0: the model's default. */
  readonly priority?: number
  /** Longest time in the queue, microseconds; 0 or none: as the queue's policy says. */
  readonly timeoutUs?: number
  /** Moment of performance.now() after which it is not run any more. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface RunAnswer {
  readonly outputs: readonly OutputTensor[]
  /** Where it ran: CPUExecutionProvider, CUDAExecutionProvider …, or the name of the other server. */
  readonly provider: string
}

export interface Servable {
  readonly name: string
  readonly version: number
  /** SHA-256 (hex) of the artefact; part of ids and of the response cache's keys. */
  readonly digest: string
  readonly config: ModelConfig
  /** With the batch dimension. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  readonly provider: string
  /** Answers once: with outputs, or with an error that says whether another try can help. */
  run(request: RunRequest): Promise<RunAnswer>
  statistics(): ModelStatistics
  /** What failed requests failed of; where it is not counted, `statistics` has their number. */
  failures?(): Readonly<Record<FailureReason, number>>
  /** Requests that wait in its queue now. */
  readonly waiting?: number
  /** Measured when it was opened, where its configuration declares a target. */
  readonly latency?: Latency
  /** Takes nothing more, answers what it took, gives its memory back. */
  close(): Promise<void>
}
