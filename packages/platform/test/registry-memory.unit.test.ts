// The conformance suite on an in-memory log, and the rules a broker is not needed for.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { type Log, openMemoryLog } from '@andon/kit'
import { registryApp } from '../src/registry/app.ts'
import { decodeEntry, encodeEntry } from '../src/registry/records.ts'
import { createRegistry } from '../src/registry/registry.ts'
import { SCHEMAS_TOPIC, openRegistryStore } from '../src/registry/store.ts'
import { registryConformance } from './registry-conformance.ts'

const schema = (field: string) => JSON.stringify({ type: 'record', name: 'R', fields: [{ name: field, type: 'int', default: 0 }] })

const keys = async (log: Log): Promise<string[]> => {
  const found: string[] = []
  for await (const batch of log.read({ topic: SCHEMAS_TOPIC, partition: 0, from: 'earliest', to: 'latest' }))
    found.push(...batch.records.map((each) => each.key ?? ''))
  return found
}

registryConformance('in memory', async () => {
  const log = openMemoryLog({})
  const store = await openRegistryStore(log, 0)
  const server = createServer(registryApp(createRegistry(store)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await store.close()
      await log.close()
    },
  }
})

test('records are byte for byte those of the Confluent registry', async () => {
  const value = { subject: 't-value', version: 1, id: 1, schema: '"int"', deleted: false }
  const cases = [
    [
      { kind: 'schema', subject: 't-value', version: 1, value },
      '{"keytype":"SCHEMA","subject":"t-value","version":1,"magic":1}',
      JSON.stringify(value),
    ],
    [
      { kind: 'config', subject: null, level: 'FULL' },
      '{"keytype":"CONFIG","subject":null,"magic":0}',
      '{"subject":null,"compatibilityLevel":"FULL"}',
    ],
    [{ kind: 'mode', subject: 's', mode: 'READONLY' }, '{"keytype":"MODE","subject":"s","magic":0}', '{"subject":"s","mode":"READONLY"}'],
    [
      { kind: 'delete-subject', subject: 's', version: 3 },
      '{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}',
      '{"subject":"s","version":3}',
    ],
    [{ kind: 'noop' }, '{"keytype":"NOOP","magic":0}', null],
  ] as const
  for (const [entry, key, text] of cases) {
    const encoded = encodeEntry(entry)
    assert.deepEqual({ key: encoded.key, value: encoded.value?.toString() ?? null }, { key, value: text })
    assert.deepEqual(decodeEntry(encoded.key, encoded.value), entry)
  }
})

test('what others write into the topic does not stop the registry', async () => {
  const log = openMemoryLog({})
  const first = await openRegistryStore(log, 0)
  const foreign = ['{"keytype":"CONTEXT","magic":0}', 'no json', '{"keytype":"SCHEMA","subject":"p","version":1,"magic":1}']
  const protobuf = Buffer.from('{"subject":"p","version":1,"id":9,"schemaType":"PROTOBUF","schema":"syntax","deleted":false}')
  await log.append(foreign.map((key) => ({ topic: SCHEMAS_TOPIC, partition: 0, key, value: protobuf })))
  await first.catchUp()
  assert.deepEqual(first.state.subjects(), [])
  await first.close()
  await log.close()
})

test('a restart reads the same ids, versions, levels and modes', async () => {
  const log = openMemoryLog({})
  const before = await openRegistryStore(log, 0)
  const registry = createRegistry(before)
  await registry.setLevel('s-value', 'NONE')
  for (const field of ['a', 'b', 'c']) await registry.register('s-value', { schema: schema(field) })
  await registry.deleteVersion('s-value', '3', false)
  await registry.deleteVersion('s-value', '3', true)
  await registry.setMode('other', 'READONLY', false)
  await before.close()

  const after = await openRegistryStore(log, 0)
  assert.deepEqual(after.state.all(), before.state.all())
  assert.equal(after.state.level('s-value'), 'NONE')
  assert.equal(after.state.mode('other'), 'READONLY')
  assert.equal(await createRegistry(after).register('s-value', { schema: schema('d') }), 4, 'id 3 stays retired')
  await after.close()
  await log.close()
})

test('a second registry on the topic refuses to run, the first goes on', async () => {
  const log = openMemoryLog({})
  const first = await openRegistryStore(log, 20)
  await assert.rejects(openRegistryStore(log, 200), { code: 'ANDON_REGISTRY_SECOND_WRITER' })
  assert.equal(await createRegistry(first).register('s-value', { schema: schema('a') }), 1)
  await first.close()
  await log.close()
})

test('a refused registration writes nothing', async () => {
  const log = openMemoryLog({})
  const store = await openRegistryStore(log, 0)
  const registry = createRegistry(store)
  await registry.register('s-value', { schema: schema('a') })
  const before = (await keys(log)).length
  const breaking = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'x', type: 'int' }] })
  await assert.rejects(registry.register('s-value', { schema: breaking }), { code: 409 })
  assert.equal((await keys(log)).length, before)
  await store.close()
  await log.close()
})
