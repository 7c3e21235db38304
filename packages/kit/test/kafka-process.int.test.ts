// The processing loop on a real broker that loses its unflushed tail: state and outputs come out as if nothing had
// happened, while the service stays up.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { DedupeMarks, compareOrders, openKafkaLog, parseCause, parseOrder } from '@andon/kit'
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

/** Totals as a reader sees them that drops repeats, of inputs that are still in their log. */
const keptTotals = async (log: Log): Promise<number[]> => {
  const causes = new Set<string>()
  for await (const batch of log.read({ topic: 'numbers', partition: 0, from: 'earliest', to: 'latest' }))
    for (const { leaderEpoch, offset } of batch.records) causes.add(`${leaderEpoch}/${offset}`)
  const marks = new DedupeMarks()
  return (await outputs(log))
    .filter(({ cause }) => marks.admit(parseCause(cause), 'live'))
    .filter(({ cause }) => causes.has(`${parseCause(cause)!.leaderEpoch}/${parseCause(cause)!.offset}`))
    .map(({ value }) => value.total)
}

/** The adder as a process of its own; resolves once it runs. */
const startProcess = async (t: TestContext, space: string, delayMs = 0): Promise<{ child: ChildProcess; said: () => string }> => {
  const script = fileURLToPath(new URL('schedules/adder-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, kafka.brokers.join(','), space, String(delayMs)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout!.on('data', (bytes: Buffer) => (said += bytes.toString()))
  await until(() => said.includes('running'), 'the process to run', 60_000)
  return { child, said: () => said }
}

test('row 4: after kill -9 the position comes from the snapshot, whatever was committed', async (t) => {
  const { log, space } = await open(t)
  const { child } = await startProcess(t, space)
  await addOneByOne(log, 1, 2, 3)
  await until(async () => (await log.admin.committed('adder', 'numbers')).get(0) === 3, 'the commit', 30_000)
  child.kill('SIGKILL')
  const run = await start(log, { open: totals })
  await addOneByOne(log, 4)
  await until(async () => (await keptTotals(log)).length === 4, 'all totals', 60_000)
  assert.deepEqual(await keptTotals(log), [1, 3, 6, 10])
  await run.stop()
})

test('row 5: a snapshot whose outputs are lost is passed over at the next start', async (t) => {
  const { log, space } = await open(t)
  const first = await start(log, { open: totals, snapshotEveryRecords: 1 })
  await addOneByOne(log, 1, 2, 3)
  await until(async () => (await outputs(log)).length === 3)
  await first.stop()
  await powerLoss([{ topic: `${space}totals`, offset: 1 }])
  const next = await start(log, { open: totals })
  await until(async () => (await outputs(log)).length >= 3, 'the lost outputs', 30_000)
  assert.deepEqual(await keptTotals(log), [1, 3, 6])
  await next.stop()
})

test('row 6: a record that lies on its offset again, above others than before, is not the record of the mark', async (t) => {
  const { log, space } = await open(t)
  const put = (id: string, n: number) =>
    log.append([{ topic: 'numbers', key: 'a', value: Buffer.from(JSON.stringify({ n })), headers: { ce_id: id } }])
  const first = await start(log, { open: totals, snapshotEveryRecords: 1 })
  await put('kept', 1)
  await put('lost', 2)
  await put('again', 4)
  await until(async () => (await outputs(log)).length === 3)
  await first.stop()
  await powerLoss([{ topic: `${space}numbers`, offset: 1 }])
  await put('other', 100).catch(() => put('other', 100)) // hears once that its log lost a tail
  await put('again', 4)
  const next = await start(log, { open: totals })
  await until(async () => (await keptTotals(log)).length === 3, 'totals of the new log', 30_000)
  assert.deepEqual(await keptTotals(log), [1, 101, 105])
  await next.stop()
})

test('row 9: what is passed on again after a cut has the order it had', async (t) => {
  const { log, space } = await open(t)
  await log.admin.ensureTopics([{ name: 'finals', partitions: 1 }])
  const relay = () => ({
    handle: async (batch: Parameters<ReturnType<typeof doubles>['handle']>[0]) => {
      const out = await doubles().handle(batch)
      for (const { output } of out.outputs) Object.assign(output, { topic: 'finals' })
      return out
    },
  })
  const adding = await start(log, { open: totals })
  const relaying = await start(log, { service: 'relay', input: 'totals', outputs: ['finals'], open: relay })
  await addOneByOne(log, 1, 2)
  await until(async () => (await outputs(log, 'finals')).length === 2, 'both passed on', 30_000)
  await powerLoss([{ topic: `${space}totals`, offset: 1 }])
  const orders = async () => {
    const found = []
    for await (const batch of log.read({ topic: 'finals', partition: 0, from: 'earliest', to: 'latest' }))
      for (const record of batch.records) found.push(parseOrder(record.header('andon-order'))!)
    return found
  }
  const isThereAgain = async (): Promise<boolean> => {
    const [, lost, ...later] = await orders()
    return later.some((order) => compareOrders(order, lost!) === 0)
  }
  await until(isThereAgain, 'the lost one passed on again, in its old place', 60_000)
  await Promise.all([adding.stop(), relaying.stop()])
})

test('row 11: an owner that was stopped with outputs in flight, and woke up after a takeover and a cut, adds nothing wrong', async (t) => {
  const { log, space } = await open(t)
  const { child, said } = await startProcess(t, space, 1500)
  await addOneByOne(log, 1)
  await until(async () => (await outputs(log)).length === 1, 'the first total', 30_000)
  await addOneByOne(log, 2, 3)
  await until(() => said().split('handled').length > 2, 'a batch in its hands', 30_000)
  child.kill('SIGSTOP')
  const run = await start(log, { open: totals })
  await until(async () => (await outputs(log)).length >= 4, 'the takeover', 60_000)
  await powerLoss([{ topic: `${space}totals`, offset: 1 }])
  child.kill('SIGCONT')
  await addOneByOne(log, 4)
  await until(async () => (await keptTotals(log)).at(-1) === 10, 'the last total', 60_000)
  assert.deepEqual(await keptTotals(log), [1, 3, 6, 10])
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
