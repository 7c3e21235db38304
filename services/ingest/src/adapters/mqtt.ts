// MQTT door: an embedded broker for devices. Readings come on andon/<source>/readings; PUBACK (QoS 1) and PUBREC (QoS 2) are the
// acknowledgement and are held until the intake says so. When it refuses, the connection is closed: the device keeps the message and
// sends it again after it has reconnected. Nobody can subscribe: what devices send is read from the log.

import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { callbackify } from 'node:util'
import { Aedes } from 'aedes'
import type { Client } from 'aedes'
import { AndonError, env, listen, portDefault } from '@andon/kit'
import type { Logger, Principals } from '@andon/kit'
import { defineDoor } from '../doors.ts'
import type { Intake, Source } from './source.ts'

export interface MqttDoorOptions {
  readonly host: string
  readonly port: number
  readonly principals: Principals
  readonly logger: Logger
}

// Return code of a CONNACK, MQTT 3.1.1 §3.2.2.3.
const badCredentials = 4

const readingsTopic = /^andon\/([^/]+)\/readings$/

export const mqttDoorKind = defineDoor({
  name: 'mqtt',
  about: 'an embedded MQTT broker: publish on andon/<source>/readings',
  settings: { port: env.port('INGEST_MQTT_PORT', 'Port of the MQTT door', portDefault('ingest', 'mqtt')) },
  open: ({ port }, { config, principals, logger }) => mqttDoor({ host: config.host, port, principals: principals(), logger }),
})

export const mqttDoor = (options: MqttDoorOptions): Source & { port(): number } => {
  const { logger } = options
  const sockets = new Set<Socket>()
  const inHand = new Set<Promise<void>>()
  let port = options.port
  let server: Server | undefined
  let broker: Aedes | undefined
  let isStopping = false

  const brokerFor = async (intake: Intake): Promise<Aedes> => {
    const take = async (client: Client | null, topic: string, payload: Buffer) => {
      const source = readingsTopic.exec(topic)?.[1]
      if (source === undefined)
        throw new AndonError('ANDON_INGEST_BAD_TOPIC', `Readings are published on andon/<source>/readings, found ${topic}`)
      if (isStopping) throw new AndonError('ANDON_INGEST_STOPPING', 'Ingest is stopping; connect again', { retriable: true })
      const receipt = await intake({ door: 'mqtt', payload, format: 'json', source })
      for (const { code, message } of receipt.quarantined.slice(0, 1)) {
        logger.warn({ client: client?.id, code, count: receipt.quarantined.length, example: message }, 'readings went to quarantine')
      }
    }
    const takeThen = callbackify(async (client: Client | null, topic: string, payload: Buffer) => {
      const taken = take(client, topic, payload)
      inHand.add(taken)
      await taken.finally(() => inHand.delete(taken))
    })
    const created = new Aedes({
      authenticate: (_client, _username, password, done) => {
        const principal = password === undefined ? undefined : options.principals.of(password.toString('utf8'))
        if (principal?.roles.includes('ingest') !== true) {
          return done(
            Object.assign(new Error('The password has to be a token with the role ingest'), { returnCode: badCredentials } as const),
            false,
          )
        }
        done(null, true)
      },
      authorizePublish: (client, packet, done) => {
        packet.retain = false
        takeThen(client, packet.topic, Buffer.from(packet.payload), (error) => done(error))
      },
      authorizeSubscribe: (_client, _subscription, done) => done(null, null),
    })
    created.on('clientError', (client, error) => logger.info({ client: client.id, err: error }, 'closed a device connection'))
    created.on('connectionError', (_client, error) => logger.debug({ err: error }, 'a device connection failed'))
    await created.listen()
    return created
  }

  return {
    name: 'mqtt',
    port: () => port,
    ready: () => server?.listening === true || 'not listening',
    start: async (intake, refusing) => {
      const opened = await brokerFor(intake)
      broker = opened
      server = createServer((socket) => {
        // Without a CONNACK: clients take a refusal in it for final and do not come back.
        if (refusing() !== undefined) {
          socket.destroy()
          return
        }
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
        opened.handle(socket)
      })
      port = await listen(server, { host: options.host, port: options.port, setting: 'INGEST_MQTT_PORT' })
    },
    stop: async () => {
      isStopping = true
      server?.close()
      await Promise.allSettled(inHand)
      await new Promise<void>((resolve) => setImmediate(resolve)) // lets the last acknowledgements leave
      const opened = broker
      if (opened !== undefined) await new Promise<void>((resolve) => opened.close(resolve))
      for (const socket of sockets) socket.destroy()
    },
  }
}
