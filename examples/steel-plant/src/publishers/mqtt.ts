// Readings over MQTT, QoS 1: topic andon/<source>/readings, the broker's PUBACK is ingest's acknowledgement.

import { connect, type MqttClient } from 'mqtt'
import type { Reading } from '../reading.ts'

export interface MqttOptions {
  readonly url: string
  /** Client id of the simulated device. */
  readonly clientId: string
  /** Bearer token with the role ingest, sent as password. */
  readonly token: string
  /** A publish without PUBACK for this long counts as failed. Default 10 s. */
  readonly ackTimeoutMs?: number
}

export interface MqttPublisher {
  deliver(batch: readonly Reading[], signal: AbortSignal): Promise<{ quarantined: number }>
  stop(): Promise<void>
}

/** Connects in the background and again after each loss; `deliver` fails while there is no connection. */
export const openMqtt = ({ url, clientId, token, ackTimeoutMs = 10_000 }: MqttOptions): MqttPublisher => {
  const client: MqttClient = connect(url, {
    clientId,
    username: clientId,
    password: token,
    reconnectPeriod: 1000,
    connectTimeout: 5000,
    keepalive: 15,
    // The outbox resends: the client shall neither queue while away nor repeat by itself.
    queueQoSZero: false,
  })
  let lastError: Error | undefined
  client.on('error', (error) => (lastError = error))
  client.on('connect', () => (lastError = undefined))

  const published = (topic: string, payload: string, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const gone = () => finish(new Error('connection lost before PUBACK'))
      const timer = setTimeout(() => finish(new Error(`no PUBACK within ${ackTimeoutMs} ms`)), ackTimeoutMs)
      const finish = (error?: Error | null) => {
        clearTimeout(timer)
        client.off('close', gone)
        signal.removeEventListener('abort', gone)
        if (error) reject(error)
        else resolve()
      }
      client.once('close', gone)
      signal.addEventListener('abort', gone, { once: true })
      client.publish(topic, payload, { qos: 1 }, (error) => finish(error ?? null))
    })

  return {
    async deliver(batch, signal) {
      if (!client.connected) throw new Error(`not connected to ${url}`, { cause: lastError })
      await published(`andon/${batch[0]!.source}/readings`, JSON.stringify(batch), signal)
      return { quarantined: 0 }
    },
    stop: () => client.endAsync(true),
  }
}
