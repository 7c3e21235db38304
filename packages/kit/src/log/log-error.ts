// Errors of the log port. Adapters translate every client or broker error into one of these before a caller sees it.

import { LogError } from '../errors.ts'

export type LogErrorKind = 'retriable' | 'fenced' | 'fatal'

export const logError = (kind: LogErrorKind, code: string, message: string, cause?: unknown): LogError =>
  new LogError(kind, code, message, cause === undefined ? {} : { cause })

/** True if another try may help: the error says so itself. Anything unknown is not retried. */
export const isRetriable = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && (error as { retriable?: unknown }).retriable === true
