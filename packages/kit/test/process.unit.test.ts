// The processing loop on the in-memory log: order, lineage, dead letters, retries, snapshots and recovery after a cut.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AndonError, LogError, MemoryStore, openMemoryLog } from '@andon/kit'
import type { PartitionProcess } from '@andon/kit'
import { add, doubles, outputs, start, totals, totalsIn, until } from './process-rig.ts'
import type { Add } from './process-rig.ts'

const openLog = (options = {}) => openMemoryLog({ partitions: 1, ...options })

test('outputs come in the order of their inputs and name their cause', async () => {
  const log = openLog({ maxBatchRecords: 2 })
  const run = await start(log, { open: totals })
  await add(log, 'a', 1, 2, 3)
  await until(async () => (await outputs(log)).length === 3)
  assert.deepEqual(await outputs(log), [
    { id: 'a#1', cause: 'numbers/0/0/0/0', value: { total: 1, count: 1 } },
    { id: 'a#2', cause: 'numbers/0/0/1/0', value: { total: 3, count: 2 } },
    { id: 'a#3', cause: 'numbers/0/0/2/0', value: { total: 6, count: 3 } },
  ])
  await run.stop()
})

test('outputs and lineage do not depend on how records were batched', async () => {
  const runs = []
  for (const maxBatchRecords of [1, 2, 500]) {
    const log = openLog({ maxBatchRecords })
    await add(log, 'a', ...Array.from({ length: 20 }, (_, i) => i))
    const run = await start(log, { open: totals })
    await until(async () => (await outputs(log)).length === 20)
    runs.push(await outputs(log))
    await run.stop()
  }
  assert.deepEqual(runs[0], runs[1])
  assert.deepEqual(runs[0], runs[2])
})

test('state and position survive a stop', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store })
  const run = await start(first, { open: totals })
  await add(first, 'a', 1, 2)
  await until(async () => (await outputs(first)).length === 2)
  await run.stop()
  const second = openLog({ store })
  await add(second, 'a', 4)
  await start(second, { open: totals })
  await until(async () => (await outputs(second)).length === 3)
  assert.deepEqual((await outputs(second)).at(-1)?.value, { total: 7, count: 3 })
  await second.close()
})

test('state that another version of the service encoded is built again from the input, also when the rebuild is interrupted', async () => {
  const store = new MemoryStore(1)
  const before = openLog({ store })
  const run = await start(before, { open: totals, snapshotEveryRecords: 1 })
  await add(before, 'a', 1, 2)
  await add(before, 'b', 10)
  await until(async () => (await outputs(before)).length === 3)
  await run.stop()
  const interrupted = openLog({ store, maxBatchRecords: 1 })
  let batches = 0
  const standingStill = (): PartitionProcess<Add> => {
    const { state, handle } = totalsIn(2)
    return { state: state!, handle: (batch) => (++batches > 1 ? new Promise(() => undefined) : handle(batch)) }
  }
  await start(interrupted, { open: standingStill, snapshotEveryRecords: 1 })
  await until(() => batches > 1)
  interrupted.crash()
  const after = openLog({ store })
  await add(after, 'a', 4)
  await add(after, 'b', 20)
  await start(after, { open: () => totalsIn(2) })
  const lastOf = async (key: string) => (await outputs(after)).findLast((each) => each.id.startsWith(key))?.value
  await until(async () => (await lastOf('b'))?.count === 2)
  assert.deepEqual(await lastOf('a'), { total: 7, count: 3 })
  assert.deepEqual(await lastOf('b'), { total: 30, count: 2 })
  await after.close()
})

test('after a crash the records since the last snapshot are applied again, with the same ids and causes', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store, maxBatchRecords: 1 })
  await start(first, { open: totals, snapshotEveryRecords: 3 })
  await add(first, 'a', 1, 2, 3, 4)
  await until(async () => (await outputs(first)).length === 4)
  first.crash()
  const second = openLog({ store })
  await add(second, 'a', 5)
  await start(second, { open: totals })
  await until(async () => (await outputs(second)).some(({ value }) => value.count === 5))
  const seen = await outputs(second)
  assert.deepEqual(seen.at(-1)?.value, { total: 15, count: 5 })
  const repeated = seen.filter(({ id }) => id === 'a#4')
  assert.equal(repeated.length, 2)
  assert.deepEqual(repeated[0], repeated[1])
  await second.close()
})

test('the committed offset never sets the position of a process with state', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store })
  await start(first, { open: totals, snapshotEveryRecords: 1000 })
  await add(first, 'a', 1, 2, 3)
  await until(async () => (await outputs(first)).length === 3)
  await until(async () => (await first.admin.committed('adder', 'numbers')).get(0) === 3)
  first.crash() // no snapshot was written
  const second = openLog({ store })
  await add(second, 'a', 4)
  await start(second, { open: totals })
  await until(async () => (await outputs(second)).some(({ value }) => value.total === 10))
  await second.close()
})

test('undecodable bytes go to the dead-letter topic with cause and bytes, and the log goes on', async () => {
  const log = openLog()
  const incomplete: (string | null)[] = []
  const run = await start(log, { open: totals, onDeadLetter: (_partition, key) => void incomplete.push(key) })
  await add(log, 'a', 1)
  const bytes = Buffer.from([0, 0, 0, 0, 7, 255])
  await log.append([{ topic: 'numbers', key: 'a', value: bytes, headers: { ce_id: 'bad-1' } }])
  await add(log, 'a', 2)
  await until(async () => (await outputs(log)).length === 2)
  for await (const batch of log.read({ topic: 'numbers.adder.dlq', partition: 0, from: 0, to: 'latest' })) {
    const letter = batch.records[0]!
    assert.deepEqual(letter.value, bytes)
    assert.equal(letter.header('andon-dlq-code'), 'ANDON_TEST_UNDECODABLE')
    assert.equal(letter.header('andon-dlq-offset'), '1')
    assert.equal(letter.header('andon-dlq-schema-id'), '7')
    assert.equal(letter.header('ce_id'), 'bad-1')
  }
  assert.deepEqual(incomplete, ['a'])
  await run.stop()
})

test('a retriable handler error pauses only its own partition and nothing is skipped', async () => {
  const log = openLog({ partitions: 2 })
  let failures = 2
  const open = () => ({
    handle: (batch: Parameters<ReturnType<typeof doubles>['handle']>[0]) => {
      if (batch.partition === 0 && failures-- > 0) throw new AndonError('ANDON_TEST_AWAY', 'away', { retriable: true })
      return doubles().handle(batch)
    },
  })
  const run = await start(log, { open })
  for (const partition of [0, 1]) await log.append([{ topic: 'numbers', key: 'k', partition, value: Buffer.from('{"n":1}') }])
  await until(async () => (await outputs(log)).length === 2)
  await run.stop()
})

test('a stateful handler that failed half way is restored before the next try', async () => {
  const log = openLog()
  let failures = 1
  const open = () => {
    const inner = totals()
    return {
      ...inner,
      handle: (batch: Parameters<typeof inner.handle>[0]) => {
        const out = inner.handle(batch)
        if (batch.inputs.some(({ value }) => value.n === 3) && failures-- > 0)
          throw new AndonError('ANDON_TEST_AWAY', 'away', { retriable: true })
        return out
      },
    }
  }
  await add(log, 'a', 1, 2, 3)
  const run = await start(log, { open })
  await until(async () => (await outputs(log)).length === 3)
  assert.deepEqual(
    (await outputs(log)).map(({ value }) => value.total),
    [1, 3, 6],
  )
  await run.stop()
})

test('an append that failed after it was stored leaves repeats with equal lineage and right totals', async () => {
  const log = openLog({ maxBatchRecords: 2 })
  let failures = 2
  log.failAppends((records) =>
    records[0]?.topic === 'totals' && failures-- > 0
      ? { error: new LogError('retriable', 'ANDON_TEST_AWAY', 'away'), afterStoring: failures === 0 }
      : undefined,
  )
  await add(log, 'a', 1, 2, 3)
  const run = await start(log, { open: totals })
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 6))
  const seen = new Map((await outputs(log)).map(({ cause, value }) => [cause, value.total]))
  assert.deepEqual([...seen.values()], [1, 3, 6])
  assert.ok((await outputs(log)).length > 3, 'what was stored without an answer is there twice')
  await run.stop()
})

test('any other handler error ends the run visibly', async () => {
  const log = openLog()
  const run = await start(log, {
    open: () => ({
      handle: () => {
        throw new TypeError('poison')
      },
    }),
  })
  await add(log, 'a', 1)
  await assert.rejects(run.ended, /poison/)
})

test('repeats of an upstream record are dropped, also after a restart', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store })
  const put = (log: typeof first, cause: string) =>
    log.append([{ topic: 'numbers', key: 'a', value: Buffer.from('{"n":1}'), headers: { 'andon-cause': cause, 'andon-lane': 'live' } }])
  await start(first, { open: totals, snapshotEveryRecords: 1 })
  await put(first, 'up/0/0/5/0')
  await put(first, 'up/0/0/5/1')
  await put(first, 'up/0/0/5/0')
  await until(async () => (await outputs(first)).length === 2)
  await first.close()
  const second = openLog({ store })
  await put(second, 'up/0/0/5/1')
  await put(second, 'up/0/0/6/0')
  await start(second, { open: totals })
  await until(async () => (await outputs(second)).length === 3)
  assert.deepEqual(
    (await outputs(second)).map(({ value }) => value.count),
    [1, 2, 3],
  )
  await second.close()
})

test('a cut of the outputs alone makes a stateful process emit them again', async () => {
  const log = openLog({ maxBatchRecords: 1 })
  const run = await start(log, { open: totals, snapshotEveryRecords: 2 })
  await add(log, 'a', 1, 2, 3, 4, 5)
  await until(async () => (await outputs(log)).length === 5)
  log.cut('totals', 0, 1)
  log.cut('numbers', 0, 99) // the broker restarted: readers are in doubt, nothing of the input is lost
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 15))
  // No round's output mark holds: it starts afresh, and the surviving output comes a second time with the same lineage.
  assert.deepEqual(
    (await outputs(log)).map(({ value }) => value.total),
    [1, 1, 3, 6, 10, 15],
  )
  await run.stop()
})

test('a cut of the input below a running process takes its state back', async () => {
  const log = openLog({ maxBatchRecords: 1 })
  const run = await start(log, { open: totals, snapshotEveryRecords: 2 })
  await add(log, 'a', 1, 2, 3, 4, 5)
  await until(async () => (await outputs(log)).length === 5)
  log.cut('numbers', 0, 3) // 4 and 5 are lost, then others land on their offsets
  await add(log, 'a', 40, 50)
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 96))
  const live = (await outputs(log)).map(({ value }) => value.total)
  assert.deepEqual(live.slice(-2), [46, 96])
  await run.stop()
})

test('a record that was promoted, taken back or redriven is no output that a stateless process goes back to', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store, maxBatchRecords: 1 })
  await start(first, { open: doubles })
  await add(first, 'a', 1, 2, 3)
  await until(async () => (await outputs(first)).length === 3)
  await until(async () => (await first.admin.committed('adder', 'numbers')).get(0) === 3)
  for (const lane of ['promote:run-1.x', 'promote:undo-run-1.x', 'redrive:x']) {
    const headers = { 'andon-cause': 'numbers/0/0/0/0', 'andon-lane': lane }
    await first.append([{ topic: 'totals', partition: 0, key: 'a', value: Buffer.from('{"total":0,"count":0}'), headers }])
  }
  await first.close()
  const second = openLog({ store })
  await start(second, { open: doubles })
  await add(second, 'a', 4)
  await until(async () => (await outputs(second)).some(({ value }) => value.total === 8))
  assert.deepEqual(
    (await outputs(second)).map(({ value }) => value.total),
    [2, 4, 6, 0, 0, 0, 6, 8],
  )
  await second.close()
})

test('a stateless process starts behind its last surviving output', async () => {
  const store = new MemoryStore(1)
  const first = openLog({ store, maxBatchRecords: 1 })
  await start(first, { open: doubles })
  await add(first, 'a', 1, 2, 3)
  await until(async () => (await outputs(first)).length === 3)
  await first.close()
  const second = openLog({ store })
  second.cut('totals', 0, 1)
  await start(second, { open: doubles })
  await until(async () => (await outputs(second)).some(({ value }) => value.total === 6))
  // The input of the last surviving output is done again: another output of it might have been lost.
  assert.deepEqual(
    (await outputs(second)).map(({ value }) => value.total),
    [2, 2, 4, 6],
  )
  await second.close()
})
