// For doors whose senders cannot be asked to send again: a refused delivery waits here and is tried again until it is taken or the door stops.

import { setTimeout as pause } from 'node:timers/promises'
import { AndonError } from '@andon/kit'

const firstPauseMs = 100
const longestPauseMs = 5000

export interface PatientOptions {
  /** Aborted when the door stops: the delivery in hand is given up then. */
  readonly signal: AbortSignal
  /** Called at every refusal. */
  readonly onRefused?: (error: unknown) => void
}

export const isRetriable = (error: unknown): boolean => !(error instanceof AndonError) || error.retriable

/** Tries until it succeeds. Rejects with what no other try can help, or with the last refusal after a stop. */
export const patiently = async <T>(take: () => Promise<T>, { signal, onRefused }: PatientOptions): Promise<T> => {
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await take()
    } catch (error) {
      onRefused?.(error)
      if (!isRetriable(error) || signal.aborted) throw error
      await pause(pauseMs, undefined, { signal }).catch(() => undefined) // stopped: one last try
    }
  }
}
