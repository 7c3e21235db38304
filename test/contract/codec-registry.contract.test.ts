// The kit's codec and the platform's registry, against each other: the registry on an in-memory log.

import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { listen, openCodec, openMemoryLog } from '@andon/kit'
import { avroSchemas } from '@andon/schemas'
import type { Telemetry } from '@andon/schemas'
import { registryApp } from '../../packages/platform/src/registry/app.ts'
import { createRegistry } from '../../packages/platform/src/registry/registry.ts'
import { openRegistryStore } from '../../packages/platform/src/registry/store.ts'
import { avroType } from '../../packages/kit/src/avro-types.ts'

const log = openMemoryLog({})
const store = await openRegistryStore(log, 0)
const server = createServer(registryApp(createRegistry(store)))
const registryUrl = `http://127.0.0.1:${await listen(server, { host: '127.0.0.1', port: 0, setting: 'REGISTRY_PORT' })}`
after(async () => {
  server.closeAllConnections()
  server.close()
  await store.close()
  await log.close()
})

const register = (schema: object) =>
  fetch(`${registryUrl}/subjects/telemetry-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: JSON.stringify(schema) }),
  })

test('services that start at once, registering or only looking up, agree on the ids', async () => {
  const codecs = await Promise.all(Array.from({ length: 7 }, () => openCodec({ registryUrl })))
  codecs.push(await openCodec({ registryUrl, autoRegister: false }))
  for (const topic of ['telemetry', 'actions', 'features.changelog'])
    assert.equal(new Set(codecs.map((codec) => codec.schemaId(topic))).size, 1)
  const [first, second] = codecs
  const bytes = first?.encode('telemetry', { type: 'tick', tick: { instance: 'ingest-0', upToUs: 7 } })
  assert.equal(second?.decode<Telemetry>('telemetry', bytes as Buffer).tick?.upToUs, 7)
})

test("a compatible writer's records are read; an incompatible schema is refused before anybody writes with it", async () => {
  const codec = await openCodec({ registryUrl })
  const fields = avroSchemas.telemetry.fields
  const newer = { ...avroSchemas.telemetry, fields: [...fields, { name: 'added', type: 'string', default: '' }] }
  const answer = await register(newer)
  const { id } = (await answer.json()) as { id: number }
  assert.equal(answer.status, 200)
  const frame = Buffer.alloc(5)
  frame.writeInt32BE(id, 1)
  const value = { type: 'tick', assetId: '', block: null, tick: { instance: 'ingest-0', upToUs: 7 }, added: 'new' }
  const read = await codec.decodeAsync<Telemetry>('telemetry', Buffer.concat([frame, avroType(newer).toBuffer(value)]))
  assert.equal(read.tick?.upToUs, 7)
  const breaking = { ...avroSchemas.telemetry, fields: [...fields, { name: 'required', type: 'string' }] }
  assert.equal((await register(breaking)).status, 409)
})

test('a tool reads topics that it has no schema for as their writer wrote them, and writes none', async () => {
  const schemas = { readings: { type: 'record', name: 'Reading', fields: [{ name: 'value', type: 'double' }] } }
  const service = await openCodec({ registryUrl, schemas })
  const tool = await openCodec({ registryUrl, readsAnyTopic: true })
  const bytes = service.encode('readings', { value: 1.5 })
  assert.deepEqual(await tool.decodeAsync('readings', bytes), { value: 1.5 })
  assert.deepEqual(await service.decodeAsync('readings.run.7', bytes), { value: 1.5 })
  assert.throws(() => tool.encode('readings', { value: 1.5 }), { code: 'ANDON_CODEC_TOPIC' })
  await assert.rejects((await openCodec({ registryUrl })).decodeAsync('readings', bytes), { code: 'ANDON_CODEC_TOPIC' })
})
