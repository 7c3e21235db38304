// Readings over NATS: request on telemetry.<source>; the reply is ingest's acknowledgement.

import { connect, type NatsConnection } from 'nats'
import { BatchRefused } from '../outbox.ts'
import type { Reading } from '../reading.ts'

export interface NatsOptions {
  readonly url: string
  readonly name: string
  /** Prefix of all subjects where several meshes share a server. */
  readonly prefix?: string
  readonly timeoutMs?: number
}

export interface NatsPublisher {
  deliver(batch: readonly Reading[]): Promise<{ quarantined: number }>
  stop(): Promise<void>
}

interface Reply {
  readonly accepted?: number
  readonly quarantined?: readonly unknown[]
  readonly error?: { readonly code: string; readonly message: string; readonly retriable?: boolean }
}

/** Connects with the first batch and reconnects for ever; a request without a reply fails and is repeated by the outbox. */
export const openNats = ({ url, name, prefix = '', timeoutMs = 10_000 }: NatsOptions): NatsPublisher => {
  let connection: NatsConnection | undefined
  const connected = async (): Promise<NatsConnection> => {
    if (connection === undefined || connection.isClosed()) {
      connection = await connect({ servers: url, name, maxReconnectAttempts: -1, reconnectTimeWait: 1000, timeout: 5000 })
    }
    return connection
  }
  return {
    async deliver(batch) {
      const nats = await connected()
      const message = await nats.request(`${prefix}telemetry.${batch[0]!.source}`, JSON.stringify(batch), { timeout: timeoutMs })
      const reply = message.json<Reply>()
      if (reply.error === undefined) return { quarantined: reply.quarantined?.length ?? 0 }
      const said = `ingest answered ${reply.error.code}: ${reply.error.message}`
      throw reply.error.retriable === false ? new BatchRefused(said) : new Error(said)
    },
    async stop() {
      await connection?.close()
    },
  }
}
