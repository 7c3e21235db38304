// What every log adapter promises. memory.unit.test.ts and kafka.int.test.ts run the same tests.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AndonError, partitionOf } from '@andon/kit'
import type { Append, Log, LogRecord, RunContext } from '@andon/kit'
import { until } from './process-rig.ts'

export interface Subject {
  /** A log with a namespace of its own. Two calls with one namespace share topics and groups. */
  open(namespace: string): Promise<Log>
  /** Longest time that a rebalance or redelivery may take. */
  readonly patienceMs: number
}

let names = 0
const namespace = (): string => `t${process.pid}-${++names}-`

const text = (record: LogRecord): string => record.value?.toString() ?? ''

const values = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => String(from + i))

const toPartition = (partition: number, texts: readonly string[]): Append[] =>
  texts.map((value) => ({ topic: 'numbers', key: null, partition, value: Buffer.from(value) }))

const readAll = async (
  log: Log,
  topic: string,
  partition: number,
  from: number | 'earliest' = 'earliest',
  to: number | 'latest' = 'latest',
): Promise<LogRecord[]> => {
  const records: LogRecord[] = []
  for await (const batch of log.read({ topic, partition, from, to })) records.push(...batch.records)
  return records
}

const away = () => new AndonError('ANDON_TEST_AWAY', 'away', { retriable: true })

export const conformance = (name: string, subject: Subject): void => {
  const check = (promise: string, body: (log: Log, again: () => Promise<Log>) => Promise<void>): void => {
    void test(`${name}: ${promise}`, async () => {
      const space = namespace()
      const logs: Log[] = []
      const open = async (): Promise<Log> => {
        const log = await subject.open(space)
        logs.push(log)
        return log
      }
      try {
        const log = await open()
        await log.admin.ensureTopics([{ name: 'numbers', partitions: 4 }])
        await body(log, open)
      } finally {
        await Promise.all(logs.map((log) => log.close()))
      }
    })
  }

  check('records of a partition keep their order and offsets', async (log) => {
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

  check('calls that were not awaited keep their order', async (log) => {
    await Promise.all(values(0, 50).map((value) => log.append(toPartition(0, [value]))))
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), values(0, 50))
  })

  check('headers, keys, nulls and timestamps come back as they went in', async (log) => {
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

  check('a key lies where the Java client puts it', async (log) => {
    const keys = ['press-1', 'press-2', 'läufer', '', 'k'.repeat(33)]
    const places = await log.append(keys.map((key) => ({ topic: 'numbers', key, value: Buffer.from(key) })))
    assert.deepEqual(
      [...places].map(({ partition }) => partition),
      keys.map((key) => partitionOf(key, 4)),
    )
  })

  check('a topic keeps its partitions and takes new settings', async (log) => {
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

  check('a topic with append time stamps records itself', async (log) => {
    await log.admin.ensureTopics([{ name: 'numbers', partitions: 4, configs: { 'message.timestamp.type': 'LogAppendTime' } }])
    await until(async () => {
      const before = Date.now() - 5000
      await log.append([{ topic: 'numbers', key: null, partition: 0, value: null, timestampMs: 1_600_000_000_000 }])
      return (await readAll(log, 'numbers', 0)).at(-1)!.timestampMs > before
    })
  })

  check('an append does not follow a record that is not there', async (log) => {
    const [first] = await log.append(toPartition(0, ['0']))
    await log.append(toPartition(0, ['1']), { after: [first!] })
    assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), ['0', '1'])
  })

  check('a partition that does not exist is refused', async (log) => {
    await assert.rejects(log.append([{ topic: 'numbers', key: null, partition: 4, value: null }]), {
      code: 'ANDON_LOG_NO_PARTITION',
      retriable: false,
    })
    await log.append(toPartition(3, ['still works']))
  })

  check('ranges, watermarks, times and the latest position can be asked for', async (log) => {
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

  check('batches larger than one request arrive whole and in order', async (log) => {
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

  check('a run sees what there is and what comes, and resumes where it stopped', async (log) => {
    await log.append(toPartition(0, values(0, 5)))
    const seen: string[] = []
    const options = {
      group: 'g',
      topics: ['numbers'],
      commitEveryMs: 50,
      onBatch: async (batch: { records: readonly LogRecord[] }) => void seen.push(...batch.records.map(text)),
    }
    const first = await log.run(options)
    await until(() => seen.length === 5)
    await log.append(toPartition(0, values(5, 2)))
    await until(() => seen.length === 7)
    await first.stop()
    await first.ended
    assert.equal((await log.admin.committed('g', 'numbers')).get(0), 7)
    await log.append(toPartition(0, values(7, 2)))
    const second = await log.run(options)
    await until(() => seen.length === 9)
    assert.deepEqual(seen, values(0, 9))
    await second.stop()
  })

  check('onAssigned sets the start, whatever was committed', async (log) => {
    await log.append(toPartition(1, values(0, 6)))
    const seen: string[] = []
    const starts: (number | undefined)[] = []
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onAssigned: (_topic, partition, committed) => {
        if (partition === 1) starts.push(committed)
        return partition === 1 ? 4 : 'latest'
      },
      onBatch: async (batch) => void seen.push(...batch.records.map(text)),
    })
    await until(() => seen.length === 2)
    assert.deepEqual(seen, ['4', '5'])
    assert.deepEqual(starts, [undefined])
    await run.stop()
  })

  check('what a crashed handler had in hand comes again', async (log) => {
    await log.append(toPartition(0, values(0, 3)))
    const run = await log.run({ group: 'g', topics: ['numbers'], onBatch: async () => Promise.reject(new TypeError('poison')) })
    await assert.rejects(run.ended, /poison/)
    const seen: string[] = []
    const next = await log.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
    await until(() => seen.length === 3, 'redelivery', subject.patienceMs)
    assert.deepEqual(seen, values(0, 3))
    await next.stop()
  })

  check('a retriable error pauses only its own partition, then the same batch comes again', async (log) => {
    await log.append([...toPartition(0, ['a']), ...toPartition(1, ['b'])])
    let healed = false
    let tries = 0
    const seen: string[] = []
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch) => {
        if (batch.partition === 0) tries++
        if (batch.partition === 0 && !healed) throw away()
        seen.push(...batch.records.map(text))
      },
    })
    await until(() => seen.includes('b') && tries >= 2)
    await log.append(toPartition(1, ['c']))
    await until(() => seen.includes('c'))
    healed = true
    await until(() => seen.includes('a'))
    await run.stop()
  })

  check('a handler may say where to go on', async (log) => {
    await log.append(toPartition(0, values(0, 4)))
    const seen: string[] = []
    let back = false
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch) => {
        seen.push(...batch.records.map(text))
        if (back || batch.nextOffset < 4) return undefined
        back = true
        return 2
      },
    })
    await until(() => seen.length >= 6)
    assert.deepEqual(seen, ['0', '1', '2', '3', '2', '3'])
    await run.stop()
  })

  check('two members share the partitions, and one takes over when the other leaves', async (log, again) => {
    const other = await again()
    const seen: string[] = []
    const options = {
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch: { records: readonly LogRecord[] }) => void seen.push(...batch.records.map(text)),
    }
    const first = await log.run(options)
    const second = await other.run(options)
    await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', subject.patienceMs)
    const all = [...first.assigned(), ...second.assigned()].map(({ partition }) => partition)
    assert.deepEqual(
      all.sort((a, b) => a - b),
      [0, 1, 2, 3],
    )
    for (let p = 0; p < 4; p++) await log.append(toPartition(p, [`p${p}`]))
    await until(() => seen.length === 4)
    await first.stop()
    await until(() => second.assigned().length === 4, 'the takeover', subject.patienceMs)
    for (let p = 0; p < 4; p++) await log.append(toPartition(p, [`q${p}`]))
    await until(() => seen.length === 8)
    assert.equal(new Set(seen).size, 8)
    await second.stop()
  })

  check('a rebalance waits for the batch in hand and nothing is handled twice', async (log, again) => {
    const other = await again()
    const done: string[] = []
    const working = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const onBatch = async (batch: { records: readonly LogRecord[] }, _context: RunContext) => {
      working.resolve()
      await release.promise
      done.push(...batch.records.map(text))
    }
    const first = await log.run({ group: 'g', topics: ['numbers'], onBatch })
    await log.append(toPartition(3, ['slow']))
    await working.promise
    const joining = other.run({ group: 'g', topics: ['numbers'], onBatch })
    await new Promise((resolve) => setTimeout(resolve, Math.min(subject.patienceMs / 5, 2500)))
    assert.equal(done.length, 0)
    release.resolve()
    const second = await joining
    await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', subject.patienceMs)
    await log.append(toPartition(3, ['next']))
    await until(() => done.includes('next'))
    assert.deepEqual(done, ['slow', 'next'])
    await Promise.all([first.stop(), second.stop()])
  })

  check('an offset outside the log goes through onDoubt', async (log) => {
    await log.append(toPartition(0, values(0, 3)))
    const seen: string[] = []
    const doubts: number[] = []
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch) => {
        seen.push(...batch.records.map(text))
        return doubts.length === 0 ? 99 : undefined
      },
      onDoubt: async (_topic, partition) => {
        doubts.push(partition)
        return 1
      },
    })
    await until(() => seen.length === 5)
    assert.deepEqual(seen, ['0', '1', '2', '1', '2'])
    assert.deepEqual([...new Set(doubts)], [0])
    await run.stop()
  })

  check('a follower sees every partition from the beginning and knows when it has caught up', async (log) => {
    await log.append([...toPartition(0, values(0, 5)), ...toPartition(2, values(5, 5))])
    const seen: string[] = []
    const follow = await log.follow({ topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
    await follow.caughtUp()
    assert.equal(seen.length, 10)
    await log.append(toPartition(1, ['late']))
    await follow.caughtUp()
    assert.ok(seen.includes('late'))
    await follow.stop()
    await follow.ended
  })

  check('a follower may start elsewhere, and its failure is visible', async (log) => {
    await log.append(toPartition(0, values(0, 4)))
    const seen: string[] = []
    const follow = await log.follow({
      topics: ['numbers'],
      from: (_topic, partition) => (partition === 0 ? 2 : 'latest'),
      onBatch: (batch) => {
        seen.push(...batch.records.map(text))
        if (seen.includes('poison')) throw new TypeError('poison')
      },
    })
    await follow.caughtUp()
    assert.deepEqual(seen, ['2', '3'])
    await log.append(toPartition(1, ['poison']))
    await assert.rejects(follow.ended, /poison/)
  })

  check('an atomic append lies together', async (log) => {
    const places = await log.append(
      Array.from({ length: 8 }, () => ({ topic: 'numbers', key: null, partition: 0, value: Buffer.alloc(100_000) })),
      { atomic: true },
    )
    assert.deepEqual(
      [...places].map(({ offset }) => offset),
      [0, 1, 2, 3, 4, 5, 6, 7],
    )
  })
}
