// MQTT client door: takes messages from the broker that a site already runs (mosquitto, EMQX, HiveMQ). PUBACK goes to the broker only after
// the intake resolved, in the order of arrival and without waiting for each other; when the intake refuses, the connection is closed and
// opened again later, and the broker delivers everything that was not acknowledged again. The session stays with the broker while ingest is
// away. N instances share the messages.

import { readFile } from 'node:fs/promises'
import { connect } from 'mqtt'
import type { IClientOptions, IClientSubscribeOptions, IPublishPacket, MqttClient } from 'mqtt'
import { AndonError, env, messageOf } from '@andon/kit'
import type { Logger } from '@andon/kit'
import { buttonsOf } from '../buttons.ts'
import type { Buttons } from '../buttons.ts'
import { defineDoor } from '../doors.ts'
import type { SourceFiles } from '../doors.ts'
import { messages } from '../mqtt/messages.ts'
import type { Messages } from '../mqtt/messages.ts'
import { topicPattern } from '../mqtt/topics.ts'
import { Turns, plainAnswers } from '../mqtt/turns.ts'
import { refusal } from '../reading.ts'
import type { Intake, Source } from './source.ts'

export interface MqttClientOptions {
  readonly url: string
  readonly username: string | null
  readonly passwordFile: string | null
  readonly caFile: string | null
  readonly certFile: string | null
  readonly keyFile: string | null
  /** Name under which instances share the messages; `none`: each takes all, and no broker forgets the subscription when it restarts. */
  readonly share: string
  readonly maxInFlight: number
  readonly sessionExpiryS: number
  readonly clientId: string
  readonly sources: SourceFiles
  readonly buttons: Buttons | undefined
  readonly logger: Logger
}

const text = env.string
const path = env.path

export const mqttClientDoorKind = defineDoor({
  name: 'mqtt-client',
  about: 'messages of an MQTT broker that the site runs',
  settings: {
    url: text('INGEST_MQTT_CLIENT_URL', 'Broker of the site: mqtt://host:1883 or mqtts://host:8883'),
    username: env.optional(text('INGEST_MQTT_CLIENT_USERNAME', 'User name at that broker')),
    passwordFile: env.optional(path('INGEST_MQTT_CLIENT_PASSWORD_FILE', 'File with the password')),
    caFile: env.optional(path('INGEST_MQTT_CLIENT_CA_FILE', 'Issuers of the broker’s certificate, PEM; default: those of the system')),
    certFile: env.optional(path('INGEST_MQTT_CLIENT_CERT_FILE', 'Certificate that ingest shows to the broker, PEM')),
    keyFile: env.optional(path('INGEST_MQTT_CLIENT_KEY_FILE', 'Its key, PEM')),
    share: text(
      'INGEST_MQTT_CLIENT_SHARE',
      'Shared subscription under which several instances divide the messages, e.g. andon; `none`: each takes all',
      'none',
    ),
    maxInFlight: env.integer('INGEST_MQTT_CLIENT_IN_FLIGHT_MAX', 'Messages taken from the broker and not acknowledged yet', 1000),
    sessionExpiryS: env.integer(
      'INGEST_MQTT_CLIENT_SESSION_EXPIRY_S',
      'How long the broker keeps the session while ingest is away',
      604_800,
    ),
  },
  open: (settings, context) => {
    const { config, sources, logger } = context
    const clientId = `andon-${config.namespace}${config.instance}`
    return mqttClientDoor({ ...settings, clientId, sources, buttons: buttonsOf(context), logger })
  },
})

const firstRetryMs = 250
const longestRetryMs = 30_000
// A refusal of the protocol's version: CONNACK of MQTT 3.1.1, and of MQTT 5.
const unsupportedVersions = [1, 0x84]
// "Not acknowledged", for a library that acknowledges by itself: we do it when the message is safe.
const acknowledgedLater = new Error('acknowledged once it is safe')

export const mqttClientDoor = (options: MqttClientOptions): Source => {
  const { logger, sources } = options
  const inHand = new Set<Promise<unknown>>()
  let client: MqttClient | undefined
  let inbox: Messages | undefined
  let state: true | string = 'not started'
  let subscribed = new Set<string>()
  let refusals = 0
  let isStopping = false
  let unwatch: (() => void) | undefined

  const filters = (): Map<string, 0 | 1> => {
    const wanted = new Map<string, 0 | 1>([
      ['andon/+/readings', 1],
      ['andon/+/call', 1],
    ])
    for (const { topic, qos } of sources.of('mqtt')) wanted.set(topicPattern(topic).filter, qos)
    const shared = options.share === 'none' ? '' : `$share/${options.share}/`
    return new Map([...wanted].map(([filter, qos]) => [`${shared}${filter}`, qos]))
  }

  const subscribe = async (opened: MqttClient) => {
    const wanted = filters()
    const gone = [...subscribed].filter((filter) => !wanted.has(filter))
    if (gone.length > 0) await opened.unsubscribeAsync(gone)
    // Retained messages are of the past, and would come again with every connection.
    const how = (qos: 0 | 1): IClientSubscribeOptions => ({ qos, ...(opened.options.protocolVersion === 5 && { rh: 2 }) })
    await opened.subscribeAsync(Object.fromEntries([...wanted].map(([filter, qos]) => [filter, how(qos)])))
    subscribed = new Set(wanted.keys())
    state = true
  }

  const subscribeNow = (opened: MqttClient) => {
    subscribe(opened).catch((error: unknown) => {
      state = `the broker refuses the subscriptions: ${messageOf(error)}`
      if (opened.connected) logger.error({ err: error, url: shown(options.url) }, 'the MQTT broker refuses the subscriptions')
    })
  }

  /** Resolves when the message may be acknowledged; rejects when the broker has to deliver it again. */
  const takeSafely = async (intake: Intake, packet: IPublishPacket): Promise<void> => {
    const payload = Buffer.from(packet.payload)
    try {
      const note = await inbox!.take({ topic: packet.topic, payload })
      if (note !== undefined) logger.warn({ topic: packet.topic, note }, 'readings went to quarantine')
    } catch (error) {
      if (!(error instanceof AndonError) || error.retriable) throw error
      // Nothing would change if it came again, and the broker takes no for an answer from nobody.
      const refused = refusal(error.code, error.message, {})
      await intake({ door: 'mqtt-client', readings: [{ value: undefined, bytes: () => payload, refused }], bytes: payload.length })
    }
  }

  const onRefused = (opened: MqttClient, stream: MqttClient['stream'], error: unknown) => {
    if (opened.stream !== stream || stream.destroyed || isStopping) return
    opened.options.reconnectPeriod = Math.min(longestRetryMs, firstRetryMs * 2 ** refusals++)
    state = `ingest takes nothing now: ${messageOf(error)}`
    logger.info(
      { why: messageOf(error), againMs: opened.options.reconnectPeriod },
      'left the MQTT broker; it keeps what was not acknowledged',
    )
    stream.destroy()
  }

  const open = async (intake: Intake): Promise<MqttClient> => {
    const opened = connect(await clientOptions(options))
    const turnsOf = new WeakMap<MqttClient['stream'], Turns>()
    const turns = (stream: MqttClient['stream']) => {
      let known = turnsOf.get(stream)
      if (known === undefined) turnsOf.set(stream, (known = new Turns((bytes) => stream.destroyed || stream.write(bytes))))
      return known
    }
    opened.handleMessage = (packet, done) => {
      const { stream } = opened
      const messageId = packet.messageId ?? 0
      const isCounted = packet.qos > 0 && messageId > 0
      if (isStopping) return done(acknowledgedLater) // the broker keeps it
      const turn = isCounted ? turns(stream).take() : undefined
      const taken = (packet.retain ? Promise.resolve() : takeSafely(intake, packet)).then(
        () => {
          refusals = 0
          if (turn !== undefined) turns(stream).answer(turn, plainAnswers('puback', [messageId]))
        },
        (error: unknown) => onRefused(opened, stream, error),
      )
      inHand.add(taken)
      void taken.finally(() => inHand.delete(taken)) // cannot reject
      const go = () => done(isCounted ? acknowledgedLater : undefined)
      // A broker in MQTT 3.1.1 cannot be told how many we take at once.
      if (inHand.size < options.maxInFlight) go()
      else void Promise.race(inHand).then(go)
    }
    return opened
  }

  // Brokers that do not speak MQTT 5 say so in the CONNACK, or just hang up.
  const followVersion = (opened: MqttClient) => {
    let hangUps = 0
    let isTcpOpen = false
    const change = () => {
      hangUps = 0
      opened.options.protocolVersion = opened.options.protocolVersion === 5 ? 4 : 5
      logger.info({ version: opened.options.protocolVersion === 5 ? '5' : '3.1.1' }, 'the MQTT broker is tried in another version')
    }
    opened.on('packetsend', (packet) => {
      if (packet.cmd === 'connect') isTcpOpen = true
    })
    opened.on('connect', () => {
      isTcpOpen = false
      hangUps = 0
    })
    opened.on('error', (error) => {
      if ('code' in error && unsupportedVersions.includes(error.code as number)) change()
    })
    opened.on('close', () => {
      if (isTcpOpen && ++hangUps >= 2) change()
      isTcpOpen = false
    })
  }

  return {
    name: 'mqtt-client',
    ready: () => state,
    start: async (intake) => {
      state = 'not connected'
      inbox = messages({
        door: 'mqtt-client',
        intake,
        files: () => sources.of('mqtt'),
        buttons: options.buttons,
        nowUs: () => Date.now() * 1000,
      })
      const opened = await open(intake)
      client = opened
      followVersion(opened)
      opened.on('connect', () => {
        opened.options.reconnectPeriod = firstRetryMs
        subscribeNow(opened)
      })
      opened.on('close', () => {
        if (state === true) state = 'not connected'
      })
      opened.on('error', (error) => {
        state = `not connected: ${messageOf(error)}`
        logger.warn({ err: error, url: shown(options.url) }, 'the MQTT broker cannot be used')
      })
      unwatch = sources.onChange(() => {
        inbox?.reload()
        if (opened.connected) subscribeNow(opened)
      })
    },
    stop: async () => {
      isStopping = true
      state = 'stopped'
      unwatch?.()
      await Promise.allSettled(inHand)
      await new Promise<void>((resolve) => setImmediate(resolve)) // the last acknowledgements are written first
      await client?.endAsync()
    },
  }
}

const clientOptions = async (options: MqttClientOptions): Promise<IClientOptions> => {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined
  if (url === undefined || !['mqtt:', 'mqtts:'].includes(url.protocol)) {
    throw new AndonError(
      'ANDON_SETTING_INVALID',
      `INGEST_MQTT_CLIENT_URL: expected mqtt://host:1883 or mqtts://host:8883, found ${shown(options.url)}`,
    )
  }
  const isTls = url.protocol === 'mqtts:'
  const [password, ca, cert, key] = await Promise.all([
    secret('INGEST_MQTT_CLIENT_PASSWORD_FILE', options.passwordFile),
    secret('INGEST_MQTT_CLIENT_CA_FILE', options.caFile),
    secret('INGEST_MQTT_CLIENT_CERT_FILE', options.certFile),
    secret('INGEST_MQTT_CLIENT_KEY_FILE', options.keyFile),
  ])
  return {
    protocol: isTls ? 'mqtts' : 'mqtt',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port) || (isTls ? 8883 : 1883),
    clientId: options.clientId,
    clean: false,
    protocolVersion: 5,
    properties: { sessionExpiryInterval: options.sessionExpiryS, receiveMaximum: options.maxInFlight },
    keepalive: 30,
    reconnectPeriod: firstRetryMs,
    reconnectOnConnackError: true,
    resubscribe: false,
    rejectUnauthorized: true,
    ...(options.username !== null && { username: options.username }),
    ...(password && { password: password.toString('utf8').trim() }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  }
}

const secret = async (setting: string, file: string | null): Promise<Buffer | undefined> => {
  if (file === null) return undefined
  try {
    return await readFile(file)
  } catch (cause) {
    throw new AndonError('ANDON_SETTING_INVALID', `${setting}: ${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Without what may be a password. */
const shown = (url: string): string => url.replace(/\/\/[^@/]*@/, '//…@')
