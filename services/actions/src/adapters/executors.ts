// All executors behind one door: limits first, then a breaker per command and line, which only ever lets through or not.

import { codeOf, createBreaker } from '@andon/kit'
import type { Breaker, Metrics } from '@andon/kit'
import type { CommandDefinition } from '@andon/schemas'
import { NotSent } from './executor.ts'
import type { Executor, Order, Prepared } from './executor.ts'
import type { RateLimits } from './rate-limits.ts'

export interface BreakerChange {
  readonly executor: string
  readonly line: string
  readonly state: 'open' | 'halfOpen' | 'closed'
  readonly reason: string
}

export interface ExecutorsOptions {
  readonly executors: Readonly<Record<string, Executor>>
  readonly rateLimits: RateLimits
  readonly onBreaker: (change: BreakerChange) => void
  readonly resetAfterMs?: number
  readonly metrics?: Metrics
}

type Work<T = unknown> = () => Promise<T>
type Gate = Breaker<[Work], unknown>

/** Failures are rare and spaced by retries: a minute shows them together. */
const BREAKER_WINDOW_MS = 60_000
/** A command is two calls, preparing and sending: one whose sending fails counts half. */
const BREAKER_FAILURE_PERCENT = 30

export class Executors {
  private readonly options: ExecutorsOptions
  private readonly breakers = new Map<string, Gate>()

  constructor(options: ExecutorsOptions) {
    this.options = options
  }

  /** False while the breaker of this command's target is open: no intent is written then. */
  isOpenFor(definition: CommandDefinition, line: string): boolean {
    return this.breakerOf(definition, line).state !== 'open'
  }

  /** Name and state of every breaker that exists. */
  states(): { readonly name: string; readonly state: string }[] {
    return [...this.breakers].map(([name, breaker]) => ({ name, state: breaker.state }))
  }

  /** Everything before the bytes. Rejects with NotSent. */
  async prepare(order: Order): Promise<Prepared> {
    const executor = this.executorOf(order.definition)
    const key = `${order.command.command}:${order.command.target}`
    const waitMs = await this.options.rateLimits.take(key, order.definition.limits.perHour)
    if (waitMs > 0)
      throw new NotSent(`${key} may run ${order.definition.limits.perHour} times per hour; wait ${Math.ceil(waitMs / 1000)} s`)
    const breaker = this.breakerOf(order.definition, order.line)
    const prepared = await through(breaker, () => executor.prepare(order)).catch((error: unknown) => {
      // nothing has left while preparing, whatever went wrong
      throw error instanceof NotSent
        ? error
        : new NotSent(error instanceof Error ? error.message : String(error), { isFault: true, cause: error })
    })
    return { send: () => through(breaker, () => prepared.send()) }
  }

  settle(order: Order): Promise<{ readonly isDone: boolean; readonly readback: string }> {
    return this.executorOf(order.definition).settle(order)
  }

  private executorOf(definition: CommandDefinition): Executor {
    const executor = this.options.executors[definition.executor]
    if (!executor) throw new NotSent(`No executor is called ${definition.executor}`)
    return executor
  }

  private breakerOf(definition: CommandDefinition, line: string): Gate {
    const name = `${definition.executor}/${line}`
    let breaker = this.breakers.get(name)
    if (!breaker) {
      const { onBreaker, metrics, resetAfterMs = 10_000 } = this.options
      breaker = createBreaker(name, (_signal: AbortSignal, work: Work) => work(), {
        timeoutMs: definition.maxLatencyMs + definition.readBack.withinMs,
        resetAfterMs,
        windowMs: BREAKER_WINDOW_MS,
        failurePercent: BREAKER_FAILURE_PERCENT,
        ...(metrics ? { metrics } : {}),
        onStateChange: (state, reason) =>
          onBreaker({ executor: definition.executor, line, state: state === 'half-open' ? 'halfOpen' : state, reason }),
      })
      this.breakers.set(name, breaker)
    }
    return breaker
  }

  async close(): Promise<void> {
    for (const breaker of this.breakers.values()) breaker.close()
    await Promise.all(Object.values(this.options.executors).map((executor) => executor.close()))
    await this.options.rateLimits.close()
  }
}

/** The breaker counts faults of the target; a refusal or a precondition that does not hold is an answer like any other. */
const through = async <T>(breaker: Gate, work: Work<T>): Promise<T> => {
  const outcome = await breaker
    .fire(async () => {
      try {
        return { value: await work() }
      } catch (error) {
        if (error instanceof NotSent && !error.isFault) return { refusal: error }
        throw error
      }
    })
    .catch((error: unknown) => {
      if (codeOf(error) === 'ANDON_BREAKER_OPEN')
        throw new NotSent(error instanceof Error ? error.message : String(error), { cause: error })
      throw error
    })
  const { value, refusal } = outcome as { value: T; refusal?: NotSent }
  if (refusal) throw refusal
  return value
}
