// Three brokers as one cluster: what a client is told, what survives the loss of a node, and what may be done to one node alone.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaLog } from '@andon/kit'
import { startKafka } from '../src/index.ts'
import { describeBroker } from '../src/kafka/wire.ts'
import { isPortFree, startTicks } from '../src/processes.ts'

const dir = mkdtempSync(join(tmpdir(), 'andon-cluster-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const kafka = await startKafka({ brokers: 3, dir })
after(() => kafka.stop())

test('three brokers are one cluster', async () => {
  const descriptions = await Promise.all(kafka.nodes.map(({ port }) => describeBroker(port)))
  assert.equal(new Set(descriptions.map(({ clusterId }) => clusterId)).size, 1)
  for (const { ports } of descriptions) assert.deepEqual(new Set(ports), new Set(kafka.nodes.map(({ port }) => port)))
})

test('an acknowledged record outlives the kill of a node, and the node comes back', async (t) => {
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'cluster-test', appendDeadlineMs: 60_000 })
  t.after(() => log.close())
  await log.admin.ensureTopics([{ name: 'numbers', partitions: 3 }])
  await log.append([0, 1, 2].map((partition) => ({ topic: 'numbers', key: null, partition, value: Buffer.from('1') })))
  const [first] = kafka.nodes
  await first!.kill()
  const highs = (await log.admin.watermarks('numbers')).map(({ high }) => high)
  assert.deepEqual(highs, [1, 1, 1])
  await log.append([{ topic: 'numbers', key: null, partition: 0, value: Buffer.from('2') }])
  await first!.restart()
  while ((await describeBroker(first!.port)).brokers < 3) await sleep(100)
})

test('a paused node answers nothing and goes on afterwards', async () => {
  const [, second] = kafka.nodes
  second!.pause()
  await assert.rejects(describeBroker(second!.port))
  second!.resume()
  for (;;) {
    const description = await describeBroker(second!.port).catch(() => undefined)
    if (description?.brokers === 3) break
    await sleep(100)
  }
})

test('a stopped cluster leaves no process and no port, and starts again as the same cluster', async () => {
  const { clusterId } = await describeBroker(kafka.port)
  await kafka.restart()
  assert.equal((await describeBroker(kafka.port)).clusterId, clusterId)
  const pids = kafka.nodes.map(({ pid }) => pid)
  await kafka.stop()
  for (const pid of pids) assert.equal(startTicks(pid), undefined)
  for (const { port } of kafka.nodes) assert.equal(await isPortFree(port), true)
  assert.ok(existsSync(dir), 'a folder that the caller named stays')
})
