// NATS door. Requests on telemetry.<source>, and on the subjects of source files of kind nats; the reply is the acknowledgement:
// {"accepted":n,"duplicates":n,"quarantined":[…]} or {"error":{code,message,retriable}}. Instances share a subject as one queue group. A
// message without a reply subject is taken, but nobody learns whether it was safe. JetStream streams are read by nats-jetstream.ts.

import { Events } from 'nats'
import type { Msg, NatsConnection, Subscription } from 'nats'
import { AndonError, env, messageOf } from '@andon/kit'
import type { Logger, Metrics } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import type { Assignment, SourceFiles } from '../doors.ts'
import { compileMapping } from '../mapping.ts'
import { pullSources } from '../pull-sources.ts'
import type { Link, PullSources } from '../pull-sources.ts'
import { connectNats, natsAccessSettings } from './nats-connection.ts'
import type { NatsAccess } from './nats-connection.ts'
import { openJetStreamLink } from './nats-jetstream.ts'
import type { NatsFile } from './nats-jetstream.ts'
import type { Delivery, Intake, Source } from './source.ts'
import { streamMetrics } from './stream-metrics.ts'

export interface NatsDoorOptions {
  readonly url: string
  readonly namespace: string
  readonly instance: string
  readonly access: NatsAccess
  /** Messages worked on at once; further ones are refused, so that memory stays bounded however fast NATS delivers. */
  readonly maxInFlight: number
  readonly sources: SourceFiles
  readonly assignment: Assignment
  readonly logger: Logger
  readonly metrics: Metrics
}

export const natsDoorKind = defineDoor({
  name: 'nats',
  about: 'NATS requests on telemetry.<source>, mapped subjects and JetStream streams',
  settings: {
    ...natsAccessSettings,
    maxInFlight: env.integer('INGEST_NATS_IN_FLIGHT_MAX', 'NATS messages worked on at once; further ones are refused', 4096),
  },
  open: ({ maxInFlight, ...access }, { config, sources, assignment, logger, metrics }) =>
    natsDoor({
      url: config.natsUrl,
      namespace: config.namespace,
      instance: config.instance,
      access,
      maxInFlight,
      sources,
      assignment,
      logger,
      metrics,
    }),
})

export const natsDoor = (options: NatsDoorOptions): Source => {
  const { logger, namespace, sources, maxInFlight } = options
  const prefix = `${namespace}telemetry.`
  const queue = `${namespace}ingest`
  const dropped = options.metrics.counter('andon_ingest_nats_dropped_total', 'NATS messages without a reply subject that were not taken')
  const counts = streamMetrics(options.metrics)
  const inHand = new Set<Promise<void>>()
  const own: Subscription[] = []
  let connection: NatsConnection | undefined
  let links: PullSources | undefined
  let isConnected = false

  const answer = async (message: Msg, intake: Intake, delivery: (payload: Buffer) => Delivery) => {
    const payload = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength)
    const reply = await taken(() => intake(delivery(payload)))
    if (message.reply !== undefined && message.reply !== '') message.respond(JSON.stringify(reply))
    else if ('error' in reply) dropped.inc()
  }

  const taken = async (take: () => ReturnType<Intake>) => {
    if (inHand.size >= maxInFlight) return { error: { code: 'ANDON_INGEST_BUSY', message: tooMany, retriable: true } }
    try {
      return await take()
    } catch (error) {
      return { error: faultOf(error) }
    }
  }

  const tooMany = `More than ${maxInFlight} NATS messages at once (INGEST_NATS_IN_FLIGHT_MAX)`

  const subscribe = (opened: NatsConnection, subject: string, intake: Intake, deliveryOf: (message: Msg, payload: Buffer) => Delivery) =>
    opened.subscribe(subject, {
      queue,
      callback: (error, message) => {
        if (error !== null) return logger.warn({ err: error, subject }, 'a NATS subscription failed')
        const done = answer(message, intake, (payload) => deliveryOf(message, payload)).catch((cause: unknown) =>
          logger.warn({ err: cause }, 'a NATS reply could not be sent'),
        )
        inHand.add(done)
        void done.finally(() => inHand.delete(done)) // cannot reject: the failure is logged above
      },
    })

  /** Core NATS on a mapped subject: every instance is in the queue group. */
  const openMapped = (opened: NatsConnection, file: NatsFile, intake: Intake): Link => {
    const mapping = compileMapping(file.mapping, file)
    const subscription = subscribe(opened, file.subject, intake, ({ subject }, payload) => {
      const arrival = { levels: subject.split('.'), receivedUs: Date.now() * 1000 }
      const readings = mapping.ofPayload(payload, arrival)
      return { door: 'nats', readings, bytes: payload.length, mapped: { file: mapping.id, arrival } }
    })
    return {
      up: () => isConnected || 'NATS is not connected',
      stop: () => subscription.drain().catch(() => undefined), // away: nothing to drain
    }
  }

  const openLinks = (opened: NatsConnection, intake: Intake): PullSources =>
    pullSources({
      kind: 'nats',
      sources,
      // Instances share a core subject through the queue group; a stream is one instance's at a time.
      assignment: {
        isMine: (id) => options.assignment.isMine(id) || sources.of('nats').find((file) => file.id === id)?.jetstream === undefined,
        onChange: (listener) => options.assignment.onChange(listener),
      },
      logger,
      open: (file) => {
        const { jetstream } = file
        return jetstream === undefined
          ? openMapped(opened, file, intake)
          : openJetStreamLink({ file: { ...file, jetstream }, connection: opened, intake, maxInFlight, logger, metrics: counts })
      },
    })

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
      const opened = await connectNats(options.url, options.instance, options.access, logger)
      connection = opened
      isConnected = true
      void watch(opened) // ends with the connection, which reports its own errors
      own.push(
        subscribe(opened, `${prefix}>`, intake, ({ subject }, payload) => ({
          door: 'nats',
          payload,
          format: 'json',
          source: subject.slice(prefix.length),
        })),
      )
      links = openLinks(opened, intake)
      await opened.flush()
    },
    stop: async () => {
      if (connection === undefined || connection.isClosed()) return
      for (const subscription of own) await subscription.drain().catch(() => undefined) // away: nothing to drain
      await links?.stop()
      await Promise.all(inHand)
      isConnected = false
      await connection.close()
    },
  }
}

const faultOf = (error: unknown): { code: string; message: string; retriable: boolean } =>
  error instanceof AndonError
    ? { code: error.code, message: error.message, retriable: error.retriable }
    : { code: 'ANDON_INTERNAL', message: messageOf(error), retriable: true }
