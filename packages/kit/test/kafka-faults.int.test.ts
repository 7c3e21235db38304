// What the Kafka log keeps up when connections and brokers fail: nothing acknowledged is lost, nothing is stored twice,
// work in flight is not interrupted, and positions notice that the log lost its tail.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import type { Append, KafkaClient, KafkaLogOptions, Log, LogRecord } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { openFaultProxy } from '../../../test/harness/fault-proxy.ts'
import type { FaultProxy } from '../../../test/harness/fault-proxy.ts'
import { until } from './process-rig.ts'

/** Api key of appends. */
const PRODUCE = 0

let kafka: Kafka

before(async () => {
  kafka = await startKafka()
})

after(() => kafka.stop())

let names = 0
const openWith = async (t: TestContext, client: KafkaClient, options: Partial<KafkaLogOptions> = {}): Promise<Log> => {
  const namespace = `f${process.pid}-${++names}-`
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-faults', namespace, client, ...options })
  t.after(() => log.close())
  return log
}

const openProxy = async (t: TestContext): Promise<FaultProxy> => {
  const proxy = await openFaultProxy(kafka.port)
  t.after(() => proxy.close())
  return proxy
}

const record = (partition: number, n: number): Append => ({ topic: 'numbers', key: null, partition, value: Buffer.from(String(n)) })
const numberOf = (found: LogRecord): number => Number(found.value?.toString())

const readAll = async (log: Log, partition: number): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for await (const batch of log.read({ topic: 'numbers', partition, from: 'earliest', to: 'latest' })) records.push(...batch.records)
  return records
}

const inOrder = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

for (const client of ['kafkajs', 'platformatic'] as const) {
  void test(`${client}: an append whose answer is lost is stored once, however often the connection is cut`, async (t) => {
    const proxy = await openProxy(t)
    const log = await openWith(t, client, { via: proxy.via })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 2 }])
    const places: number[] = []
    for (let n = 0; n < 60; n++) {
      if (n % 10 === 5) proxy.swallowAnswers(PRODUCE, 2)
      const [first] = await log.append([record(0, n), record(1, n)])
      places.push(first!.offset)
    }
    assert.ok(proxy.swallowed >= 12, `${proxy.swallowed} answers were swallowed`)
    assert.deepEqual(places, inOrder(60))
    for (const partition of [0, 1]) assert.deepEqual((await readAll(log, partition)).map(numberOf), inOrder(60))
  })

  void test(`${client}: appends that wait behind a lost answer keep their order and are stored once`, async (t) => {
    const proxy = await openProxy(t)
    const log = await openWith(t, client, { via: proxy.via })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
    await log.append([record(0, 0)])
    proxy.swallowAnswers(PRODUCE, 3)
    await Promise.all(
      inOrder(200)
        .slice(1)
        .map((n) => log.append([record(0, n)])),
    )
    assert.deepEqual((await readAll(log, 0)).map(numberOf), inOrder(200))
  })

  void test(`${client}: a run goes on after its connections were cut, with no record left out or handled twice`, async (t) => {
    const proxy = await openProxy(t)
    const log = await openWith(t, client, { via: proxy.via })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
    const seen: number[] = []
    let doubts = 0
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch) => void seen.push(...batch.records.map(numberOf)),
      onDoubt: async () => {
        doubts++
        return undefined
      },
    })
    for (let n = 0; n < 30; n++) {
      if (n % 10 === 5) proxy.cutAll()
      await log.append([record(0, n)])
    }
    await until(() => seen.length >= 30)
    assert.deepEqual(seen, inOrder(30))
    assert.ok(doubts > 0, 'the marks were checked')
    await run.stop()
  })

  void test(`${client}: a broker that takes connections and answers nothing is passed over`, async (t) => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => {
      silent.listen(0, '127.0.0.1', resolve)
    })
    t.after(() => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    const { port } = silent.address() as AddressInfo
    const log = await openWith(t, client, { brokers: [`127.0.0.1:${port}`, ...kafka.brokers] })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
    await log.append([record(0, 0)])
    assert.ok(sockets.length > 0, 'it was tried first')
  })

  void test(`${client}: a handler that works longer than the session keeps its partition`, async (t) => {
    const timing = { sessionMs: 1500, heartbeatMs: 300 }
    const log = await openWith(t, client, { timing })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
    await log.append([record(0, 0)])
    let revoked = 0
    const handled: number[] = []
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      commitEveryMs: 50,
      onRevoked: () => void revoked++,
      onBatch: async (batch) => {
        await new Promise((resolve) => setTimeout(resolve, 4000))
        handled.push(...batch.records.map(numberOf))
      },
    })
    await until(() => handled.length === 1)
    await until(async () => (await log.admin.committed('g', 'numbers')).get(0) === 1, 'the commit')
    assert.equal(revoked, 0)
    await run.stop()
  })

  void test(`${client}: a broker that is killed under load and comes back has every record once, under a higher leader epoch`, async (t) => {
    const log = await openWith(t, client, { appendDeadlineMs: 60_000 })
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 3 }])
    const before = await log.latest('numbers', 0)
    const seen = new Map<number, number[]>([0, 1, 2].map((partition) => [partition, []]))
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch) => void seen.get(batch.partition)!.push(...batch.records.map(numberOf)),
    })
    const followed: number[] = []
    const follow = await log.follow({
      topics: ['numbers'],
      onBatch: (batch) => void (batch.partition === 1 && followed.push(...batch.records.map(numberOf))),
    })
    let sent = 0
    let stop = false
    const sending = (async () => {
      while (!stop) {
        await log.append([0, 1, 2].flatMap((partition) => inOrder(20).map((i) => record(partition, sent + i))))
        sent += 20
      }
    })()
    await until(() => sent > 500)
    for (let kills = 0; kills < 2; kills++) {
      const at = sent
      await kafka.kill()
      await kafka.restart()
      await until(() => sent > at + 500, 'appends after the restart', 60_000)
    }
    stop = true
    await sending
    for (const partition of [0, 1, 2]) assert.deepEqual((await readAll(log, partition)).map(numberOf), inOrder(sent))
    for (const partition of [0, 1, 2]) await until(() => seen.get(partition)!.length >= sent, 'the run', 30_000)
    await follow.caughtUp()
    assert.deepEqual(followed, inOrder(sent))
    const now = await log.latest('numbers', 0)
    assert.ok(now.leaderEpoch > before.leaderEpoch, `leader epoch ${before.leaderEpoch} → ${now.leaderEpoch}`)
    const records = await readAll(log, 0)
    assert.equal(records[0]!.leaderEpoch, before.leaderEpoch)
    assert.equal(records.at(-1)!.leaderEpoch, now.leaderEpoch)
    const [place] = await log.append([record(0, sent)])
    assert.deepEqual(place, { topic: 'numbers', partition: 0, leaderEpoch: now.leaderEpoch, offset: sent })
    await Promise.all([run.stop(), follow.stop()])
  })
}
