// The Kafka door on a cluster of its own: positions follow what is safe, repeats are known, Avro comes through a registry.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { openCodec, openKafkaLog } from '@andon/kit'
import type { AvroCodec, Log } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { kafkaDoor } from '../src/adapters/kafka.ts'
import type { Source } from '../src/adapters/source.ts'
import { streamMetrics } from '../src/adapters/stream-metrics.ts'
import { systemClock } from '../src/clock.ts'
import { quarantineTopic } from '../src/records.ts'
import { blocksOf, logged, openRig, rowsOf } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { conformsToSource } from './source-conformance.ts'
import { conformanceMapping, logger, metrics, plainMapping, source, TestSources } from './streams.ts'
import { until } from './until.ts'

let kafka: Awaited<ReturnType<typeof startKafka>>
let registry: Awaited<ReturnType<typeof startRegistry>>
let log: Log
let codec: AvroCodec
let rig: Rig
let topics = 0
const doors = new Set<Source>()
const counted = metrics()

before(
  async () => {
    kafka = await startKafka()
    registry = await startRegistry({ brokers: kafka.brokers })
    log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
    const schema = {
      type: 'record',
      name: 'R',
      fields: [
        { name: 'machine', type: 'string' },
        { name: 't', type: 'double' },
      ],
    }
    codec = await openCodec({ registryUrl: registry.url, namespace: 'own.', schemas: { machines: schema } })
    rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
    await until(() => rig.wiring.refusing() === undefined, 'the intake')
  },
  { timeout: 120_000 },
)

after(
  async () => {
    for (const door of doors) await door.stop()
    await log?.close()
    await rig?.wiring.stop()
    await registry?.stop()
    await kafka?.stop()
  },
  { timeout: 60_000 },
)

const newTopic = async (partitions = 1) => {
  const topic = `machines-${++topics}`
  await log.admin.ensureTopics([{ name: topic, partitions }])
  return topic
}

const newDoor = (topic: string, mapping: object = conformanceMapping, extra: object = {}): Source => {
  const file = source({ id: topic, kind: 'kafka', brokers: kafka.brokers, topic, mapping, ...extra })
  const door = kafkaDoor({
    instance: 'ingest-0',
    sources: new TestSources(file),
    passwordOf: () => undefined,
    logger,
    metrics: streamMetrics(counted),
  })
  doors.add(door)
  return door
}

const send = async (topic: string, ...values: readonly (Buffer | object | null)[]) => {
  const bytes = values.map((value) => (value === null || Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))))
  const placed = await log.append(bytes.map((value) => ({ topic, key: 'm', value, partition: 0 })))
  return [...placed].at(-1)!.offset
}

const committed = async (topic: string) => (await log.admin.committed(`andon-${topic}`, topic)).get(0) ?? 0
const numbersOf = async (machine: string) => rowsOf(await logged(rig.log), machine)

/** The log has these rows of a machine, and no others. */
const hasRows = async (machine: string, count: number) => {
  await until(async () => (await numbersOf(machine)).length >= count, `${count} rows`)
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  assert.deepEqual(await numbersOf(machine), numbers)
}

conformsToSource('Kafka', {
  open: async () => newDoor(await newTopic()),
  sender: async () => {
    const topic = `machines-${topics}`
    let isClosed = false
    return {
      send: async (payload) => {
        const offset = await send(topic, payload)
        while ((await committed(topic)) <= offset) {
          if (isClosed) throw new Error('closed')
          await pause(20)
        }
      },
      close: async () => {
        isClosed = true
      },
    }
  },
})

test('records that come again after a crash are known, and the next ones are not', async () => {
  const topic = await newTopic()
  await send(topic, { machine: 'k-crash', t: 1 }, { machine: 'k-crash', t: 1 }, null, { machine: 'k-crash', t: 2 })
  const crashed = newDoor(topic, plainMapping)
  let isDead = false
  await crashed.start(async (delivery) => {
    const receipt = await rig.wiring.intake(delivery)
    isDead = true
    throw Object.assign(new Error(`died after ${receipt.accepted}`), { code: 'DEAD' })
  }, rig.wiring.refusing)
  await until(() => isDead, 'the first delivery')
  await crashed.stop()
  assert.equal(await committed(topic), 0)
  const door = newDoor(topic, plainMapping)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await send(topic, { machine: 'k-crash', t: 3 })
  await until(async () => (await committed(topic)) === 5, 'the position')
  await hasRows('k-crash', 4)
  await door.stop()
})

test('a batch whose readings have numbers is one delivery; without numbers its records still share blocks', async () => {
  for (const [machine, mapping, most] of [
    ['k-numbered', { ...plainMapping, seq: { field: 'n' } }, 20],
    ['k-batch', plainMapping, 500],
  ] as const) {
    const topic = await newTopic()
    await send(topic, ...Array.from({ length: 500 }, (_, index) => ({ machine, t: index, n: index + 1 })))
    let deliveries = 0
    const door = newDoor(topic, mapping)
    await door.start(async (delivery) => {
      deliveries++
      return rig.wiring.intake(delivery)
    }, rig.wiring.refusing)
    await until(async () => (await committed(topic)) === 500, 'the position')
    await hasRows(machine, 500)
    assert.ok(deliveries <= most, `${deliveries} deliveries`)
    const blocks = blocksOf(await logged(rig.log)).filter(({ sourceId }) => sourceId === machine)
    assert.ok(blocks.length < 50, `${blocks.length} blocks`)
    await door.stop()
  }
})

test('two instances share the partitions, and nothing is read twice', async () => {
  const topic = await newTopic(2)
  const pair = [newDoor(topic, plainMapping), newDoor(topic, plainMapping)]
  for (const door of pair) await door.start(rig.wiring.intake, rig.wiring.refusing)
  const records = Array.from({ length: 40 }, (_, index) => ({
    topic,
    key: String(index),
    value: Buffer.from(JSON.stringify({ machine: 'k-pair', t: index })),
    partition: index % 2,
  }))
  await log.append(records)
  await until(
    async () => [...(await log.admin.committed(`andon-${topic}`, topic)).values()].reduce((a, b) => a + b, 0) === 40,
    'both positions',
  )
  await hasRows('k-pair', 40)
  for (const door of pair) await door.stop()
})

test('Avro comes by the schema of its writer; what is not framed is in quarantine, and the rest goes on', async () => {
  const topic = await newTopic()
  const door = newDoor(topic, { ...plainMapping, format: 'avro' }, { registry: registry.url })
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  const avro = (t: number) => codec.encode('machines', { machine: 'k-avro', t })
  const unknownSchema = Buffer.from([0, 0, 0, 0x7f, 0xff, 1])
  await send(
    topic,
    Buffer.from(avro(1)),
    Buffer.from('not framed'),
    unknownSchema,
    Buffer.from(avro(2)).subarray(0, 8),
    Buffer.from(avro(3)),
  )
  await until(async () => (await committed(topic)) === 5, 'the position')
  await hasRows('k-avro', 2)
  const kept = (await logged(rig.log, quarantineTopic)).map(({ value }) => value.type as string)
  assert.ok(kept.includes('not framed'))
  await door.stop()
})

test('a cluster that cannot be reached is tried again, and counted', async () => {
  const file = source({ id: 'nowhere', kind: 'kafka', brokers: ['127.0.0.1:1'], topic: 't', mapping: plainMapping })
  const door = kafkaDoor({
    instance: 'ingest-0',
    sources: new TestSources(file),
    passwordOf: () => undefined,
    logger,
    metrics: streamMetrics(counted),
  })
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  await until(async () => /stream_failures_total\{[^}]*source="nowhere"[^}]*\} [2-9]/.test(await counted.text()), 'two attempts')
  await door.stop()
})
