// The Kinesis door on kinesis-local: positions, resharding, and repeats.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordCommand,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { openMemoryLog } from '@andon/kit'
import type { MemoryLog } from '@andon/kit'
import { kinesisDoor } from '../src/adapters/kinesis.ts'
import { positionOnLog } from '../src/adapters/log-positions.ts'
import type { PositionFile } from '../src/adapters/positions.ts'
import type { Source } from '../src/adapters/source.ts'
import { streamMetrics } from '../src/adapters/stream-metrics.ts'
import { systemClock } from '../src/clock.ts'
import type { KinesisPosition } from '../src/kinesis-shards.ts'
import { startKinesisLocal } from './own-server.ts'
import type { OwnServer } from './own-server.ts'
import { logged, openRig, rowsOf } from './rig.ts'
import type { ManualClock, Rig } from './rig.ts'
import { conformsToSource } from './source-conformance.ts'
import { conformanceMapping, logger, metrics, plainMapping, source, TestAssignment, TestSources } from './streams.ts'
import { until } from './until.ts'

const region = 'us-east-1'
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
let server: OwnServer
let client: KinesisClient
let rig: Rig
let positions: MemoryLog
let streams = 0
const doors = new Set<Source>()

before(
  async () => {
    // The SDK reads credentials from the environment, as it would in a plant.
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey })
    server = await startKinesisLocal()
    client = new KinesisClient({ region, endpoint: server.url, credentials, requestHandler: new NodeHttpHandler() })
    rig = await openRig({ isRunning: true, clock: systemClock() as unknown as ManualClock })
    await until(() => rig.wiring.refusing() === undefined, 'the intake')
    positions = openMemoryLog({ partitions: 1 })
  },
  { timeout: 60_000 },
)

after(async () => {
  for (const door of doors) await door.stop()
  await rig?.wiring.stop()
  client?.destroy()
  await server?.stop()
})

const isActive = async (stream: string) => {
  const { StreamDescriptionSummary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: stream }))
  return StreamDescriptionSummary?.StreamStatus === 'ACTIVE'
}

const newStream = async () => {
  const stream = `stream-${++streams}`
  await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 1 }))
  await until(() => isActive(stream), 'the stream')
  return stream
}

const positionOf = (stream: string): PositionFile<KinesisPosition> => positionOnLog(() => positions, `kinesis/${stream}`)

const newDoor = (stream: string, mapping: object = conformanceMapping, extra: object = {}): Source => {
  const door = kinesisDoor({
    sources: new TestSources(source({ id: stream, kind: 'kinesis', stream, region, endpoint: server.url, mapping, ...extra })),
    assignment: new TestAssignment(),
    positionOf: ({ id }) => positionOf(id),
    logger,
    metrics: streamMetrics(metrics()),
    nowMs: Date.now,
    idleMs: 20,
  })
  doors.add(door)
  return door
}

const put = async (stream: string, payload: Buffer | object, key = 'k') => {
  const Data = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload))
  const { SequenceNumber } = await client.send(new PutRecordCommand({ StreamName: stream, PartitionKey: key, Data }))
  return SequenceNumber!
}

const reached = async (stream: string, sequence: string) => {
  const position = await positionOf(stream).read()
  return Object.values(position?.shards ?? {}).some((at) => at !== null && BigInt(at) >= BigInt(sequence))
}

const hasRows = async (machine: string, count: number) => {
  const numbers = async () => rowsOf(await logged(rig.log), machine)
  await until(async () => (await numbers()).length >= count, `${count} rows`)
  assert.deepEqual(
    await numbers(),
    Array.from({ length: count }, (_, index) => index + 1),
  )
}

conformsToSource('Kinesis', {
  open: async () => newDoor(await newStream()),
  sender: async () => {
    const stream = `stream-${streams}`
    let isClosed = false
    return {
      send: async (payload) => {
        const sequence = await put(stream, payload)
        while (!(await reached(stream, sequence))) {
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

test('records that come again after a crash are known; another instance goes on where the first one was', async () => {
  const stream = await newStream()
  for (const t of [1, 1, 2]) await put(stream, { machine: 'kin-crash', t })
  const crashed = newDoor(stream, plainMapping)
  let isDead = false
  await crashed.start(async (delivery) => {
    await rig.wiring.intake(delivery)
    isDead = true
    throw new Error('died before the position was kept')
  }, rig.wiring.refusing)
  await until(() => isDead, 'the first delivery')
  await crashed.stop()
  assert.deepEqual((await positionOf(stream).read())?.shards, {})
  const door = newDoor(stream, plainMapping)
  await door.start(rig.wiring.intake, rig.wiring.refusing)
  const last = await put(stream, { machine: 'kin-crash', t: 3 })
  await until(() => reached(stream, last), 'the position')
  await door.stop()
  const next = newDoor(stream, plainMapping)
  await next.start(rig.wiring.intake, rig.wiring.refusing)
  await until(() => reached(stream, last), 'the same position')
  await hasRows('kin-crash', 4)
  await next.stop()
})

test('a split and a merge: parents first, nothing lost', async () => {
  const stream = await newStream()
  const door = newDoor(stream, plainMapping)
  const order: number[] = []
  await door.start(async (delivery) => {
    if ('readings' in delivery) {
      for (const { value } of delivery.readings) order.push((value as { values: { temperatureC: number } }).values.temperatureC)
    }
    return rig.wiring.intake(delivery)
  }, rig.wiring.refusing)
  const open = async () =>
    ((await client.send(new ListShardsCommand({ StreamName: stream }))).Shards ?? []).filter(
      ({ SequenceNumberRange }) => SequenceNumberRange?.EndingSequenceNumber === undefined,
    )
  for (let t = 1; t <= 5; t++) await put(stream, { machine: 'kin-split', t })
  const [whole] = await open()
  const half = (BigInt(whole!.HashKeyRange!.EndingHashKey!) / 2n).toString()
  await client.send(new SplitShardCommand({ StreamName: stream, ShardToSplit: whole!.ShardId!, NewStartingHashKey: half }))
  await until(async () => (await isActive(stream)) && (await open()).length === 2, 'the split')
  for (let t = 6; t <= 10; t++) await put(stream, { machine: 'kin-split', t })
  const [left, right] = await open()
  await client.send(new MergeShardsCommand({ StreamName: stream, ShardToMerge: left!.ShardId!, AdjacentShardToMerge: right!.ShardId! }))
  await until(async () => (await isActive(stream)) && (await open()).length === 1, 'the merge')
  for (let t = 11; t <= 15; t++) await put(stream, { machine: 'kin-split', t })
  await hasRows('kin-split', 15)
  assert.deepEqual(
    order,
    Array.from({ length: 15 }, (_, index) => index + 1),
  )
  await until(
    async () => Object.values((await positionOf(stream).read())?.shards ?? {}).filter((at) => at === null).length === 3,
    'the ends',
  )
  await door.stop()
})

test('from: newest leaves what was there before the first start, over a restart too', async () => {
  const stream = await newStream()
  await put(stream, { machine: 'kin-new', t: 1 })
  await pause(1100) // Kinesis compares times in whole seconds
  for (let start = 0; start < 2; start++) {
    const door = newDoor(stream, plainMapping, { from: 'newest' })
    await door.start(rig.wiring.intake, rig.wiring.refusing)
    await until(async () => (await positionOf(stream).read()) !== undefined, 'the start')
    if (start === 1) {
      const sequence = await put(stream, { machine: 'kin-new', t: 2 })
      await until(() => reached(stream, sequence), 'the record')
    }
    await door.stop()
  }
  await hasRows('kin-new', 1)
})
