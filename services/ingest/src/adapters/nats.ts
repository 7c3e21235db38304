// NATS door: requests on telemetry.<source>; the reply is the acknowledgement: {"accepted":n,"quarantined":[…]} or {"error":{code,message,retriable}}.
// Instances share the subject as one queue group. A message without a reply subject is taken, but nobody learns whether it was safe.

import { connect, Events } from 'nats'
import type { Msg, NatsConnection, Subscription } from 'nats'
import { AndonError, checkReachable, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import type { Intake, Source } from './source.ts'

export interface NatsDoorOptions {
  readonly url: string
  readonly namespace: string
  readonly instance: string
  readonly logger: Logger
}

export const natsDoorKind = defineDoor({
  name: 'nats',
  about: 'NATS requests on telemetry.<source>',
  settings: {},
  open: (_settings, { config, logger }) =>
    natsDoor({ url: config.natsUrl, namespace: config.namespace, instance: config.instance, logger }),
})

export const natsDoor = (options: NatsDoorOptions): Source => {
  const { logger, namespace } = options
  const prefix = `${namespace}telemetry.`
  const inHand = new Set<Promise<void>>()
  let connection: NatsConnection | undefined
  let subscription: Subscription | undefined
  let isConnected = false

  const answer = async (message: Msg, intake: Intake) => {
    const reply = await intake({
      door: 'nats',
      payload: Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength),
      format: 'json',
      source: message.subject.slice(prefix.length),
    }).catch((error: unknown) => ({ error: faultOf(error) }))
    if (message.reply !== undefined && message.reply !== '') message.respond(JSON.stringify(reply))
  }

  const watch = async (opened: NatsConnection) => {
    for await (const status of opened.status()) {
      if (status.type === Events.Disconnect) isConnected = false
      if (status.type === Events.Reconnect) isConnected = true
      if (status.type === Events.Disconnect || status.type === Events.Reconnect)
        logger.info({ status: status.type }, 'NATS connection changed')
    }
  }

  return {
    name: 'nats',
    ready: () => isConnected || 'NATS is not connected',
    start: async (intake) => {
      await checkReachable([options.url], 'ANDON_NATS_URL')
      const opened = await connect({ servers: options.url, name: options.instance, maxReconnectAttempts: -1, reconnectTimeWait: 1000 })
      connection = opened
      isConnected = true
      void watch(opened) // ends with the connection, which reports its own errors
      subscription = opened.subscribe(`${prefix}>`, {
        queue: `${namespace}ingest`,
        callback: (error, message) => {
          if (error !== null) return logger.warn({ err: error }, 'the NATS subscription failed')
          const taken = answer(message, intake).catch((cause: unknown) => logger.warn({ err: cause }, 'a NATS reply could not be sent'))
          inHand.add(taken)
          void taken.finally(() => inHand.delete(taken)) // cannot reject: the failure is logged above
        },
      })
      await opened.flush()
    },
    stop: async () => {
      if (connection === undefined || connection.isClosed()) return
      await subscription?.drain().catch(() => undefined) // away: nothing to drain
      await Promise.all(inHand)
      await connection.close()
    },
  }
}

const faultOf = (error: unknown): { code: string; message: string; retriable: boolean } =>
  error instanceof AndonError
    ? { code: error.code, message: error.message, retriable: error.retriable }
    : { code: 'ANDON_INTERNAL', message: messageOf(error), retriable: true }
