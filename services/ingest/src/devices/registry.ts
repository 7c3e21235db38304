// Topic `devices` in memory, and this instance's part in deciding it. Every instance follows the topic whole; whoever answers the
// oldest request first decides (packages/decisions/src/devices). The instance a request came in at answers at once, the others only
// when it has not.

import type { Codec, Follow, Log, Logger } from '@andon/kit'
import { followTopic, publish } from '@andon/kit'
import { decideDevice, deviceRefused, emptyDevices, evolveDevices } from '@andon/decisions/devices'
import type { DeviceAnswer, DevicesState } from '@andon/decisions/devices'
import type { Devices as DeviceRecord } from '@andon/schemas'

export const devicesTopic = 'devices'

/** The instance of a request's door has this long before another one answers it. */
const takeoverMs = 1500
/** An answer that was appended, or may have been, is waited for this long before it is given again. */
const retryMs = 3000
const tendMs = 250
/** With a clock that is wrong by more than a minute, deciding is left to others for this long. */
const wrongClockPauseMs = 30_000

export interface RegistryDeps {
  readonly log: Log
  readonly codec: Codec
  readonly logger: Logger
  readonly nowUs: () => number
  readonly monotonicMs: () => number
}

export class DeviceRegistry {
  #state: DevicesState = emptyDevices()
  readonly #deps: RegistryDeps
  readonly #mine = new Set<string>()
  readonly #waiting = new Map<string, (answer: DeviceAnswer | undefined) => void>()
  readonly #listeners = new Set<() => void>()
  #follow: Follow | undefined
  #isRead = false
  #oldest: { readonly id: string; readonly sinceMs: number; triedMs: number } | undefined
  #isDeciding = false
  #pausedToMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(deps: RegistryDeps) {
    this.#deps = deps
  }

  get state(): DevicesState {
    return this.#state
  }

  /** Everything that was on the topic at the start has been read. */
  get isRead(): boolean {
    return this.#isRead
  }

  /** Called after the state changed. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start(): Promise<void> {
    const { log, codec, logger } = this.#deps
    this.#follow = await followTopic<DeviceRecord>(
      log,
      codec,
      devicesTopic,
      ({ value, position, timestampMs }) => this.#fold(owned(value), position.offset, timestampMs * 1000),
      {
        // The log lost records: everything is read again, and nobody is judged by half of it.
        onReset: () => {
          this.#state = emptyDevices()
          this.#isRead = false
          this.#readWhole().catch(() => undefined) // a failure has ended the follow, which is heeded
        },
        onUndecodable: (record, error) => logger.error({ err: error, offset: record.offset }, 'undecodable record on devices is left out'),
      },
    )
    await this.#readWhole()
    this.#timer = setInterval(() => this.#tend(), tendMs)
  }

  /** Rejects when the topic cannot be followed any more. */
  ended(): Promise<void> {
    return this.#follow?.ended ?? Promise.resolve()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    for (const tell of this.#waiting.values()) tell(undefined)
    await this.#follow?.stop()
  }

  /** Appends a request, unless it is known, and waits for its answer: undefined when none came in time. */
  async ask(request: DeviceRecord, withinMs: number): Promise<DeviceAnswer | undefined> {
    const known = this.#state.answers.get(request.id)
    if (known) return known
    const answered = Promise.withResolvers<DeviceAnswer | undefined>()
    this.#waiting.set(request.id, answered.resolve)
    this.#mine.add(request.id)
    const late = setTimeout(() => answered.resolve(undefined), withinMs)
    try {
      if (known === undefined) await this.#append(request)
      return await answered.promise
    } finally {
      clearTimeout(late)
      this.#waiting.delete(request.id)
    }
  }

  async #readWhole(): Promise<void> {
    await this.#follow?.caughtUp()
    this.#isRead = true
    this.#changed()
  }

  #fold(record: DeviceRecord, offset: number, appendedUs: number): void {
    const { logger, monotonicMs } = this.#deps
    const verdict = evolveDevices(this.#state, { record, offset, appendedUs })
    if (verdict === 'void-stamp') {
      logger.error({ offset }, 'a decision about a device counts for nobody: its stamp is more than 60 s off; synchronise the clocks')
      if (this.#isRead) this.#pausedToMs = monotonicMs() + wrongClockPauseMs
    }
    if (verdict !== 'counted') return
    const { requestId } = record
    if (requestId !== null) {
      this.#mine.delete(requestId)
      const answer = this.#state.answers.get(requestId)
      if (answer) this.#waiting.get(requestId)?.(answer)
    }
    if (this.#isRead) this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
    this.#tend()
  }

  /** Answers the oldest request when it is ours to answer, or nobody else did. */
  #tend(): void {
    const nowMs = this.#deps.monotonicMs()
    const [oldest] = this.#state.pending.values()
    if (!oldest || !this.#isRead || this.#isDeciding || nowMs < this.#pausedToMs) return
    if (this.#oldest?.id !== oldest.id) this.#oldest = { id: oldest.id, sinceMs: nowMs, triedMs: Number.NEGATIVE_INFINITY }
    const { sinceMs, triedMs } = this.#oldest
    if (!this.#mine.has(oldest.id) && nowMs - sinceMs < takeoverMs) return
    if (nowMs - triedMs < retryMs) return
    this.#oldest.triedMs = nowMs
    this.#isDeciding = true
    void this.#answer(oldest).finally(() => {
      this.#isDeciding = false
      this.#tend()
    })
  }

  async #answer(request: DeviceRecord): Promise<void> {
    const { logger, nowUs } = this.#deps
    const atUs = Math.max(this.#state.stampUs, nowUs())
    try {
      await this.#append(decideDevice(request, this.#state, { atUs }))
    } catch (error) {
      // What may have landed is read; if it did not, the request is still open and is answered again.
      logger.warn({ err: error, requestId: request.id }, 'the answer to a request about a device may not be on the log')
      if (!isUnwritable(error)) return
      const refusal = deviceRefused(request, atUs, 'ANDON_INGEST_DEVICE_MALFORMED', 'The answer does not fit into a record')
      await this.#append(refusal).catch((cause: unknown) => logger.warn({ err: cause }, 'nor may its refusal'))
    }
  }

  async #append(record: DeviceRecord): Promise<void> {
    const { log, codec } = this.#deps
    const { id, type, deviceId, atUs } = record
    await publish(log, codec, [{ topic: devicesTopic, key: deviceId, value: record, id, type, timeUs: atUs, subject: deviceId }], 'ingest')
  }
}

const isUnwritable = (error: unknown): boolean => String((error as { code?: unknown }).code).startsWith('ANDON_CODEC_')

/** Bytes of a decoded record belong to its batch; these stay. */
const owned = (record: DeviceRecord): DeviceRecord =>
  record.certificate === null ? record : { ...record, certificate: { ...record.certificate, der: Buffer.from(record.certificate.der) } }
