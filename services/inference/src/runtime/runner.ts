// Where batches run: worker threads here, a process of its own, another server. The scheduler decides what goes together and when;
// a runner takes one batch, runs it and hands each request its rows.

import type { OutputTensor, TensorBytes } from '../serving/servable.ts'
import type { ModelIo } from '../tensors/tensors.ts'

/** The requests of one batch: the same model, outputs and shapes but for the number of rows. */
export interface Batch {
  readonly requests: readonly BatchRequest[]
  readonly outputs: readonly string[]
  /** Sum over the requests; 1 where the model has no batch dimension. */
  readonly rows: number
}

export interface BatchRequest {
  readonly inputs: readonly (TensorBytes | undefined)[]
  readonly rows: number
}

export interface BatchAnswer {
  /** Per request, in order. */
  readonly outputs: readonly (readonly OutputTensor[])[]
  /** Microseconds: copying inputs, the run itself, handing out outputs. */
  readonly inputUs: number
  readonly runUs: number
  readonly outputUs: number
}

/** Room for batches, shared by all models of a runtime: who asked first is told first. */
export interface Room {
  /** A batch handed over now would run, or wait behind one that runs. */
  hasRoom(): boolean
  /** It would run at once. Runtimes that do not say take one batch at a time. */
  isIdle?(): boolean
  /** Calls once when there is room again. */
  whenRoom(listener: () => void): void
}

export interface Runner {
  readonly io: ModelIo
  /** Execution provider or name of the server; may be known only once loaded. */
  readonly provider: string
  readonly room: Room
  /** Rejects as a whole; the error says whether another try can help. */
  run(batch: Batch): Promise<BatchAnswer>
  /** False while the model holds threads that do not come back, and the runtime could not replace one more. */
  mayHang?(): boolean
  /** Gives the model's memory back; nothing runs then. */
  close(): Promise<void>
}

export interface RuntimeModel {
  /** Name and version, for messages. */
  readonly label: string
  /** SHA-256 (hex) of the artefact. */
  readonly digest: string
  readonly bytes: Uint8Array
  /** Files the model refers to (external data), by the path it uses. */
  readonly externalData?: ReadonlyMap<string, Uint8Array>
  /** Batches side by side. */
  readonly instances: number
  readonly maxBatchRows: number
  /** Backend parameters of the configuration (intra_op_thread_count, execution_mode, session options). */
  readonly parameters: Readonly<Record<string, string>>
  /** Where it may run: auto follows the service's setting. */
  readonly device: 'auto' | 'cpu' | 'gpu'
}

/** Opens models for scoring; rejects with ANDON_INFERENCE_MODEL_UNLOADABLE and the reason. */
export interface Runtime {
  open(model: RuntimeModel): Promise<Runner>
  close(): Promise<void>
}
