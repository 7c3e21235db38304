// Every door that acknowledges, opened together on one ingest process, each with a sender of its own.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts, startKafka } from '@andon/platform'
import { connect } from 'nats'
import { newSshKeys } from '../../../services/ingest/src/adapters/ssh-keys.ts'
import { startJetStream, startKinesisLocal, startMosquitto } from '../../../services/ingest/test/own-server.ts'
import type { Scene } from '../rig.ts'
import {
  SFTP_USER,
  folderFeeder,
  httpFeeder,
  jetStreamFeeder,
  kafkaFeeder,
  kinesisFeeder,
  AWS,
  KINESIS_STREAM,
  keyedHttpFeeder,
  mqttFeeder,
  natsFeeder,
  sftpFeeder,
  tusFeeder,
} from './feeders.ts'
import type { Feeder } from './feeders.ts'
import { CHANNEL, TOKEN, openIngest, sourceOf } from './rig.ts'
import type { Ingest } from './rig.ts'

export interface OpenDoors {
  readonly ingest: Ingest
  readonly feeders: readonly Feeder[]
}

/** Starts the counterparts, ingest and the senders. */
export const openDoors = async (scene: Scene, isFull: boolean, note: (text: string) => void): Promise<OpenDoors> => {
  const [mosquitto, nats] = await Promise.all([startMosquitto(), startJetStream()])
  scene.defer(() => Promise.all([mosquitto.stop(), nats.stop()]))
  await addStream(nats.url)
  const folder = inboxOf(scene.dir)
  mkdirSync(folder)
  const other = isFull ? await startKafka() : undefined
  const kinesis = isFull ? await startKinesisLocal() : undefined
  scene.defer(() => Promise.all([other?.stop(), kinesis?.kill()]))
  const { private: privateKey, public: publicKey } = newSshKeys()
  const keys = join(scene.dir, 'keys')
  mkdirSync(keys)
  writeFileSync(join(keys, SFTP_USER), `${publicKey}\n`)
  const [mqttPort = 0, sftpPort = 0] = await freePorts(2)
  const ingest = await openIngest(scene, {
    doors: ['http', 'mqtt', 'mqtt-client', 'nats', 'folder', 'tus', 'sftp', ...(isFull ? ['kafka', 'kinesis'] : [])],
    assets: [
      'by-http',
      'by-key',
      'by-mqtt',
      'by-mosquitto',
      'by-nats',
      'by-jetstream',
      'by-folder',
      'by-tus',
      'by-sftp',
      'by-kafka',
      'by-kinesis',
    ],
    sources: [
      {
        version: 1,
        id: 'stream',
        kind: 'nats',
        subject: STREAM_SUBJECT,
        jetstream: { stream: STREAM, durable: 'andon' },
        mapping: MAPPING,
      },
      ...(other
        ? [{ version: 1, id: 'other-kafka', kind: 'kafka', brokers: other.brokers, topic: KAFKA_TOPIC, mapping: unnumbered('by-kafka') }]
        : []),
      ...(kinesis
        ? [
            {
              version: 1,
              id: 'kinesis',
              kind: 'kinesis',
              stream: KINESIS_STREAM,
              region: AWS.region,
              endpoint: kinesis.url,
              mapping: unnumbered('by-kinesis'),
            },
          ]
        : []),
    ],
    env: {
      ANDON_NATS_URL: nats.url,
      INGEST_MQTT_PORT: String(mqttPort),
      INGEST_MQTT_CLIENT_URL: mosquitto.url,
      INGEST_FOLDER: folder,
      INGEST_FOLDER_SETTLE_MS: '500', // a file is renamed in, so it is whole
      INGEST_SFTP_PORT: String(sftpPort),
      INGEST_SFTP_KEYS: keys,
      AWS_ACCESS_KEY_ID: AWS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: AWS.secretAccessKey,
    },
  })
  note('starting ingest with every door')
  await ingest.start()
  const readings = (asset: string) => `andon/${sourceOf(asset)}/readings`
  const feeders = [
    httpFeeder('by-http', ingest.url),
    keyedHttpFeeder('by-key', ingest.url),
    mqttFeeder('by-mqtt', { port: mqttPort, password: TOKEN, topic: readings('by-mqtt') }),
    mqttFeeder('by-mosquitto', { port: Number(new URL(mosquitto.url).port), topic: readings('by-mosquitto') }),
    await natsFeeder('by-nats', nats.url, scene.namespace),
    await jetStreamFeeder('by-jetstream', nats.url, STREAM_SUBJECT),
    folderFeeder('by-folder', folder),
    tusFeeder('by-tus', ingest.url),
    sftpFeeder('by-sftp', sftpPort, privateKey),
    ...(other ? [await kafkaFeeder('by-kafka', other.brokers, KAFKA_TOPIC)] : []),
    ...(kinesis ? [await kinesisFeeder('by-kinesis', kinesis.url)] : []),
  ]
  return { ingest, feeders }
}

/** Doors whose acknowledgement says that a file will be imported, and not yet that its rows are safe in the spool. */
export const FILE_DOORS: readonly string[] = ['by-folder', 'by-tus', 'by-sftp']

/** The watched folder. */
export const inboxOf = (dir: string): string => join(dir, 'inbox')

const KAFKA_TOPIC = 'plant'
const STREAM = 'PLANT'
const STREAM_SUBJECT = 'plant.readings'
/** What the senders send, said as a mapping. */
const MAPPING = {
  format: 'json',
  asset: { id: 'by-jetstream' },
  source: { field: 'source' },
  epoch: { field: 'epoch' },
  seq: { field: 'seq' },
  time: { field: 'timeUs', format: 'us' },
  channels: { [CHANNEL]: { field: `values.${CHANNEL}` } },
}

const unnumbered = (asset: string) => ({
  format: 'json',
  asset: { id: asset },
  source: { id: sourceOf(asset) },
  time: { field: 'timeUs', format: 'us' },
  channels: { [CHANNEL]: { field: `values.${CHANNEL}` } },
})

const addStream = async (url: string): Promise<void> => {
  const client = await connect({ servers: url })
  const manager = await client.jetstreamManager()
  await manager.streams.add({ name: STREAM, subjects: [STREAM_SUBJECT] })
  await client.close()
}
