// The doors with real clients: nothing is acknowledged before it is safe, and a refused device keeps what it has.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mqtt from 'mqtt'
import { connect as connectNats } from 'nats'
import type { NatsConnection } from 'nats'
import { createLogger, createMetrics, sha256Hex } from '@andon/kit'
import type { Principals } from '@andon/kit'
import { startNats } from '@andon/platform'
import { httpDoor } from '../src/adapters/http.ts'
import { mqttDoor, plainMqtt } from '../src/adapters/mqtt.ts'
import { noNatsAccess } from '../src/adapters/nats-connection.ts'
import { natsDoor } from '../src/adapters/nats.ts'
import { systemClock } from '../src/clock.ts'
import { logged, openRig, reading, rowsOf } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { metrics, TestAssignment, TestSources } from './streams.ts'
import { until } from './until.ts'

const logger = createLogger({ service: 'ingest', level: 'silent' })
const tokens = new Map([
  [sha256Hex('device-token'), { id: 'p-device', roles: ['ingest'] }],
  [sha256Hex('other-token'), { id: 'p-other', roles: ['operator'] }],
])
const principals: Principals = { of: (token) => tokens.get(sha256Hex(token)) }
const host = '127.0.0.1'

let rig: Rig
const http = httpDoor({ host, port: 0, principals, maxBodyBytes: 1 << 20, logger })
const mqttBroker = mqttDoor({ ...plainMqtt, host, port: 0, principals: () => principals, logger, metrics: createMetrics('ingest') })
let nats: Awaited<ReturnType<typeof startNats>>
let natsClient: NatsConnection
let natsIngest: ReturnType<typeof natsDoor>

/** A reading of now: the rig's clock is real here. */
const current = (seq: number, extra: Record<string, unknown> = {}) => reading(seq, { timeUs: Date.now() * 1000, ...extra })
const rowsInLog = async (source: string) => rowsOf(await logged(rig.log), source)

const happens = (client: mqtt.MqttClient, event: 'connect' | 'close' | 'error') =>
  new Promise<unknown>((resolve) => client.once(event, (value?: unknown) => resolve(value)))

before(async () => {
  const clock = systemClock() as unknown as ManualClock
  rig = await openRig({ isRunning: true, clock })
  await until(() => rig.wiring.refusing() === undefined)
  await http.start(rig.wiring.intake, rig.wiring.refusing)
  await mqttBroker.start(rig.wiring.intake, rig.wiring.refusing)
  nats = await startNats()
  natsIngest = natsDoor({
    url: nats.url,
    namespace: 'plant.',
    instance: 'ingest-0',
    access: noNatsAccess,
    maxInFlight: 1000,
    sources: new TestSources(),
    assignment: new TestAssignment(),
    logger,
    metrics: metrics(),
  })
  await natsIngest.start(rig.wiring.intake, rig.wiring.refusing)
  natsClient = await connectNats({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
})

after(async () => {
  await natsClient?.close()
  for (const door of [http, mqttBroker, natsIngest]) await door?.stop()
  await rig?.wiring.stop()
  await nats?.stop()
})

const post = (body: string, headers: Record<string, string> = {}) =>
  fetch(`http://${host}:${http.port()}/v1/telemetry`, {
    method: 'POST',
    headers: { authorization: 'Bearer device-token', 'content-type': 'application/json', ...headers },
    body,
  })

test('HTTP takes a JSON array and NDJSON, and says what went to quarantine', async () => {
  const batch = await post(
    JSON.stringify([current(1, { source: 'h1', asset: 'oven' }), current(2, { source: 'h1', values: { colour: 1 } })]),
  )
  assert.equal(batch.status, 202)
  const receipt = (await batch.json()) as { accepted: number; quarantined: { index: number; code: string }[] }
  assert.equal(receipt.accepted, 1)
  assert.deepEqual(
    receipt.quarantined.map(({ index, code }) => [index, code]),
    [[1, 'ANDON_INGEST_UNKNOWN_CHANNEL']],
  )
  const lines = await post(`${JSON.stringify(current(3, { source: 'h1' }))}\n${JSON.stringify(current(4, { source: 'h1' }))}\n`, {
    'content-type': 'application/x-ndjson',
  })
  assert.deepEqual(await lines.json(), { accepted: 2, duplicates: 0, quarantined: [] })
  await until(async () => (await rowsInLog('h1')).length === 3)
  assert.deepEqual(await rowsInLog('h1'), [1, 3, 4])
})

test('HTTP wants a token with the role ingest, and JSON', async () => {
  assert.equal((await post('[]', { authorization: 'Bearer nobody' })).status, 401)
  assert.equal((await post('[]', { authorization: 'Bearer other-token' })).status, 403)
  const bad = await post('{"source":')
  assert.equal(bad.status, 400)
  assert.equal(bad.headers.get('content-type'), 'application/problem+json')
  assert.equal(((await bad.json()) as { code: string }).code, 'ANDON_INGEST_NOT_JSON')
})

test('HTTP: the same Idempotency-Key gives the same rows', async () => {
  const body = JSON.stringify([{ source: 'h2', asset: 'oven', timeUs: Date.now() * 1000, values: { temperatureC: 20 } }])
  for (let attempt = 0; attempt < 3; attempt++) assert.equal((await post(body, { 'idempotency-key': 'k1' })).status, 202)
  await until(async () => (await rowsInLog('h2')).length > 0)
  assert.deepEqual(await rowsInLog('h2'), [1])
})

test('a full disk: HTTP says 503 with Retry-After, MQTT gives no PUBACK and the client delivers after it', async () => {
  const client = mqtt.connect({
    host,
    port: mqttBroker.port(),
    password: 'device-token',
    username: 'any',
    clientId: 'd-full',
    reconnectPeriod: 50,
  })
  await happens(client, 'connect')
  rig.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const refused = await post(JSON.stringify(current(1, { source: 'h3', asset: 'oven' })))
  assert.equal(refused.status, 503)
  assert.equal(refused.headers.get('retry-after'), '2')
  assert.equal(((await refused.json()) as { code: string }).code, 'ANDON_INGEST_SPOOL_FAILED')
  let isAcknowledged = false
  const published = client
    .publishAsync('andon/m3/readings', JSON.stringify(current(1, { source: 'm3', asset: 'oven' })), { qos: 1 })
    .then(() => (isAcknowledged = true))
  await happens(client, 'close') // refused: the connection went
  assert.equal(isAcknowledged, false)
  rig.disk.fault = undefined
  await published
  await until(async () => (await rowsInLog('m3')).length > 0)
  assert.deepEqual(await rowsInLog('m3'), [1])
  assert.deepEqual(await rowsInLog('h3'), [])
  await client.endAsync()
})

test('MQTT: PUBACK comes once the sample is on disk, in QoS 1 and 2', async () => {
  const client = mqtt.connect({ host, port: mqttBroker.port(), password: 'device-token', username: 'any', clientId: 'd-1' })
  for (const qos of [1, 2] as const) {
    const before = rig.disk.syncs
    await client.publishAsync('andon/m1/readings', JSON.stringify(current(qos, { source: 'm1', asset: 'oven' })), { qos })
    assert.ok(rig.disk.syncs > before)
  }
  await until(async () => (await rowsInLog('m1')).length === 2)
  assert.deepEqual(await rowsInLog('m1'), [1, 2])
  await client.endAsync()
})

test('MQTT: a burst of 2000 publishes is kept whole and in order', async () => {
  const client = mqtt.connect({ host, port: mqttBroker.port(), password: 'device-token', username: 'any', clientId: 'd-2' })
  await happens(client, 'connect')
  await Promise.all(
    Array.from({ length: 2000 }, (_, index) =>
      client.publishAsync('andon/m2/readings', JSON.stringify(current(index + 1, { source: 'm2', asset: 'oven' })), { qos: 1 }),
    ),
  )
  await until(async () => (await rowsInLog('m2')).length >= 2000)
  assert.deepEqual(
    await rowsInLog('m2'),
    Array.from({ length: 2000 }, (_, index) => index + 1),
  )
  await client.endAsync()
})

test('MQTT: a wrong password and a subscription are refused', async () => {
  const wrong = mqtt.connect({
    host,
    port: mqttBroker.port(),
    password: 'other-token',
    username: 'any',
    clientId: 'd-3',
    reconnectPeriod: 0,
  })
  const error = (await happens(wrong, 'error')) as { code: number }
  assert.equal(error.code, 4)
  await wrong.endAsync(true)
  const client = mqtt.connect({ host, port: mqttBroker.port(), password: 'device-token', username: 'any', clientId: 'd-4' })
  await assert.rejects(client.subscribeAsync('andon/#', { qos: 1 }))
  await client.endAsync()
})

test('NATS: the reply is the acknowledgement, in the namespace', async () => {
  const accepted = await natsClient.request('plant.telemetry.n1', JSON.stringify([current(1, { source: 'n1', asset: 'oven' })]), {
    timeout: 5000,
  })
  assert.deepEqual(accepted.json(), { accepted: 1, duplicates: 0, quarantined: [] })
  const bad = await natsClient.request('plant.telemetry.n1', 'no json', { timeout: 5000 })
  assert.equal(bad.json<{ quarantined: { code: string }[] }>().quarantined[0]?.code, 'ANDON_INGEST_NOT_A_READING')
  await until(async () => (await rowsInLog('n1')).length > 0)
  assert.deepEqual(await rowsInLog('n1'), [1])
})

test('NATS: what cannot be made safe is answered with a retriable error', async () => {
  rig.disk.fault = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  const refused = await natsClient.request('plant.telemetry.n2', JSON.stringify(current(1, { source: 'n2', asset: 'oven' })), {
    timeout: 5000,
  })
  rig.disk.fault = undefined
  const { error } = refused.json<{ error: { code: string; retriable: boolean } }>()
  assert.deepEqual([error.code, error.retriable], ['ANDON_INGEST_SPOOL_FAILED', true])
})

test('NATS: the door reconnects after the server was killed', async () => {
  await nats.kill()
  await until(() => natsIngest.ready() !== true)
  await nats.restart()
  await until(() => natsIngest.ready() === true)
  const ask = () => natsClient.request('plant.telemetry.n3', JSON.stringify(current(1, { source: 'n3', asset: 'oven' })), { timeout: 500 })
  await until(() =>
    ask().then(
      (reply) => reply.json<{ accepted: number }>().accepted === 1,
      () => false, // the test's own client may not be back yet
    ),
  )
})
