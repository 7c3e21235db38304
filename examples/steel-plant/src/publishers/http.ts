// Readings over HTTP: POST /v1/telemetry with a bearer token; 202 is ingest's acknowledgement.

import { BatchRefused } from '../outbox.ts'
import type { Reading } from '../reading.ts'

export interface HttpOptions {
  /** Base address of ingest, e.g. http://127.0.0.1:7071. */
  readonly url: string
  readonly token: string
  readonly timeoutMs?: number
}

interface Accepted {
  readonly accepted: number
  readonly quarantined?: readonly unknown[]
}

/** Client errors that a repeat may cure: no token yet, too many requests, timeout. */
const passing = new Set([401, 403, 408, 425, 429])

export const httpDelivery = ({ url, token, timeoutMs = 10_000 }: HttpOptions) => {
  const address = new URL('/v1/telemetry', url)
  return async (batch: readonly Reading[], signal: AbortSignal): Promise<{ quarantined: number }> => {
    const response = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(batch),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    if (response.status === 202) {
      const answer = (await response.json()) as Accepted
      return { quarantined: answer.quarantined?.length ?? 0 }
    }
    const said = `${address.href} answered ${response.status}: ${(await response.text()).slice(0, 300)}`
    throw response.status >= 400 && response.status < 500 && !passing.has(response.status) ? new BatchRefused(said) : new Error(said)
  }
}
