// An edge executor over NATS request/reply: JSON on `<subject>.read`, `.command` and `.burn`. Nobody listening is known at once
// (no responders) and counts as not sent; a request without a reply is unknown, whatever the reason.

import { connect, ErrorCode, NatsError } from 'nats'
import type { NatsConnection } from 'nats'
import type { Logger } from '@andon/kit'
import { NotSent, within } from './executor.ts'
import type { Executor, Order } from './executor.ts'
import { controlSystemFor } from './control-systems.ts'
import type { ControlSystemOf } from './control-systems.ts'
import { lineExecutor } from './line-control.ts'
import type { LineAsk, LineLink, LineReading, LineWord } from './line-control.ts'

const CONNECT_TIMEOUT_MS = 2_000
/** Beyond every signal that ends the waiting. */
const LONGEST_WAIT_MS = 120_000

export interface NatsLineOptions {
  readonly url: string
  readonly namespace: string
  readonly controlSystemOf: ControlSystemOf
  readonly logger: Logger
}

export const natsLineExecutor = ({ url, namespace, controlSystemOf, logger }: NatsLineOptions): Executor => {
  let connecting: Promise<NatsConnection> | undefined

  const connection = async (): Promise<NatsConnection> => {
    try {
      // A connection that is lost says so at once: a command must not wait in a client for a server to come back.
      connecting ??= connect({ servers: url, name: 'andon-actions', reconnect: false, timeout: CONNECT_TIMEOUT_MS })
      const open = await connecting
      if (!open.isClosed()) return open
      connecting = undefined
      return await connection()
    } catch (cause) {
      connecting = undefined
      throw new NotSent(`NATS cannot be reached at ${url}`, { isFault: true, cause })
    }
  }

  const request = async <T>(subject: string, body: unknown, signal: AbortSignal): Promise<T> => {
    const open = await within(signal, connection())
    signal.throwIfAborted()
    try {
      const reply = await within(signal, open.request(subject, JSON.stringify(body), { timeout: LONGEST_WAIT_MS }))
      return reply.json<T>()
    } catch (cause) {
      if (cause instanceof NatsError && cause.code === ErrorCode.NoResponders)
        throw new NotSent(`Nobody answers on ${subject}: the edge executor is not there`, { isFault: true, cause })
      throw cause
    }
  }

  return lineExecutor(
    (order) => edgeLink(`${namespace}${subjectOf(order, controlSystemOf)}`, request),
    async () => {
      const open = await connecting?.catch(() => undefined)
      await open?.close()
      logger.debug('edge executors: connection closed')
    },
  )
}

const subjectOf = (order: Order, systemOf: ControlSystemOf): string => controlSystemFor('nats', order, systemOf).subject

const edgeLink = (subject: string, request: <T>(subject: string, body: unknown, signal: AbortSignal) => Promise<T>): LineLink => ({
  read: (signal) => request<LineReading>(`${subject}.read`, {}, signal),
  ask: async ({ params, ...rest }: LineAsk, signal) => {
    const word = await request<Partial<LineWord>>(`${subject}.command`, { ...params, ...rest }, signal)
    if (typeof word.accepted !== 'boolean') throw new Error(`${subject}.command answers without a word about the request`)
    return { accepted: word.accepted, code: word.code ?? '' }
  },
  burn: async (requestId, signal) => {
    const { done } = await request<{ done?: unknown }>(`${subject}.burn`, { requestId }, signal)
    if (typeof done !== 'boolean') throw new Error(`${subject}.burn answers without done`)
    return done
  },
})
