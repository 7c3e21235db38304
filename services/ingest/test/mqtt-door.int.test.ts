// The MQTT door with clients that are not ours: mqtt.js in 3.1.1 and 5, mosquitto_pub, and raw bytes.

import type { TLSSocket } from 'node:tls'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import mqtt from 'mqtt'
import type { IClientOptions } from 'mqtt'
import { generate } from 'mqtt-packet'
import { AndonError, createLogger, createMetrics, sha256Hex } from '@andon/kit'
import type { Principals } from '@andon/kit'
import { parseSource } from '@andon/schemas'
import type { PlantSource } from '@andon/schemas'
import { mqttDoor, plainMqtt } from '../src/adapters/mqtt.ts'
import type { MqttDoorOptions } from '../src/adapters/mqtt.ts'
import type { Delivery, Device, Intake } from '../src/adapters/source.ts'
import type { Devices } from '../src/devices.ts'
import { newAuthority } from './certificates.ts'
import { conformsToSource } from './source-conformance.ts'
import { until } from './until.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const tokens = new Map([
  [sha256Hex('device-token'), { id: 'p-device', roles: ['ingest'] }],
  [sha256Hex('other-token'), { id: 'p-other', roles: ['operator'] }],
])
const principals: Principals = { of: (token) => tokens.get(sha256Hex(token)) }
const host = '127.0.0.1'
const never = () => undefined
const happens = (client: mqtt.MqttClient, event: 'connect' | 'close' | 'error' | 'disconnect') =>
  new Promise<unknown>((resolve) => client.once(event as 'close', (value?: unknown) => resolve(value)))

const newDoor = (options: Partial<MqttDoorOptions> = {}) =>
  mqttDoor({ ...plainMqtt, host, port: 0, principals: () => principals, logger, metrics: createMetrics('ingest'), ...options })

const login = { host, username: 'any', password: 'device-token', reconnectPeriod: 50 }

for (const protocolVersion of [4, 5] as const) {
  conformsToSource(`MQTT ${protocolVersion === 4 ? '3.1.1' : '5'}`, {
    open: () => newDoor(),
    sender: async (door, device) => {
      const client = mqtt.connect({
        ...login,
        port: (door as ReturnType<typeof newDoor>).port(),
        clientId: device,
        protocolVersion,
        clean: false,
      })
      await happens(client, 'connect')
      return {
        send: (payload) => client.publishAsync(`andon/${device}/readings`, payload, { qos: 1 }),
        close: () => client.endAsync(true),
      }
    },
  })
}

// ---- one door for the rest

const deliveries: Delivery[] = []
let refuse: AndonError | undefined
const intake: Intake = async (delivery) => {
  if (refuse !== undefined) throw refuse
  deliveries.push(delivery)
  const refused = 'readings' in delivery ? delivery.readings.flatMap(({ refused: why }, index) => (why ? [{ index, ...why }] : [])) : []
  return { accepted: 1, duplicates: 0, quarantined: refused }
}
const sources: PlantSource[] = [
  parseSource({
    version: 1,
    id: 'boilers',
    kind: 'mqtt',
    topic: 'plants/+site/boilers/+boiler/#',
    mapping: { asset: { field: '{boiler}' }, time: { field: 't', format: 'ms' }, channels: { temperatureC: { field: 'temp' } } },
  }),
]
const presses: string[] = []
const open = newDoor({
  limits: { ...plainMqtt.limits, maxPacketBytes: 4096, maxInFlight: 10 },
  sources: { of: (kind) => sources.filter((each) => each.kind === kind) as never, onChange: () => never },
  buttons: { press: async (button) => String(presses.push(button)) },
})
await open.start(intake, never)
after(() => open.stop())

const connected = async (options: IClientOptions = {}) => {
  const client = mqtt.connect({ ...login, port: open.port(), protocolVersion: 5, ...options })
  await happens(client, 'connect')
  return client
}

test('topics of a source file are mapped, with the levels of the topic', async () => {
  const client = await connected()
  await client.publishAsync('plants/works/boilers/oven/raw', JSON.stringify({ t: 1_795_000_000_000, temp: 80 }), { qos: 1 })
  const delivery = deliveries.at(-1)!
  assert.ok('readings' in delivery)
  assert.deepEqual(delivery.readings[0]?.value, {
    asset: 'oven',
    source: 'oven:boilers',
    timeUs: 1_795_000_000_000_000,
    values: { temperatureC: 80 },
  })
  await client.endAsync()
})

test('an MQTT 5 device is told what went to quarantine, in the reason of its PUBACK', async () => {
  const client = await connected()
  const reasons: (string | undefined)[] = []
  client.on('packetreceive', (packet) => packet.cmd === 'puback' && reasons.push(packet.properties?.reasonString))
  await client.publishAsync('plants/works/boilers/oven/raw', 'hot', { qos: 1 })
  assert.match(reasons[0] ?? '', /1 went to quarantine: ANDON_INGEST_MAPPING: sources\/boilers: found "hot", expected JSON/)
  await client.endAsync()
})

test('of messages that came together each is answered for itself: the good ones plainly, the bad ones with a reason', async () => {
  const client = await connected()
  const reasons = new Map<number, string | undefined>()
  client.on('packetreceive', (packet) => packet.cmd === 'puback' && reasons.set(packet.messageId!, packet.properties?.reasonString))
  const before = deliveries.length
  const good = JSON.stringify({ t: 1_795_000_000_000, temp: 80 })
  client.stream.cork()
  const sent = [good, 'hot', good, 'cold', good].map((each) => client.publishAsync('plants/works/boilers/oven/raw', each, { qos: 1 }))
  setImmediate(() => client.stream.uncork())
  await Promise.all(sent)
  assert.equal(deliveries.length, before + 1)
  const told = [...reasons].toSorted(([a], [b]) => a - b).map(([, why]) => why?.match(/found "\w+"/)?.[0])
  assert.deepEqual(told, [undefined, 'found "hot"', undefined, 'found "cold"', undefined])
  await client.endAsync()
})

test('a press of a button is a call', async () => {
  const client = await connected({ protocolVersion: 4 })
  await client.publishAsync('andon/help-press-1/call', '', { qos: 1 })
  assert.deepEqual(presses, ['help-press-1'])
  await client.endAsync()
})

test('a wrong topic: MQTT 5 says 0x90 and goes on, in 3.1.1 the connection is closed', async () => {
  const client = await connected()
  await assert.rejects(client.publishAsync('what/ever', '{}', { qos: 1 }), { code: 0x90 })
  await client.publishAsync('andon/w1/readings', '{}', { qos: 1 })
  await client.endAsync()
  const old = await connected({ protocolVersion: 4, reconnectPeriod: 0 })
  const published = old.publishAsync('what/ever', '{}', { qos: 1 }).then(
    () => 'acknowledged',
    () => 'not acknowledged',
  )
  await happens(old, 'close')
  await old.endAsync(true)
  assert.equal(await Promise.race([published, Promise.resolve('not acknowledged')]), 'not acknowledged')
})

test('QoS 2: one delivery however often the publish is repeated, until its PUBREL', async () => {
  const raw = await rawClient({ clientId: 'q2', clean: false })
  const before = deliveries.length
  raw.write(generate({ cmd: 'publish', topic: 'andon/q2/readings', payload: '{}', qos: 2, messageId: 7, dup: false, retain: false }))
  assert.deepEqual(await raw.next(4), Buffer.from([0x50, 2, 0, 7]))
  raw.socket.destroy()
  const again = await rawClient({ clientId: 'q2', clean: false })
  assert.equal(again.sessionPresent, true)
  again.write(generate({ cmd: 'publish', topic: 'andon/q2/readings', payload: '{}', qos: 2, messageId: 7, dup: true, retain: false }))
  assert.deepEqual(await again.next(4), Buffer.from([0x50, 2, 0, 7]))
  assert.equal(deliveries.length, before + 1)
  again.write(generate({ cmd: 'pubrel', messageId: 7 }))
  assert.deepEqual(await again.next(4), Buffer.from([0x70, 2, 0, 7]))
  again.write(generate({ cmd: 'publish', topic: 'andon/q2/readings', payload: '{}', qos: 2, messageId: 7, dup: false, retain: false }))
  await again.next(4)
  assert.equal(deliveries.length, before + 2)
  again.socket.destroy()
})

test('a topic alias stands for its topic', async () => {
  const client = await connected({ autoAssignTopicAlias: true } as IClientOptions)
  const before = deliveries.length
  for (let seq = 0; seq < 3; seq++) await client.publishAsync('andon/alias/readings', '{}', { qos: 1 })
  assert.deepEqual(
    deliveries.slice(before).map(({ source }) => source),
    ['alias', 'alias', 'alias'],
  )
  await client.endAsync()
})

test('a client id that comes again ends the earlier connection; other principals have their own', async () => {
  const first = await connected({ clientId: 'twin', reconnectPeriod: 0 })
  const closed = happens(first, 'close')
  const second = await connected({ clientId: 'twin' })
  await closed
  await first.endAsync(true)
  await second.publishAsync('andon/twin/readings', '{}', { qos: 1 })
  await second.endAsync()
})

test('a subscription is refused with 0x87', async () => {
  const client = await connected()
  await assert.rejects(client.subscribeAsync('andon/#', { qos: 1 }))
  await client.endAsync()
})

test('what the intake refuses in QoS 0 is dropped, and the connection stays', async () => {
  const client = await connected()
  refuse = new AndonError('ANDON_INGEST_BUSY', 'Too many readings at once', { retriable: true })
  await client.publishAsync('andon/z/readings', '{}', { qos: 0 })
  refuse = undefined
  await client.publishAsync('andon/z/readings', '{}', { qos: 1 })
  await client.endAsync()
})

test('a burst beyond what may be in flight waits in the socket', async () => {
  for (const protocolVersion of [4, 5] as const) {
    const client = await connected({ protocolVersion })
    const before = deliveries.length
    await Promise.all(Array.from({ length: 500 }, (_, n) => client.publishAsync('andon/burst/readings', String(n), { qos: 1 })))
    // What comes with one read of the socket is one delivery.
    const taken = deliveries.slice(before).flatMap((each) => ('readings' in each ? each.readings.map(({ value }) => value) : []))
    assert.deepEqual(taken, [...Array(500).keys()])
    await client.endAsync()
  }
})

test(
  'mosquitto_pub delivers in every version and QoS',
  { skip: !existsSync('/usr/bin/mosquitto_pub') && 'mosquitto-clients is not installed' },
  async () => {
    for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
      for (const qos of ['0', '1', '2']) {
        const before = deliveries.length
        const to = ['-h', host, '-p', String(open.port()), '-V', version, '-q', qos, '-u', 'any', '-P', 'device-token']
        await promisify(execFile)('mosquitto_pub', [...to, '-i', `pub-${version}-${qos}`, '-t', 'andon/pub/readings', '-m', '{"a":1}'])
        await until(() => deliveries.length === before + 1, `${version} QoS ${qos}`)
      }
    }
  },
)

// ---- bad input: raw bytes

interface Raw {
  readonly socket: Socket
  readonly sessionPresent: boolean
  write(bytes: Buffer): void
  /** The next n bytes; fewer when the door closes first. */
  next(bytes: number): Promise<Buffer>
}

const rawSocket = async (): Promise<Raw> => {
  const socket = connectTcp(open.port(), host)
  socket.on('error', never)
  await once(socket, 'connect')
  let buffered: Buffer = Buffer.alloc(0)
  let changed = Promise.withResolvers<void>()
  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    tell()
  })
  socket.on('close', tell)
  const next = async (count: number) => {
    while (buffered.length < count && !socket.closed) await changed.promise
    const read = buffered.subarray(0, count)
    buffered = buffered.subarray(count)
    return read
  }
  return { socket, sessionPresent: false, write: (bytes) => void socket.write(bytes), next }
}

const connectPacket = (options: object = {}) =>
  generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: 'raw',
    clean: true,
    keepalive: 0,
    username: 'any',
    password: Buffer.from('device-token'),
    ...options,
  } as never)

const rawClient = async (options: object = {}): Promise<Raw> => {
  const raw = await rawSocket()
  raw.write(connectPacket(options))
  const [, rest] = await raw.next(2)
  const answer = await raw.next(rest!)
  assert.equal(answer[1], 0)
  return { ...raw, sessionPresent: answer[0] === 1 }
}

const text = (value: string | Buffer) => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}
const frame = (first: number, ...parts: Buffer[]) => {
  const body = Buffer.concat(parts)
  const digits: number[] = []
  let rest = body.length
  do {
    digits.push((rest & 0x7f) | (rest > 127 ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...digits]), body])
}
const id = Buffer.from([0, 1])
const topic = text('andon/raw/readings')
const none = Buffer.from([0])
const properties = (...bytes: number[]) => Buffer.from([bytes.length, ...bytes])

/** Bytes after a good CONNECT of this version → how the door ends it: a reason code of MQTT 5, or a closed connection in 3.1.1. */
const badAfterConnect: readonly (readonly [string, 4 | 5, Buffer, number | undefined])[] = [
  ['QoS 3', 4, frame(0x36, topic, id), undefined],
  ['QoS 3', 5, frame(0x36, topic, id, none), 0x81],
  ['a repeat in QoS 0', 5, frame(0x38, topic, none), 0x81],
  ['packet id 0', 5, frame(0x32, topic, Buffer.from([0, 0]), none), 0x81],
  ['no packet id', 5, frame(0x32, topic), 0x81],
  ['a topic that is longer than its packet', 5, frame(0x32, Buffer.from([0xff, 0xff]), Buffer.from('andon')), 0x81],
  ['an empty publish', 5, frame(0x32), 0x81],
  ['a topic that is not UTF-8', 5, frame(0x32, text(Buffer.from([0x61, 0xff, 0xfe])), id, none), 0x81],
  ['a topic with an overlong encoding', 5, frame(0x32, text(Buffer.from([0xc0, 0xaf])), id, none), 0x81],
  ['a topic with a surrogate', 5, frame(0x32, text(Buffer.from([0xed, 0xa0, 0x80])), id, none), 0x81],
  ['a topic with NUL', 5, frame(0x32, text('andon/\u0000/readings'), id, none), 0x81],
  ['a topic with +', 5, frame(0x32, text('andon/+/readings'), id, none), 0x90],
  ['a topic with #', 5, frame(0x32, text('andon/#'), id, none), 0x90],
  ['a topic with #', 4, frame(0x32, text('andon/#'), id), undefined],
  ['no topic and no alias', 5, frame(0x32, text(''), id, none), 0x90],
  ['topic alias 0', 5, frame(0x32, topic, id, properties(0x23, 0, 0)), 0x94],
  ['a topic alias above the maximum', 5, frame(0x32, topic, id, properties(0x23, 0, 17)), 0x94],
  ['a topic alias that stands for nothing', 5, frame(0x32, text(''), id, properties(0x23, 0, 5)), 0x82],
  ['two topic aliases', 5, frame(0x32, topic, id, properties(0x23, 0, 1, 0x23, 0, 2)), 0x82],
  ['a property that a PUBLISH does not have', 5, frame(0x32, topic, id, properties(0x11, 0, 0, 0, 1)), 0x81],
  ['properties that are longer than the packet', 5, frame(0x32, topic, id, Buffer.from([0x7f, 0x23])), 0x81],
  ['a property that ends within its value', 5, frame(0x32, topic, id, properties(0x23, 0)), 0x81],
  ['a length of properties in five bytes', 5, frame(0x32, topic, id, Buffer.from([0xff, 0xff, 0xff, 0xff, 1])), 0x81],
  ['a user property beyond its packet', 5, frame(0x32, topic, id, properties(0x26, 0xff, 0xff)), 0x81],
  ['a packet above the limit', 5, frame(0x32, topic, id, none, Buffer.alloc(5000)), 0x95],
  ['a packet above the limit', 4, frame(0x32, topic, id, Buffer.alloc(5000)), undefined],
  ['the header of 256 MB, without the bytes', 5, Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), 0x95],
  ['a length of five bytes', 5, Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1]), 0x81],
  ['packet type 0', 5, frame(0x00), 0x81],
  ['a second CONNECT', 5, connectPacket({ protocolVersion: 5 }), 0x82],
  ['a CONNACK from a client', 5, frame(0x20, Buffer.from([0, 0, 0])), 0x82],
  ['a SUBACK from a client', 5, frame(0x90, id, none, none), 0x82],
  ['a PUBREL with wrong flags', 5, frame(0x60, id), 0x81],
  ['a SUBSCRIBE with wrong flags', 5, frame(0x80, id, none, text('a'), none), 0x81],
  ['a SUBSCRIBE without a filter', 5, frame(0x82, id, none), 0x81],
  ['a SUBSCRIBE in QoS 3', 5, frame(0x82, id, none, text('a'), Buffer.from([3])), 0x81],
  ['an AUTH that nobody asked for', 5, frame(0xf0, Buffer.from([0x18, 0])), 0x82],
]

for (const [name, version, bytes, reasonCode] of badAfterConnect) {
  test(`bad input, MQTT ${version === 5 ? '5' : '3.1.1'}: ${name}`, async () => {
    const raw = await rawSocket()
    raw.write(connectPacket({ protocolVersion: version, clientId: `bad-${Math.random()}` }))
    const [, rest] = await raw.next(2)
    await raw.next(rest!)
    const before = deliveries.length
    const good =
      version === 5
        ? frame(0x32, topic, Buffer.from([0, 9]), none, Buffer.from('{}'))
        : frame(0x32, topic, Buffer.from([0, 9]), Buffer.from('{}'))
    raw.write(Buffer.concat([good, bytes]))
    const answer = await raw.next(4096)
    assert.equal(deliveries.length, before + 1, 'the valid publish before it was taken')
    const disconnect = answer.indexOf(0xe0)
    if (reasonCode === undefined) assert.equal(disconnect, -1)
    else assert.equal(answer[disconnect + 2], reasonCode)
    assert.ok(raw.socket.closed)
  })
}

/** First bytes of a connection → return or reason code of the CONNACK, or a connection that is closed without a word. */
const badConnects: readonly (readonly [string, Buffer, number | undefined])[] = [
  ['a PUBLISH first', frame(0x30, topic), undefined],
  ['a PINGREQ first', Buffer.from([0xc0, 0]), undefined],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: andon\r\n\r\n'), undefined],
  ['TLS on the plain port', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]), undefined],
  ['another protocol name', frame(0x10, text('MQTX'), Buffer.from([4, 2, 0, 0]), text('x')), undefined],
  ['version 6', frame(0x10, text('MQTT'), Buffer.from([6, 2, 0, 0]), text('x')), 1],
  ['the reserved flag', frame(0x10, text('MQTT'), Buffer.from([4, 3, 0, 0]), text('x')), undefined],
  ['a will in QoS 3', frame(0x10, text('MQTT'), Buffer.from([4, 0x1e, 0, 0]), text('x'), text('t'), text('p')), undefined],
  ['a client id beyond its packet', frame(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0, 0xff, 0xff])), undefined],
  ['no client id', frame(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0])), undefined],
  ['a session without a client id', connectPacket({ clientId: '', clean: true }).fill(0xc0, 9, 10), 2],
  ['a client id with a control character', connectPacket({ clientId: 'a\u0007b' }), 2],
  ['a client id of 300 bytes', connectPacket({ clientId: 'x'.repeat(300) }), 2],
  ['no password', connectPacket({ username: undefined, password: undefined }), 4],
  ['a wrong password', connectPacket({ password: Buffer.from('nobody') }), 4],
  ['a token without the role', connectPacket({ password: Buffer.from('other-token') }), 4],
  ['a wrong password', connectPacket({ protocolVersion: 5, password: Buffer.from('nobody') }), 0x86],
  ['a client id of 300 bytes', connectPacket({ protocolVersion: 5, clientId: 'x'.repeat(300) }), 0x85],
  ['a CONNECT above the limit', connectPacket({ password: Buffer.alloc(5000, 97) }), undefined],
]

for (const [name, bytes, code] of badConnects) {
  test(`bad connection: ${name} (${code === undefined ? 'closed' : `code ${code}`})`, async () => {
    const raw = await rawSocket()
    raw.write(bytes)
    const answer = await raw.next(4096)
    if (code === undefined) assert.equal(answer.length === 0 || answer[3] !== 0, true)
    else assert.equal(answer[3], code)
    assert.ok(raw.socket.closed)
  })
}

test('random bytes, before and after a CONNECT: the door stays up and takes nothing of it', async () => {
  const before = deliveries.length
  for (let round = 0; round < 60; round++) {
    const raw = round % 2 === 0 ? await rawSocket() : await rawClient({ clientId: `random-${round}` })
    const bytes = Buffer.from(Array.from({ length: 200 }, (_, at) => (round * 7919 + at * 104_729 + ((at * at) >> 3)) & 0xff))
    raw.socket.end(bytes)
    await raw.next(4096)
  }
  assert.equal(deliveries.length, before)
  const client = await connected()
  await client.publishAsync('andon/after/readings', '{}', { qos: 1 })
  await client.endAsync()
})

// ---- secure mode

test('secure mode: the certificate says who it is, and what it may write', async () => {
  const authority = await newAuthority()
  const stranger = await newAuthority()
  const server = await authority.server()
  const cutOff: ((deviceId: string) => void)[] = []
  const devices: Devices = {
    tls: { key: Buffer.from(server.key), cert: Buffer.from(server.cert), ca: Buffer.from(authority.ca) },
    identify: (der: Buffer): Device => {
      const device = ['press-7', 'gauge-1', 'pending-1'].find((name) => der.includes(name))!
      if (device === 'pending-1') throw new AndonError('ANDON_INGEST_DEVICE_NOT_ACTIVE', 'pending-1 is pending', { status: 403 })
      return {
        id: device,
        certificateSha256: sha256Hex(der.toString('latin1')),
        speaksFor: (source: string) => source === device || source.startsWith(`${device}:`),
        feeds: () => true,
      }
    },
    admit: (socket: TLSSocket) => devices.identify(socket.getPeerX509Certificate()!.raw),
    keepFresh: never,
    onCutOff: (listener: (deviceId: string) => void) => {
      cutOff.push(listener)
      return never
    },
  } as unknown as Devices
  const secure = newDoor({
    devices,
    sources: { of: (kind) => sources.filter((each) => each.kind === kind) as never, onChange: () => never },
  })
  await secure.start(intake, never)
  const as = async (name: string, from = authority) => {
    const { key, cert } = await from.device(name)
    return mqtt.connect({
      protocol: 'mqtts',
      host: 'localhost',
      port: secure.port(),
      ca: authority.ca,
      key,
      cert,
      protocolVersion: 5,
      reconnectPeriod: 0,
      clientId: name,
    })
  }
  const press = await as('press-7')
  await happens(press, 'connect')
  await press.publishAsync('andon/press-7:vibration/readings', '{}', { qos: 1 })
  assert.equal(deliveries.at(-1)?.device?.id, 'press-7')
  await assert.rejects(press.publishAsync('andon/gauge-1/readings', '{}', { qos: 1 }), { code: 0x87 })
  await press.publishAsync('plants/works/boilers/oven/raw', JSON.stringify({ t: 1_795_000_000_000, temp: 80 }), { qos: 1 })
  const mapped = deliveries.at(-1)!
  assert.ok('readings' in mapped)
  assert.equal((mapped.readings[0]!.value as { source: string }).source, 'press-7:boilers.oven')

  const gauge = await as('gauge-1')
  await happens(gauge, 'connect')
  const left = happens(gauge, 'disconnect')
  for (const tell of cutOff) tell('gauge-1')
  assert.equal(((await left) as { reasonCode: number }).reasonCode, 0x87)
  await press.publishAsync('andon/press-7/readings', '{}', { qos: 1 }) // others go on

  const pending = await as('pending-1')
  const refused = (await happens(pending, 'error')) as { code: number }
  assert.equal(refused.code, 0x87)
  const foreign = await as('press-7', stranger)
  await happens(foreign, 'close')
  const bare = mqtt.connect({ protocol: 'mqtts', host: 'localhost', port: secure.port(), ca: authority.ca, reconnectPeriod: 0 })
  await happens(bare, 'close')
  for (const client of [press, gauge, pending, foreign, bare]) await client.endAsync(true)
  await secure.stop()
})
