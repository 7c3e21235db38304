// One partition being read: what a runner takes, and where it goes on after a doubt.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError, RecordList } from '@andon/kit'
import type { RecordBatch } from '@andon/kit'
import { PartitionRunner } from '../src/log/partition-runner.ts'
import type { RunnerHandlers, RunnerHooks } from '../src/log/partition-runner.ts'
import { until } from './process-rig.ts'

const batch = (to: number): RecordBatch => new RecordList('t', 0, [], to, to)

const open = async (handlers: Partial<RunnerHandlers> = {}, hooks: Partial<RunnerHooks> = {}) => {
  const runner = new PartitionRunner(
    't',
    0,
    { onBatch: () => undefined, ...handlers },
    { resolve: async (_topic, _partition, at) => Number(at), onHungry: () => undefined, onFatal: () => undefined, ...hooks },
  )
  runner.start(5)
  await until(() => runner.wanted() === 5)
  return runner
}

test('a batch that was asked for before a doubt is not taken after it: the log may have lost it since', async () => {
  const runner = await open()
  const { doubts } = runner
  runner.doubt()
  await until(() => runner.wanted() === 5)
  runner.offer(5, batch(7), doubts)
  assert.equal(runner.wanted(), 5)
  runner.offer(5, batch(7), runner.doubts)
  await until(() => runner.position === 7)
  await runner.close()
})

test('a runner whose start the log has not told yet has reached nothing: "latest" is not the end as of later', async () => {
  const start = Promise.withResolvers<number>()
  const hooks: RunnerHooks = { resolve: () => start.promise, onHungry: () => undefined, onFatal: () => undefined }
  const runner = new PartitionRunner('t', 0, { onAssigned: () => 'latest', onBatch: () => undefined }, hooks)
  runner.start(undefined)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(runner.reached(), undefined)
  start.resolve(0)
  await until(() => runner.reached() === 0)
  await runner.close()
})

test('an answer that comes a second time is not taken again', async () => {
  const runner = await open()
  runner.offer(5, batch(7))
  await until(() => runner.position === 7)
  runner.offer(7, batch(9))
  await until(() => runner.position === 9)
  runner.offer(5, batch(7))
  assert.equal(runner.wanted(), 9)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(runner.position, 9)
  await runner.close()
})

test('where the owner wants to go on is not forgotten when the log cannot be asked at that moment', async () => {
  let answers = 0
  let failures = 1
  const runner = await open(
    { onDoubt: async () => (answers++ === 0 ? 2 : undefined) }, // its state is restored: the second time all is well
    {
      resolve: async (_topic, _partition, at) => {
        if (at === 2 && failures-- > 0) throw new LogError('retriable', 'ANDON_TEST_AWAY', 'away')
        return Number(at)
      },
    },
  )
  runner.doubt()
  await until(() => runner.wanted() === 2)
  assert.equal(runner.position, 2)
  await runner.close()
})

test('a rebalance lets the owner round off while the partition is still its own', async () => {
  const told: string[] = []
  const gate = Promise.withResolvers<void>()
  const runner = await open({
    onHold: async () => {
      told.push('round off')
      await gate.promise
      throw new Error('what it throws ends nothing')
    },
    onRevoked: (_topic, _partition, lost) => void told.push(lost ? 'lost' : 'closed'),
  })
  const held = runner.hold().then(() => told.push('held'))
  await until(() => told.length === 1)
  gate.resolve()
  await held
  runner.lose()
  await runner.close()
  assert.deepEqual(told, ['round off', 'held', 'lost'])
})
