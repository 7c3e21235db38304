// Who is connected now with which certificate. A session ends within a second when its certificate or its device counts no more.
// The same certificate from two addresses at once is a clone, or a key that was carried elsewhere: an alarm, and for a person to decide.

import type { Socket } from 'node:net'
import type { Logger, Metrics } from '@andon/kit'
import type { DoorName } from '../adapters/source.ts'

/** The same pair of addresses is reported once in so long. */
const reportEveryMs = 600_000
const mostReports = 10_000
/** A peer that does not read is not waited for longer. */
const lingerMs = 500

interface Session {
  readonly deviceId: string
  readonly sha256: string
  readonly door: DoorName
  readonly address: string
}

export interface SessionsDeps {
  readonly logger: Logger
  readonly metrics: Metrics
  readonly monotonicMs: () => number
}

export class DeviceSessions {
  readonly #sessions = new Map<Socket, Session>()
  readonly #byCertificate = new Map<string, Set<Session>>()
  readonly #ending = new WeakSet<Socket>()
  readonly #reported = new Map<string, number>()
  readonly #deps: SessionsDeps
  readonly #open
  readonly #clones

  constructor(deps: SessionsDeps) {
    this.#deps = deps
    this.#open = deps.metrics.gauge('andon_ingest_device_sessions', 'Connections with a device certificate that are open now', ['door'])
    this.#clones = deps.metrics.counter('andon_ingest_cloned_certificates_total', 'Times a certificate was used from two addresses at once')
  }

  /** A connection on which a device has shown its certificate; it is forgotten when it closes. */
  add(socket: Socket, door: DoorName, deviceId: string, sha256: string): void {
    if (this.#sessions.has(socket) || socket.destroyed) return
    const session = { deviceId, sha256, door, address: socket.remoteAddress ?? '' }
    const same = this.#byCertificate.get(sha256) ?? new Set()
    for (const other of same)
      if (other.address !== session.address) {
        this.#report(session, other)
        break
      }
    this.#byCertificate.set(sha256, same.add(session))
    this.#sessions.set(socket, session)
    this.#open.inc({ door })
    socket.once('close', () => {
      this.#sessions.delete(socket)
      this.#open.dec({ door })
      same.delete(session)
      if (same.size === 0 && this.#byCertificate.get(sha256) === same) this.#byCertificate.delete(sha256)
    })
  }

  /** Ends every session whose certificate counts no more. What the door has written last still leaves, for as long as that takes no time. */
  sweep(objection: (sha256: string) => string | undefined): void {
    const asked = new Map<string, string | undefined>()
    for (const [socket, { sha256, deviceId, door, address }] of this.#sessions) {
      if (!asked.has(sha256)) asked.set(sha256, objection(sha256))
      const why = asked.get(sha256)
      if (why === undefined || this.#ending.has(socket)) continue
      this.#ending.add(socket)
      this.#deps.logger.warn({ deviceId, door, address, why }, 'a device session is cut')
      socket.destroySoon()
      setTimeout(() => socket.destroy(), lingerMs).unref()
    }
  }

  #report(session: Session, other: Session): void {
    const { deviceId, sha256, address } = session
    const nowMs = this.#deps.monotonicMs()
    const pair = `${sha256} ${[address, other.address].toSorted().join(' ')}`
    if (nowMs - (this.#reported.get(pair) ?? Number.NEGATIVE_INFINITY) < reportEveryMs) return
    if (this.#reported.size >= mostReports) this.#reported.clear()
    this.#reported.set(pair, nowMs)
    this.#clones.inc()
    this.#deps.logger.error(
      { deviceId, certificateSha256: sha256, addresses: [other.address, address], doors: [other.door, session.door] },
      'one certificate is used from two addresses at once: a cloned key? `andon devices suspend` stops the device',
    )
  }
}
