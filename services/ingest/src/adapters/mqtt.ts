// MQTT door: devices publish here; no other broker is needed. PUBACK (QoS 1) and PUBREC (QoS 2) are the acknowledgement and are held until
// the intake says so. When it refuses, the connection is closed: the device keeps the message and sends it again after it has reconnected.
// Plain mode: loopback, the password is a token with the role ingest. Secure mode: mutual TLS, the certificate says who it is.

import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { TLSSocket, createServer as createTlsServer } from 'node:tls'
import type { IConnectPacket } from 'mqtt-packet'
import { AndonError, env, listen, messageOf, portDefault } from '@andon/kit'
import type { Logger, Metrics, Principals } from '@andon/kit'
import { buttonsOf } from '../buttons.ts'
import type { Buttons } from '../buttons.ts'
import { noDevices } from '../devices.ts'
import type { Devices } from '../devices.ts'
import { defineDoor } from '../doors.ts'
import type { SourceFiles } from '../doors.ts'
import { MqttFault, reason } from '../mqtt/frames.ts'
import { messages } from '../mqtt/messages.ts'
import { MqttConnection } from './mqtt-connection.ts'
import type { MqttLimits, Peer } from './mqtt-connection.ts'
import { Sessions } from './mqtt-sessions.ts'
import type { Source } from './source.ts'

export interface MqttDoorOptions {
  readonly host: string
  readonly port: number
  /** Port in secure mode. */
  readonly tlsPort: number
  readonly maxConnections: number
  readonly sessionExpiryS: number
  readonly limits: Omit<MqttLimits, 'connectTimeoutMs'>
  readonly principals: () => Principals
  readonly devices: Devices
  readonly sources: SourceFiles
  readonly buttons: Buttons | undefined
  readonly logger: Logger
  readonly metrics: Metrics
}

const kibibyte = 1024
const connectTimeoutMs = 10_000
const maxKeptSessions = 100_000

export const mqttDoorKind = defineDoor({
  name: 'mqtt',
  about: 'MQTT 3.1.1 and 5 for devices: publish on andon/<source>/readings',
  settings: {
    port: env.port('INGEST_MQTT_PORT', 'Port of the MQTT door in plain mode', portDefault('ingest', 'mqtt')),
    tlsPort: env.port('INGEST_MQTTS_PORT', 'Port of the MQTT door in secure mode', portDefault('ingest', 'mqtts')),
    maxPacketBytes: env.integer(
      'INGEST_MQTT_PACKET_MAX_BYTES',
      'Longest MQTT packet; longer data is split or goes over HTTP',
      256 * kibibyte,
    ),
    maxInFlight: env.integer('INGEST_MQTT_IN_FLIGHT_MAX', 'Publishes of one connection that wait for their acknowledgement', 1000),
    maxConnections: env.integer('INGEST_MQTT_CONNECTIONS_MAX', 'Connections of the MQTT door at once; further ones are closed', 10_000),
    maxKeepAliveS: env.integer('INGEST_MQTT_KEEP_ALIVE_MAX_S', 'Longest keep-alive of an MQTT 5 client', 300),
    sessionExpiryS: env.integer('INGEST_MQTT_SESSION_EXPIRY_S', 'How long the session of a client that is away is kept at most', 86_400),
  },
  open: ({ port, tlsPort, maxConnections, sessionExpiryS, ...limits }, context) => {
    const { config, principals, devices, sources, logger, metrics } = context
    const buttons = buttonsOf(context)
    return mqttDoor({
      host: config.host,
      port,
      tlsPort,
      maxConnections,
      sessionExpiryS,
      limits,
      principals,
      devices,
      sources,
      buttons,
      logger,
      metrics,
    })
  },
})

/** Options for a door of its own, without source files, buttons or devices. */
export const plainMqtt = {
  tlsPort: 0,
  maxConnections: 10_000,
  sessionExpiryS: 3600,
  limits: { maxPacketBytes: 256 * kibibyte, maxInFlight: 1000, maxKeepAliveS: 300 },
  devices: noDevices,
  sources: { of: () => [], onChange: () => () => undefined },
  buttons: undefined,
} as const

export const mqttDoor = (options: MqttDoorOptions): Source & { port(): number } => {
  const { logger, devices, sources } = options
  const { tls } = devices
  const connections = new Set<MqttConnection>()
  const sessions = new Sessions({ maxExpiryS: options.sessionExpiryS, maxKept: maxKeptSessions, monotonicMs: () => performance.now() })
  const limits = { ...options.limits, connectTimeoutMs }
  const unpromised = options.metrics.counter('andon_ingest_mqtt_unpromised_total', 'MQTT messages in QoS 0: taken, without any promise')
  const open = options.metrics.gauge('andon_ingest_mqtt_connections', 'Connections of the MQTT door')
  const endings: (() => void)[] = []
  let port = tls === undefined ? options.port : options.tlsPort
  let server: Server | undefined

  const admit =
    (socket: Socket) =>
    (connect: IConnectPacket): Peer => {
      if (socket instanceof TLSSocket) {
        const device = admitted(devices, socket)
        if (device === undefined) throw new MqttFault(reason.notAuthorized, 'found no certificate')
        return { id: `device ${device.id}`, device }
      }
      const principal = connect.password === undefined ? undefined : options.principals().of(connect.password.toString('utf8'))
      if (principal?.roles.includes('ingest') === true) return { id: `principal ${principal.id}`, device: undefined }
      throw new MqttFault(reason.badCredentials, 'the password has to be a token with the role ingest')
    }

  return {
    name: 'mqtt',
    port: () => port,
    ready: () => server?.listening === true || 'not listening',
    start: async (intake, refusing) => {
      const inbox = messages({
        door: 'mqtt',
        intake,
        files: () => sources.of('mqtt'),
        buttons: options.buttons,
        nowUs: () => Date.now() * 1000,
      })
      endings.push(
        sources.onChange(inbox.reload),
        devices.onCutOff((deviceId) => {
          const peerId = `device ${deviceId}`
          for (const each of connections) if (each.peer?.id === peerId) each.end(reason.notAuthorized, 'the device may no longer speak')
          sessions.forget(peerId)
        }),
      )
      const welcome = (socket: Socket) => {
        // Without a CONNACK: clients take a refusal in it for final and do not come back.
        if (refusing() !== undefined || connections.size >= options.maxConnections) return void socket.destroy()
        const connection = new MqttConnection({
          socket,
          limits,
          sessions,
          logger,
          admit: admit(socket),
          take: ({ topic, payloads, qos }, { device }) => {
            if (qos === 0) unpromised.inc(payloads.length)
            return inbox.takeGroup({ topic, payloads, device, isAwaited: qos > 0 }).catch(asFault)
          },
        })
        connections.add(connection)
        open.set(connections.size)
        socket.once('close', () => {
          connections.delete(connection)
          open.set(connections.size)
        })
      }
      server = tls === undefined ? createServer(welcome) : secureServer(devices, tls, welcome, logger)
      const setting = tls === undefined ? 'INGEST_MQTT_PORT' : 'INGEST_MQTTS_PORT'
      port = await listen(server, { host: options.host, port, setting })
      const timer = setInterval(() => {
        const nowMs = performance.now()
        for (const connection of connections) connection.checkAlive(nowMs)
      }, 1000)
      endings.push(() => clearInterval(timer))
    },
    stop: async () => {
      for (const end of endings.splice(0)) end()
      const closed = server?.listening === true ? new Promise((resolve) => server!.close(resolve)) : undefined
      await Promise.all([...connections].map((connection) => connection.stop()))
      await closed
    },
  }
}

const secureServer = (devices: Devices, tls: NonNullable<Devices['tls']>, welcome: (socket: Socket) => void, logger: Logger): Server => {
  const server = createTlsServer(
    {
      key: tls.key,
      cert: tls.cert,
      ca: tls.ca,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      handshakeTimeout: connectTimeoutMs,
    },
    welcome,
  )
  devices.keepFresh(server)
  server.on('tlsClientError', (error) => logger.info({ why: messageOf(error) }, 'an MQTT client failed at TLS'))
  return server
}

const admitted = (devices: Devices, socket: TLSSocket) => {
  try {
    return devices.admit(socket, 'mqtt')
  } catch (error) {
    if (error instanceof AndonError && error.retriable) throw error
    throw new MqttFault(reason.notAuthorized, messageOf(error))
  }
}

// What will never be taken is said to the sender; anything else it may try again.
const asFault = (error: unknown): never => {
  if (error instanceof AndonError && error.code === 'ANDON_INGEST_OTHER_SOURCE') throw new MqttFault(reason.notAuthorized, error.message)
  if (error instanceof AndonError && !error.retriable) throw new MqttFault(reason.badTopic, error.message)
  throw error
}
