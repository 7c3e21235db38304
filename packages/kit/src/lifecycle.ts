// Start and stop of a service: parts in order, then in reverse; an admin server around them; one message when a start fails.

import type { Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { AndonError, codeOf, messageOf } from './errors.ts'
import { createAdminServer } from './health.ts'
import type { Readiness } from './health.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { listen } from './reach.ts'

/** Something with a beginning and an end: a door, a consumer, a store. */
export interface Part {
  readonly name: string
  start(): Promise<void>
  /** Ends work in flight, then lets go. Called once, also when a later part failed to start. */
  stop(): Promise<void>
  /** True, or why the part cannot serve now. A part without it is ready once started. */
  ready?(): Readiness
  /** Asked for after the start: rejects when the part has failed for good, which stops the service. */
  ended?(): Promise<unknown>
}

export interface Service {
  readonly name: string
  /** In starting order; stopped in reverse. */
  readonly parts: readonly Part[]
  readonly admin: { readonly host: string; readonly port: number; readonly setting?: string }
  readonly logger: Logger
  readonly metrics: Metrics
  /** What runs in a replay run: no door, no notice, no executor. A service without it cannot be replayed. */
  readonly replay?: {
    readonly parts: readonly Part[]
    /** Asked for after the start: resolves when the range was handled, rejects when it cannot be. */
    finished(): Promise<unknown>
  }
  /** How long all parts together may take to stop, ms. Default 10 000. */
  readonly stopWithinMs?: number
  /** Shown by /version, e.g. `{ durability: 'single-node' }`. */
  readonly about?: () => Readonly<Record<string, unknown>>
}

export interface RunningService {
  /** Port the admin server has; 0 in a replay run, which has none. */
  readonly adminPort: number
  /** Rejects when a part has failed for good. */
  readonly failed: Promise<never>
  /** Stops parts in reverse order and the admin server; a part that throws does not keep the others from stopping. */
  stop(): Promise<void>
}

const defaultStopMs = 10_000
/** How long parts may take to stop after a start that failed. */
const failedStartGraceMs = 2000

/**
 * Starts a service inside this process (tests do). On failure, and when `signal` is aborted before the last part has
 * started, what had started is stopped and the error thrown. In a replay run only `replay.parts` start, without admin server.
 */
export const startService = async (service: Service, signal?: AbortSignal, isReplay = false): Promise<RunningService> => {
  const parts = isReplay ? replayOf(service).parts : service.parts
  const started: Part[] = []
  let isStarting = true
  const admin = createAdminServer({
    service: service.name,
    metrics: service.metrics,
    readiness: () => (isStarting ? { start: `starting ${parts[started.length]?.name ?? ''}`.trim() } : readinessOf(parts)),
    about: () => service.about?.() ?? {},
  })
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => (stopping ??= stopAll(service, started, admin))
  try {
    const setting = service.admin.setting ?? `${service.name.toUpperCase().replaceAll('-', '_')}_ADMIN_PORT`
    const adminPort = isReplay ? 0 : await listen(admin, { host: service.admin.host, port: service.admin.port, setting })
    for (const part of parts) {
      started.push(part) // before its start: a part that fails half-way is stopped as well
      await part.start()
      if (signal?.aborted === true) throw new AndonError('ANDON_START_INTERRUPTED', `${service.name} was stopped while it started`)
    }
    isStarting = false
    service.logger.info({ adminPort, parts: started.map((part) => part.name) }, 'service started')
    const failures = started.flatMap((part) => (part.ended === undefined ? [] : [part.ended()]))
    const failed = new Promise<never>((_, reject) => {
      for (const ended of failures) ended.catch(reject)
    })
    failed.catch(() => {}) // whoever cares awaits `failed`; a part that fails during a stop is no news
    return { adminPort, failed, stop }
  } catch (error) {
    // A part that cannot stop must not hide why the start failed.
    await within(failedStartGraceMs, stop())
    admin.close()
    throw error
  }
}

const replayOf = (service: Service): NonNullable<Service['replay']> => {
  if (service.replay !== undefined) return service.replay
  throw new AndonError(
    'ANDON_REPLAY_CONTRACT',
    `${service.name} cannot be replayed: it does not say what of it may run beside the live one`,
  )
}

/** Resolves when the work has ended or the time is over. */
const within = async (ms: number, work: Promise<void>): Promise<void> => {
  const ended = new AbortController()
  const time = sleep(ms, undefined, { signal: ended.signal }).catch(() => {}) // rejects when the work ended first
  await Promise.race([work.finally(() => ended.abort()), time])
}

const readinessOf = (parts: readonly Part[]): Record<string, Readiness> =>
  parts.length === 0 ? { service: true } : Object.fromEntries(parts.map((part) => [part.name, readinessOfPart(part)]))

const readinessOfPart = (part: Part): Readiness => {
  try {
    return part.ready?.() ?? true
  } catch (error) {
    return messageOf(error)
  }
}

const stopAll = async (service: Service, started: readonly Part[], admin: Server): Promise<void> => {
  for (const part of started.toReversed()) {
    try {
      await part.stop()
    } catch (error) {
      service.logger.error({ err: error, part: part.name }, 'part did not stop cleanly')
    }
  }
  admin.closeAllConnections()
  await new Promise<void>((resolve) => {
    admin.close(() => resolve())
  })
}

/**
 * Runs a service as this process: starts it, stops it on SIGTERM or SIGINT (deadline 10 s unless it says otherwise, a second signal ends at
 * once), when a part fails for good, or when the process named by ANDON_PARENT_PID is gone. A failed start, a bad
 * setting included when `create` is a function, ends the process with one message and exit code 1. With ANDON_REPLAY_PLAN
 * it ends by itself, exit code 0, when the run's range was handled.
 */
export const runService = async (create: Service | (() => Service | Promise<Service>)): Promise<void> => {
  let service: Service | undefined
  let running: RunningService | undefined
  let started: Promise<unknown> = Promise.resolve()
  let isEnding = false
  const isReplay = Boolean(process.env['ANDON_REPLAY_PLAN']) // decides what starts, whatever the service makes of its settings
  const abort = new AbortController()

  const end = (reason: string, exitCode: number): void => {
    if (isEnding) process.exit(1)
    isEnding = true
    service?.logger.info({ reason }, 'service stops')
    const stopWithinMs = service?.stopWithinMs ?? defaultStopMs
    setTimeout(() => {
      service?.logger.error({ stopWithinMs }, 'stop took too long, ending anyway')
      process.exit(1)
    }, stopWithinMs).unref()
    abort.abort()
    const stopped = started.then(
      () => running?.stop(),
      () => {}, // the start was ended: what had started is stopped
    )
    void stopped.finally(() => process.exit(exitCode)) // stop() never rejects
  }
  const crash = (error: unknown): void => {
    if (isEnding) return
    service?.logger.fatal({ err: error }, 'unexpected failure')
    if (running === undefined) process.stderr.write(`${startMessage(service?.name ?? 'service', error)}\n`)
    end('unexpected failure', 1)
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  process.on('SIGINT', () => end('SIGINT', 0))
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  watchParent(() => end('parent process is gone', 0))

  try {
    service = typeof create === 'function' ? await create() : create
    const starting = startService(service, abort.signal, isReplay)
    started = starting
    running = await starting
    if (isReplay)
      replayOf(service)
        .finished()
        .then(() => (isEnding ? undefined : end('the replay is over', 0)), crash)
  } catch (error) {
    if (isEnding) return
    process.stderr.write(`${startMessage(service?.name ?? 'service', error)}\n`)
    process.exit(1)
  }
  running.failed.catch(crash)
}

/** The one message of a failed start: code, what is wrong, and the cause when it says more. */
export const startMessage = (name: string, error: unknown): string => {
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ''
  const isOurs = error instanceof AndonError || codeOf(error)?.startsWith('ANDON_') === true
  const trace = !isOurs && error instanceof Error && error.stack !== undefined ? `\n${error.stack}` : ''
  return `${name} did not start: ${codeOf(error) ?? 'ANDON_START_FAILED'}: ${messageOf(error)}${cause}${trace}`
}

/** The supervisor's pid is not a setting of the service, so it is read here. */
const watchParent = (onGone: () => void): void => {
  const pid = Number(process.env['ANDON_PARENT_PID'])
  if (!Number.isSafeInteger(pid) || pid <= 0) return
  const timer = setInterval(() => {
    try {
      process.kill(pid, 0)
    } catch (error) {
      if (codeOf(error) === 'EPERM') return // alive, somebody else's
      clearInterval(timer)
      onGone()
    }
  }, 1000)
  timer.unref()
}
