// The seam under the log: opens connections to brokers and carries our bytes over them, nothing else. TLS, SASL and
// reconnecting are the client's whose connections these are; deadlines, metadata and retries are transport.ts's.

import type { ConnectionOptions as TlsOptions } from 'node:tls'
import type { SASLOptions } from 'kafkajs'
import type { Api } from './protocol-io.ts'

export interface WireOptions {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly ssl?: TlsOptions | boolean | undefined
  /** In kafkajs' shape, whichever client carries it. */
  readonly sasl?: SASLOptions | undefined
  /** Where a broker is reached from here that calls itself by this address: through a tunnel or gateway. Default: there. */
  readonly via?: ((broker: Address) => Address) | undefined
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** Long polls have connections of their own: a broker answers the requests of one connection in turn. */
export type Purpose = 'requests' | 'polls'

export interface WireConnection {
  /** Another object whenever another socket is used. */
  readonly identity: object
  /** Rejects when the connection ends before the answer; whether the request was carried out is unknown then. */
  send(api: Api, body: Buffer): Promise<Buffer>
}

export interface Wire {
  /**
   * An open connection to the broker, or to any one that answers; opens it if necessary. Rejects with a fatal LogError when
   * the broker refuses who we are, with any other error when trying again may help.
   */
  connection(node: number | undefined, purpose: Purpose): Promise<WireConnection>
  /** The same if it is open already and can be told at once. */
  current(node: number, purpose: Purpose): WireConnection | undefined
  /** The brokers as the cluster names them now. */
  learn(brokers: readonly (Address & { readonly id: number })[]): Promise<void>
  /**
   * Ends all connections at once: what waits on them is rejected. The next call opens new ones, and tries another broker
   * first when any one will do: the last one may have stood still.
   */
  abandon(error: Error): void
  /** Nobody looks at this answer any more: its memory may be written to again. */
  release(answer: Buffer): void
  close(): Promise<void>
}

/** The list from its nth entry on, with what came before it at the end. */
export const rotated = <T>(list: readonly T[], n: number): T[] => {
  const first = n % Math.max(1, list.length)
  return [...list.slice(first), ...list.slice(0, first)]
}
