// What the MQTT door remembers of its clients between connections: that they were here, and which QoS 2 messages it has without their
// PUBREL. In memory: after a restart a client is new, and a QoS 2 message may come twice; readings carry their own identity.

import { randomUUID } from 'node:crypto'

export interface Session {
  readonly clientId: string
  readonly key: string
  /** QoS 2 message id → made safe. */
  readonly received: Map<number, boolean>
  /** Kept this long after its connection; 0: not at all. */
  readonly expiryS: number
}

/** The connection of a session. */
export interface Holder {
  end(reasonCode: number, why: string): void
}

export interface SessionsOptions {
  /** Longest and, for MQTT 3.1.1 clients that want one kept, usual time. */
  readonly maxExpiryS: number
  /** Sessions without a connection that are kept; beyond it the oldest is forgotten. */
  readonly maxKept: number
  readonly monotonicMs: () => number
}

const takenOver = 0x8e

export class Sessions {
  readonly #options: SessionsOptions
  readonly #held = new Map<string, { readonly session: Session; readonly by: Holder }>()
  readonly #kept = new Map<string, { readonly session: Session; readonly untilMs: number }>()

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  /** Opens the session of a client; whoever holds it now is closed. An empty client id is given one. */
  open(of: {
    readonly peerId: string
    readonly clientId: string
    readonly clean: boolean
    readonly expiryS: number | undefined
    readonly connection: Holder
  }): { session: Session; isKept: boolean } {
    const clientId = of.clientId === '' ? `andon-${randomUUID()}` : of.clientId
    const key = `${of.peerId}\u0000${clientId}`
    const held = this.#held.get(key)
    const kept = this.#kept.get(key)
    this.#kept.delete(key)
    held?.by.end(takenOver, 'another connection has taken this client id')
    const isAlive = kept !== undefined && kept.untilMs > this.#options.monotonicMs()
    const earlier = of.clean ? undefined : (held?.session ?? (isAlive ? kept.session : undefined))
    const expiryS = Math.min(of.expiryS ?? this.#options.maxExpiryS, this.#options.maxExpiryS)
    // What was in hand on the lost connection is sent again, and taken again.
    const received = new Map([...(earlier?.received ?? [])].filter(([, isSafe]) => isSafe))
    const session = { clientId, key, expiryS, received }
    this.#held.set(key, { session, by: of.connection })
    return { session, isKept: earlier !== undefined }
  }

  /** A connection has ended. */
  left(session: Session, by: Holder): void {
    if (this.#held.get(session.key)?.by !== by) return // taken over
    this.#held.delete(session.key)
    if (session.expiryS === 0) return
    this.#kept.set(session.key, { session, untilMs: this.#options.monotonicMs() + session.expiryS * 1000 })
    if (this.#kept.size > this.#options.maxKept) this.#kept.delete(this.#kept.keys().next().value!)
  }

  /** Forgets the sessions of a peer. */
  forget(peerId: string): void {
    for (const key of this.#kept.keys()) if (key.startsWith(`${peerId}\u0000`)) this.#kept.delete(key)
  }
}
