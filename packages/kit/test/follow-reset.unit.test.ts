// A follower and a log that lost its tail: what was read from the lost part does not stay in a view.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryLog } from '@andon/kit'
import type { LogRecord, MemoryLog } from '@andon/kit'
import { until } from './process-rig.ts'

const text = (record: LogRecord): string => record.value?.toString() ?? ''
const append = (log: MemoryLog, partition: number, ...texts: string[]) =>
  log.append(texts.map((value) => ({ topic: 'facts', key: null, partition, value: Buffer.from(value) })))

test('after a lost tail the partition is handed out again from its start, and only that one', async () => {
  const log = openMemoryLog({ partitions: 2 })
  const view = new Map<number, string[]>([
    [0, []],
    [1, []],
  ])
  const follow = await log.follow({
    topics: ['facts'],
    onBatch: (batch) => void view.get(batch.partition)!.push(...batch.records.map(text)),
    onReset: (_topic, partition) => void view.set(partition, []),
  })
  await append(log, 0, 'a', 'b', 'c')
  await append(log, 1, 'x')
  await follow.caughtUp()
  log.cut('facts', 0, 1)
  await append(log, 0, 'd', 'e', 'f')
  await until(() => view.get(0)!.length === 4)
  assert.deepEqual([...view.values()], [['a', 'd', 'e', 'f'], ['x']])
  await follow.stop()
})

test('a change of leader that lost nothing resets nothing', async () => {
  const log = openMemoryLog({ partitions: 1 })
  const seen: string[] = []
  const follow = await log.follow({
    topics: ['facts'],
    onBatch: (batch) => void seen.push(...batch.records.map(text)),
    onReset: () => assert.fail('nothing was lost'),
  })
  await append(log, 0, 'a', 'b')
  await follow.caughtUp()
  log.cut('facts', 0, 2)
  await append(log, 0, 'c')
  await follow.caughtUp()
  assert.deepEqual(seen, ['a', 'b', 'c'])
  await follow.stop()
})

test('a follower that started at the end is handed everything since then that is left', async () => {
  const log = openMemoryLog({ partitions: 1 })
  await append(log, 0, 'old')
  const seen: string[] = []
  const follow = await log.follow({
    topics: ['facts'],
    from: () => 'latest',
    onBatch: (batch) => void seen.push(...batch.records.map(text)),
    onReset: () => void seen.splice(0),
  })
  await follow.caughtUp()
  await append(log, 0, 'a', 'b')
  await follow.caughtUp()
  log.cut('facts', 0, 2)
  await append(log, 0, 'c')
  await until(() => seen.includes('c'))
  assert.deepEqual(seen, ['a', 'c'])
  await follow.stop()
})

test('a follower that cannot go back ends visibly', async () => {
  const log = openMemoryLog({ partitions: 1 })
  const follow = await log.follow({ topics: ['facts'], onBatch: () => undefined })
  await append(log, 0, 'a', 'b')
  await follow.caughtUp()
  log.cut('facts', 0, 1)
  await append(log, 0, 'c')
  await assert.rejects(follow.ended, { code: 'ANDON_LOG_TAIL_LOST', retriable: false })
})

test('nobody waits for what was lost before it was read', async () => {
  const log = openMemoryLog({ partitions: 1 })
  const seen: string[] = []
  const gate = Promise.withResolvers<void>()
  const follow = await log.follow({
    topics: ['facts'],
    onBatch: async (batch) => {
      await gate.promise
      seen.push(...batch.records.map(text))
    },
    onReset: () => assert.fail('nothing was lost that had been read'),
  })
  await append(log, 0, 'a')
  await new Promise<void>((resolve) => void setTimeout(resolve, 5))
  await append(log, 0, 'b', 'c')
  const caughtUp = follow.caughtUp()
  await new Promise<void>((resolve) => void setTimeout(resolve, 5))
  log.cut('facts', 0, 1)
  gate.resolve()
  await caughtUp
  assert.deepEqual(seen, ['a'])
  await follow.stop()
})
