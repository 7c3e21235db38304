// What every door asks for, and all of it: models by name and version, scored by one scheduler, listed, loaded, unloaded and counted.
// gRPC and HTTP differ only in how they write it down.

import type { ModelConfig, ModelStatistics } from '@andon/schemas/inference'
import type { Datatype, TensorSpec } from '../tensors/tensors.ts'

/** A tensor on its way: row-major, little-endian, at any alignment. BYTES: each element is a 4-byte little-endian length and its bytes. */
export interface TensorData {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** A parameter as the protocol types it; 64-bit integers come as bigint. */
export type Parameter = string | bigint | number | boolean
export type Parameters = Readonly<Record<string, Parameter>>

export interface InferRequest {
  /** Empty only with the parameter `andon_asset`: the asset's model. */
  readonly model: string
  /** Empty: the version in force, else the highest that is ready. */
  readonly version: string
  readonly id: string
  /** `priority`, `timeout` (microseconds), `andon_asset` …; names that mean nothing here are passed over. */
  readonly parameters: Parameters
  readonly inputs: readonly TensorData[]
  /** Empty: all outputs. */
  readonly outputs: readonly RequestedOutput[]
  /** Moment of performance.now() after which nobody waits for the answer any more: the request is not run then. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

export interface RequestedOutput {
  readonly name: string
  /** Above 0: the so many highest values as BYTES `value:index[:label]` (the classification extension). */
  readonly classes: number
}

export interface InferAnswer {
  readonly model: string
  readonly version: string
  readonly outputs: readonly TensorData[]
  readonly parameters: Parameters
}

export interface ModelDescription {
  readonly name: string
  /** Versions that can be scored, ascending. */
  readonly versions: readonly string[]
  readonly platform: string
  /** With the batch dimension, -1, in front where the model is batched. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** The configuration in force, defaults filled in. */
  readonly config: ModelConfig
}

export type ModelState = 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE'

export interface IndexEntry {
  readonly name: string
  readonly version: string
  readonly state: ModelState
  readonly reason: string
}

export interface LoadOptions {
  /** JSON in the place of the folder's configuration. */
  readonly config?: string
  /** `<version>/<file>` → bytes; refused unless uploads are allowed. */
  readonly files?: ReadonlyMap<string, Uint8Array>
}

/** Rejects with AndonErrors whose status says whose fault it is. */
export interface Serving {
  /** Every model that should be there is ready or said to be unavailable. */
  isReady(): boolean
  isModelReady(name: string, version: string): boolean
  infer(request: InferRequest): Promise<InferAnswer>
  describe(name: string, version: string): Promise<ModelDescription>
  index(): readonly IndexEntry[]
  load(name: string, options: LoadOptions): Promise<void>
  unload(name: string, options: { readonly withDependents: boolean }): Promise<void>
  /** Empty name: every model; empty version: every version. */
  statistics(name: string, version: string): readonly ModelStatistics[]
}
