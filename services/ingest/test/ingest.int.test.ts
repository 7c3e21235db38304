// The ingest process on a real broker, registry and NATS: killed and restarted while a device sends, and with the broker killed under it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import mqtt from 'mqtt'
import { partitionOf } from '@andon/kit'
import { freePorts, startNats } from '@andon/platform'
import { topology } from '@andon/schemas'
import type { Actions, Block, Telemetry } from '@andon/schemas'
import { main, openIngestProcess } from './ingest-process.ts'
import type { IngestProcess } from './ingest-process.ts'
import { until } from './until.ts'

let nats: Awaited<ReturnType<typeof startNats>>
let ingest: IngestProcess

before(
  async () => {
    nats = await startNats()
    ingest = await openIngestProcess('http,mqtt,nats', { ANDON_NATS_URL: nats.url })
    await ingest.start()
  },
  { timeout: 120_000 },
)

after(
  async () => {
    await ingest?.stop()
    await nats?.stop()
  },
  { timeout: 60_000 },
)

const publishSource = (source: { readonly id: string; readonly [field: string]: unknown }) =>
  ingest.document(`sources/${source.id}`, 'source', source)

/** Everything on the partition of the oven. */
const telemetry = async (): Promise<Telemetry[]> => {
  const values: Telemetry[] = []
  const partition = partitionOf('oven', topology.topics.telemetry.partitions)
  for await (const batch of ingest.log.read({ topic: 'telemetry', partition, from: 'earliest', to: 'latest' })) {
    for (const record of batch.records) values.push(await ingest.codec.decodeAsync<Telemetry>('telemetry', record.value!))
  }
  return values
}

const blocks = async (source: string): Promise<Block[]> =>
  (await telemetry()).flatMap(({ block }) => (block?.sourceId === source ? [block] : []))

const seqsOf = (all: readonly Block[]): number[] =>
  all.flatMap(({ seqFrom, seqTo, withheld }) =>
    Array.from({ length: seqTo - seqFrom + 1 }, (_, index) => seqFrom + index).filter((seq) => !withheld.includes(seq)),
  )

const reading = (source: string, seq: number) => ({
  source,
  epoch: 1,
  seq,
  timeUs: Date.now() * 1000,
  asset: 'oven',
  values: { temperatureC: seq % 100 },
})

const post = (body: unknown) =>
  fetch(`http://127.0.0.1:${ingest.ports.http}/v1/telemetry`, {
    method: 'POST',
    headers: { authorization: 'Bearer device-token', 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  })

/** A device that sends batches of ten in order, each again until it is acknowledged; stops at `total`. */
const sendAll = async (source: string, total: number, pauseMs: number) => {
  for (let seq = 1; seq <= total; seq += 10) {
    const batch = Array.from({ length: Math.min(10, total - seq + 1) }, (_, index) => reading(source, seq + index))
    for (let done = false; !done;) {
      done = await post(batch).then(
        (response) => response.status === 202,
        () => false,
      )
      if (!done) await new Promise((resolve) => setTimeout(resolve, 50))
    }
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

const inOrder = (total: number) => Array.from({ length: total }, (_, index) => index + 1)

test('a block on the real log: Avro, key, headers, ticks each second on every partition', { timeout: 60_000 }, async () => {
  assert.equal((await post([reading('first', 1), { ...reading('first', 2), values: { colour: 1 } }, reading('first', 3)])).status, 202)
  await until(async () => (await blocks('first')).length > 0, 'the block is on the log')
  const [block] = await blocks('first')
  assert.deepEqual(
    [block?.seqFrom, block?.seqTo, block?.rows, block?.withheld, block?.channels, block?.units],
    [1, 3, 2, [2], ['temperatureC'], ['Cel']],
  )
  const { partitions } = topology.topics.telemetry
  await until(async () => {
    const ends = await ingest.log.admin.watermarks('telemetry')
    return ends.length === partitions && ends.every(({ high }) => high >= 3)
  }, 'three ticks on every partition')
  const quarantined: string[] = []
  for await (const batch of ingest.log.read({ topic: 'telemetry.ingest.quarantine', partition: 0, from: 'earliest', to: 'latest' })) {
    for (const record of batch.records) quarantined.push(record.header('andon-quarantine-code') ?? '')
  }
  assert.deepEqual(quarantined, ['ANDON_INGEST_UNKNOWN_CHANNEL'])
  const version = (await (await fetch(`http://127.0.0.1:${ingest.ports.admin}/version`)).json()) as { acknowledge: string }
  assert.equal(version.acknowledge, 'spooled')
})

test('source files on config: a mapped topic becomes telemetry, a press of a button a call on actions', { timeout: 60_000 }, async () => {
  await ingest.log.admin.ensureTopics([{ name: 'actions', ...topology.topics.actions }])
  const client = await mqtt.connectAsync({
    host: '127.0.0.1',
    port: ingest.ports.mqtt,
    username: 'any',
    password: 'device-token',
    protocolVersion: 5,
  })
  const mapping = { asset: { field: '{1}' }, channels: { temperatureC: { field: 'temp' } } }
  await publishSource({ version: 1, id: 'ovens', kind: 'mqtt', topic: 'ovens/+', mapping })
  await publishSource({ version: 1, id: 'help-oven', kind: 'button', asset: 'oven', title: 'Help at the oven' })
  const isTaken = (topic: string, payload: string) =>
    client.publishAsync(topic, payload, { qos: 1 }).then(
      () => true,
      () => false, // not in force yet
    )
  await until(() => isTaken('ovens/oven', '{"temp":42}'), 'the mapping is in force')
  await until(async () => (await blocks('oven:ovens')).length > 0, 'the mapped block')
  await until(() => isTaken('andon/help-oven/call', '{"epoch":1,"seq":1}'), 'the button is in force')
  const pressed = await fetch(`http://127.0.0.1:${ingest.ports.http}/v1/calls`, {
    method: 'POST',
    headers: { authorization: 'Bearer device-token' },
    body: '{"button":"help-oven"}',
  })
  assert.equal(pressed.status, 202)
  const calls: Actions[] = []
  for (let partition = 0; partition < topology.topics.actions.partitions; partition++) {
    for await (const batch of ingest.log.read({ topic: 'actions', partition, from: 'earliest', to: 'latest' })) {
      for (const record of batch.records) calls.push(await ingest.codec.decodeAsync<Actions>('actions', record.value!))
    }
  }
  assert.deepEqual(
    calls.map(({ type, line, assetId, title, by, id }) => [type, line, assetId, title, by, id]),
    [['CallRequested', 'line-1', 'oven', 'Help at the oven', 'button:help-oven', ((await pressed.json()) as { callId: string }).callId]],
  )
  await client.endAsync()
})

test('killed with -9 between acknowledgement and the broker: nothing lost, order kept', { timeout: 120_000 }, async () => {
  const source = 'killed'
  await ingest.kafka.kill() // what is acknowledged from here on is in the spool alone
  for (let seq = 1; seq <= 50; seq++) assert.equal((await post(reading(source, seq))).status, 202)
  await ingest.kill('SIGKILL')
  await ingest.kafka.restart()
  await ingest.start()
  assert.equal((await post(reading(source, 51))).status, 202)
  await until(async () => new Set(seqsOf(await blocks(source))).size === 51, 'all samples are on the log')
  assert.deepEqual([...new Set(seqsOf(await blocks(source)))], inOrder(51))
})

test(
  'ingest and broker killed in turn while devices send over HTTP and MQTT: every sample is on the log',
  { timeout: 180_000 },
  async () => {
    const client = mqtt.connect({
      host: '127.0.0.1',
      port: ingest.ports.mqtt,
      username: 'any',
      password: 'device-token',
      clientId: 'device-1',
      reconnectPeriod: 100,
      clean: true,
    })
    client.on('error', () => undefined) // refused while ingest starts: it connects again
    const overMqtt = (async () => {
      for (let seq = 1; seq <= 600; seq++)
        await client.publishAsync('andon/device-1/readings', JSON.stringify(reading('device-1', seq)), { qos: 1 })
    })()
    const overHttp = sendAll('device-2', 6000, 5)
    const kills = (async () => {
      for (const victim of ['ingest', 'kafka', 'ingest'] as const) {
        await new Promise((resolve) => setTimeout(resolve, 1500))
        if (victim === 'kafka') {
          await ingest.kafka.kill()
          await ingest.kafka.restart()
        } else {
          await ingest.kill('SIGKILL')
          await ingest.start()
        }
      }
    })()
    await Promise.all([overMqtt, overHttp, kills])
    await client.endAsync()
    for (const [source, total] of [
      ['device-1', 600],
      ['device-2', 6000],
    ] as const) {
      await until(async () => new Set(seqsOf(await blocks(source))).size === total, `all of ${source}`)
    }
  },
)

test('SIGTERM: the process ends in order, and its spool has nothing left to tell', { timeout: 60_000 }, async () => {
  assert.equal((await post(reading('last', 1))).status, 202)
  assert.equal(await ingest.kill('SIGTERM'), 0)
  assert.deepEqual(seqsOf(await blocks('last')), [1])
})

test('a scale-down waits for an empty spool, and says meanwhile what is left', { timeout: 120_000 }, async () => {
  await ingest.kill('SIGTERM')
  await ingest.start({ INGEST_DRAIN_ON_STOP: 'true', INGEST_DRAIN_MAX_S: '90' })
  assert.equal((await post(reading('drained', 1))).status, 202)
  const end = ingest.kill('SIGTERM')
  const answers: string[] = []
  await until(async () => {
    answers.push(await (await fetch(`http://127.0.0.1:${ingest.ports.admin}/readyz`)).text())
    return /[1-9]\d* records are in its spool/.test(answers.at(-1)!)
  }, 'readiness says what is left')
  assert.equal(await end, 0)
  assert.deepEqual(await readdir(join(ingest.folder, 'data', 'ingest', 'ingest-0', 'spool')), [])
  assert.deepEqual(seqsOf(await blocks('drained')), [1])
})

test('a start without a broker ends with one message', { timeout: 60_000 }, async () => {
  const [nobody] = (await freePorts(1)) as [number]
  const errors = join(ingest.folder, 'stderr')
  const { openSync } = await import('node:fs')
  const child = spawn(process.execPath, [main], {
    env: { ...ingest.env, ANDON_KAFKA_BROKERS: `127.0.0.1:${nobody}` },
    stdio: ['ignore', 'ignore', openSync(errors, 'w')],
  })
  assert.deepEqual(await once(child, 'exit'), [1, null])
  assert.match(await readFile(errors, 'utf8'), /ANDON_UNREACHABLE.*ANDON_KAFKA_BROKERS/)
})
