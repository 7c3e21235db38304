// What is appended lies where and as it should: order, keys, headers, times, sizes, topics.

import assert from 'node:assert/strict'
import { partitionOf } from '@andon/kit'
import { until } from '../process-rig.ts'
import { readAll, text, toPartition, values } from './subject.ts'
import type { Check } from './subject.ts'

export const appendRules = (check: Check): void => {
  check('order', 'records of a partition keep their order and offsets', async ({ log }) => {
    const first = await log.append(toPartition(1, values(0, 5)))
    const second = await log.append(toPartition(1, values(5, 3)))
    assert.deepEqual(
      [...first, ...second].map(({ offset }) => offset),
      [0, 1, 2, 3, 4, 5, 6, 7],
    )
    const records = await readAll(log, 'numbers', 1)
    assert.deepEqual(records.map(text), values(0, 8))
    for (const [i, place] of [...first, ...second].entries()) assert.equal(records[i]!.leaderEpoch, place.leaderEpoch)
  })

  check('order', 'calls that were not awaited keep their order', async ({ log }) => {
    await Promise.all(values(0, 50).map((value) => log.append(toPartition(0, [value]))))
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), values(0, 50))
  })

  check('order', 'further appenders keep the order of their own calls', async ({ log }) => {
    const further = [log.appender(), log.appender()]
    await Promise.all(further.flatMap(({ append }, i) => values(0, 20).map((value) => append(toPartition(0, [`${i} ${value}`])))))
    const records = (await readAll(log, 'numbers', 0)).map(text)
    for (const i of [0, 1]) {
      const own = records.filter((value) => value.startsWith(`${i} `))
      assert.deepEqual(
        own,
        values(0, 20).map((value) => `${i} ${value}`),
      )
    }
  })

  check('headers', 'headers, keys, nulls and timestamps come back as they went in', async ({ log }) => {
    const long = 'ä'.repeat(300)
    await log.append([
      { topic: 'numbers', key: null, partition: 0, value: null, timestampMs: 1_700_000_000_000 },
      {
        topic: 'numbers',
        key: '',
        partition: 0,
        value: Buffer.alloc(0),
        headers: { a: '', b: 'ö-kurz', c: long },
        timestampMs: 1_600_000_000_000,
      },
    ])
    const [empty, full] = await readAll(log, 'numbers', 0)
    assert.equal(empty!.key, null)
    assert.equal(empty!.value, null)
    assert.equal(empty!.timestampMs, 1_700_000_000_000)
    assert.deepEqual(empty!.headers(), {})
    assert.equal(empty!.header('a'), undefined)
    assert.equal(full!.key, '')
    assert.equal(full!.value?.length, 0)
    assert.equal(full!.timestampMs, 1_600_000_000_000)
    assert.deepEqual(full!.headers(), { a: '', b: 'ö-kurz', c: long })
    assert.equal(full!.header('b'), 'ö-kurz')
  })

  check('order', 'a key lies where the Java client puts it', async ({ log }) => {
    const keys = ['press-1', 'press-2', 'läufer', '', 'k'.repeat(33)]
    const places = await log.append(keys.map((key) => ({ topic: 'numbers', key, value: Buffer.from(key) })))
    assert.deepEqual(
      [...places].map(({ partition }) => partition),
      keys.map((key) => partitionOf(key, 4)),
    )
  })

  check('topics', 'a topic keeps its partitions and takes new settings', async ({ log }) => {
    await log.admin.ensureTopics([
      { name: 'numbers', partitions: 9, configs: { 'retention.ms': '3600000' } },
      { name: 'more', partitions: 2 },
    ])
    assert.equal(await log.admin.partitions('numbers'), 4)
    assert.deepEqual(
      (await log.admin.topics()).sort((a, b) => (a.name < b.name ? -1 : 1)),
      [
        { name: 'more', partitions: 2 },
        { name: 'numbers', partitions: 4 },
      ],
    )
  })

  check('timestamps', 'a topic with append time stamps records itself', async ({ log }) => {
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 4, configs: { 'message.timestamp.type': 'LogAppendTime' } }])
    await until(async () => {
      const before = Date.now() - 5000
      await log.append([{ topic: 'numbers', key: null, partition: 0, value: null, timestampMs: 1_600_000_000_000 }])
      return (await readAll(log, 'numbers', 0)).at(-1)!.timestampMs > before
    })
  })

  check('order', 'an append does not follow a record that is not there', async ({ log }) => {
    const [first] = await log.append(toPartition(0, ['0']))
    await log.append(toPartition(0, ['1']), { after: [first!] })
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), ['0', '1'])
  })

  check('order', 'a partition that does not exist is refused', async ({ log }) => {
    await assert.rejects(log.append([{ topic: 'numbers', key: null, partition: 4, value: null }]), {
      code: 'ANDON_LOG_NO_PARTITION',
      retriable: false,
    })
    await log.append(toPartition(3, ['still works']))
  })

  check('timestamps', 'ranges, watermarks, times and the latest position can be asked for', async ({ log }) => {
    await log.append(
      values(0, 10).map((value, i) => ({
        topic: 'numbers',
        key: null,
        partition: 2,
        value: Buffer.from(value),
        timestampMs: 1_700_000_000_000 + i * 1000,
      })),
    )
    assert.deepEqual((await readAll(log, 'numbers', 2, 3, 6)).map(text), ['3', '4', '5'])
    assert.deepEqual(await readAll(log, 'numbers', 2, 10), [])
    assert.deepEqual(
      (await log.admin.watermarks('numbers')).find(({ partition }) => partition === 2),
      { partition: 2, low: 0, high: 10 },
    )
    assert.equal(await log.admin.offsetAt('numbers', 2, 1_700_000_004_500), 5)
    assert.equal(await log.admin.offsetAt('numbers', 2, 1_800_000_000_000), 10)
    const { leaderEpoch, offset } = await log.latest('numbers', 2)
    assert.equal(offset, 10)
    assert.equal(await log.admin.endOfEpoch('numbers', 2, leaderEpoch), 10)
  })

  check('large records', 'batches larger than one request arrive whole and in order', async ({ log }) => {
    const big = Buffer.alloc(200_000, 7)
    await log.append(
      Array.from({ length: 12 }, (_, i) => ({ topic: 'numbers', key: null, partition: 0, value: big, headers: { n: String(i) } })),
    )
    const many = await log.append(toPartition(1, values(0, 9000)))
    assert.equal(many.at(-1)?.offset, 8999)
    const bigs = await readAll(log, 'numbers', 0)
    assert.deepEqual(
      bigs.map((record) => record.header('n')),
      values(0, 12),
    )
    assert.ok(bigs.every((record) => record.value?.equals(big)))
    assert.deepEqual((await readAll(log, 'numbers', 1)).map(text), values(0, 9000))
  })

  check('order', 'an atomic append lies together', async ({ log }) => {
    const places = await log.append(
      Array.from({ length: 8 }, () => ({ topic: 'numbers', key: null, partition: 0, value: Buffer.alloc(100_000) })),
      { atomic: true },
    )
    assert.deepEqual(
      [...places].map(({ offset }) => offset),
      [0, 1, 2, 3, 4, 5, 6, 7],
    )
  })

  check('large records', 'a record of nearly 1 MiB comes back whole, alone or among small ones', async ({ log }) => {
    const large = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) % 251))
    await log.append([
      ...toPartition(0, ['before']),
      { topic: 'numbers', key: 'k', partition: 0, value: large },
      ...toPartition(0, ['after']),
    ])
    const found = await readAll(log, 'numbers', 0)
    assert.deepEqual(
      found.map(({ value }) => value?.length),
      [6, 1_000_000, 5],
    )
    assert.ok(found[1]!.value!.equals(large))
  })

  check('timestamps', 'records of one batch may lie years apart, in either direction', async ({ log }) => {
    const times = [1_700_000_000_000, 1_700_000_000_000 - 400 * 86_400_000, 1, 1_700_000_000_000 + 30 * 86_400_000, 1_700_000_000_001]
    await log.append(times.map((timestampMs) => ({ topic: 'numbers', key: null, partition: 0, value: null, timestampMs })))
    assert.deepEqual(
      (await readAll(log, 'numbers', 0)).map(({ timestampMs }) => timestampMs),
      times,
    )
  })

  check('topics', 'a topic created after the log was opened can be written, read and followed at once', async ({ log, again }) => {
    const other = await again()
    await other.admin.ensureTopics([{ name: 'later', partitions: 2 }])
    await log.append(toPartition(1, ['x'], 'later'))
    assert.deepEqual((await readAll(other, 'later', 1)).map(text), ['x'])
    const seen: string[] = []
    const follow = await log.follow({ topics: ['later'], onBatch: (batch) => void seen.push(...batch.records.map(text)) })
    await follow.caughtUp()
    assert.deepEqual(seen, ['x'])
    await follow.stop()
  })
}
