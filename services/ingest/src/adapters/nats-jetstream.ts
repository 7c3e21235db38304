// One JetStream stream → readings, through a durable pull consumer. A message is acknowledged when its readings are safe, comes again after
// a while when they are refused, and is terminated when no try can ever help. A repeat is known by stream and stream sequence.

import { setTimeout as pause } from 'node:timers/promises'
import { AckPolicy, nanos } from 'nats'
import type { ConsumerMessages, JsMsg, NatsConnection } from 'nats'
import { AndonError, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import type { PlantSource } from '@andon/schemas'
import { compileMapping } from '../mapping.ts'
import type { Link } from '../pull-sources.ts'
import { refusal } from '../reading.ts'
import { takeMessages } from './mapped-payload.ts'
import { isRetriable } from './patient-intake.ts'
import type { Intake } from './source.ts'
import type { StreamMetrics } from './stream-metrics.ts'

export type NatsFile = Extract<PlantSource, { kind: 'nats' }>

export interface JetStreamDeps {
  readonly file: NatsFile & { readonly jetstream: NonNullable<NatsFile['jetstream']> }
  readonly connection: NatsConnection
  readonly intake: Intake
  readonly maxInFlight: number
  readonly logger: Logger
  readonly metrics: StreamMetrics
}

const ackWaitMs = 10_000
const firstNakMs = 200
const longestNakMs = 30_000
const againMs = 1000

export const openJetStreamLink = ({ file, connection, intake, maxInFlight, logger, metrics }: JetStreamDeps): Link => {
  const { stream, durable } = file.jetstream
  const mapping = compileMapping(file.mapping, file)
  const inHand = new Set<Promise<void>>()
  const abort = new AbortController()
  let state: true | string = 'not started'
  let messages: ConsumerMessages | undefined

  const take = async (message: JsMsg): Promise<void> => {
    const payload = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength)
    const identity = `nats:${stream}:${message.seq}`
    // The time of storage, so that a redelivery says the same.
    const receivedUs = Math.round(message.info.timestampNanos / 1000)
    const working = setInterval(() => message.working(), ackWaitMs / 3)
    try {
      const readings = mapping.ofPayload(payload, { levels: message.subject.split('.'), receivedUs })
      await takeMessages(intake, 'nats', file.mapping, [{ readings, bytes: payload.length, identity }])
      message.ack()
      metrics.taken(file.id, 1)
    } catch (error) {
      if (isRetriable(error)) return message.nak(Math.min(longestNakMs, firstNakMs * 2 ** Math.min(message.info.redeliveryCount, 16)))
      await refuse(payload, error as AndonError)
      message.term(messageOf(error))
    } finally {
      clearInterval(working)
    }
  }

  const refuse = async (payload: Buffer, { code, message }: AndonError) => {
    const readings = [{ value: undefined, bytes: () => payload, refused: refusal(code, message, {}) }]
    await intake({ door: 'nats', readings, bytes: payload.length })
  }

  const open = async (): Promise<ConsumerMessages> => {
    const manager = await connection.jetstreamManager()
    const found = await manager.consumers.info(stream, durable).catch(() => undefined)
    if (found === undefined) {
      await manager.consumers.add(stream, {
        durable_name: durable,
        filter_subject: file.subject,
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(ackWaitMs),
        max_ack_pending: maxInFlight,
        max_deliver: -1,
      })
    } else if (found.config.ack_policy !== AckPolicy.Explicit || (found.config.max_deliver ?? -1) > 0) {
      throw new AndonError(
        'ANDON_INGEST_NATS_CONSUMER',
        `sources/${file.id}: found consumer ${durable} of stream ${stream} with ack policy ${found.config.ack_policy} and at most ${found.config.max_deliver ?? -1} deliveries, expected explicit and -1: it would lose what is refused`,
      )
    }
    const consumer = await connection.jetstream().consumers.get(stream, durable)
    return consumer.consume({ max_messages: Math.min(maxInFlight, 500) })
  }

  const read = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      try {
        messages = await open()
        state = true
        if (abort.signal.aborted) return messages.stop() // stopped while it was being opened
        for await (const message of messages) {
          const taken = take(message).catch((error: unknown) =>
            logger.warn({ err: error, source: file.id }, 'a JetStream message was not answered; it comes again'),
          )
          inHand.add(taken)
          void taken.finally(() => inHand.delete(taken)) // cannot reject
          if (inHand.size >= maxInFlight) await Promise.race(inHand)
        }
        state = `stream ${stream} is not read`
      } catch (error) {
        if (state !== messageOf(error)) logger.warn({ err: error, source: file.id, stream }, 'a JetStream stream cannot be read')
        state = messageOf(error)
        metrics.failed(file.id)
      }
      await pause(againMs, undefined, { signal: abort.signal }).catch(() => undefined)
    }
  }

  const reading = read()
  return {
    up: () => (connection.isClosed() ? 'NATS is not connected' : state),
    stop: async () => {
      abort.abort()
      messages?.stop()
      await Promise.all(inHand)
      await reading
    },
  }
}
