// Who sends: a device by its certificate, else the principal of a bearer token. Asked once per connection and token; a device that is
// cut off loses its connections (../devices.ts).

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { AndonError, bearerToken, principalOf } from '@andon/kit'
import type { Principals } from '@andon/kit'
import type { Devices } from '../devices.ts'
import type { Device } from './source.ts'

export interface Sender {
  /** Distinguishes Idempotency-Keys of different senders. */
  readonly id: string
  readonly device: Device | undefined
}

interface Known {
  readonly authorization: string | undefined
  readonly sender: Sender
}

const role = 'ingest'

export class Senders {
  readonly #principals: Principals
  readonly #devices: Devices
  readonly #known = new WeakMap<Socket, Known>()

  constructor(principals: Principals, devices: Devices) {
    this.#principals = principals
    this.#devices = devices
  }

  /** Who sends this request. Throws ANDON_UNAUTHENTICATED (401), ANDON_FORBIDDEN (403), or what `devices` says against a certificate. */
  of(request: IncomingMessage): Sender {
    const { socket } = request
    const { authorization } = request.headers
    const known = this.#known.get(socket)
    if (known !== undefined && known.authorization === authorization) return known.sender
    const sender = this.#byCertificate(socket) ?? this.#byToken(request)
    this.#known.set(socket, { authorization, sender })
    return sender
  }

  #byCertificate(socket: Socket): Sender | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
    const device = this.#devices.admit(socket, 'http')
    return device === undefined ? undefined : { id: `device ${device.id}`, device }
  }

  #byToken(request: IncomingMessage): Sender {
    const token = bearerToken(request)
    if (token === undefined && request.socket instanceof TLSSocket) throw withoutIdentity(request.socket)
    const principal = principalOf(this.#principals, token)
    if (!principal.roles.includes(role)) {
      throw new AndonError('ANDON_FORBIDDEN', `This needs the role ${role}; ${principal.id} has ${principal.roles.join(', ') || 'none'}`, {
        status: 403,
        fields: { roles: [role] },
      })
    }
    return { id: `principal ${principal.id}`, device: undefined }
  }
}

const withoutIdentity = (socket: TLSSocket): AndonError => {
  const found =
    socket.getPeerX509Certificate() === undefined ? 'neither' : `a certificate that is not valid (${String(socket.authorizationError)})`
  return new AndonError('ANDON_UNAUTHENTICATED', `Found ${found}; expected a client certificate of this site, or a bearer token`, {
    status: 401,
  })
}
