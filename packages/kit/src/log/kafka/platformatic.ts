// The wire over @platformatic/kafka's connections, by its public exports alone: one connection pool per purpose, with the
// TLS, SASL and reconnecting of that client; every request is ours.

import { isIP } from 'node:net'
import { AuthenticationError, ConnectionPool, MultipleErrors, Writer } from '@platformatic/kafka'
import type { Connection, ConnectionOptions, SASLMechanismValue } from '@platformatic/kafka'
import { logError } from '../log-error.ts'
import type { Api } from './protocol-io.ts'
import { rotated } from './wire.ts'
import type { Address, Purpose, Wire, WireConnection, WireOptions } from './wire.ts'

/** Longer than any call's own deadline, which transport.ts keeps. */
const NEVER_MS = 2 ** 31 - 1
const IN_FLIGHT = 1000

export const openPlatformaticWire = (options: WireOptions): Wire => {
  const { clientId, via = (broker) => broker } = options
  const connecting: ConnectionOptions = {
    connectTimeout: 3000,
    requestTimeout: NEVER_MS,
    maxInflights: IN_FLIGHT,
    ...tlsOf(options),
    ...saslOf(options),
  }
  const bootstrap = options.brokers.map(addressOf)
  const known = new Map<number, Address>()
  let connections = new Map<Purpose, Set<Connection>>()
  let pools = new Map<Purpose, ConnectionPool>()
  let abandoned = 0

  const poolOf = (purpose: Purpose): ConnectionPool => {
    let pool = pools.get(purpose)
    if (!pool) {
      const open = new Set<Connection>()
      pool = new ConnectionPool(clientId, connecting)
      pool.on('connecting', ({ connection }) => {
        open.add(connection)
        connection.on('error', () => undefined) // whoever waits for the connection or its answers is told
        connection.on('close', () => open.delete(connection))
      })
      pools.set(purpose, pool)
      connections.set(purpose, open)
    }
    return pool
  }

  const connect = async (node: number | undefined, purpose: Purpose): Promise<Connection> => {
    const pool = poolOf(purpose)
    if (node === undefined) return pool.getFirstAvailable(rotated([...known.values(), ...bootstrap], abandoned).map(via))
    const address = known.get(node)
    if (!address) throw new Error(`Broker ${node} is not known (yet)`)
    return pool.get(via(address))
  }

  return {
    connection: async (node, purpose): Promise<WireConnection> => {
      try {
        const connection = await connect(node, purpose)
        return { identity: connection, send: (api, body) => send(connection, api, body) }
      } catch (error) {
        throw refusalIn(error) ?? error
      }
    },
    current: () => undefined,
    learn: async (brokers) => {
      known.clear()
      for (const { id, host, port } of brokers) known.set(id, { host, port })
    },
    abandon: (error) => {
      abandoned++
      for (const connection of [...connections.values()].flatMap((open) => [...open])) connection.socket?.destroy(error)
      connections = new Map()
      pools = new Map()
    },
    release: () => undefined,
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.close()))
    },
  }
}

const send = (connection: Connection, [key, version]: Api, body: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    connection.send<Buffer>(
      key,
      version,
      () => Writer.create().append(body),
      (_correlation, _key, _version, reader) => reader.buffer.slice(reader.position),
      false,
      false,
      (error, answer) => (error ? reject(error) : resolve(answer as Buffer)),
    )
  })

const addressOf = (broker: string): Address => {
  const at = broker.lastIndexOf(':')
  return at < 0 ? { host: broker, port: 9092 } : { host: broker.slice(0, at), port: Number(broker.slice(at + 1)) }
}

/** TLS names its server by a host name alone: an address has none. */
const tlsOf = ({ ssl, brokers }: WireOptions): ConnectionOptions =>
  ssl === undefined || ssl === false
    ? {}
    : { tls: ssl === true ? {} : ssl, tlsServerName: !brokers.some((broker) => isIP(addressOf(broker).host)) }

const saslOf = ({ sasl }: WireOptions): ConnectionOptions => {
  if (!sasl) return {}
  const mechanism = sasl.mechanism.toUpperCase() as SASLMechanismValue
  if ('oauthBearerProvider' in sasl) return { sasl: { mechanism, token: async () => (await sasl.oauthBearerProvider()).value } }
  if ('username' in sasl) return { sasl: { mechanism, username: sasl.username, password: sasl.password } }
  throw logError('fatal', 'ANDON_LOG_REFUSED', `SASL mechanism ${sasl.mechanism} is served by the client kafkajs alone`)
}

/** What no other try will change: the brokers do not take our credentials. */
const refusalIn = (error: unknown): Error | undefined => {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof AuthenticationError)
      return logError('fatal', 'ANDON_LOG_REFUSED', `The brokers refuse this client: ${at.message}`, error)
    if (at instanceof MultipleErrors) for (const inner of at.errors) return refusalIn(inner)
  }
  return undefined
}
