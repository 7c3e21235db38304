// The registry as a process on a real broker: the conformance suite, and ids that survive every kind of end.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import { startKafka, startRegistry } from '../src/index.ts'
import { SCHEMAS_TOPIC } from '../src/registry/store.ts'
import { registryConformance } from './registry-conformance.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
after(async () => {
  await registry.stop()
  await kafka.stop()
})

registryConformance('ours on Kafka', () => Promise.resolve({ url: registry.url, close: () => Promise.resolve() }))

const call = async (method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> => {
  const response = await fetch(`${registry.url}${path}`, {
    method,
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
const schema = (field: string) => JSON.stringify({ type: 'record', name: 'R', fields: [{ name: field, type: 'int', default: 0 }] })
const register = (subject: string, field: string) => call('POST', `/subjects/${subject}/versions`, { schema: schema(field) })

test('an answered id survives kill -9 of the registry, and the next id is a new one', async () => {
  const ids: number[] = []
  for (let round = 0; round < 3; round++) {
    const field = `f${randomUUID().replaceAll('-', '')}`
    const { body } = await register(`kill-${round}-value`, field)
    await registry.kill()
    await registry.restart()
    ids.push(body['id'] as number)
    const found = await call('GET', `/schemas/ids/${String(body['id'])}`)
    assert.equal(found.body['schema'], schema(field))
    assert.equal((await register(`kill-again-${round}-value`, field)).body['id'], body['id'])
  }
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((a, b) => a - b),
  )
})

test('an answered id survives kill -9 of the broker', async () => {
  const field = `b${randomUUID().replaceAll('-', '')}`
  const { body } = await register('broker-value', field)
  await kafka.kill()
  await kafka.restart()
  await registry.restart()
  assert.equal((await call('GET', `/schemas/ids/${String(body['id'])}`)).body['schema'], schema(field))
})

test('the registry goes on after the broker was away', async () => {
  await kafka.kill()
  await kafka.restart()
  const field = `a${randomUUID().replaceAll('-', '')}`
  const deadline = Date.now() + 30_000
  let answer = await register('away-value', field).catch(() => undefined)
  while (answer?.status !== 200 && Date.now() < deadline) answer = await register('away-value', field).catch(() => undefined)
  assert.equal(answer?.status, 200)
})

test('a second registry on the same broker refuses to start', async () => {
  await assert.rejects(startRegistry({ brokers: kafka.brokers }), /Another schema registry writes _schemas/)
  assert.equal((await call('GET', '/subjects')).status, 200)
})

test('a registry without a broker says so at once', async () => {
  const startedMs = Date.now()
  await assert.rejects(
    startRegistry({ brokers: ['127.0.0.1:1'] }),
    /ANDON_KAFKA_BROKERS: expected a server that answers, found none at 127\.0\.0\.1:1/,
  )
  assert.ok(Date.now() - startedMs < 20_000, `took ${Date.now() - startedMs} ms`)
})

test('_schemas is compacted and flushed record by record', async () => {
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  try {
    assert.equal(await log.admin.partitions(SCHEMAS_TOPIC), 1)
    const keys: string[] = []
    for await (const batch of log.read({ topic: SCHEMAS_TOPIC, partition: 0, from: 'earliest', to: 'latest' }))
      keys.push(...batch.records.map((each) => each.key ?? ''))
    assert.ok(keys.includes('{"keytype":"SCHEMA","subject":"broker-value","version":1,"magic":1}'))
  } finally {
    await log.close()
  }
})
