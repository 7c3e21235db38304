// What a run and a follower promise: every record in order, again when it was not finished, and what happens to a handler's errors.

import assert from 'node:assert/strict'
import type { LogRecord } from '@andon/kit'
import { until } from '../process-rig.ts'
import { away, leftOut, readAll, text, toPartition, values } from './subject.ts'
import type { Check, Subject } from './subject.ts'

export const runRules = (check: Check, subject: Subject, adapter: string): void => {
  check('resuming', 'a run sees what there is and what comes, and resumes where it stopped', async ({ log }) => {
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

  check('resuming', 'onAssigned sets the start, whatever was committed', async ({ log }) => {
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

  check('large records', 'what a handler has in hand stays as it is until it is done, however much is read meanwhile', async ({ log }) => {
    const [partitions, each] = [2, 40]
    const filled = (partition: number, i: number): Buffer => Buffer.alloc(100_000, partition * each + i + 1)
    for (let partition = 0; partition < partitions; partition++)
      await log.append(Array.from({ length: each }, (_, i) => ({ topic: 'numbers', key: null, partition, value: filled(partition, i) })))
    const isRight = ({ partition, offset, value }: LogRecord): boolean => value!.equals(filled(partition, offset))
    const wrong: string[] = []
    const seen = { run: 0, follow: 0 }
    const onBatch = (who: keyof typeof seen) => async (batch: { records: readonly LogRecord[] }) => {
      for (const moment of ['first', 'last']) {
        for (const record of batch.records) if (!isRight(record)) wrong.push(`${who} ${moment} ${record.partition}/${record.offset}`)
        await new Promise((resolve) => setTimeout(resolve, 20)) // long enough for the next answers to come in
      }
      seen[who] += batch.records.length
    }
    const small = { topics: ['numbers'], maxBytesPerPartition: 300_000, maxBytes: 600_000 }
    const run = await log.run({ ...small, group: 'g', onBatch: onBatch('run') })
    const follow = await log.follow({ ...small, onBatch: onBatch('follow') })
    await until(() => seen.run === partitions * each && seen.follow === partitions * each)
    assert.deepEqual(wrong, [])
    await Promise.all([run.stop(), follow.stop()])
  })

  check('redelivery', 'what a crashed handler had in hand comes again', async ({ log }) => {
    await log.append(toPartition(0, values(0, 3)))
    const run = await log.run({ group: 'g', topics: ['numbers'], onBatch: async () => Promise.reject(new TypeError('poison')) })
    await assert.rejects(run.ended, /poison/)
    const seen: string[] = []
    const next = await log.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
    await until(() => seen.length === 3, 'redelivery', subject.patienceMs)
    assert.deepEqual(seen, values(0, 3))
    await next.stop()
  })

  check('poison', 'a retriable error pauses only its own partition, then the same batch comes again', async ({ log }) => {
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

  check('resuming', 'a handler may say where to go on', async ({ log }) => {
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

  check('log start', 'an offset outside the log goes through onDoubt', async ({ log }) => {
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

  check('following', 'a follower sees every partition from the beginning and knows when it has caught up', async ({ log }) => {
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

  check('following', 'a follower may start elsewhere, and its failure is visible', async ({ log }) => {
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

  check('poison', 'a handler that fails for good ends the run, and the position stays before what it failed on', async ({ log }) => {
    await log.append(toPartition(0, ['a', 'b']))
    const seen: string[] = []
    const run = await log.run({
      group: 'g',
      topics: ['numbers'],
      commitEveryMs: 20,
      onBatch: async (batch) => {
        if (batch.records.some((record) => text(record) === 'poison')) throw new TypeError('poison')
        seen.push(...batch.records.map(text))
      },
    })
    await until(() => seen.length === 2)
    await until(async () => (await log.admin.committed('g', 'numbers')).get(0) === 2, 'the commit')
    await log.append(toPartition(0, ['poison']))
    await assert.rejects(run.ended, /poison/)
    assert.equal((await log.admin.committed('g', 'numbers')).get(0), 2)
  })

  check('resuming', 'runs back to back see every record once', async ({ log }) => {
    const seen: string[] = []
    for (let n = 0; n < 5; n++) {
      await log.append(toPartition(n % 4, values(n * 3, 3)))
      const run = await log.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
      await until(() => seen.length >= (n + 1) * 3)
      await run.stop()
    }
    assert.deepEqual(seen, values(0, 15))
  })

  const { trim } = subject
  const TAKEN = 'what retention has taken is passed over: reading begins at the log start'
  const BEHIND = 'a run whose position was taken by retention goes on at the log start'
  if (!trim) for (const promise of [TAKEN, BEHIND]) leftOut(adapter, 'log start', promise, 'has no retention')
  else {
    check('log start', TAKEN, async ({ log }) => {
      await log.append(toPartition(0, values(0, 10)))
      await trim(log, 'numbers', 0, 4)
      assert.deepEqual((await readAll(log, 'numbers', 0)).map(text), values(4, 6))
      assert.deepEqual((await readAll(log, 'numbers', 0, 1, 6)).map(text), ['4', '5'])
      assert.deepEqual((await log.admin.watermarks('numbers'))[0], { partition: 0, low: 4, high: 10 })
    })

    check('log start', BEHIND, async ({ log }) => {
      await log.append(toPartition(0, values(0, 3)))
      const seen: string[] = []
      const options = {
        group: 'g',
        topics: ['numbers'],
        onBatch: async (batch: { records: readonly LogRecord[] }) => void seen.push(...batch.records.map(text)),
      }
      const first = await log.run(options)
      await until(() => seen.length === 3)
      await first.stop()
      await log.append(toPartition(0, values(3, 5)))
      await trim(log, 'numbers', 0, 6)
      const second = await log.run(options)
      await until(() => seen.includes('7'))
      assert.deepEqual(seen, ['0', '1', '2', '6', '7'])
      await second.stop()
    })
  }
}
