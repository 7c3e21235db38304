// The processing loop on a real broker that loses its unflushed tail: state and outputs come out as if nothing had
// happened, while the service stays up.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import type { Log } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { add, doubles, outputs, start, totals, until } from './process-rig.ts'

let kafka: Kafka
const dir = mkdtempSync(join(tmpdir(), 'andon-kit-cut-'))

before(async () => {
  kafka = await startKafka({ dir })
})

after(async () => {
  await kafka.stop()
  rmSync(dir, { recursive: true, force: true })
})

let names = 0
const open = async (t: TestContext): Promise<{ log: Log; space: string }> => {
  const space = `p${process.pid}-${++names}-`
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-process', namespace: space, appendDeadlineMs: 60_000 })
  t.after(() => log.close())
  await log.admin.ensureTopics(['numbers', 'totals'].map((name) => ({ name, partitions: 1 })))
  return { log, space }
}

/** Power loss: the broker is killed and the partition's segment ends before `offset`. */
const powerLoss = async (cuts: readonly { topic: string; offset: number }[]): Promise<void> => {
  await kafka.kill()
  for (const { topic, offset } of cuts) {
    const segment = join(dir, 'data', `${topic}-0`, '00000000000000000000.log')
    const bytes = readFileSync(segment)
    let at = 0
    while (at < bytes.length && Number(bytes.readBigInt64BE(at)) + bytes.readInt32BE(at + 23) < offset) at += 12 + bytes.readInt32BE(at + 8)
    truncateSync(segment, at)
  }
  await kafka.restart()
}

const addOneByOne = async (log: Log, ...numbers: number[]): Promise<void> => {
  for (const n of numbers) await add(log, 'a', n)
}

test('a cut of the outputs: a stateful process emits the lost ones again', async (t) => {
  const { log, space } = await open(t)
  const run = await start(log, { open: totals, snapshotEveryRecords: 2 })
  await addOneByOne(log, 1, 2, 3, 4, 5)
  await until(async () => (await outputs(log)).length === 5)
  await powerLoss([{ topic: `${space}totals`, offset: 3 }])
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 15), 'the lost outputs', 30_000)
  const distinct = new Map((await outputs(log)).map(({ id, value }) => [id, value.total]))
  assert.deepEqual(
    [...distinct.values()].sort((a, b) => a - b),
    [1, 3, 6, 10, 15],
  )
  await addOneByOne(log, 6)
  await until(async () => (await outputs(log)).at(-1)?.value.total === 21)
  await run.stop()
})

test('a cut of the input below a running process takes its state back', async (t) => {
  const { log, space } = await open(t)
  const run = await start(log, { open: totals, snapshotEveryRecords: 2 })
  await addOneByOne(log, 1, 2, 3, 4, 5)
  await until(async () => (await outputs(log)).length === 5)
  await powerLoss([{ topic: `${space}numbers`, offset: 3 }])
  await addOneByOne(log, 40, 50)
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 96), 'totals of the new log', 30_000)
  assert.deepEqual(
    (await outputs(log)).slice(-2).map(({ value }) => value.total),
    [46, 96],
  )
  await run.stop()
})

test('a cut of the outputs: a stateless process starts behind its last surviving one', async (t) => {
  const { log, space } = await open(t)
  const run = await start(log, { open: doubles })
  await addOneByOne(log, 1, 2, 3, 4)
  await until(async () => (await outputs(log)).length === 4)
  await powerLoss([{ topic: `${space}totals`, offset: 1 }])
  await until(async () => (await outputs(log)).some(({ value }) => value.total === 8), 'the lost outputs', 30_000)
  const distinct = new Map((await outputs(log)).map(({ cause, value }) => [cause, value.total]))
  assert.deepEqual([...distinct.values()], [2, 4, 6, 8])
  await run.stop()
})

test('a cut of both logs while records keep coming ends with every surviving record counted once', async (t) => {
  const { log, space } = await open(t)
  const run = await start(log, { open: totals, snapshotEveryRecords: 2 })
  await addOneByOne(log, 1, 2, 3, 4, 5, 6)
  await until(async () => (await outputs(log)).length === 6)
  await powerLoss([
    { topic: `${space}totals`, offset: 2 },
    { topic: `${space}numbers`, offset: 4 },
  ])
  await addOneByOne(log, 7)
  await until(
    async () => (await outputs(log)).some(({ value }) => value.count === 5 && value.total === 17),
    'the total of 1+2+3+4+7',
    30_000,
  )
  await run.stop()
})

test('nothing is appended after a record that the log has lost', async (t) => {
  const { log, space } = await open(t)
  const record = { topic: 'numbers', key: 'a', value: Buffer.from('x') }
  const [first] = await log.append([record])
  const [second] = await log.append([record])
  await powerLoss([{ topic: `${space}numbers`, offset: 1 }])
  // A log that has appended nothing itself, so that only the caller's mark can tell.
  const fresh = await openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-process', namespace: space })
  t.after(() => fresh.close())
  await assert.rejects(fresh.append([record], { after: [second!] }), { code: 'ANDON_LOG_TAIL_LOST', retriable: true })
  const [next] = await fresh.append([record], { after: [first!] })
  assert.equal(next!.offset, 1)
  assert.ok(next!.leaderEpoch > second!.leaderEpoch)
})
