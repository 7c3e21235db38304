// When the steps of an in-process log happen. At once for the in-memory log; in a simulation whenever its seed says, if
// at all: requests and answers are lost, late or slow there.

import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'

/** What a client asks of the broker: store records, the next batch of a partition, to keep a position, anything else. */
export type RequestKind = 'append' | 'fetch' | 'commit' | 'ask'

export interface Schedule {
  readonly clock: Clock
  /**
   * A request: `work` runs at the broker, its result comes back later. Rejects with a retriable error when the connection
   * was lost on the way there (`work` did not run, or runs later) or back (it ran). `what` names the request in a trace.
   */
  request<T>(kind: RequestKind, what: string, work: () => T): Promise<T>
  /** May carry an answer to the client a second time, at some time later. */
  again?(what: string, answer: () => void): void
  /** Resolves when the client hears what the broker tells it unasked. */
  hear(what: string): Promise<void>
}

/** Everything in the order of the calls; records that are appended in one turn are fetched together. */
export const atOnce: Schedule = {
  clock: systemClock,
  request: async (kind, _what, work) => {
    if (kind === 'fetch') await new Promise<void>((resolve) => void setImmediate(resolve))
    else await Promise.resolve()
    return work()
  },
  hear: async () => undefined,
}
