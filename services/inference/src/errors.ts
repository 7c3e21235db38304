// Every error code of the service, in one place; the README lists them.

// Not the whole kit: threads and processes that run models load this file, and start 0.6 s of CPU sooner without it.
import { AndonError } from '@andon/kit/errors'

export const invalidTensor = (message: string, fields: Readonly<Record<string, unknown>> = {}): AndonError =>
  new AndonError('ANDON_INFERENCE_INVALID_TENSOR', message, { status: 400, fields })

export const invalidRequest = (message: string): AndonError => new AndonError('ANDON_INFERENCE_INVALID_REQUEST', message, { status: 400 })

export const modelUnknown = (name: string, version: string): AndonError =>
  new AndonError('ANDON_INFERENCE_MODEL_UNKNOWN', `There is no model ${name}${version === '' ? '' : `, version ${version}`}`, {
    status: 404,
    fields: { model: name, version },
  })

export const modelUnloadable = (model: string, cause: unknown): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_MODEL_UNLOADABLE',
    `Model ${model} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause, fields: { model } },
  )

/** A fault in a model's configuration, wherever it was written. */
export const configInvalid = (file: string, line: number | undefined, field: string, expected: string, found: string): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_CONFIG_INVALID',
    `${line === undefined ? file : `${file}:${line}`}: ${field === '' ? 'the configuration' : field}: expected ${expected}, found ${found}`,
    { status: 400, fields: { file, line, field, expected, found } },
  )

/** The folder of models, or a file of it. Retriable where it may be whole a moment later. */
export const repositoryUnreadable = (path: string, found: string, retriable = false): AndonError =>
  new AndonError('ANDON_INFERENCE_REPOSITORY', `${path}: expected a file of the model repository, found ${found}`, {
    retriable,
    status: retriable ? 503 : 400,
    fields: { path },
  })

/** It is there, and cannot be scored now; the reason is the index's. */
export const modelNotReady = (model: string, version: string, reason: string): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_MODEL_NOT_READY',
    `Model ${model}${version === '' ? '' : ` version ${version}`} is not ready${reason === '' ? '' : `: ${reason}`}`,
    { retriable: true, fields: { model, version, reason } },
  )

/** Loading and unloading on request needs the setting. */
export const controlRefused = (message: string, model: string): AndonError =>
  new AndonError('ANDON_INFERENCE_MODEL_CONTROL', message, { status: 400, fields: { model } })

/** Registered models come and go by facts on `models` alone. */
export const explicitOnly = (model: string): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_MODEL_CONTROL',
    `Model ${model} is registered on the topic models: what is there decides whether it is served, and it is not unloaded on request`,
    { status: 400, fields: { model } },
  )

export const vectorUnknown = (assetId: string): AndonError =>
  new AndonError('ANDON_INFERENCE_VECTOR_UNKNOWN', `No feature vector of asset ${assetId} is known yet`, {
    status: 404,
    fields: { assetId },
  })

export const storeUnavailable = (cause: unknown): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_STORE_UNAVAILABLE',
    'Redis, which holds the latest vector of each asset, does not answer; send the features with the request instead, or try again',
    { cause, retriable: true },
  )

export const queueFull = (most: number, what: 'rows' | 'requests' = 'rows'): AndonError =>
  new AndonError('ANDON_INFERENCE_QUEUE_FULL', `Exceeds maximum queue size of ${most} ${what}`, { retriable: true })

/** The queue's policy gives no more time; another try may find a shorter queue. */
export const queueTimeout = (waitedMs: number): AndonError =>
  new AndonError('ANDON_INFERENCE_QUEUE_TIMEOUT', `Request timeout expired after ${Math.round(waitedMs)} ms in the queue`, {
    retriable: true,
  })

/** Nobody waits for the answer any more, so the request was not run. */
export const deadlineExceeded = (): AndonError =>
  new AndonError('ANDON_INFERENCE_DEADLINE_EXCEEDED', 'The deadline passed before the request was run', { status: 504 })

export const batchTooLarge = (model: string, rows: number, maxRows: number): AndonError =>
  new AndonError('ANDON_INFERENCE_BATCH_TOO_LARGE', `Request for ${model} has ${rows} rows, expected at most ${maxRows}`, {
    status: 400,
    fields: { model, rows, maxRows },
  })

export const runTimeout = (model: string, timeoutMs: number): AndonError =>
  new AndonError('ANDON_INFERENCE_RUN_TIMEOUT', `Model ${model} did not end its run in ${timeoutMs} ms`, {
    retriable: true,
    fields: { model, timeoutMs },
  })

/** It has hung again and again, and is left alone for a while. */
export const modelSuspended = (model: string, forMs: number): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_MODEL_SUSPENDED',
    `Model ${model} did not come back from several runs and is not run now; it is tried again ${forMs > 0 ? `in ${forMs} ms` : 'when one of them has ended'}`,
    { retriable: true, fields: { model, forMs } },
  )

/** Too many threads are stuck in runs that do not end, or none holds the model now. */
export const noWorker = (): AndonError =>
  new AndonError('ANDON_INFERENCE_NO_WORKER', 'No worker can run the model now', { retriable: true })

export const workerLost = (reason: string): AndonError =>
  new AndonError('ANDON_INFERENCE_WORKER_LOST', `The worker that ran the model ended: ${reason}`, { retriable: true })

/** An isolated model grew beyond its limit and was killed. The same input makes it grow again. */
export const memoryExceeded = (model: string, bytes: number, limitBytes: number): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_MEMORY_EXCEEDED',
    `Model ${model} took ${Math.round(bytes / 1e6)} MB of memory, more than the ${Math.round(limitBytes / 1e6)} MB it may take, and was ended`,
    { fields: { model, bytes, limitBytes } },
  )

export const stopping = (): AndonError => new AndonError('ANDON_INFERENCE_STOPPING', 'The service is stopping', { retriable: true })

export const cancelled = (): AndonError =>
  new AndonError('ANDON_INFERENCE_CANCELLED', 'The caller gave up before the request was scored', { status: 499 })

export const runFailed = (model: string, message: string): AndonError =>
  new AndonError('ANDON_INFERENCE_RUN_FAILED', `Model ${model} failed on this input: ${message}`, { fields: { model } })

export const normalUnknown = (model: string, names: readonly string[]): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_NORMAL_UNKNOWN',
    `${names.join(', ')} cannot be computed or believed, and the card of ${model} does not say what is normal in its place`,
    { status: 400, fields: { model, names } },
  )

export const nothingLeft = (model: string): AndonError =>
  new AndonError('ANDON_INFERENCE_NOTHING_LEFT', `No number that ${model} judges by can be computed or believed`, {
    status: 400,
    fields: { model },
  })

export const baselineRefused = (file: string, reason: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_INFERENCE_BASELINE_REFUSED', `Baseline ${file} is refused: ${reason}`, { cause, fields: { file } })

/** The other server gave no answer in time: frozen, overloaded, or cut off. */
export const serverTimeout = (target: string, timeoutMs: number): AndonError =>
  new AndonError('ANDON_INFERENCE_SERVER_TIMEOUT', `${target} gave no answer in ${Math.round(timeoutMs)} ms`, {
    retriable: true,
    fields: { target, timeoutMs: Math.round(timeoutMs) },
  })

export const serverUnreachable = (target: string, reason: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_INFERENCE_SERVER_UNREACHABLE', `${target} cannot be reached: ${reason}`, {
    retriable: true,
    cause,
    fields: { target },
  })

/** It answers, and has no room now: its queue is full, or so many requests to it wait here. */
export const serverBusy = (target: string, reason: string): AndonError =>
  new AndonError('ANDON_INFERENCE_SERVER_BUSY', `${target} takes no more requests now: ${reason}`, { retriable: true, fields: { target } })

/** It says that this request cannot be scored; the same request gets the same answer again. */
export const serverRefused = (target: string, said: string, reason: string): AndonError =>
  new AndonError('ANDON_INFERENCE_SERVER_REFUSED', `${target} answered ${said}: ${reason}`, { status: 502, fields: { target, said } })

/** Something came back that is no answer to what was asked. */
export const serverAnswerWrong = (target: string, message: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_INFERENCE_SERVER_ANSWER_WRONG', `The answer of ${target} cannot be used: ${message}`, {
    status: 502,
    cause,
    fields: { target },
  })

/** Part of the protocol that this server does not have: shared memory, writing to a file of the server. */
export const unsupported = (what: string): AndonError => new AndonError('ANDON_INFERENCE_UNSUPPORTED', what, { status: 501 })

export const bodyTooLarge = (found: string, maxBytes: number): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_TOO_LARGE',
    `Body: expected at most ${maxBytes} bytes (INFERENCE_MAX_MESSAGE_BYTES), compressed or not, got ${found}`,
    { status: 413, fields: { maxBytes } },
  )

export const badEncoding = (encoding: string): AndonError =>
  new AndonError('ANDON_INFERENCE_BAD_ENCODING', `Content-Encoding: expected gzip, deflate or none, got ${encoding}`, { status: 415 })

export const notFinite = (value: number): AndonError =>
  new AndonError('ANDON_INFERENCE_NOT_FINITE', `the model gave ${value} for this input`)

export const modelUnfit = (what: string, expected: string, found: string): AndonError =>
  new AndonError('ANDON_INFERENCE_MODEL_UNFIT', `${what}: the event path expects ${expected}, found ${found}`, { status: 400 })

export const unscored = (model: string, reason: string, cause?: unknown): AndonError =>
  new AndonError('ANDON_INFERENCE_UNSCORED', `Nothing could score ${model}: ${reason}`, { cause, fields: { model } })

export const wrongArtefact = (where: string, expected: string, found: string): AndonError =>
  new AndonError('ANDON_INFERENCE_WRONG_ARTEFACT', `${where}: expected the artefact ${expected}, found ${found}`, {
    status: 409,
    fields: { expected, found },
  })

/** A GPU was asked for, by a model or by the settings for all, and none can be used. */
export const providerMissing = (model: string | undefined, reason: string): AndonError =>
  new AndonError(
    'ANDON_INFERENCE_PROVIDER_MISSING',
    `${model === undefined ? 'INFERENCE_GPU requires a GPU' : `Model ${model} has to run on a GPU`}, and none can be used here: ${reason}`,
    { fields: { ...(model === undefined ? {} : { model }), reason } },
  )

/** The model's numbers here are not those it had where it was made. */
export const goldenMismatch = (model: string, message: string, fields: Readonly<Record<string, unknown>>): AndonError =>
  new AndonError('ANDON_INFERENCE_GOLDEN_MISMATCH', `Model ${model} does not give the numbers it was made with: ${message}`, {
    fields: { model, ...fields },
  })

export const badMethod = (allow: string, method: string): AndonError =>
  new AndonError('ANDON_INFERENCE_METHOD', `Method Not Allowed: expected ${allow}, got ${method}`, { status: 405, fields: { allow } })

export const doorBusy = (maxBytes: number): AndonError =>
  new AndonError('ANDON_INFERENCE_BUSY', `Bodies of more than ${maxBytes} bytes together are being received; try again`, {
    retriable: true,
  })
