// Appends over a broker in memory: what travels together, what waits, and where each record ends up.

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { LogError } from '@andon/kit'
import type { Append } from '@andon/kit'
import fc from 'fast-check'
import { decodeRecords } from '../src/log/kafka/batch-reader.ts'
import type { Columns } from '../src/log/kafka/columns.ts'
import { Producer } from '../src/log/kafka/producer.ts'
import type { AppendLimits } from '../src/log/kafka/producer.ts'
import { In, Out } from '../src/log/kafka/protocol-io.ts'
import type { Transport } from '../src/log/kafka/transport.ts'

const PARTITIONS = 3
const CONNECTION = {}

/** Takes produce requests as a broker does, one at a time when it is held, and may lose answers. */
class Broker {
  readonly requests: { records: number; bytes: string }[] = []
  readonly stored = new Map<string, string[]>()
  private readonly sequences = new Map<string, { first: number; offset: number }>()
  private gate: PromiseWithResolvers<void> | undefined
  answersToLose = 0

  hold(): void {
    this.gate = Promise.withResolvers()
  }

  release(): void {
    this.gate?.resolve()
    this.gate = undefined
  }

  producer(limits: AppendLimits = {}, deadlineMs = 10_000): Producer {
    const leaders = Array.from({ length: PARTITIONS }, (_, partition) => ({ code: 0, partition, leader: 0, leaderEpoch: 4 }))
    const transport = {
      known: () => leaders,
      leaders: async () => leaders,
      leader: async (_topic: string, partition: number) => leaders[partition],
      initProducer: async () => ({ id: 7n, epoch: 0 }),
      connectionTo: async () => CONNECTION,
      refresh: async () => new Map(),
      endOfEpoch: async () => Number.MAX_SAFE_INTEGER,
      call: async (_node: number, _api: unknown, body: Buffer) => ({ body: await this.produce(Buffer.from(body)), connection: CONNECTION }),
    }
    return new Producer(transport as unknown as Transport, { prefix: '', codecs: new Map(), deadlineMs, ...limits })
  }

  private async produce(body: Buffer): Promise<Buffer> {
    const from = new In(body)
    from.string()
    from.int16()
    from.int32()
    let records = 0
    const reply = new Out()
    const topics = from.array(() => {
      const topic = from.string()!
      return { topic, parts: from.array(() => ({ partition: from.int32(), batch: from.bytes()! })) }
    })
    reply.array(topics, (out, { topic, parts }) =>
      out.string(topic).array(parts, (part, { partition, batch }) => {
        records += batch.readInt32BE(57)
        part
          .int32(partition)
          .int16(0)
          .int64(this.store(`${topic}/${partition}`, batch))
          .int64(-1)
          .int64(0)
      }),
    )
    this.requests.push({ records, bytes: body.toString('latin1') })
    await this.gate?.promise
    if (this.answersToLose-- > 0) throw new LogError('retriable', 'ANDON_LOG_TIMEOUT', 'no answer')
    return reply.int32(0).done()
  }

  /** A batch with a sequence that is there already is answered with its first place, as brokers do. */
  private store(place: string, batch: Buffer): number {
    const list = this.stored.get(place) ?? []
    this.stored.set(place, list)
    const sequence = batch.readInt32BE(53)
    const last = this.sequences.get(place)
    if (last?.first === sequence) return last.offset
    const columns = decodeRecords({ topic: 't', partition: 0, bytes: batch, fromOffset: 0, aborted: [], highWatermark: 0 }) as Columns
    const offset = list.length
    for (let i = 0; i < columns.count; i++) list.push(columns.valueAt(i)!.toString())
    this.sequences.set(place, { first: sequence, offset })
    return offset
  }
}

let texts = 0
const record = (partition = 0, bytes = 10, topic = 't'): Append => ({
  topic,
  partition,
  key: null,
  value: Buffer.from(`${texts++}`.padEnd(bytes, '.')),
})
const records = (count: number, partition = 0): Append[] => Array.from({ length: count }, () => record(partition))
const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  await turn()
  return Promise.race([promise.then(() => false), Promise.resolve(true)])
}

test('a call that finds nothing under way goes at once, later ones travel together behind it', async () => {
  const broker = new Broker()
  const producer = broker.producer()
  broker.hold()
  const first = producer.append(records(1))
  await turn()
  const others = Array.from({ length: 20 }, () => producer.append(records(1)))
  await turn()
  assert.deepEqual(
    broker.requests.map((one) => one.records),
    [1],
  )
  broker.release()
  await Promise.all([first, ...others])
  assert.deepEqual(
    broker.requests.map((one) => one.records),
    [1, 20],
  )
})

test('a request that is not full waits for company as long as it is told to, a full one does not', async () => {
  const broker = new Broker()
  const producer = broker.producer({ lingerMs: 60_000, maxRequestRecords: 30 })
  const few = producer.append(records(10))
  assert.ok(await isPending(few))
  assert.equal(broker.requests.length, 0)
  await Promise.all([few, producer.append(records(20))])
  assert.deepEqual(
    broker.requests.map((one) => one.records),
    [30],
  )
  const last = producer.append(records(1))
  await turn()
  await producer.drained() // whoever closes the log waits for nobody
  await last
})

test('a request keeps to its records and bytes, and a call that spans several says where every record lies', async () => {
  for (const [limits, most] of [
    [{ maxRequestRecords: 7 }, 7],
    [{ maxRequestBytes: 300 }, 7],
    [{ maxBatchBytes: 150 }, 4 * PARTITIONS],
  ] as const) {
    const broker = new Broker()
    const mine = Array.from({ length: 50 }, (_, i) => record(i % PARTITIONS))
    const places = await broker.producer(limits).append(mine)
    for (const request of broker.requests) assert.ok(request.records <= most)
    assert.equal(places.length, 50)
    ;[...places].forEach((place, i) => {
      assert.deepEqual([place.topic, place.partition, place.leaderEpoch], ['t', i % PARTITIONS, 4])
      assert.equal(broker.stored.get(`t/${place.partition}`)![place.offset], Buffer.from(mine[i]!.value!).toString())
      assert.deepEqual(places.at(i), place)
    })
    assert.deepEqual(places.at(-1), places.at(49))
    assert.equal(places.at(50), undefined)
    assert.deepEqual(
      places
        .newest()
        .map(({ index, place }) => [index, place.partition, place.offset])
        .toSorted(([a], [b]) => a! - b!),
      [47, 48, 49].map((index) => [index, index % PARTITIONS, places.at(index)!.offset]),
    )
  }
})

test('what is over the queued bytes waits, in order, and goes when there is room', async () => {
  const broker = new Broker()
  const producer = broker.producer({ maxQueuedBytes: 1000 })
  assert.equal(producer.pressure, 0)
  broker.hold()
  const first = producer.append([record(0, 500)])
  assert.ok(producer.pressure > 0.5 && producer.pressure < 1)
  const large = producer.append([record(0, 600)])
  const small = producer.append([record(0, 10)])
  assert.equal(producer.pressure, 1)
  assert.ok(await isPending(small), 'a small call does not overtake one that waits')
  broker.release()
  const places = await Promise.all([first, large, small])
  assert.deepEqual(
    places.map((one) => one.at(0)!.offset),
    [0, 1, 2],
  )
  assert.equal(producer.pressure, 0)
})

test('a call larger than all that may be queued goes alone', async () => {
  const broker = new Broker()
  const producer = broker.producer({ maxQueuedBytes: 100 })
  await Promise.all([producer.append([record(0, 5000)]), producer.append([record(0, 5000)])])
  assert.deepEqual(
    broker.requests.map((one) => one.records),
    [1, 1],
  )
})

test('a call that found no room in its time is told so, and nothing of it was sent', async () => {
  const broker = new Broker()
  const producer = broker.producer({ maxQueuedBytes: 100 }, 30)
  broker.hold()
  const first = producer.append([record(0, 90)])
  const refused = [producer.append([record(1, 90)]), producer.append([record(1, 90)])]
  for (const one of refused) await assert.rejects(one, { code: 'ANDON_LOG_QUEUE_FULL', retriable: true })
  assert.equal(await isPending(first), true)
  broker.release()
  await first
  await producer.append([record(1, 90)])
  assert.equal(broker.stored.get('t/1')!.length, 1)
})

test('when an answer stays out, the same bytes go again and are stored once', async () => {
  const broker = new Broker()
  const producer = broker.producer()
  broker.answersToLose = 2
  const places = await producer.append(records(5))
  assert.equal(broker.requests.length, 3)
  assert.equal(new Set(broker.requests.map(({ bytes }) => bytes)).size, 1)
  assert.equal(places.at(4)!.offset, 4)
  await producer.append(records(5))
  assert.equal(broker.stored.get('t/0')!.length, 10)
})

test('whatever is appended lies where the answer says, once, in order per partition', async () => {
  const one = fc.record({
    topic: fc.constantFrom('a', 'b'),
    partition: fc.option(fc.nat({ max: PARTITIONS - 1 }), { nil: undefined }),
    key: fc.option(fc.constantFrom('x', 'y', 'ü'), { nil: null }),
    bytes: fc.nat({ max: 300 }),
  })
  const limits = fc.record({
    maxRequestRecords: fc.integer({ min: 1, max: 20 }),
    maxRequestBytes: fc.integer({ min: 1, max: 2000 }),
    maxBatchBytes: fc.integer({ min: 100, max: 1000 }),
    maxQueuedBytes: fc.integer({ min: 1, max: 3000 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(one, { maxLength: 30 }), { maxLength: 12 }), limits, async (calls, given) => {
      const broker = new Broker()
      const producer = broker.producer(given)
      let text = 0
      const made = calls.map((call) =>
        call.map(({ topic, partition, key, bytes }): Append => {
          const value = Buffer.from(`${text++}`.padEnd(bytes, '.'))
          return partition === undefined ? { topic, key, value } : { topic, key, value, partition }
        }),
      )
      const places = await Promise.all(made.map((call) => producer.append(call)))
      const seen = new Map<string, number>()
      made.forEach((call, c) =>
        [...places[c]!].forEach(({ topic, partition, offset }, i) => {
          const { value, partition: wanted } = call[i]!
          assert.equal(broker.stored.get(`${topic}/${partition}`)![offset], value!.toString())
          if (wanted !== undefined) assert.equal(partition, wanted)
          const place = `${topic}/${partition}`
          assert.equal(offset, seen.get(place) ?? 0, 'in order, with no gap')
          seen.set(place, offset + 1)
        }),
      )
      for (const [place, list] of broker.stored) assert.equal(seen.get(place), list.length)
    }),
    { numRuns: 100 },
  )
})

test('a record that is none fails its own call for good; what follows is appended', async () => {
  const broker = new Broker()
  const producer = broker.producer()
  const bad = { topic: 'a', key: 'k', value: 'text' as unknown as Uint8Array, partition: 0 }
  await assert.rejects(producer.append([bad]), (error: LogError) => error.kind === 'fatal' && error.code === 'ANDON_LOG_BAD_RECORD')
  await producer.append([{ ...bad, value: Buffer.from('bytes') }])
  assert.equal(broker.stored.get('a/0')?.length, 1)
})
