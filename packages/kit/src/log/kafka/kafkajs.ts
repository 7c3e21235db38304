// The only file that reaches into kafkajs 2.2.4 (a frozen release without an exports map). We use its Cluster as transport:
// bootstrap, TLS, SASL, metadata of brokers, coordinators and reconnecting stay its own; record batches, sequence numbers,
// fetching and group timing are ours. test/kafkajs-names.unit.test.ts checks every name used here.

import { createRequire } from 'node:module'
import type { ISocketFactory, SASLOptions } from 'kafkajs'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import kafkajs from 'kafkajs'

const require = createRequire(import.meta.url)

export interface Connection {
  readonly socket: object | null | undefined
  isConnected(): boolean
  rejectRequests(error: Error): void
  disconnect(): Promise<unknown>
}

interface WireRequest {
  readonly request: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string; encode(): unknown }
  readonly response: { decode(payload: Buffer): unknown; parse(decoded: { payload: Buffer }): Buffer }
}

export interface ConnectionPool {
  readonly pool: readonly Connection[]
  getConnectionByRequest(request: WireRequest): Promise<Connection & { send(request: WireRequest): Promise<Buffer> }>
}

interface GroupProtocol {
  readonly name: string
  readonly metadata: Buffer
}

export interface Broker {
  readonly nodeId: string | number
  readonly connectionPool: ConnectionPool
  initProducerId(options: {
    transactionalId: string | null
    transactionTimeout: number
  }): Promise<{ producerId: string; producerEpoch: number }>
  joinGroup(options: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: readonly GroupProtocol[]
  }): Promise<{
    generationId: number
    memberId: string
    leaderId: string
    members: readonly { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(options: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(options: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(options: { groupId: string; memberId: string }): Promise<unknown>
  offsetFetch(options: { groupId: string; topics: readonly { topic: string; partitions: readonly { partition: number }[] }[] }): Promise<{
    responses: readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[]
  }>
  offsetCommit(options: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly { topic: string; partitions: readonly { partition: number; offset: string; metadata: string }[] }[]
  }): Promise<unknown>
}

export interface Cluster {
  readonly brokerPool: { readonly brokers: Record<string, Broker>; findConnectedBroker(): Promise<Broker> }
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  getNodeIds(): string[]
  findBroker(options: { nodeId: string | number }): Promise<Broker>
  findGroupCoordinator(options: { groupId: string }): Promise<Broker>
}

export interface ClusterOptions {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly ssl?: ConnectionOptions | boolean | undefined
  readonly sasl?: SASLOptions | undefined
  /** Opens the socket of each connection: certificates read anew per connection, or a way through a gateway. */
  readonly socketFactory?: ISocketFactory | undefined
}

/** Deep imports; exported so that a test can check that they are what we take them for. */
export const internals = {
  Cluster: require('kafkajs/src/cluster') as new (options: object) => Cluster,
  Encoder: require('kafkajs/src/protocol/encoder') as new (size: number) => { buf: Buffer; offset: number },
  RequestQueue: require('kafkajs/src/network/requestQueue') as { prototype: Record<string, unknown> },
  Connection: require('kafkajs/src/network/connection') as {
    prototype: { connect: () => Promise<unknown>; disconnect: () => Promise<unknown> }
  },
  socketFactory: require('kafkajs/src/network/socketFactory') as () => unknown,
  loggers: require('kafkajs/src/loggers') as { createLogger(options: object): unknown },
  assigner: require('kafkajs/src/consumer/assignerProtocol') as {
    MemberMetadata: {
      encode(options: { version: number; topics: readonly string[]; userData: Buffer }): Buffer
      decode(buffer: Buffer): { topics: string[]; userData: Buffer | null }
    }
    MemberAssignment: {
      encode(options: { version: number; assignment: Record<string, number[]> }): Buffer
      decode(buffer: Buffer): { assignment: Record<string, number[]> } | null
    }
  },
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

/** What a connection has of an answer that broke off stays in its buffer, and the answers of the next socket are misread: empty it first. */
export const withFreshBuffer = (connect: () => Promise<unknown>): (() => Promise<unknown>) =>
  function (this: { isConnected(): boolean; chunks: Buffer[]; bytesBuffered: number; bytesNeeded: number }): Promise<unknown> {
    if (!this.isConnected()) Object.assign(this, { chunks: [], bytesBuffered: 0, bytesNeeded: 4 })
    return connect.call(this)
  } as () => Promise<unknown>

const { prototype: connection } = internals.Connection
connection.connect = shareConnects(withFreshBuffer(connection.connect))

/** kafkajs ends a dead socket again at every try to reconnect, and each time leaves a listener on it: let it forget the socket. */
const forgetDeadSocket = (disconnect: () => Promise<unknown>): (() => Promise<unknown>) =>
  async function (this: { socket: Socket | null }): Promise<unknown> {
    const result = await disconnect.call(this)
    if (this.socket?.destroyed) this.socket = null
    return result
  } as () => Promise<unknown>

connection.disconnect = forgetDeadSocket(connection.disconnect)

// Expected group and connection errors are handled and reported by us; kafkajs would print them as errors.
const quiet = { level: kafkajs.logLevel.NOTHING, logCreator: () => () => undefined }

/** Few short retries: with long ones kafkajs stays with a dead broker inside one call. Loops around it are ours. */
const RETRY = { retries: 2, initialRetryTime: 50, maxRetryTime: 300 }

export const createCluster = ({ brokers, clientId, ssl, sasl, socketFactory }: ClusterOptions): Cluster =>
  new internals.Cluster({
    brokers: [...brokers],
    clientId,
    ssl,
    sasl,
    logger: internals.loggers.createLogger(quiet),
    socketFactory: socketFactory ?? internals.socketFactory(),
    connectionTimeout: 3000,
    authenticationTimeout: 10_000,
    requestTimeout: 30_000,
    enforceRequestTimeout: false, // it polls every 100 ms per connection; transport.ts keeps the time
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    retry: RETRY,
  })

/** The public client, for admin calls and transactions. */
export const createKafka = ({ brokers, clientId, ssl, sasl, socketFactory }: ClusterOptions): kafkajs.Kafka =>
  new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    ...(socketFactory === undefined ? {} : { socketFactory }),
    connectionTimeout: 3000,
    retry: RETRY,
    logLevel: quiet.level,
    logCreator: quiet.logCreator,
  })

export const { MemberMetadata, MemberAssignment } = internals.assigner

/** A request whose body is bytes that we have written, answered with the body's bytes. */
export const rawRequest = (apiKey: number, apiVersion: number, apiName: string, body: Buffer): WireRequest => ({
  request: {
    apiKey,
    apiVersion,
    apiName,
    encode: () => {
      const encoder = new internals.Encoder(0)
      encoder.buf = body
      encoder.offset = body.length
      return encoder
    },
  },
  response: { decode: (payload) => ({ payload, clientSideThrottleTime: 0 }), parse: ({ payload }) => payload },
})
