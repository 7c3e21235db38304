// Runs a fit in a worker thread of its own: texts and bytes in, bytes out.

import { Worker } from 'node:worker_threads'
import { readArtefact } from '../class-model.ts'
import { readSummary } from '../class-summaries.ts'
import type { FitRequest, FitResult, Taught } from './fit-class.ts'

/** A fit as it crosses to the thread. */
export interface PackedRequest {
  /** Of the partitions, as they lie on the log. */
  readonly summaries: readonly string[]
  readonly hourUs: number
  readonly inForce: { readonly digest: string; readonly artefact: Uint8Array } | null
  readonly taught: Taught
}

export type PackedResult =
  | { readonly decision: 'activate'; readonly artefact: Uint8Array }
  | Extract<FitResult, { readonly decision: 'refuse' }>

export const readRequest = (data: unknown): FitRequest => {
  const { summaries, hourUs, inForce, taught } = data as PackedRequest
  return {
    summaries: summaries.map(readSummary),
    hourUs,
    inForce: inForce === null ? null : { digest: inForce.digest, model: readArtefact(Buffer.from(inForce.artefact)) },
    taught,
  }
}

export const fitInWorker = (request: PackedRequest, signal: AbortSignal): Promise<PackedResult> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./fit-worker.ts', import.meta.url), { workerData: request })
    const abort = (): void => void worker.terminate()
    signal.addEventListener('abort', abort, { once: true })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => {
      signal.removeEventListener('abort', abort)
      reject(new Error(`a fit ended without a result, exit code ${code}`))
    })
  })
