// Structured logs, one JSON line each on standard output. Ids of the event in hand ride along through withLogFields.

import { AsyncLocalStorage } from 'node:async_hooks'
import { pino } from 'pino'
import type { DestinationStream, Logger as PinoLogger } from 'pino'

export type Logger = PinoLogger

type Fields = Readonly<Record<string, unknown>>

const context = new AsyncLocalStorage<Fields>()

export interface LoggerOptions {
  readonly service: string
  /** Least severe line that is written. Default info. */
  readonly level?: string
  /** Where lines go. Default standard output. */
  readonly destination?: DestinationStream
}

export const createLogger = ({ service, level = 'info', destination }: LoggerOptions): Logger => {
  const options = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    mixin: () => context.getStore() ?? {},
    redact: ['token', 'authorization', 'password', 'secret', '*.token', '*.authorization', '*.password', '*.secret'],
  }
  // Written at once: an asynchronous destination reorders or loses the last lines of a process that ends.
  return pino(options, destination ?? pino.destination({ dest: 1, sync: true }))
}

/** Every line logged inside `work`, also after an await, carries these fields (correlation and causation ids). */
export const withLogFields = <T>(fields: Fields, work: () => T): T => context.run({ ...context.getStore(), ...fields }, work)
