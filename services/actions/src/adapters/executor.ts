// What an executor promises. Nothing leaves before `send`; an outcome that is not known is never guessed.

import type { Command, Notification } from '@andon/schemas'
import type { CommandDefinition } from '@andon/schemas'

/** One attempt to bring one command to its target. */
export interface Order {
  /** Travels with the command: targets that remember ids refuse it a second time. */
  readonly commandRequestId: string
  readonly command: Command
  readonly definition: CommandDefinition
  /** Control group. */
  readonly line: string
  readonly incidentId: string
  readonly stepId: string
  readonly assetId: string | null
  readonly title: string
  readonly severity: number
  readonly notAfterUs: number
}

/** What the target said. `readback` is JSON. */
export interface Answer {
  readonly kind: 'Executed' | 'RejectedByTarget'
  readonly readback: string
  readonly title: string
  readonly notifications?: readonly Notification[]
}

export interface Prepared {
  /** Starts at once, in the same turn. A NotSent rejection: nothing left. Any other: nobody knows. The signal ends the waiting. */
  send(signal: AbortSignal): Promise<Answer>
}

export interface Executor {
  /** Connection, preconditions, limits: everything before the bytes. Rejects with NotSent. */
  prepare(order: Order, signal: AbortSignal): Promise<Prepared>
  /** Asks the target what became of the request id and burns it. Rejects when the target cannot be asked. */
  settle(order: Order, signal: AbortSignal): Promise<{ readonly isDone: boolean; readonly readback: string }>
  close(): Promise<void>
}

/** An executor whose library is loaded with its first order: a site without such a target pays neither memory nor start-up time for it. */
export const loadedOnUse = (load: () => Promise<Executor>): Executor => {
  let loaded: Promise<Executor> | undefined
  const executor = (): Promise<Executor> => (loaded ??= load())
  return {
    prepare: async (order, signal) => (await executor()).prepare(order, signal),
    settle: async (order, signal) => (await executor()).settle(order, signal),
    close: async () => (await loaded)?.close(),
  }
}

/** The command certainly did not leave. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
  /** The target could not be reached; a precondition that does not hold is no fault. */
  readonly isFault: boolean
  constructor(message: string, options: { readonly isFault?: boolean; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.isFault = options.isFault ?? false
  }
}

/** Waits no longer than the signal allows. For libraries that know no signal: what they began goes on, and nobody waits for it. */
export const within = async <T>(signal: AbortSignal, work: Promise<T>): Promise<T> => {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
    work.catch(() => undefined) // nobody waits any more
  }
}
