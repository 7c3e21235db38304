// The MQTT client door against real brokers: mosquitto (also with mutual TLS, also killed), and aedes, which speaks 3.1.1 only.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { Aedes } from 'aedes'
import mqtt from 'mqtt'
import { AndonError, createLogger } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import { mqttClientDoor } from '../src/adapters/mqtt-client.ts'
import type { MqttClientOptions } from '../src/adapters/mqtt-client.ts'
import type { Delivery, Intake } from '../src/adapters/source.ts'
import { Frames, isPublish, readPublish } from '../src/mqtt/frames.ts'
import { newAuthority } from './certificates.ts'
import { startMosquitto } from './own-server.ts'
import type { OwnServer } from './own-server.ts'
import { conformsToSource } from './source-conformance.ts'
import { until } from './until.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const never = () => undefined
const noSources = { of: () => [], onChange: () => never }

let clients = 0
const newDoor = (url: string, options: Partial<MqttClientOptions> = {}) =>
  mqttClientDoor({
    url,
    username: null,
    passwordFile: null,
    caFile: null,
    certFile: null,
    keyFile: null,
    share: `share-${clients}`, // of a door's own: a broker keeps a share for instances that are away
    maxInFlight: 100,
    sessionExpiryS: 60,
    clientId: `andon-test-${++clients}`,
    sources: noSources,
    buttons: undefined,
    logger,
    ...options,
  })

const isReady = (door: ReturnType<typeof newDoor>) => until(() => door.ready() === true, 'the door')

/** What was delivered, and an intake that can refuse. */
const recorder = () => {
  const taken: Delivery[] = []
  const state = { refuse: false }
  const intake: Intake = async (delivery) => {
    if (state.refuse) throw new AndonError('ANDON_INGEST_BUSY', 'Too many readings at once', { retriable: true })
    taken.push(delivery)
    return { accepted: 1, duplicates: 0, quarantined: [] }
  }
  const seqs = () => taken.map((each) => ('readings' in each ? Number(each.readings[0]?.bytes().toString()) : -1))
  return { taken, state, intake, seqs }
}

/** Between the door and its broker: sees which messages the door has acknowledged. */
const watchedBroker = async (port: number) => {
  const acknowledged: string[] = []
  const server = createServer((door) => {
    const broker = connectTcp(port, '127.0.0.1')
    const unanswered = new Map<number, string>()
    const [down, up] = [new Frames(1 << 20), new Frames(1 << 20)]
    broker.on('data', (chunk: Buffer) => {
      for (const frame of down.push(chunk)) {
        if (!isPublish(frame)) continue
        const { qos, messageId, payload } = readPublish(frame, 5)
        if (qos > 0) unanswered.set(messageId, payload.toString())
      }
      door.write(chunk)
    })
    door.on('data', (chunk: Buffer) => {
      for (const frame of up.push(chunk)) if (frame[0] === 0x40) acknowledged.push(unanswered.get(frame.readUInt16BE(2)) ?? '?')
      broker.write(chunk)
    })
    for (const [from, to] of [
      [door, broker],
      [broker, door],
    ] as const) {
      from.on('error', never)
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, acknowledged, close: () => server.close() }
}

let broker: OwnServer
let watched: Awaited<ReturnType<typeof watchedBroker>>
let publisher: mqtt.MqttClient

before(async () => {
  broker = await startMosquitto(['max_queued_messages 0'])
  watched = await watchedBroker(Number(new URL(broker.url).port))
  publisher = await mqtt.connectAsync(broker.url, { reconnectPeriod: 50, clean: false, clientId: 'publisher' })
})

after(async () => {
  await publisher?.endAsync(true)
  watched?.close()
  await broker?.stop()
})

conformsToSource('MQTT client', {
  open: () => newDoor(watched.url),
  sender: async (door, device) => {
    await isReady(door as ReturnType<typeof newDoor>)
    return {
      send: async (payload) => {
        const text = payload.toString()
        await publisher.publishAsync(`andon/${device}/readings`, payload, { qos: 1 })
        await until(() => watched.acknowledged.includes(text), 'the acknowledgement to the broker')
      },
      close: async () => undefined,
    }
  },
})

test('mosquitto_pub in every QoS reaches the intake', async () => {
  const { taken, intake } = recorder()
  const door = newDoor(broker.url)
  await door.start(intake, never)
  await isReady(door)
  for (const qos of ['0', '1', '2']) {
    const to = ['-p', new URL(broker.url).port, '-q', qos, '-t', `andon/pub-${qos}/readings`, '-m', '1']
    await promisify(execFile)('mosquitto_pub', to)
    await until(() => taken.some(({ source }) => source === `pub-${qos}`), `QoS ${qos}`)
  }
  await door.stop()
})

test('messages are worked on side by side, and acknowledged in their order', async () => {
  const waiting: (() => void)[] = []
  const intake: Intake = () => new Promise((resolve) => void waiting.push(() => resolve({ accepted: 1, duplicates: 0, quarantined: [] })))
  const door = newDoor(watched.url)
  await door.start(intake, never)
  await isReady(door)
  const from = watched.acknowledged.length
  for (const payload of ['a', 'b', 'c']) await publisher.publishAsync('andon/side/readings', payload, { qos: 1 })
  await until(() => waiting.length === 3, 'three deliveries at once')
  for (const accept of waiting.toReversed()) accept()
  await until(() => watched.acknowledged.length === from + 3, 'the acknowledgements')
  assert.deepEqual(watched.acknowledged.slice(from), ['a', 'b', 'c'])
  await door.stop()
})

test('what comes while ingest is away, refuses, or the broker is killed is delivered: nothing is lost', async () => {
  const persistent = await startMosquitto([
    'persistence true',
    `persistence_location ${await mkdtemp(join(tmpdir(), 'andon-mosquitto-db-'))}/`,
    'autosave_interval 1',
    'autosave_on_changes true',
    'max_queued_messages 0',
  ])
  const sender = await mqtt.connectAsync(persistent.url, { reconnectPeriod: 50, clean: false, clientId: 'sender' })
  const { state, intake, seqs } = recorder()
  const first = newDoor(persistent.url, { clientId: 'andon-a', share: 'none' })
  await first.start(intake, never)
  await isReady(first)
  let seq = 0
  const publish = async (count: number) => {
    for (let sent = 0; sent < count; sent++) await sender.publishAsync('andon/k/readings', String(++seq), { qos: 1 })
  }
  const arrives = (what: string) => until(() => new Set(seqs()).size === seq, what)
  await publish(50)
  await arrives('the first ones')
  await first.stop() // away: the broker keeps them
  await publish(50)
  const second = newDoor(persistent.url, { clientId: 'andon-a', share: 'none' })
  await second.start(intake, never)
  await arrives('what came while ingest was away')
  state.refuse = true
  await publish(50)
  await until(() => second.ready() !== true, 'the door to leave')
  state.refuse = false
  await arrives('what was refused')
  await isReady(second)
  // mosquitto may forget what it took just before, and 2.0 forgets shared subscriptions. What it takes from now on is ours to deliver.
  await persistent.kill()
  const unanswered = publish(50)
  await persistent.start()
  await unanswered
  await arrives('what was sent while the broker was killed')
  assert.deepEqual(
    [...new Set(seqs())].toSorted((a, b) => a - b),
    Array.from({ length: seq }, (_, index) => index + 1),
  )
  await second.stop()
  await sender.endAsync(true)
  await persistent.stop()
})

test('two instances divide the messages', async () => {
  const [left, right] = [recorder(), recorder()]
  const doors = [newDoor(broker.url, { share: 'both' }), newDoor(broker.url, { share: 'both' })]
  await doors[0]!.start(left.intake, never)
  await doors[1]!.start(right.intake, never)
  for (const door of doors) await isReady(door)
  await Promise.all(Array.from({ length: 100 }, (_, index) => publisher.publishAsync('andon/shared/readings', String(index), { qos: 1 })))
  await until(() => left.taken.length + right.taken.length >= 100, 'all of them')
  assert.equal(left.taken.length + right.taken.length, 100)
  assert.ok(left.taken.length > 0 && right.taken.length > 0)
  for (const door of doors) await door.stop()
})

test('source files change live: topics are subscribed and left without a restart', async () => {
  const file = (id: string, topic: string) =>
    parseSource({
      version: 1,
      id,
      kind: 'mqtt',
      topic,
      mapping: { format: 'number', asset: { field: '{1}' }, channels: { temperatureC: { field: '$' } } },
    })
  let files: PlantSource[] = [file('one', 'one/+')]
  let changed: () => void = never
  const sources = {
    of: () => files as never,
    onChange: (listener: () => void) => {
      changed = listener
      return never
    },
  }
  const { taken, intake } = recorder()
  const door = newDoor(broker.url, { sources })
  await door.start(intake, never)
  await isReady(door)
  await publisher.publishAsync('one/oven', '1', { qos: 1 })
  await until(() => taken.length === 1, 'the first file')
  files = [file('two', 'two/+')]
  changed()
  await until(async () => {
    await publisher.publishAsync('two/oven', '2', { qos: 1 })
    return taken.length > 1
  }, 'the second file')
  const mapped = taken.at(-1)!
  assert.ok('readings' in mapped)
  assert.equal((mapped.readings[0]!.value as { source: string }).source, 'oven:two')
  const before = taken.length
  await publisher.publishAsync('one/oven', '3', { qos: 1 })
  await publisher.publishAsync('two/oven', '4', { qos: 1 })
  await until(() => taken.length > before, 'the next one')
  assert.ok(taken.slice(before).every((each) => 'readings' in each && each.readings[0]?.bytes().toString() !== '3'))
  await door.stop()
})

test('mutual TLS to mosquitto; a missing file is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'andon-mqtts-'))
  const authority = await newAuthority()
  const [server, own] = [await authority.server(), await authority.device('ingest-0')]
  const write = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  const ca = await write('ca.pem', authority.ca)
  const secure = await startMosquitto([
    `cafile ${ca}`,
    `certfile ${await write('server.pem', server.cert)}`,
    `keyfile ${await write('server.key', server.key)}`,
    'require_certificate true',
    'use_identity_as_username true',
  ])
  const url = `mqtts://localhost:${new URL(secure.url).port}`
  const { taken, intake } = recorder()
  const files = { caFile: ca, certFile: await write('own.pem', own.cert), keyFile: await write('own.key', own.key) }
  const door = newDoor(url, files)
  await door.start(intake, never)
  await isReady(door)
  const device = await authority.device('press-7')
  const sender = await mqtt.connectAsync(url, { ca: authority.ca, ...device, clientId: 'press-7' })
  await sender.publishAsync('andon/press-7/readings', '1', { qos: 1 })
  await until(() => taken.length === 1, 'the message')
  await assert.rejects(
    newDoor(url, { ...files, keyFile: join(folder, 'nothing.key') }).start(intake, never),
    /INGEST_MQTT_CLIENT_KEY_FILE: .*nothing\.key/,
  )
  const bare = newDoor(url, { caFile: ca })
  await bare.start(intake, never)
  await until(() => /not connected: /.test(String(bare.ready())), 'the refusal')
  for (const each of [door, bare]) await each.stop()
  await sender.endAsync(true)
  await secure.stop()
  await rm(folder, { recursive: true })
})

test('a broker that speaks only 3.1.1 is used in 3.1.1', async () => {
  const aedes = await Aedes.createBroker()
  const server = createServer((socket) => void aedes.handle(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { taken, intake } = recorder()
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
  const door = newDoor(url, { share: 'none' })
  await door.start(intake, never)
  await isReady(door)
  const sender = await mqtt.connectAsync(url)
  await sender.publishAsync('andon/old/readings', '1', { qos: 1 })
  await until(() => taken.length === 1, 'the message')
  await sender.endAsync()
  await door.stop()
  await new Promise<void>((resolve) => aedes.close(() => server.close(() => resolve())))
})

test('an address that is none is refused at the start', async () => {
  await assert.rejects(newDoor('http://broker').start(recorder().intake, never), /INGEST_MQTT_CLIENT_URL: expected mqtt:/)
})
