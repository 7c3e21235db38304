// A circuit breaker per target, around opossum, used as a gate only: it refuses calls to a target that keeps failing.
// It never answers for the action (no fallback, cache or coalescing), always times out, and cannot be switched off.

import CircuitBreaker from 'opossum'
import { AndonError, codeOf } from './errors.ts'
import type { Metrics } from './metrics.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  /** Longest time an attempt may take, ms; its signal is aborted then. Default 10 s. */
  readonly timeoutMs?: number
  /** How long an open breaker refuses before one call is let through, ms. Default 30 s. */
  readonly resetAfterMs?: number
  /** Share of calls in the window that must fail, in percent. Default 50. */
  readonly failurePercent?: number
  /** Calls in the window below which it never opens; at least 5. Default 5. */
  readonly minimumCalls?: number
  /** Length of the window, ms. Default 10 s. */
  readonly windowMs?: number
  readonly metrics?: Metrics
  /** Told about every change, in order; the owner of the target makes a fact of it. */
  readonly onStateChange?: (state: BreakerState, reason: string) => void
}

export interface Breaker<A extends readonly unknown[], R> {
  /**
   * Runs the action, unless the breaker is open (ANDON_BREAKER_OPEN: the action was not called, retriable). A call
   * that takes too long rejects with ANDON_BREAKER_TIMEOUT: what it did is unknown, so it is not retriable.
   */
  fire(...args: A): Promise<R>
  readonly state: BreakerState
  /** Calls that have not come back, timed-out ones included. */
  readonly inFlight: number
  /** Ends its timers; afterwards `fire` rejects. */
  close(): void
}

/**
 * Guards `action`. The action gets an AbortSignal of its own call first. It returns refusals by the target as
 * values and throws only when the target could not be reached or failed: only throws count against it.
 */
export const createBreaker = <A extends readonly unknown[], R>(
  name: string,
  action: (signal: AbortSignal, ...args: A) => Promise<R>,
  options: BreakerOptions = {},
): Breaker<A, R> => {
  const timeoutMs = finite('timeoutMs', options.timeoutMs ?? 10_000, 1)
  const minimumCalls = finite('minimumCalls', options.minimumCalls ?? 5, 5)
  const counts = breakerMetrics(options.metrics, name)
  let state: BreakerState = 'closed'
  let inFlight = 0
  let lastFailure = ''

  /** opossum's own abort controller is shared by all calls, and its timeout does not end the action: each call has its own. */
  const guarded = async (...args: A): Promise<R> => {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(timedOut(name, timeoutMs)), timeoutMs)
    inFlight += 1
    counts.inFlight(inFlight)
    try {
      return await action(abort.signal, ...args)
    } finally {
      clearTimeout(timer)
      inFlight -= 1
      counts.inFlight(inFlight)
    }
  }

  const circuit = new CircuitBreaker<unknown[], R>((...args) => guarded(...(args as unknown as A)), {
    name,
    timeout: timeoutMs,
    resetTimeout: finite('resetAfterMs', options.resetAfterMs ?? 30_000, 1),
    errorThresholdPercentage: finite('failurePercent', options.failurePercent ?? 50, 1),
    volumeThreshold: minimumCalls,
    rollingCountTimeout: finite('windowMs', options.windowMs ?? 10_000, 10),
    rollingCountBuckets: 10,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  })

  const changeTo = (next: BreakerState, reason: string): void => {
    if (state === next) return
    state = next
    counts.state(next)
    options.onStateChange?.(next, reason)
  }
  circuit.on('open', () => changeTo('open', lastFailure))
  circuit.on('halfOpen', () => changeTo('half-open', 'one call is let through'))
  circuit.on('close', () => changeTo('closed', 'a call succeeded'))
  circuit.on('failure', (error: Error) => {
    lastFailure = error.message
  })

  return {
    get state() {
      return state
    },
    get inFlight() {
      return inFlight
    },
    async fire(...args) {
      try {
        const result = await circuit.fire(...args)
        counts.call('success')
        return result
      } catch (error) {
        const [outcome, shown] = explain(error, name, timeoutMs)
        counts.call(outcome)
        throw shown
      }
    },
    close: () => circuit.shutdown(),
  }
}

const explain = (error: unknown, name: string, timeoutMs: number): [outcome: string, error: unknown] => {
  switch (codeOf(error)) {
    case 'EOPENBREAKER':
    case 'ESHUTDOWN':
      return [
        'refused',
        new AndonError('ANDON_BREAKER_OPEN', `${name} keeps failing, so it was not called`, { retriable: true, fields: { breaker: name } }),
      ]
    case 'ETIMEDOUT':
      // opossum's own code; a socket's ETIMEDOUT has a syscall and is an ordinary failure.
      if ('syscall' in (error as object)) return ['failure', error]
      return ['timeout', timedOut(name, timeoutMs)]
    case 'ANDON_BREAKER_TIMEOUT':
      return ['timeout', error]
    default:
      return ['failure', error]
  }
}

const timedOut = (name: string, timeoutMs: number): AndonError =>
  new AndonError('ANDON_BREAKER_TIMEOUT', `${name} gave no answer in ${timeoutMs} ms; what it did is unknown`, {
    fields: { breaker: name, timeoutMs },
  })

const finite = (option: string, value: number, least: number): number => {
  if (Number.isFinite(value) && value >= least) return value
  throw new AndonError('ANDON_BREAKER_OPTION', `${option} of a breaker: expected a number of at least ${least}, found ${value}`)
}

const states: readonly BreakerState[] = ['closed', 'half-open', 'open']

const breakerMetrics = (metrics: Metrics | undefined, breaker: string) => {
  const state = metrics?.gauge('andon_breaker_state', '0 closed, 1 half-open, 2 open', ['breaker'])
  const changes = metrics?.counter('andon_breaker_transitions_total', 'State changes by new state', ['breaker', 'state'])
  const calls = metrics?.counter('andon_breaker_calls_total', 'Calls by outcome: success, failure, timeout, refused', [
    'breaker',
    'outcome',
  ])
  const open = metrics?.gauge('andon_breaker_in_flight', 'Calls that have not come back', ['breaker'])
  state?.set({ breaker }, 0)
  return {
    state: (next: BreakerState): void => {
      state?.set({ breaker }, states.indexOf(next))
      changes?.inc({ breaker, state: next })
    },
    call: (outcome: string): void => calls?.inc({ breaker, outcome }),
    inFlight: (count: number): void => open?.set({ breaker }, count),
  }
}
