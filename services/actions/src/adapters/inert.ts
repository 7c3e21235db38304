// What stands in the place of every executor in a replay run: nothing is sent, nothing is asked.

import { NotSent } from './executor.ts'
import type { Executor } from './executor.ts'
import type { RateLimits } from './rate-limits.ts'

const refuse = (): never => {
  throw new NotSent('ANDON_REPLAY_INERT: a replay run decides and proposes; it sends no command and asks no target')
}

export const inertExecutor: Executor = {
  prepare: async () => refuse(),
  settle: async () => refuse(),
  close: async () => {},
}

/** Nothing is counted where nothing is sent. */
export const noRateLimits: RateLimits = { take: async () => 0, close: async () => {} }
