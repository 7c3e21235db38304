// Transactions on our own path, over either client's connections: visible together or not at all, one owner per id, and a
// run whose positions are part of them.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { AndonError, openKafkaLog } from '@andon/kit'
import type { Append, KafkaClient, KafkaLog, KafkaLogOptions, Log } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { until } from './process-rig.ts'

let kafka: Kafka

before(async () => {
  kafka = await startKafka()
})

after(() => kafka.stop())

let names = 0
const namespace = (): string => `x${process.pid}-${++names}-`

const open = async (t: TestContext, client: KafkaClient, space: string, options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> => {
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-tx', namespace: space, client, ...options })
  t.after(() => log.close())
  return log
}

const record = (topic: string, partition: number, n: number): Append => ({ topic, key: null, partition, value: Buffer.from(String(n)) })

/** Committed records only, as every reader of the log sees them. */
const numbersIn = async (log: Log, topic: string, partition = 0): Promise<number[]> => {
  const found: number[] = []
  for await (const batch of log.read({ topic, partition, from: 'earliest', to: 'latest' }))
    for (const one of batch.records) found.push(Number(one.value?.toString()))
  return found
}

const inOrder = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
const numerically = (a: number, b: number): number => a - b

for (const client of ['kafkajs', 'platformatic'] as const)
  describe(`transactions over ${client}`, () => {
    test('records of a transaction that failed are never seen, and the next transaction of that id goes through', async (t) => {
      const log = await open(t, client, namespace())
      await log.admin.ensureTopics([{ name: 'numbers', partitions: 1 }])
      const transactor = await log.transactor('id')
      t.after(() => transactor.close())
      const send = (n: number, fails: boolean) =>
        transactor.transact(async ({ append }) => {
          await append([record('numbers', 0, n)])
          if (fails) throw new TypeError('the handler failed')
        })
      await send(0, false)
      await assert.rejects(send(1, true), /the handler failed/)
      await send(2, false)
      await until(async () => (await numbersIn(log, 'numbers')).length >= 2, 'the commit')
      assert.deepEqual(await numbersIn(log, 'numbers'), [0, 2])
      const followed: number[] = []
      const follow = await log.follow({
        topics: ['numbers'],
        onBatch: (batch) => void followed.push(...batch.records.map(({ value }) => Number(value?.toString()))),
      })
      await follow.caughtUp()
      assert.deepEqual(followed, [0, 2])
      await follow.stop()
    })

    test('an id is taken over twenty times out of twenty, with a transaction open after earlier ones', async (t) => {
      const log = await open(t, client, namespace())
      await log.admin.ensureTopics([{ name: 'numbers', partitions: 2 }])
      let owner = await log.transactor('id')
      const expected: number[] = []
      for (let round = 0; round < 20; round++) {
        for (const partition of [0, 1])
          await owner.transact(async ({ append, sendOffsets }) => {
            await append([record('numbers', partition, round)])
            await sendOffsets('g', [{ topic: 'numbers', partition, offset: round }])
          })
        expected.push(round)
        // Left open, then taken over from another connection.
        const opened = Promise.withResolvers<void>()
        const hold = Promise.withResolvers<void>()
        const zombie = owner
        const open = zombie.transact(async ({ append }) => {
          await append([record('numbers', 0, -1)])
          opened.resolve()
          await hold.promise
        })
        open.catch(() => undefined)
        await opened.promise
        owner = await log.transactor('id')
        await owner.transact(async ({ append }) => void (await append([record('numbers', 1, 100 + round)])))
        hold.resolve()
        await assert.rejects(open, { kind: 'fenced', code: 'ANDON_LOG_FENCED' })
        await assert.rejects(
          zombie.transact(async ({ append }) => append([record('numbers', 0, -2)])),
          { kind: 'fenced' },
        )
        await zombie.close()
      }
      await owner.close()
      await until(async () => (await numbersIn(log, 'numbers')).length >= 20, 'the commits')
      assert.deepEqual(await numbersIn(log, 'numbers'), expected)
      assert.deepEqual(
        (await numbersIn(log, 'numbers', 1)).sort(numerically),
        [...expected, ...expected.map((round) => 100 + round)].sort(numerically),
      )
      await until(async () => (await log.admin.committed('g', 'numbers')).get(0) === 19, 'the offsets')
    })

    test('outputs and positions of a run move together: what failed comes again, and every input has one output', async (t) => {
      const log = await open(t, client, namespace())
      await log.admin.ensureTopics([
        { name: 'numbers', partitions: 4 },
        { name: 'doubles', partitions: 4 },
      ])
      let failures = 0
      const run = await log.runTransactional({
        group: 'g',
        topics: ['numbers'],
        onBatch: async (batch, { append }) => {
          await append(batch.records.map(({ value }) => record('doubles', batch.partition, 2 * Number(value?.toString()))))
          if (++failures % 3 === 1) throw new AndonError('ANDON_TEST_AWAY', 'after its append', { retriable: true })
        },
      })
      for (let n = 0; n < 200; n++) await log.append([0, 1, 2, 3].map((partition) => record('numbers', partition, n)))
      const doubles = inOrder(200).map((n) => 2 * n)
      for (const partition of [0, 1, 2, 3]) {
        await until(async () => (await numbersIn(log, 'doubles', partition)).length >= 200, `the outputs of ${partition}`, 60_000)
        assert.deepEqual(await numbersIn(log, 'doubles', partition), doubles)
      }
      assert.ok(failures > 3, `${failures} calls`)
      await until(async () => [...(await log.admin.committed('g', 'numbers')).values()].every((offset) => offset === 200), 'the positions')
      await run.stop()
    })

    test('a member that joins takes over without a record lost or doubled', async (t) => {
      const space = namespace()
      const log = await open(t, client, space)
      const other = await open(t, client, space)
      await log.admin.ensureTopics([
        { name: 'numbers', partitions: 4 },
        { name: 'doubles', partitions: 4 },
      ])
      const options = (of: KafkaLog) =>
        of.runTransactional({
          group: 'g',
          topics: ['numbers'],
          onBatch: async (batch, { append }) =>
            void (await append(batch.records.map(({ value }) => record('doubles', batch.partition, 2 * Number(value?.toString()))))),
        })
      const first = await options(log)
      let sent = 0
      let isDone = false
      const sending = (async () => {
        while (!isDone) {
          await log.append([0, 1, 2, 3].map((partition) => record('numbers', partition, sent)))
          sent++
        }
      })()
      await until(() => sent > 100)
      const second = await options(other)
      await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', 30_000)
      const at = sent
      await until(() => sent > at + 100)
      await second.stop()
      await until(() => first.assigned().length === 4, 'the takeover', 30_000)
      isDone = true
      await sending
      const doubles = inOrder(sent).map((n) => 2 * n)
      for (const partition of [0, 1, 2, 3]) {
        await until(async () => (await numbersIn(log, 'doubles', partition)).length >= sent, `the outputs of ${partition}`, 60_000)
        assert.deepEqual(await numbersIn(log, 'doubles', partition), doubles)
      }
      await first.stop()
    })
  })
