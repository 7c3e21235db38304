// Records that cross clients: written by the log and read by plain kafkajs and plain @platformatic/kafka, and the other way
// round, with every codec that the other side has.

import assert from 'node:assert/strict'
import { Consumer, MessagesStreamModes, Producer } from '@platformatic/kafka'
import type { Compression, LogRecord } from '@andon/kit'
import kafkajs from 'kafkajs'
import { until } from '../process-rig.ts'
import { checkOf, leftOut, readAll, text, toPartition, values } from './subject.ts'
import type { Bench, KafkaSubject, Rule } from './subject.ts'

interface Foreign {
  readonly key: string | null
  readonly value: string | null
  readonly timestampMs: number
  readonly headers: Readonly<Record<string, string>>
}

const PROMISES = {
  kafkajsReads: ['interop', 'kafkajs reads what the log wrote: keys, values, headers and times, plain and gzip'],
  platformaticReads: ['interop', '@platformatic/kafka reads what the log wrote, in every codec'],
  fromKafkajs: ['interop', 'the log reads what kafkajs wrote, plain, gzip and in transactions'],
  fromPlatformatic: ['compression', 'the log reads what another producer wrote in every codec'],
  headers: ['headers', 'headers of other producers are read as text, whatever they are: binary, repeated, empty or null'],
} as const satisfies Record<string, readonly [Rule, string]>

const CODECS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const AT_MS = 1_700_000_000_000

export const foreignRules = (subject: KafkaSubject | undefined, adapter: string): void => {
  if (!subject) {
    for (const [rule, promise] of Object.values(PROMISES)) leftOut(adapter, rule, promise, 'no other client can reach it')
    return
  }
  const run = checkOf(adapter, { open: (namespace) => subject.open(namespace) })
  const check = ([rule, promise]: readonly [Rule, string], body: (bench: Bench) => Promise<void>): void => run(rule, promise, body)
  const client = (): kafkajs.Kafka =>
    new kafkajs.Kafka({ brokers: [...subject.brokers()], clientId: 'foreign', logLevel: kafkajs.logLevel.NOTHING })

  /** Writes the same twenty records with a codec and says what a reader should find. */
  const write = async (bench: Bench, codec: Compression): Promise<{ topic: string; expected: Foreign[] }> => {
    const log = await subject.open(bench.namespace, { compression: { [codec]: codec } })
    bench.after(() => log.close())
    await log.admin.ensureTopics([{ name: codec, partitions: 1 }])
    const expected = values(0, 20).map((n): Foreign => ({
      key: n === '3' ? null : `key-${n}`,
      value: n === '5' ? null : `value ${n} ü`.repeat(10),
      timestampMs: AT_MS + Number(n),
      headers: { ce_id: n, empty: '' },
    }))
    await log.append(
      expected.map(({ key, value, timestampMs, headers }) => ({
        topic: codec,
        key,
        value: value === null ? null : Buffer.from(value),
        partition: 0,
        timestampMs,
        headers,
      })),
    )
    return { topic: `${bench.namespace}${codec}`, expected }
  }

  check(PROMISES.kafkajsReads, async (bench) => {
    for (const codec of ['none', 'gzip'] as const) {
      const { topic, expected } = await write(bench, codec)
      const consumer = client().consumer({ groupId: `${topic}-kafkajs` })
      const found: Foreign[] = []
      try {
        await consumer.connect()
        await consumer.subscribe({ topic, fromBeginning: true })
        await consumer.run({
          eachMessage: async ({ message: { key, value, timestamp, headers = {} } }) =>
            void found.push({
              key: key === null ? null : key.toString(),
              value: value === null ? null : value.toString(),
              timestampMs: Number(timestamp),
              headers: Object.fromEntries(Object.entries(headers).map(([name, one]) => [name, String(one)])),
            }),
        })
        await until(() => found.length >= expected.length, 'the records', 30_000)
      } finally {
        await consumer.disconnect()
      }
      assert.deepEqual(found, expected)
    }
  })

  check(PROMISES.platformaticReads, async (bench) => {
    for (const codec of CODECS) {
      const { topic, expected } = await write(bench, codec)
      const consumer = new Consumer({ groupId: `${topic}-plt`, clientId: 'foreign', bootstrapBrokers: [...subject.brokers()] })
      const found: Foreign[] = []
      try {
        const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST, autocommit: false })
        for await (const { key, value, timestamp, headers } of stream) {
          found.push({
            // The client gives nothing and an empty value alike.
            key: key?.length ? key.toString() : null,
            value: value?.length ? value.toString() : null,
            timestampMs: Number(timestamp),
            headers: Object.fromEntries([...headers].map(([name, one]) => [String(name), String(one)])),
          })
          if (found.length === expected.length) break
        }
      } finally {
        await consumer.close(true)
      }
      assert.deepEqual(found, expected, codec)
    }
  })

  check(PROMISES.fromKafkajs, async ({ log, namespace }) => {
    const topic = `${namespace}numbers`
    const producer = client().producer({ idempotent: true, createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    const transactional = client().producer({
      transactionalId: `${namespace}foreign`,
      maxInFlightRequests: 1,
      idempotent: true,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    })
    try {
      await Promise.all([producer.connect(), transactional.connect()])
      const messages = (from: number) => values(from, 5).map((value) => ({ key: 'k', value, partition: 2, timestamp: String(AT_MS) }))
      await producer.send({ topic, messages: messages(0) })
      await producer.send({ topic, messages: messages(5), compression: kafkajs.CompressionTypes.GZIP })
      for (const [from, isCommitted] of [
        [100, false],
        [10, true],
      ] as const) {
        const transaction = await transactional.transaction()
        await transaction.send({ topic, messages: messages(from) })
        await (isCommitted ? transaction.commit() : transaction.abort())
      }
    } finally {
      await Promise.all([producer.disconnect(), transactional.disconnect()])
    }
    await until(async () => (await readAll(log, 'numbers', 2)).length >= 15, 'the commit')
    const found = await readAll(log, 'numbers', 2)
    assert.deepEqual(found.map(text), values(0, 15))
    assert.ok(found.every(({ key, timestampMs }) => key === 'k' && timestampMs === AT_MS))
  })

  check(PROMISES.fromPlatformatic, async ({ log, namespace }) => {
    const producer = new Producer({ clientId: 'foreign', bootstrapBrokers: [...subject.brokers()] })
    try {
      for (const codec of CODECS) {
        await log.admin.ensureTopics([{ name: codec, partitions: 1 }])
        const large = Buffer.from(Array.from({ length: 500_000 }, (_, i) => (i * 17) % 199))
        await producer.send({
          compression: codec,
          messages: [
            ...values(0, 50).map((n) => ({
              topic: `${namespace}${codec}`,
              partition: 0,
              key: Buffer.from(n),
              value: Buffer.from(n.repeat(20)),
              headers: new Map([[Buffer.from('n'), Buffer.from(n)]]),
            })),
            { topic: `${namespace}${codec}`, partition: 0, key: Buffer.from('large'), value: large },
          ],
        })
        const found = await readAll(log, codec, 0)
        assert.deepEqual(
          found.slice(0, 50).map((record) => [record.key, text(record), record.header('n')]),
          values(0, 50).map((n) => [n, n.repeat(20), n]),
          codec,
        )
        assert.ok(found[50]!.value!.equals(large), codec)
      }
    } finally {
      await producer.close()
    }
  })

  check(PROMISES.headers, async ({ log, namespace }) => {
    const producer = client().producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
    try {
      await producer.connect()
      await producer.send({
        topic: `${namespace}numbers`,
        messages: [
          {
            value: 'x',
            partition: 0,
            headers: { binary: Buffer.from([0xff, 0x00, 0x80]), twice: ['first', 'second'], empty: '', text: 'ö' },
          },
          { value: 'y', partition: 0 },
        ],
      })
    } finally {
      await producer.disconnect()
    }
    await log.append([...toPartition(0, ['z'])])
    const [full, none, own] = (await readAll(log, 'numbers', 0)) as [LogRecord, LogRecord, LogRecord]
    assert.equal(full.header('text'), 'ö')
    assert.equal(full.header('empty'), '')
    assert.equal(full.header('binary'), '\ufffd\0\ufffd')
    assert.equal(full.header('twice'), 'second')
    assert.equal(full.headers()['twice'], 'second')
    assert.equal(full.header('absent'), undefined)
    assert.deepEqual(none.headers(), {})
    assert.deepEqual(own.headers(), {})
  })
}
