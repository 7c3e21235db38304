// Senders, one per door: each sends numbers from 1 up, notes what was acknowledged, and sends again what was not, as a device does.

import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { openKafkaLog } from '@andon/kit'
import { CreateStreamCommand, KinesisClient, PutRecordCommand } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import mqtt from 'mqtt'
import { connect as connectNats } from 'nats'
import ssh2 from 'ssh2'
import { CHANNEL, TOKEN, sourceOf } from './rig.ts'
import { sampleId } from './samples.ts'

export interface Feeder {
  readonly asset: string
  /** Ledger ids of what the door has acknowledged. */
  readonly acknowledged: ReadonlySet<string>
  /** Ledger ids of what was sent and not answered for (yet). */
  readonly sent: ReadonlySet<string>
  /** Ends after what is in hand has been acknowledged. */
  stop(): Promise<void>
  /** Ends now, whatever is in hand. */
  abandon(): Promise<void>
}

/** Sends numbers; resolves true when they are acknowledged, false when they may be sent again. */
type Send = (counts: readonly number[], attempt: number) => Promise<boolean>

const PAUSE_MS = 50
const RETRY_MS = 150

/** The device behind every door: batches of numbers, each repeated until it is acknowledged. */
const feed = (asset: string, batch: number, send: Send, close: () => unknown = () => undefined, pauseMs = PAUSE_MS): Feeder => {
  const acknowledged = new Set<string>()
  const sent = new Set<string>()
  let isOver = false
  let isAbandoned = false
  const work = (async () => {
    for (let next = 1; !isOver; next += batch) {
      const counts = Array.from({ length: batch }, (_, i) => next + i)
      for (const count of counts) sent.add(sampleId(asset, count))
      let attempt = 0
      while (!isAbandoned && !(await send(counts, attempt++).catch(() => false))) await sleep(RETRY_MS)
      if (isAbandoned) return
      for (const count of counts) acknowledged.add(sampleId(asset, count))
      await sleep(pauseMs)
    }
  })()
  return {
    asset,
    acknowledged,
    sent,
    stop: async () => {
      isOver = true
      await work
      await close()
    },
    abandon: async () => {
      isAbandoned = true
      isOver = true
      await close()
    },
  }
}

/** A reading with the device's own number. Its time follows from the number, so that a repeat is equal. */
const numbered = (asset: string, startUs: number, count: number) => ({
  source: sourceOf(asset),
  epoch: 1,
  seq: count,
  timeUs: startUs + count * 1000,
  values: { [CHANNEL]: count },
})

const startUs = (): number => Date.now() * 1000 - 60_000_000

/** HTTP, numbered readings. */
export const httpFeeder = (asset: string, url: string): Feeder => {
  const start = startUs()
  return feed(asset, 10, async (counts) => {
    const { status } = await post(url, {}, JSON.stringify(counts.map((count) => numbered(asset, start, count))))
    return status === 202
  })
}

/** HTTP without numbers: the door knows a repeat by its Idempotency-Key. */
export const keyedHttpFeeder = (asset: string, url: string): Feeder => {
  const start = startUs()
  return feed(asset, 5, async (counts) => {
    const readings = counts.map((count) => {
      const { epoch: _epoch, seq: _seq, ...reading } = numbered(asset, start, count)
      return reading
    })
    const { status } = await post(url, { 'idempotency-key': `${asset}-${counts[0]}` }, JSON.stringify(readings))
    return status === 202
  })
}

const post = (url: string, headers: Readonly<Record<string, string>>, body: string): Promise<Response> =>
  fetch(`${url}/v1/telemetry`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
    body,
    signal: AbortSignal.timeout(5000),
  })

export interface MqttTarget {
  readonly port: number
  readonly password?: string
  readonly topic: string
}

/** MQTT QoS 1 through mqtt.js, which itself sends again what no PUBACK came for. */
export const mqttFeeder = (asset: string, { port, password, topic }: MqttTarget): Feeder => {
  const start = startUs()
  const client = mqtt.connect({
    host: '127.0.0.1',
    port,
    clientId: `feeder-${asset}`,
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 200,
    ...(password === undefined ? {} : { username: 'device', password }),
  })
  client.on('error', () => undefined) // it reconnects
  return feed(
    asset,
    5,
    async (counts) => {
      const payload = JSON.stringify(counts.map((count) => numbered(asset, start, count)))
      await client.publishAsync(topic, payload, { qos: 1 })
      return true
    },
    () => client.endAsync(true),
  )
}

/** A JetStream stream: its server acknowledges, and ingest has to take it from there. */
export const jetStreamFeeder = async (asset: string, url: string, subject: string): Promise<Feeder> => {
  const start = startUs()
  const client = await connectNats({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 })
  const stream = client.jetstream()
  return feed(
    asset,
    5,
    async (counts) => {
      await stream.publish(subject, JSON.stringify(counts.map((count) => numbered(asset, start, count))), { timeout: 5000 })
      return true
    },
    () => client.close(),
  )
}

/** Files renamed into a watched folder: from then on they are ingest's. */
export const folderFeeder = (asset: string, folder: string): Feeder => {
  const start = startUs()
  return feed(
    asset,
    50,
    async (counts) => {
      const name = `${asset}-${counts[0]}.csv`
      const part = join(folder, `.${name}.part`)
      await writeFile(part, csv(asset, start, counts))
      await rename(part, join(folder, name))
      return true
    },
    undefined,
    1000,
  )
}

/** Uploads over tus: acknowledged is what the last PATCH was answered 204 for. What was not is uploaded again, as another upload. */
export const tusFeeder = (asset: string, url: string): Feeder => {
  const start = startUs()
  const headers = { authorization: `Bearer ${TOKEN}`, 'tus-resumable': '1.0.0' }
  return feed(
    asset,
    50,
    async (counts) => {
      const body = Buffer.from(csv(asset, start, counts))
      const filename = Buffer.from(`${asset}-${counts[0]}.csv`).toString('base64')
      const created = await fetch(`${url}/v1/files`, {
        method: 'POST',
        headers: { ...headers, 'upload-length': String(body.length), 'upload-metadata': `filename ${filename}` },
        signal: AbortSignal.timeout(5000),
      })
      const location = created.headers.get('location')
      if (created.status !== 201 || location === null) return false
      const patched = await fetch(new URL(location, url), {
        method: 'PATCH',
        headers: { ...headers, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
        body,
        signal: AbortSignal.timeout(5000),
      })
      return patched.status === 204
    },
    undefined,
    500,
  )
}

/** Files over SFTP: acknowledged is what was renamed. */
export const sftpFeeder = (asset: string, port: number, privateKey: string): Feeder => {
  const start = startUs()
  return feed(
    asset,
    50,
    async (counts, attempt) => {
      const client = new ssh2.Client()
      // A connection that ends leaves what was asked over it without an answer.
      const ended = new Promise<never>((_resolve, reject) => client.on('error', reject).on('close', () => reject(new Error('closed'))))
      const upload = async (): Promise<boolean> => {
        await new Promise<void>((resolve) => {
          client.on('ready', resolve)
          client.connect({ host: '127.0.0.1', port, username: SFTP_USER, privateKey, readyTimeout: 5000 })
        })
        const sftp = await promisify(client.sftp.bind(client))()
        const name = `${asset}-${counts[0]}-${attempt}.csv`
        await new Promise<void>((resolve, reject) =>
          sftp.writeFile(`${name}.part`, csv(asset, start, counts), (error) => (error ? reject(error) : resolve())),
        )
        await promisify(sftp.rename.bind(sftp))(`${name}.part`, name)
        return true
      }
      try {
        return await Promise.race([upload(), ended])
      } finally {
        client.end()
      }
    },
    undefined,
    500,
  )
}

export const SFTP_USER = 'loader'

/** Records of another Kafka, without numbers of their own: their place on its topic tells repeats. */
export const kafkaFeeder = async (asset: string, brokers: readonly string[], topic: string): Promise<Feeder> => {
  const start = startUs()
  const log = await openKafkaLog({ brokers, clientId: 'feeder' })
  await log.admin.ensureTopics([{ name: topic, partitions: 2 }])
  return feed(
    asset,
    10,
    async (counts) => {
      await log.append(
        counts.map((count) => {
          const { values, timeUs } = numbered(asset, start, count)
          return { topic, key: null, partition: count % 2, value: Buffer.from(JSON.stringify({ values, timeUs })) }
        }),
      )
      return true
    },
    () => log.close(),
  )
}

export const KINESIS_STREAM = 'plant'
export const AWS = { region: 'us-east-1', accessKeyId: 'test', secretAccessKey: 'test' } as const

/** Records of a Kinesis stream: their place in their shard tells repeats. */
export const kinesisFeeder = async (asset: string, endpoint: string): Promise<Feeder> => {
  const start = startUs()
  const client = new KinesisClient({ region: AWS.region, endpoint, credentials: AWS, requestHandler: new NodeHttpHandler() })
  await client.send(new CreateStreamCommand({ StreamName: KINESIS_STREAM, ShardCount: 1 }))
  return feed(
    asset,
    10,
    async (counts) => {
      const records = counts.map((count) => {
        const { values, timeUs } = numbered(asset, start, count)
        return { PartitionKey: asset, Data: Buffer.from(JSON.stringify({ values, timeUs })) }
      })
      // Put one by one: of a batch some may be stored and others not, and the whole would be put again.
      for (const record of records) await client.send(new PutRecordCommand({ StreamName: KINESIS_STREAM, ...record }))
      return true
    },
    () => client.destroy(),
    500,
  )
}

/** Rows of the numbers, in the columns that need no source file. */
const csv = (asset: string, start: number, counts: readonly number[]): string =>
  `timeUs,asset,${CHANNEL}\n${counts.map((count) => `${start + count * 1000},${asset},${count}\n`).join('')}`

/** NATS request and reply. */
export const natsFeeder = async (asset: string, url: string, prefix: string): Promise<Feeder> => {
  const start = startUs()
  const client = await connectNats({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 200 })
  return feed(
    asset,
    5,
    async (counts) => {
      const payload = JSON.stringify(counts.map((count) => numbered(asset, start, count)))
      const reply = await client.request(`${prefix}telemetry.${sourceOf(asset)}`, payload, { timeout: 5000 })
      return !('error' in reply.json<object>())
    },
    () => client.close(),
  )
}
