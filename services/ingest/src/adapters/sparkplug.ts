// Sparkplug B door: a host application on a site's MQTT broker. What messages mean is in ../sparkplug; here are the connection, the
// host's STATE, and the way to the intake.
//
// Sparkplug data is QoS 0: nothing can be acknowledged to an edge node. What the host can do is say that it is offline (STATE), whereupon
// nodes that have it as their primary host store and forward. It does that when it stops, when it dies (will), and when ingest has refused
// for 5 s. Readings that were received and refused wait here, and the broker is not read on meanwhile.

import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { callbackify } from 'node:util'
import mqtt from 'mqtt'
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt'
import { checkReachable, env } from '@andon/kit'
import type { Logger, Metrics } from '@andon/kit'
import type { Plant } from '@andon/schemas'
import { defineDoor } from '../doors.ts'
import type { Assignment, SourceFiles } from '../doors.ts'
import { rebirthCommand } from '../sparkplug/payload.ts'
import { SparkplugHost } from '../sparkplug/host.ts'
import type { HostOutcome } from '../sparkplug/host.ts'
import { nodeCommandTopic, stateTopic } from '../sparkplug/topic.ts'
import { patiently } from './patient-intake.ts'
import type { Intake, Source } from './source.ts'

export interface SparkplugDoorOptions {
  readonly url: string
  readonly hostId: string
  readonly instance: string
  readonly username: string | null
  readonly passwordFile: string | null
  readonly caFile: string | null
  readonly certFile: string | null
  readonly keyFile: string | null
  readonly reorderMs: number
  readonly rebirthMs: number
  /** How long ingest may refuse before the host says that it is offline. */
  readonly offlineAfterMs: number
  readonly sources: SourceFiles
  readonly channelsOf: (asset: string) => readonly string[]
  readonly assignment: Assignment
  readonly logger: Logger
  readonly metrics: Metrics
}

// Deliveries on their way to the intake; beyond it the broker is not read on.
const maxInHand = 256
const offlineAfterMs = 5000
const goodbyeMs = 2000

export const sparkplugDoorKind = defineDoor({
  name: 'sparkplug',
  about: 'a Sparkplug B host application on an MQTT broker',
  settings: {
    url: env.url('INGEST_SPARKPLUG_URL', 'MQTT broker of the Sparkplug edge nodes', 'mqtt://127.0.0.1:1883'),
    hostId: env.string('INGEST_SPARKPLUG_HOST_ID', 'Host id in spBv1.0/STATE/<host id>; one per mesh', 'andon'),
    username: env.optional(env.string('INGEST_SPARKPLUG_USERNAME', 'User name at the broker')),
    passwordFile: env.optional(env.path('INGEST_SPARKPLUG_PASSWORD_FILE', 'File with the password')),
    caFile: env.optional(env.path('INGEST_SPARKPLUG_CA_FILE', 'Issuers of the broker’s certificate, PEM')),
    certFile: env.optional(env.path('INGEST_SPARKPLUG_CERT_FILE', 'Our certificate for the broker, PEM')),
    keyFile: env.optional(env.path('INGEST_SPARKPLUG_KEY_FILE', 'Key of our certificate, PEM')),
    reorderMs: env.integer('INGEST_SPARKPLUG_REORDER_MS', 'How long a message waits for one with a lower seq', 250),
    rebirthMs: env.integer('INGEST_SPARKPLUG_REBIRTH_MS', 'Least time between two requests for births of one edge node', 10_000),
  },
  open: (settings, { config, sources, assignment, documents, logger, metrics }) =>
    sparkplugDoor({
      ...settings,
      offlineAfterMs,
      instance: config.instance,
      sources,
      assignment,
      logger,
      metrics,
      channelsOf: (asset) =>
        documents()
          .get<Plant>('plant')
          ?.value.assets.find(({ id }) => id === asset)
          ?.channels.map(({ id }) => id) ?? [],
    }),
})

export const sparkplugDoor = (options: SparkplugDoorOptions): Source => {
  const { hostId, sources, assignment, logger } = options
  const counts = sparkplugMetrics(options.metrics)
  // One host id is one host: this name, not every source file, is what instances share out.
  const shareId = `sparkplug:${hostId}`
  const abort = new AbortController()
  const inHand = new Set<Promise<unknown>>()
  const unfollow: (() => void)[] = []
  let host: SparkplugHost | undefined
  let intake: Intake
  let client: MqttClient | undefined
  let timer: NodeJS.Timeout | undefined
  let subscribed: ReadonlySet<string> = new Set()
  let room = Promise.withResolvers<void>()
  let isOnline = false
  let refusedSinceMs: number | undefined
  let bornMs = 0

  const perform = (outcome: HostOutcome, bytes: number): Promise<unknown> => {
    const { readings, rebirths } = outcome
    counts.repeats.inc(outcome.repeats)
    counts.unborn.inc(outcome.unborn)
    for (const { group, node, reason } of rebirths) {
      counts.rebirths.inc({ reason })
      logger.info({ group, node, reason }, 'asked a Sparkplug edge node for its births')
      client?.publish(nodeCommandTopic(group, node), rebirthCommand(Date.now()), { qos: 0 })
    }
    scheduleExpiry()
    return readings.length === 0 ? Promise.resolve() : deliver(readings, bytes)
  }

  const deliver = (readings: HostOutcome['readings'], bytes: number): Promise<unknown> => {
    const taken = patiently(() => intake({ door: 'sparkplug', readings, bytes }), { signal: abort.signal, onRefused: refused }).then(
      accepted,
      (error: unknown) => logger.error({ err: error, readings: readings.length }, 'Sparkplug readings were lost'),
    )
    inHand.add(taken)
    return taken.finally(() => {
      inHand.delete(taken)
      room.resolve()
      room = Promise.withResolvers()
    })
  }

  const refused = () => {
    refusedSinceMs ??= Date.now()
    if (isOnline && Date.now() - refusedSinceMs >= options.offlineAfterMs) {
      logger.warn({ hostId }, 'ingest refuses readings: the Sparkplug host says it is offline, nodes store and forward')
      void say(false)
    }
  }

  const accepted = () => {
    refusedSinceMs = undefined
    if (isOnline || client?.connected !== true || abort.signal.aborted) return
    void say(true)
    host?.connected()
    scheduleExpiry()
  }

  /** Our STATE, retained. Its time is that of the will while the connection stands. */
  const say = async (online: boolean): Promise<void> => {
    isOnline = online
    await client
      ?.publishAsync(stateTopic(hostId), state(online, online ? bornMs : Date.now()), { qos: 1, retain: true })
      .catch((error: unknown) => logger.warn({ err: error }, 'the Sparkplug STATE could not be published'))
  }

  const scheduleExpiry = () => {
    clearTimeout(timer)
    const { alive = 0, others = 0 } = host?.count() ?? {}
    counts.nodes.set({ state: 'alive' }, alive)
    counts.nodes.set({ state: 'other' }, others)
    const dueMs = host?.dueMs()
    if (dueMs === undefined || abort.signal.aborted || client?.connected !== true) return
    timer = setTimeout(() => void perform(host!.expire(Date.now()), 0), Math.max(0, dueMs - Date.now())) // deliver() cannot reject
  }

  const receive = async ({ topic, payload, qos }: IPublishPacket): Promise<void> => {
    const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
    if (topic === stateTopic(hostId)) {
      // A host that is online corrects whoever says that it is not, for instance a will of a connection before.
      if (isOnline && saysOffline(bytes)) void say(true) // not awaited: its PUBACK is read after this message
      return
    }
    const done = perform(host!.take(topic, Buffer.from(bytes), Date.now()), bytes.length)
    if (qos > 0) await done
    while (inHand.size >= maxInHand && !abort.signal.aborted) await room.promise
  }

  const subscribe = async (): Promise<void> => {
    const wanted = new Set([stateTopic(hostId), ...host!.nodes().map(({ group, node }) => `spBv1.0/${group}/+/${node}/#`)])
    const gone = [...subscribed].filter((topic) => !wanted.has(topic))
    const come = [...wanted].filter((topic) => !subscribed.has(topic))
    subscribed = wanted
    if (gone.length > 0) await client?.unsubscribeAsync(gone)
    if (come.length > 0) await client?.subscribeAsync(come, { qos: 1 })
  }

  const onConnect = async (): Promise<void> => {
    subscribed = new Set()
    await subscribe()
    await say(true)
    host!.connected()
    await perform(host!.expire(Date.now()), 0)
  }

  const access = async (): Promise<IClientOptions> => {
    const files = [options.caFile, options.certFile, options.keyFile, options.passwordFile]
    const [ca, cert, key, password] = await Promise.all(files.map(async (file) => (file === null ? undefined : readFile(file))))
    return {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(options.username !== null && { username: options.username }),
      ...(password && { password: password.toString('utf8').trim() }),
    }
  }

  const connect = async (): Promise<void> => {
    const willOf = (atMs: number) => ({ topic: stateTopic(hostId), payload: state(false, atMs), qos: 1 as const, retain: true })
    bornMs = Date.now()
    const opened = mqtt.connect(options.url, {
      ...(await access()),
      clientId: `${hostId}-${options.instance}`,
      clean: true,
      reconnectPeriod: 1000,
      resubscribe: false,
      will: willOf(bornMs),
    })
    client = opened
    // mqtt.js reads on once the callback was called, and sends PUBACK then.
    opened.handleMessage = callbackify(receive)
    opened.on('connect', () => {
      onConnect().catch((error: unknown) => logger.warn({ err: error }, 'the Sparkplug host could not subscribe'))
    })
    opened.on('close', () => {
      if (client !== opened) return // our own end
      if (isOnline) logger.warn({ url: options.url }, 'the broker of the Sparkplug door is gone')
      isOnline = false
      clearTimeout(timer)
      bornMs = Date.now()
      opened.options.will = willOf(bornMs)
      void perform(host!.disconnected(Date.now()), 0) // deliver() cannot reject
    })
    opened.on('error', (error) => logger.warn({ err: error }, 'the Sparkplug connection failed'))
  }

  const disconnect = async (): Promise<void> => {
    const closing = client
    if (closing === undefined) return
    if (closing.connected) await Promise.race([say(false), pause(goodbyeMs, undefined, { ref: false })])
    client = undefined
    const ended = closing.endAsync(!closing.connected)
    await Promise.race([ended, pause(goodbyeMs, undefined, { ref: false }).then(() => closing.endAsync(true))])
  }

  let changing = Promise.resolve()
  const follow = () => {
    changing = changing
      .then(async () => {
        const isMine = assignment.isMine(shareId) && !abort.signal.aborted
        if (!isMine) return disconnect()
        host!.reconcile()
        if (client === undefined) return connect()
        if (client.connected) await subscribe()
        scheduleExpiry()
      })
      .catch((error: unknown) => logger.error({ err: error }, 'the Sparkplug door could not follow a change'))
  }

  return {
    name: 'sparkplug',
    ready: () => {
      if (host === undefined || abort.signal.aborted) return 'not started'
      if (!assignment.isMine(shareId)) return true
      return isOnline || refusedSinceMs !== undefined || `the broker at ${options.url} is not connected`
    },
    start: async (taking) => {
      await checkReachable([options.url], 'INGEST_SPARKPLUG_URL')
      intake = taking
      const { reorderMs, rebirthMs, channelsOf } = options
      host = new SparkplugHost({ files: () => sources.of('sparkplug'), channelsOf, reorderMs, rebirthMs })
      unfollow.push(sources.onChange(follow), assignment.onChange(follow))
      follow()
      await changing
    },
    stop: async () => {
      for (const end of unfollow) end()
      abort.abort()
      clearTimeout(timer)
      room.resolve()
      await changing
      await disconnect()
      await Promise.allSettled(inHand)
    },
  }
}

const saysOffline = (bytes: Buffer): boolean => {
  try {
    return (JSON.parse(bytes.toString()) as { online?: unknown } | null)?.online === false
  } catch {
    return false
  }
}

const state = (online: boolean, timestamp: number): string => JSON.stringify({ online, timestamp })

const sparkplugMetrics = (metrics: Metrics) => ({
  nodes: metrics.gauge('andon_ingest_sparkplug_nodes', 'Edge nodes that source files name: alive, or not born or dead', ['state']),
  rebirths: metrics.counter('andon_ingest_sparkplug_rebirths_total', 'Births asked for, by reason', ['reason']),
  repeats: metrics.counter('andon_ingest_sparkplug_repeats_total', 'Messages that had been taken before'),
  unborn: metrics.counter('andon_ingest_sparkplug_unborn_total', 'Messages no birth explains; they are in quarantine'),
})
