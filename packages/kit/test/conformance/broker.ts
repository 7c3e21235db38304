// What only an adapter with a broker behind it can be held against: silence on the network, members that outlive their
// session, ids that somebody else has taken, sizes that the broker refuses, codecs.

import assert from 'node:assert/strict'
import type { Compression } from '@andon/kit'
import { openFaultProxy } from '../../../../test/harness/fault-proxy.ts'
import type { FaultProxy } from '../../../../test/harness/fault-proxy.ts'
import { until } from '../process-rig.ts'
import { checkOf, leftOut, readAll, text, toPartition, values } from './subject.ts'
import type { Bench, KafkaSubject, Rule } from './subject.ts'

const CODECS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
/** Short sessions, so that a zombie is one soon. */
const TIMING = { sessionMs: 2000, heartbeatMs: 300 }

const PROMISES = {
  silence: ['time-outs', 'a broker that does not answer is a retriable error, and what was appended is there once when it does again'],
  quiet: ['time-outs', 'a run whose broker was silent for a while goes on, with no record left out'],
  zombie: ['zombies', 'a member that was not heard for a session has lost its partitions: it is told, and nothing it says counts'],
  generation: ['fencing', 'a position of an old generation is refused'],
  transaction: ['fencing', 'a transaction of an id that somebody else has opened is refused, and its records are never seen'],
  tooLarge: ['large records', 'a record over the limit of its topic is refused by its code, and the next one goes through'],
  raised: ['large records', 'a topic with a higher limit takes records of several MiB'],
  codecs: ['compression', 'batches of every codec are read back, small and larger than 256 KiB'],
  unknown: ['topics', 'an append to a topic that does not exist can be tried again once it does'],
} as const satisfies Record<string, readonly [Rule, string]>

export const brokerRules = (subject: KafkaSubject | undefined, adapter: string): void => {
  if (!subject) {
    for (const [rule, promise] of Object.values(PROMISES)) leftOut(adapter, rule, promise, 'has no broker and no network behind it')
    return
  }
  const run = checkOf(adapter, { open: (namespace) => subject.open(namespace) })
  const check = ([rule, promise]: readonly [Rule, string], body: (bench: Bench) => Promise<void>): void => run(rule, promise, body)
  const proxyFor = async ({ after }: Bench): Promise<FaultProxy> => {
    const proxy = await openFaultProxy(subject.port())
    after(() => proxy.close())
    return proxy
  }

  check(PROMISES.silence, async (bench) => {
    const proxy = await proxyFor(bench)
    const log = await subject.open(bench.namespace, { via: proxy.via, appendDeadlineMs: 1500 })
    bench.after(() => log.close())
    await log.append(toPartition(0, ['0']))
    proxy.set({ blackhole: 'answers' })
    await assert.rejects(log.append(toPartition(0, ['1'])), { retriable: true })
    proxy.heal()
    await until(async () => {
      await log.append(toPartition(0, ['2'])).catch(() => undefined)
      return (await readAll(bench.log, 'numbers', 0)).some((record) => text(record) === '2')
    }, 'the append')
    const stored = (await readAll(bench.log, 'numbers', 0)).map(text)
    assert.equal(stored.filter((value) => value === '0').length, 1)
    assert.ok(stored.filter((value) => value === '1').length <= 1, stored.join())
  })

  check(PROMISES.quiet, async (bench) => {
    const proxy = await proxyFor(bench)
    const log = await subject.open(bench.namespace, { via: proxy.via })
    bench.after(() => log.close())
    const seen: string[] = []
    const reading = await log.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
    await bench.log.append(toPartition(1, values(0, 3)))
    await until(() => seen.length === 3)
    proxy.set({ blackhole: 'both' })
    await bench.log.append(toPartition(1, values(3, 3)))
    await new Promise((resolve) => setTimeout(resolve, 1500))
    proxy.heal()
    await until(() => seen.length >= 6, 'the rest', 30_000)
    assert.deepEqual(seen, values(0, 6))
    await reading.stop()
  })

  check(PROMISES.zombie, async (bench) => {
    const proxy = await proxyFor(bench)
    const zombie = await subject.open(bench.namespace, { via: proxy.via, timing: TIMING })
    const heir = await subject.open(bench.namespace, { timing: TIMING })
    bench.after(() => Promise.all([zombie.close(), heir.close()]))
    await bench.log.append(toPartition(0, values(0, 2)))
    const working = Promise.withResolvers<AbortSignal>()
    const release = Promise.withResolvers<void>()
    const lost: boolean[] = []
    let zombieCalls = 0
    const first = await zombie.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (_batch, { signal }) => {
        working.resolve(signal)
        if (++zombieCalls === 1) await release.promise
      },
      onRevoked: (_topic, partition, isLost) => void (partition === 0 && lost.push(isLost)),
    })
    const signal = await working.promise
    proxy.set({ blackhole: 'both' })
    const seen: string[] = []
    const second = await heir.run({
      group: 'g',
      topics: ['numbers'],
      commitEveryMs: 20,
      onBatch: async (batch) => void seen.push(...batch.records.map(text)),
    })
    await until(() => second.assigned().length === 4, 'the takeover', 60_000)
    await bench.log.append(toPartition(0, ['2']))
    await until(() => seen.length === 3, 'the records', 30_000)
    assert.deepEqual(seen, values(0, 3))
    await until(async () => (await bench.log.admin.committed('g', 'numbers')).get(0) === 3, 'the commit')
    await until(() => signal.aborted, 'the word to the handler', 30_000)
    release.resolve()
    await until(() => lost.length === 1, 'the word to the owner', 30_000)
    assert.deepEqual(lost, [true])
    proxy.heal()
    // It joins again, as a member like any other.
    await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', 60_000)
    assert.equal((await bench.log.admin.committed('g', 'numbers')).get(0), 3)
    await Promise.all([first.stop(), second.stop()])
  })

  check(PROMISES.generation, async (bench) => {
    const proxy = await proxyFor(bench)
    const zombie = await subject.open(bench.namespace, { via: proxy.via, timing: TIMING })
    bench.after(() => zombie.close())
    await bench.log.append(toPartition(0, values(0, 4)))
    let isHandled = false
    const first = await zombie.run({
      group: 'g',
      topics: ['numbers'],
      commitEveryMs: 700,
      onBatch: async () => {
        isHandled = true
        return 1
      },
    })
    // Its commit is on its way when the network falls silent, and arrives when another generation has gone further.
    await until(() => isHandled)
    proxy.set({ blackhole: 'requests' })
    const heir = await subject.open(bench.namespace, { timing: TIMING })
    bench.after(() => heir.close())
    const second = await heir.run({ group: 'g', topics: ['numbers'], commitEveryMs: 20, onBatch: async () => undefined })
    await until(() => second.assigned().length === 4, 'the takeover', 60_000)
    await until(async () => (await bench.log.admin.committed('g', 'numbers')).get(0) === 4, 'the commit', 30_000)
    proxy.heal()
    await until(() => first.assigned().length === 2, 'the old member back in the group', 60_000)
    assert.equal((await bench.log.admin.committed('g', 'numbers')).get(0), 4)
    await Promise.all([first.stop(), second.stop()])
  })

  check(PROMISES.transaction, async (bench) => {
    const log = await subject.open(bench.namespace)
    bench.after(() => log.close())
    const [old, heir] = [await log.transactor('id'), await log.transactor('id')]
    bench.after(() => Promise.all([old.close(), heir.close()]))
    await old.transact(async ({ append }) => append(toPartition(0, ['0'])))
    const stale = old.transact(async ({ append }) => {
      await append(toPartition(0, ['lost']))
      await heir.transact(async (transaction) => transaction.append(toPartition(0, ['1'])))
    })
    await assert.rejects(stale, { kind: 'fenced', code: 'ANDON_LOG_FENCED' })
    await assert.rejects(
      old.transact(async ({ append }) => append(toPartition(0, ['late']))),
      { kind: 'fenced' },
    )
    await until(async () => (await readAll(log, 'numbers', 0)).length >= 2, 'the commits')
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), ['0', '1'])
  })

  check(PROMISES.tooLarge, async ({ log }) => {
    await assert.rejects(log.append([{ topic: 'numbers', key: null, partition: 0, value: Buffer.alloc(1_200_000, 7) }]), {
      code: 'ANDON_LOG_TOO_LARGE',
      retriable: false,
    })
    await log.append(toPartition(0, ['next']))
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), ['next'])
  })

  check(PROMISES.raised, async ({ log }) => {
    await log.admin.ensureTopics([{ name: 'large', partitions: 1, configs: { 'max.message.bytes': String(8 * 1024 * 1024) } }])
    const value = Buffer.alloc(6_000_000, 3)
    await log.append([{ topic: 'large', key: null, partition: 0, value }])
    const [found] = await readAll(log, 'large', 0)
    assert.ok(found!.value!.equals(value))
  })

  check(PROMISES.codecs, async (bench) => {
    for (const codec of CODECS) {
      const log = await subject.open(bench.namespace, { compression: { [codec]: codec } })
      bench.after(() => log.close())
      await log.admin.ensureTopics([{ name: codec, partitions: 2 }])
      await log.append(toPartition(0, values(0, 300), codec))
      const large = Buffer.from(Array.from({ length: 400_000 }, (_, i) => (i * 31) % 241))
      await log.append([
        { topic: codec, key: 'k', partition: 1, value: large },
        { topic: codec, key: null, partition: 1, value: null },
      ])
      assert.deepEqual((await readAll(log, codec, 0)).map(text), values(0, 300), codec)
      const [found, empty] = await readAll(log, codec, 1)
      assert.ok(found!.value!.equals(large), codec)
      assert.equal(empty!.value, null)
    }
  })

  check(PROMISES.unknown, async ({ log }) => {
    await assert.rejects(log.append(toPartition(0, ['x'], 'missing')), { code: 'ANDON_LOG_UNKNOWN_TOPIC', retriable: true })
    await log.admin.ensureTopics([{ name: 'missing', partitions: 1 }])
    await log.append(toPartition(0, ['x'], 'missing'))
    assert.deepEqual((await readAll(log, 'missing', 0)).map(text), ['x'])
  })
}
