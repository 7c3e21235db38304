// All executors behind one door: limits first, then a breaker per executor and line, which only ever lets through or not. What
// a breaker found out is a fact on the log; a process that takes the line's partition goes on from there.

import { codeOf, createBreaker } from '@andon/kit'
import type { Breaker, Metrics } from '@andon/kit'
import type { CommandDefinition } from '@andon/schemas'
import { NotSent, within } from './executor.ts'
import type { Answer, Executor, Order } from './executor.ts'
import type { RateLimits } from './rate-limits.ts'

export interface BreakerChange {
  readonly executor: string
  readonly line: string
  readonly state: 'open' | 'halfOpen' | 'closed'
  readonly reason: string
}

/** An order whose bytes have not left yet. */
export interface ReadyToSend {
  /** Starts at once, in the same turn. A NotSent rejection: nothing left. Any other: nobody knows. */
  send(): Promise<Answer>
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

/** What another process, or this one before it was restarted, found out about a target. */
interface Restored {
  state: 'open' | 'halfOpen'
  isProbing: boolean
  timer: NodeJS.Timeout | undefined
}

interface Place {
  readonly executor: string
  readonly line: string
  readonly gate: Gate
  restored: Restored | undefined
}

/** Failures are rare and spaced by retries: a minute shows them together. */
const BREAKER_WINDOW_MS = 60_000
/** A command is two calls, preparing and sending: one whose sending fails counts half. */
const BREAKER_FAILURE_PERCENT = 30
const RESET_AFTER_MS = 10_000
/** Every call has a deadline of its own command; this one only keeps a breaker from waiting for ever. */
const BREAKER_TIMEOUT_MS = 600_000

export class Executors {
  private readonly options: ExecutorsOptions
  private readonly places = new Map<string, Place>()

  constructor(options: ExecutorsOptions) {
    this.options = options
  }

  /** False while the breaker of this command's target is open: no intent is written then. */
  isOpenFor(definition: CommandDefinition, line: string): boolean {
    const place = this.placeOf(definition.executor, line)
    return stateOf(place) !== 'open' && place.restored?.isProbing !== true
  }

  /** State of every breaker that exists. */
  states(): { readonly name: string; readonly executor: string; readonly line: string; readonly state: BreakerChange['state'] }[] {
    return [...this.places].map(([name, place]) => ({ name, executor: place.executor, line: place.line, state: stateOf(place) }))
  }

  /** The log says that this breaker is not closed: it stays so here as well, until a call has got through. */
  adopt(executor: string, line: string, state: string): void {
    const place = this.placeOf(executor, line)
    if (state === 'closed' || stateOf(place) !== 'closed') return
    // How long it has been open is not known here; waiting the whole time again asks the target too late rather than too early.
    place.restored = { state: 'open', isProbing: false, timer: undefined }
    this.show(place, 2)
    this.letOneThroughLater(place, place.restored)
  }

  /** Everything before the bytes. Rejects with NotSent. */
  async prepare(order: Order): Promise<ReadyToSend> {
    const { command, definition, line } = order
    const executor = this.executorOf(definition)
    const key = `${command.command}:${command.target}`
    const waitMs = await this.options.rateLimits.take(key, definition.limits.perHour)
    if (waitMs > 0) throw new NotSent(`${key} may run ${definition.limits.perHour} times per hour; wait ${Math.ceil(waitMs / 1000)} s`)
    const place = this.placeOf(definition.executor, line)
    // Beyond its window nothing may be sent any more.
    const prepare = () => withDeadline(definition.commandWindowMs, command.target, (signal) => executor.prepare(order, signal))
    const prepared = await this.askAgain(place, () => through(place.gate, prepare)).catch((error: unknown) => {
      // nothing has left while preparing, whatever went wrong
      throw error instanceof NotSent
        ? error
        : new NotSent(error instanceof Error ? error.message : String(error), { isFault: true, cause: error })
    })
    const sendWithinMs = definition.maxLatencyMs + definition.readBack.withinMs
    const send = () => withDeadline(sendWithinMs, command.target, (signal) => prepared.send(signal))
    return { send: () => through(place.gate, send) }
  }

  /** Not behind the breaker: an open intent is asked after until it is known. */
  settle(order: Order): Promise<{ readonly isDone: boolean; readonly readback: string }> {
    const { definition, command } = order
    const withinMs = definition.maxLatencyMs + definition.readBack.withinMs
    return withDeadline(withinMs, command.target, (signal) => this.executorOf(definition).settle(order, signal))
  }

  private executorOf(definition: CommandDefinition): Executor {
    const executor = this.options.executors[definition.executor]
    if (!executor) throw new NotSent(`No executor is called ${definition.executor}`)
    return executor
  }

  private placeOf(executor: string, line: string): Place {
    const name = `${executor}/${line}`
    let place = this.places.get(name)
    if (!place) {
      const { onBreaker, metrics, resetAfterMs = RESET_AFTER_MS } = this.options
      const gate = createBreaker(name, (_signal: AbortSignal, work: Work) => work(), {
        timeoutMs: BREAKER_TIMEOUT_MS,
        resetAfterMs,
        windowMs: BREAKER_WINDOW_MS,
        failurePercent: BREAKER_FAILURE_PERCENT,
        ...(metrics ? { metrics } : {}),
        onStateChange: (state, reason) => onBreaker({ executor, line, state: state === 'half-open' ? 'halfOpen' : state, reason }),
      })
      place = { executor, line, gate, restored: undefined }
      this.places.set(name, place)
    }
    return place
  }

  /** A breaker that was open before lets one call through at a time, and closes with the first that reaches its target. */
  private async askAgain<T>(place: Place, work: Work<T>): Promise<T> {
    const { restored } = place
    if (restored === undefined) return work()
    const { executor, line } = place
    if (restored.state === 'open' || restored.isProbing) throw new NotSent(`${executor}/${line} kept failing, so it was not called`)
    restored.isProbing = true
    try {
      const value = await work()
      this.closeRestored(place, 'a call succeeded')
      return value
    } catch (error) {
      if (error instanceof NotSent && !error.isFault) this.closeRestored(place, 'the target answers')
      else {
        restored.isProbing = false
        restored.state = 'open'
        const reason = error instanceof Error ? error.message : String(error)
        this.show(place, 2)
        this.options.onBreaker({ executor, line, state: 'open', reason })
        this.letOneThroughLater(place, restored)
      }
      throw error
    }
  }

  private letOneThroughLater(place: Place, restored: Restored): void {
    restored.timer = setTimeout(() => {
      restored.state = 'halfOpen'
      this.show(place, 1)
      this.options.onBreaker({ executor: place.executor, line: place.line, state: 'halfOpen', reason: 'one call is let through' })
    }, this.options.resetAfterMs ?? RESET_AFTER_MS)
    restored.timer.unref()
  }

  private closeRestored(place: Place, reason: string): void {
    place.restored = undefined
    this.show(place, 0)
    this.options.onBreaker({ executor: place.executor, line: place.line, state: 'closed', reason })
  }

  private show({ executor, line }: Place, value: number): void {
    this.options.metrics
      ?.gauge('andon_breaker_state', '0 closed, 1 half-open, 2 open', ['breaker'])
      .set({ breaker: `${executor}/${line}` }, value)
  }

  async close(): Promise<void> {
    for (const { gate, restored } of this.places.values()) {
      clearTimeout(restored?.timer)
      gate.close()
    }
    await Promise.all(Object.values(this.options.executors).map((executor) => executor.close()))
    await this.options.rateLimits.close()
  }
}

const stateOf = ({ gate, restored }: Place): BreakerChange['state'] => {
  if (restored) return restored.state
  return gate.state === 'half-open' ? 'halfOpen' : gate.state
}

/** Each call has a signal of its own: one that takes too long ends alone, and what it did is unknown. */
const withDeadline = async <T>(ms: number, target: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(new Error(`${target} gave no answer in ${ms} ms; what it did is unknown`)), ms)
  try {
    return await within(abort.signal, work(abort.signal))
  } finally {
    clearTimeout(timer)
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
