// Every door that acknowledges, opened together on one ingest process, each with a sender of its own.

import { freePorts, startNats } from '@andon/platform'
import type { Scene } from '../rig.ts'
import { httpFeeder, keyedHttpFeeder, mqttFeeder, natsFeeder } from './feeders.ts'
import type { Feeder } from './feeders.ts'
import { TOKEN, openIngest, sourceOf } from './rig.ts'
import type { Ingest } from './rig.ts'

export interface OpenDoors {
  readonly ingest: Ingest
  readonly feeders: readonly Feeder[]
  /** Doors that could not be had here, and why. */
  readonly skipped: readonly string[]
}

/** Starts the counterparts, ingest and the senders. */
export const openDoors = async (scene: Scene, _isFull: boolean, note: (text: string) => void): Promise<OpenDoors> => {
  const nats = await startNats()
  scene.defer(() => nats.stop())
  const [mqttPort = 0] = await freePorts(1)
  const ingest = await openIngest(scene, {
    doors: ['http', 'mqtt', 'nats'],
    assets: ['by-http', 'by-key', 'by-mqtt', 'by-nats'],
    env: { ANDON_NATS_URL: nats.url, INGEST_MQTT_PORT: String(mqttPort) },
  })
  note('starting ingest with every door')
  await ingest.start()
  const feeders = [
    httpFeeder('by-http', ingest.url),
    keyedHttpFeeder('by-key', ingest.url),
    mqttFeeder('by-mqtt', { port: mqttPort, password: TOKEN, topic: `andon/${sourceOf('by-mqtt')}/readings` }),
    await natsFeeder('by-nats', nats.url, scene.namespace),
  ]
  return { ingest, feeders, skipped: [] }
}
