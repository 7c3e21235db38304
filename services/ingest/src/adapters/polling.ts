// The one way PLCs are polled, whatever they speak: on a schedule of the monotonic clock, without drift and without pile-up; every wait
// bounded; one source never waits for another. A driver knows its protocol and nothing of this.

import { setTimeout as delay } from 'node:timers/promises'
import { AndonError, messageOf } from '@andon/kit'
import type { Logger, Metrics } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import type { DoorContext } from '../doors.ts'
import { pullSources } from '../pull-sources.ts'
import type { Link, PullSources } from '../pull-sources.ts'
import { refusal } from '../reading.ts'
import type { RawReading } from '../reading.ts'
import type { DoorName, Intake, Source } from './source.ts'

export type PolledKind = 'modbus' | 's7' | 'ethernet-ip'
export type PolledFile<K extends PolledKind = PolledKind> = Extract<PlantSource, { kind: K }>

/** What a PLC answered for one channel: a number as its register has it, or why there is none. */
export type Polled = number | PolledFault

export interface PolledFault {
  /** In words, with the address: illegal data address at holding 40. */
  readonly fault: string
}

/** A connection to one PLC. Every promise settles within the file's timeout, and a rejection ends the connection. */
export interface PlcConnection {
  /** Values in the order of the file's channels. */
  read(): Promise<readonly Polled[]>
  /** At once, and without a word: the socket is gone after it. */
  close(): void
}

export interface PlcDriver<K extends PolledKind> {
  readonly kind: K
  connect(file: PolledFile<K>): Promise<PlcConnection>
}

interface PolledMetrics {
  readonly poll: (outcome: 'read' | 'missed' | 'skipped', count?: number) => void
  readonly value: (outcome: 'good' | 'fault') => void
  readonly stale: () => void
  readonly dropped: (count: number) => void
}

const mostBackoffMs = 30_000
/** Readings kept while the intake has no room. */
const mostWaiting = 1000

/** A door of one kind of PLC. */
export const pollingDoor = <K extends PolledKind & DoorName>(driver: PlcDriver<K>, context: DoorContext): Source => {
  let running: PullSources | undefined
  const { logger, sources, assignment } = context
  return {
    name: driver.kind,
    ready: () => running !== undefined || 'not started',
    start: async (intake) => {
      const metrics = polledMetrics(context.metrics, driver.kind)
      running = pullSources({
        kind: driver.kind,
        sources,
        assignment,
        logger,
        open: (file) => pollLink(file as PolledFile, () => driver.connect(file), intake, logger, metrics),
      })
    },
    stop: async () => {
      await running?.stop()
      running = undefined
    },
  }
}

const polledMetrics = (metrics: Metrics, door: PolledKind): PolledMetrics => {
  const polls = metrics.counter(
    'andon_ingest_polls_total',
    'Polls of PLCs: read, missed (no answer), skipped (the one before took too long)',
    ['door', 'outcome'],
  )
  const values = metrics.counter('andon_ingest_polled_values_total', 'Values of polls: good, or a fault of one address', [
    'door',
    'outcome',
  ])
  const stale = metrics.counter('andon_ingest_polled_stale_total', 'Times a source was reported as bad because polls were missed', ['door'])
  const dropped = metrics.counter(
    'andon_ingest_polled_dropped_total',
    'Readings of polls dropped because the intake had no room for too long',
    ['door'],
  )
  return {
    poll: (outcome, count = 1) => polls.inc({ door, outcome }, count),
    value: (outcome) => values.inc({ door, outcome }),
    stale: () => stale.inc({ door }),
    dropped: (count) => dropped.inc({ door }, count),
  }
}

/** Polls one source until it is stopped. */
export const pollLink = (
  file: PolledFile,
  connect: () => Promise<PlcConnection>,
  intake: Intake,
  logger: Logger,
  metrics: PolledMetrics,
): Link => {
  const stopped = new AbortController()
  const channels = Object.entries<{ unit?: string | undefined; scale: number; offset: number }>(file.channels)
  const door: DoorName = file.kind
  const waiting: RawReading[] = []
  let handing: Promise<void> | undefined
  let connection: PlcConnection | undefined
  let state: true | string = 'not polled yet'
  let missed = 0
  let faultsTold = ''

  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: stopped.signal }).catch(() => undefined)

  const handOver = async (): Promise<void> => {
    for (let tries = 0; waiting.length > 0;) {
      const reading = waiting[0]!
      try {
        await intake({ door, readings: [reading], bytes: 64 * channels.length })
        waiting.shift()
        tries = 0
      } catch (error) {
        if (!(error instanceof AndonError && error.retriable)) logger.error({ err: error, source: file.id }, 'a reading could not be taken')
        if (stopped.signal.aborted) return metrics.dropped(waiting.splice(0).length)
        await pause(Math.min(100 * 2 ** tries++, 5000))
      }
    }
  }

  const give = (reading: RawReading): void => {
    waiting.push(reading)
    if (waiting.length > mostWaiting) metrics.dropped(waiting.splice(0, waiting.length - mostWaiting).length)
    handing ??= handOver().finally(() => (handing = undefined))
  }

  const onRead = (values: readonly Polled[], timeUs: number): void => {
    if (!stopped.signal.aborted && missed >= file.staleAfter) logger.info({ source: file.id }, 'a PLC answers again')
    missed = 0
    state = true
    metrics.poll('read')
    const sample: Record<string, number | null> = {}
    const faults: string[] = []
    channels.forEach(([channel, { scale, offset }], index) => {
      const value = values[index] ?? { fault: 'no answer' }
      const isNumber = typeof value === 'number'
      metrics.value(isNumber && Number.isFinite(value) ? 'good' : 'fault')
      if (isNumber && Number.isFinite(value)) sample[channel] = value * scale + offset
      else if (isNumber) give(notFinite(file, channel, value))
      else {
        sample[channel] = null
        faults.push(`${channel}: ${value.fault}`)
      }
    })
    if (Object.keys(sample).length > 0) give(readingOf(file, sample, timeUs, faults.length === channels.length ? 2 : 0))
    const told = faults.join('; ')
    if (told !== faultsTold && told !== '') logger.warn({ source: file.id, faults: told }, 'a PLC does not give some channels')
    faultsTold = told
  }

  const onMissed = (error: unknown): void => {
    connection?.close()
    connection = undefined
    missed++
    metrics.poll('missed')
    const why = messageOf(error)
    if (why !== state) logger.warn({ source: file.id, code: error instanceof AndonError ? error.code : undefined }, why)
    state = why
    if (missed !== file.staleAfter) return
    metrics.stale()
    const none = Object.fromEntries(channels.map(([channel]) => [channel, null]))
    give(readingOf(file, none, Date.now() * 1000, 2))
  }

  const poll = async (): Promise<void> => {
    try {
      connection ??= await within(connect(), file, (late) => late.close())
      const values = await within(connection.read(), file)
      if (!stopped.signal.aborted) onRead(values, Date.now() * 1000)
    } catch (error) {
      if (!stopped.signal.aborted) onMissed(unanswered(file, error))
    }
  }

  const run = async (): Promise<void> => {
    const startMs = performance.now()
    for (let slot = 0; !stopped.signal.aborted;) {
      await poll()
      const backoffMs = missed === 0 ? 0 : Math.min(file.everyMs * 2 ** Math.min(missed - 1, 16), mostBackoffMs)
      const nowMs = performance.now() - startMs
      const next = Math.max(slot + 1, Math.ceil((nowMs + (missed > 1 ? backoffMs : 0)) / file.everyMs))
      if (missed === 0 && next > slot + 1) metrics.poll('skipped', next - slot - 1)
      slot = next
      await pause(Math.max(0, slot * file.everyMs - nowMs))
    }
  }

  const running = run()
  running.catch((error: unknown) => logger.error({ err: error, source: file.id }, 'a PLC is not polled any more'))
  return {
    up: () => state,
    stop: async () => {
      stopped.abort()
      connection?.close() // ends a read in hand
      await running
      connection?.close()
      await handing
    },
  }
}

const readingOf = (file: PolledFile, values: Readonly<Record<string, number | null>>, timeUs: number, quality: 0 | 2): RawReading => {
  const units = Object.entries<{ unit?: string | undefined }>(file.channels).flatMap(([channel, { unit }]) =>
    unit !== undefined && channel in values ? [[channel, unit] as const] : [],
  )
  const value = {
    source: `${file.asset}:${file.id}`,
    asset: file.asset,
    timeUs,
    quality,
    values,
    ...(units.length > 0 && { units: Object.fromEntries(units) }),
  }
  return { value, bytes: () => Buffer.from(JSON.stringify(value)) }
}

const notFinite = (file: PolledFile, channel: string, value: number): RawReading => ({
  value: undefined,
  bytes: () => Buffer.from(JSON.stringify({ source: file.id, channel, value: String(value) })),
  refused: refusal(
    'ANDON_INGEST_PLC_NOT_A_NUMBER',
    `sources/${file.id}: channel ${channel}: found ${value}, expected a finite number; is its type right?`,
    {
      source: `${file.asset}:${file.id}`,
      asset: file.asset,
    },
  ),
})

const unanswered = (file: PolledFile, error: unknown): AndonError =>
  error instanceof AndonError
    ? error
    : new AndonError(
        'ANDON_INGEST_PLC_UNREACHABLE',
        `${file.kind} ${file.host}:${file.port} (sources/${file.id}): ${messageOf(error)}. Is the PLC up, and does it take connections from here?`,
        { retriable: true, cause: error },
      )

/** The work, or an error after the file's timeout; what comes later is handed to `tooLate`. */
const within = async <T>(work: Promise<T>, file: PolledFile, tooLate?: (result: T) => void): Promise<T> => {
  let isLate = false
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isLate = true
      reject(new Error(`no answer within ${file.timeoutMs} ms`))
    }, file.timeoutMs)
  })
  work.then(
    (result) => {
      if (isLate) tooLate?.(result)
    },
    () => undefined, // told by the race, or too late to matter
  )
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A channel's fault as a driver finds it. */
export const fault = (text: string): PolledFault => ({ fault: text })
