// Single servers as tests use them, and what the broker promises on one node.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { startKafka, startNats, startRedis } from '../src/index.ts'
import { coordinatorsAreLoaded, describeBroker } from '../src/kafka/wire.ts'
import { isPortFree, startTicks } from '../src/processes.ts'

const kafka = await startKafka()
after(() => kafka.stop())

test('a started broker has its coordinators loaded', async () => {
  assert.equal((await describeBroker(kafka.port)).brokers, 1)
  assert.equal(await coordinatorsAreLoaded(kafka.port), true)
})

test('a killed broker comes back on its port as the same cluster', async () => {
  const { clusterId } = await describeBroker(kafka.port)
  const { pid } = kafka
  assert.equal((await kafka.kill()).signal, 'SIGKILL')
  await kafka.restart()
  assert.notEqual(kafka.pid, pid)
  assert.equal((await describeBroker(kafka.port)).clusterId, clusterId)
})

test('two brokers are two clusters', async () => {
  const other = await startKafka()
  try {
    assert.notEqual((await describeBroker(other.port)).clusterId, (await describeBroker(kafka.port)).clusterId)
  } finally {
    await other.stop()
  }
})

for (const [name, start] of [
  ['redis', startRedis],
  ['nats', startNats],
] as const) {
  test(`${name} leaves no process and no port`, async () => {
    const server = await start()
    const { pid, port } = server
    assert.equal(await isPortFree(port), false)
    await server.stop()
    assert.equal(startTicks(pid), undefined)
    assert.equal(await isPortFree(port), true)
  })
}

test('one node flushes as DESIGN.md §3.1 says', () => {
  const file = `/proc/${kafka.pid}/cmdline`
  if (!existsSync(file)) return
  const properties = readFileSync(readFileSync(file, 'utf8').split('\0').filter(Boolean).at(-1) as string, 'utf8')
  assert.match(properties, /^log\.flush\.scheduler\.interval\.ms=1000$/m)
  assert.match(properties, /^log\.flush\.interval\.ms=5000$/m)
})
