// One delivery after the Standard Webhooks specification: signed over id, time and raw body; 2xx is delivered, redirects are not followed.

import { Webhook } from 'standardwebhooks'

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
  readonly secret: string | undefined
  readonly event: WebhookEvent
  readonly timeoutMs: number
}

/** One attempt. Never throws: what went wrong is in `detail`. */
export const postWebhook = async ({ url, secret, event, timeoutMs }: DeliveryOptions): Promise<Delivery> => {
  const failed = (detail: string): Delivery => ({ isDelivered: false, isGone: false, retryAfterMs: undefined, detail })
  if (secret === undefined) return failed('the secret of this endpoint is not set in the environment')
  const body = JSON.stringify({ type: event.type, timestamp: new Date(event.timestampMs).toISOString(), data: event.data })
  const now = new Date()
  try {
    const signature = new Webhook(secret).sign(event.id, now, body)
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'webhook-id': event.id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': signature,
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    await response.body?.cancel()
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
    return {
      isDelivered: response.ok,
      isGone: response.status === 410,
      retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : undefined,
      detail: `HTTP ${response.status}`,
    }
  } catch (error) {
    return failed(
      error instanceof Error ? `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ''}` : String(error),
    )
  }
}
