// The wire over kafkajs 2.2.4, and the only file that reaches into it (a frozen release without an exports map). Bootstrap,
// TLS, SASL, the list of brokers and reconnecting stay its Cluster's own; every request is ours.
// test/kafkajs-guards.unit.test.ts checks every name used here.

import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import type { ISocketFactory, SASLOptions } from 'kafkajs'
import { logError } from '../log-error.ts'
import { exchangeOn, openFrameSocket } from './frame-socket.ts'
import type { Api } from './protocol-io.ts'
import { Slabs } from './slabs.ts'
import { rotated } from './wire.ts'
import type { Purpose, Wire, WireConnection, WireOptions } from './wire.ts'

const require = createRequire(import.meta.url)

export interface Connection {
  readonly socket: Socket | null | undefined
  readonly clientId: string
  readonly sasl: SASLOptions | null
  isAuthenticated(): boolean
  authenticate(): Promise<void>
  rejectRequests(error: Error): void
  disconnect(): Promise<unknown>
}

export interface Broker {
  readonly connectionPool: { readonly pool: readonly Connection[]; getConnection(index: number): Promise<Connection> }
}

export interface Cluster {
  readonly brokerPool: { readonly brokers: Record<string, Broker>; readonly seedBroker?: Broker; findConnectedBroker(): Promise<Broker> }
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  getNodeIds(): string[]
  findBroker(options: { nodeId: string | number }): Promise<Broker>
}

/** Deep imports; exported so that a test can check that they are what we take them for. */
export const internals = {
  Cluster: require('kafkajs/src/cluster') as new (options: object) => Cluster,
  RequestQueue: require('kafkajs/src/network/requestQueue') as { prototype: Record<string, unknown> },
  Connection: require('kafkajs/src/network/connection') as {
    prototype: { connect: () => Promise<unknown>; disconnect: () => Promise<unknown> }
  },
  loggers: require('kafkajs/src/loggers') as { createLogger(options: object): unknown; LEVELS: { NOTHING: number } },
}

interface QueueInternals {
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  pending: readonly unknown[]
  checkPendingRequests(): void
}

/** kafkajs 2.2.4 arms a 1 ms timer per connection for ever (tulios/kafkajs#1751): arm it only when something waits. */
export function scheduleCheckPendingRequests(this: QueueInternals): void {
  const waitMs = this.throttledUntil - Date.now()
  if (this.throttleCheckTimeoutId || (this.pending.length === 0 && waitMs <= 0)) return
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    Math.max(waitMs, 10),
  )
}

internals.RequestQueue.prototype['scheduleCheckPendingRequests'] = scheduleCheckPendingRequests

/** Two requests that find a connection closed would each open a socket, and the first one would be left hanging: let them share one. */
export const shareConnects = (connect: () => Promise<unknown>): (() => Promise<unknown>) => {
  const underway = new WeakMap<object, Promise<unknown>>()
  return function (this: object): Promise<unknown> {
    const before = underway.get(this)
    if (before) return before
    const connecting = connect.call(this).finally(() => underway.delete(this))
    underway.set(this, connecting)
    return connecting
  }
}

const { prototype: connection } = internals.Connection
connection.connect = shareConnects(connection.connect)

/** kafkajs ends a dead socket again at every try to reconnect, and each time leaves a listener on it: let it forget the socket. */
const forgetDeadSocket = (disconnect: () => Promise<unknown>): (() => Promise<unknown>) =>
  async function (this: { socket: Socket | null }): Promise<unknown> {
    const result = await disconnect.call(this)
    if (this.socket?.destroyed) this.socket = null
    return result
  } as () => Promise<unknown>

connection.disconnect = forgetDeadSocket(connection.disconnect)

// Expected group and connection errors are handled and reported by us; kafkajs would print them as errors.
const quiet = { level: internals.loggers.LEVELS.NOTHING, logCreator: () => () => undefined }

/** Few short retries: with long ones kafkajs stays with a dead broker inside one call. Loops around it are ours. */
const RETRY = { retries: 2, initialRetryTime: 50, maxRetryTime: 300 }

export const createCluster = ({ brokers, clientId, ssl, sasl, via }: WireOptions, openSocket: ISocketFactory): Cluster =>
  new internals.Cluster({
    brokers: [...brokers],
    clientId,
    ssl,
    sasl,
    logger: internals.loggers.createLogger(quiet),
    socketFactory: via ? diverted(openSocket, via) : openSocket,
    connectionTimeout: 3000,
    authenticationTimeout: 10_000,
    requestTimeout: 30_000,
    enforceRequestTimeout: false, // it polls every 100 ms per connection; transport.ts keeps the time
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    retry: RETRY,
  })

const diverted =
  (open: ISocketFactory, via: NonNullable<WireOptions['via']>): ISocketFactory =>
  ({ host, port, ssl, onConnect }) =>
    open({ ...via({ host, port }), ssl: ssl && !isIP(host) ? { servername: host, ...ssl } : ssl, onConnect })

/** A request over a connection that kafkajs has opened and signed in: by ourselves, beside its queue and its copies. */
export const sendBytes = async (connection: Connection, api: Api, body: Buffer): Promise<Buffer> => {
  if (connection.sasl && !connection.isAuthenticated()) await connection.authenticate()
  const exchange = connection.socket && exchangeOn(connection.socket)
  if (!exchange) throw new Error('The connection has ended')
  return exchange.ask(api, connection.clientId, body)
}

/** One answer is handled while the next one comes in. */
const FREE_ANSWERS = 4
const LARGE_ANSWER_BYTES = 64 * 1024

/** Which of a broker's two connections; kafkajs itself keeps the second for fetches. */
const INDEX: Readonly<Record<Purpose, number>> = { requests: 0, polls: 1 }

/** Failures of these names repeat themselves until somebody changes a credential. */
const REFUSED = new Set(['KafkaJSSASLAuthenticationError', 'KafkaJSNotImplemented'])

export const openKafkajsWire = (options: WireOptions): Wire => {
  const slabs = new Slabs(LARGE_ANSWER_BYTES, FREE_ANSWERS)
  const openSocket: ISocketFactory = (target) => openFrameSocket(target, slabs)
  /** By broker and purpose, as long as they last: kafkajs takes several turns to tell. */
  const opened = new Map<number, WireConnection & { readonly identity: Socket }>()
  const keyOf = (node: number, purpose: Purpose): number => node * 2 + INDEX[purpose]
  let abandoned = 0
  let cluster = createCluster(options, openSocket)

  const brokerOf = async (node: number | undefined): Promise<Broker> => {
    try {
      return await (node === undefined ? cluster.brokerPool.findConnectedBroker() : cluster.findBroker({ nodeId: node }))
    } catch (error) {
      const { name, message } = error as Error
      throw REFUSED.has(name) ? logError('fatal', 'ANDON_LOG_REFUSED', `The brokers refuse this client: ${message}`, error) : error
    }
  }

  return {
    connection: async (node, purpose): Promise<WireConnection> => {
      const { connectionPool } = await brokerOf(node)
      const connection = await connectionPool.getConnection(INDEX[purpose])
      const { socket } = connection
      if (!socket) throw new Error('The connection has ended')
      const found = { identity: socket, send: (api: Api, body: Buffer) => sendBytes(connection, api, body) }
      if (node !== undefined) opened.set(keyOf(node, purpose), found)
      return found
    },
    current: (node, purpose) => {
      const found = opened.get(keyOf(node, purpose))
      return found && !found.identity.destroyed && found.identity.writable ? found : undefined
    },
    learn: async (brokers) => {
      const nodes = new Set(cluster.getNodeIds())
      if (brokers.some(({ id }) => !nodes.has(String(id)))) await cluster.refreshMetadata()
    },
    abandon: (error) => {
      opened.clear()
      const { brokers, seedBroker } = cluster.brokerPool
      for (const broker of new Set([...Object.values(brokers), ...(seedBroker ? [seedBroker] : [])]))
        for (const connection of broker.connectionPool.pool) {
          connection.rejectRequests(error)
          if (connection.socket) exchangeOn(connection.socket)?.end(error)
          connection.disconnect().catch(() => undefined)
        }
      cluster = createCluster({ ...options, brokers: rotated(options.brokers, ++abandoned) }, openSocket)
    },
    release: (answer) => slabs.giveBack(answer),
    close: () => cluster.disconnect(),
  }
}
