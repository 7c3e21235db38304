// Deliveries after the Standard Webhooks specification: signed over id, time and raw body; 2xx is delivered, redirects are not followed.

import { createPrivateKey, sign } from 'node:crypto'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { messageOf } from '@andon/kit'
import { Webhook } from 'standardwebhooks'
import { guardOf } from './public-addresses.ts'
import type { Lookup } from './public-addresses.ts'

export interface WebhookEvent {
  /** webhook-id: the same over all retries, the receiver's idempotency key. */
  readonly id: string
  readonly type: string
  readonly timestampMs: number
  readonly data: unknown
}

export interface Delivery {
  readonly isDelivered: boolean
  /** The endpoint is gone for good (410). */
  readonly isGone: boolean
  /** The endpoint asks to wait this long. */
  readonly retryAfterMs: number | undefined
  readonly detail: string
}

export interface DeliveryOptions {
  readonly url: string
  /** Keys separated by blanks: each signs. Two of them while receivers change over. */
  readonly secret: string | undefined
  readonly event: WebhookEvent
  readonly timeoutMs: number
}

export interface WebhookSender {
  /** One attempt. Never rejects: what went wrong is in `detail`. */
  post(delivery: DeliveryOptions): Promise<Delivery>
  close(): void
}

/** Most of an answer that is read before its connection is given up. */
const MAX_ANSWER_BYTES = 65_536
const MAX_SOCKETS_PER_HOST = 8
/** DER of a PKCS #8 Ed25519 key, up to its 32 bytes. */
const ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** `webhook-signature`: `v1` (HMAC-SHA256) for `whsec_…`, `v1a` (Ed25519) for `whsk_…`, one for each key. Throws for anything else. */
export const signaturesOf = (secret: string, id: string, at: Date, body: string): string =>
  secret
    .trim()
    .split(/\s+/)
    .map((key) => (key.startsWith('whsk_') ? ed25519(key.slice(5), id, at, body) : new Webhook(key).sign(id, at, body)))
    .join(' ')

const ed25519 = (key: string, id: string, at: Date, body: string): string => {
  const seed = Buffer.from(key, 'base64').subarray(0, 32) // some libraries keep the public half behind it
  if (seed.length < 32) throw new Error('a whsk_ key has 32 bytes')
  const privateKey = createPrivateKey({ key: Buffer.concat([ED25519_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const signed = `${id}.${Math.floor(at.getTime() / 1000)}.${body}`
  return `v1a,${sign(null, Buffer.from(signed), privateKey).toString('base64')}`
}

export interface SenderOptions {
  /** Hosts that may be private, ACTIONS_WEBHOOK_ALLOW. */
  readonly allow: readonly string[]
  /** Of the system; tests bring one that changes its mind. */
  readonly lookup?: Lookup
}

export const webhookSender = ({ allow, lookup }: SenderOptions): WebhookSender => {
  const guard = guardOf(allow, lookup)
  const pool = { keepAlive: true, maxSockets: MAX_SOCKETS_PER_HOST, scheduling: 'fifo' } as const
  const agents = { 'http:': new HttpAgent(pool), 'https:': new HttpsAgent(pool) }

  const open = (url: URL, options: RequestOptions): ClientRequest =>
    url.protocol === 'https:'
      ? httpsRequest(url, { ...options, agent: agents['https:'] })
      : httpRequest(url, { ...options, agent: agents['http:'] })

  const send = async (url: URL, headers: Readonly<Record<string, string>>, body: string, timeoutMs: number): Promise<Delivery> => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const signal = AbortSignal.timeout(timeoutMs)
    const request = open(url, { method: 'POST', headers, signal, lookup: guard.lookup })
    request.once('error', reject)
    request.once('response', resolve)
    request.end(body)
    const response = await promise
    drain(response)
    const seconds = Number(response.headers['retry-after'] ?? Number.NaN)
    const status = response.statusCode ?? 0
    return {
      isDelivered: status >= 200 && status < 300,
      isGone: status === 410,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
      detail: `HTTP ${status}`,
    }
  }

  return {
    async post({ url, secret, event, timeoutMs }) {
      const failed = (detail: string): Delivery => ({ isDelivered: false, isGone: false, retryAfterMs: undefined, detail })
      if (secret === undefined) return failed('the secret of this endpoint is not set in the environment')
      const body = JSON.stringify({ type: event.type, timestamp: new Date(event.timestampMs).toISOString(), data: event.data })
      const now = new Date()
      try {
        const target = new URL(url)
        const objection = guard.objection(target)
        if (objection !== null) return failed(objection)
        const headers = {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(body)),
          'webhook-id': event.id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': signaturesOf(secret, event.id, now, body),
        }
        return await send(target, headers, body, timeoutMs)
      } catch (error) {
        return failed(messageOf(error))
      }
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

/** What an endpoint says beside its status is not kept; an endless answer ends with its connection. */
const drain = (response: IncomingMessage): void => {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) response.destroy()
  })
  response.on('error', () => undefined) // cut off while draining: the status was read
}
