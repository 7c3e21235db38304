// andon schemas against a real registry.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startKafka, startRegistry } from '@andon/platform'
import { avroSchemas } from '@andon/schemas'
import { registryClient } from '../src/data/registry.ts'
import { andon } from './command.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
after(async () => {
  await registry.stop()
  await kafka.stop()
})
const environment = { ANDON_REGISTRY_URL: registry.url, ANDON_HOME: '/nonexistent-andon-home' }
const client = registryClient(registry.url)

test('register only says what it would do, then does it once', async () => {
  assert.match((await andon(['schemas', 'register', 'features'], environment)).out, /features-value {2}would become version 1/)
  assert.deepEqual(await client.versions('features-value'), [])
  assert.match((await andon(['schemas', 'register', 'features', '--yes'], environment)).out, /version 1, id \d+: registered/)
  assert.match((await andon(['schemas', 'register', 'features', '--yes'], environment)).out, /there already/)
  assert.equal((await client.versions('features-value')).length, 1)
})

test('diff tells versions apart, and rollback makes the earlier one the newest', async () => {
  const later = {
    ...avroSchemas.features,
    fields: [...avroSchemas.features.fields, { name: 'shift', type: ['null', 'string'], default: null, doc: 'Shift.' }],
  }
  await client.register('features-value', later as typeof avroSchemas.features)
  assert.match((await andon(['schemas', 'diff', 'features', '1', '2'], environment)).out, /added field shift: null or string, default null/)
  assert.match((await andon(['schemas', 'diff', 'features'], environment)).out, /removed field shift/)

  const dry = await andon(['schemas', 'rollback', 'features'], environment)
  assert.match(dry.out, /version 3 would say what version 1 says/)
  const done = await andon(['schemas', 'rollback', 'features', '--yes'], environment)
  assert.equal(done.code, 0, done.err)
  const versions = await client.versions('features-value')
  assert.equal(versions.length, 3)
  assert.deepEqual(versions[2]?.schema.fields, versions[0]?.schema.fields)
})

test('check names the field that broke, and fails', async () => {
  const ok = await andon(['schemas', 'check', '--json'], environment)
  assert.equal(ok.code, 0, ok.err)
  await client.register('models-value', {
    ...avroSchemas.models,
    fields: avroSchemas.models.fields.map((field) => (field.name === 'version' ? { ...field, type: 'string' } : field)),
  })
  const { code, out, err } = await andon(['schemas', 'check', 'models'], environment)
  assert.equal(code, 1)
  assert.match(out, /NO {2}models[\s\S]*version: today cannot read registry version 1/)
  assert.match(err, /ANDON_CLI_SCHEMA_INCOMPATIBLE/)
  assert.equal((await andon(['schemas', 'check', 'models', '--offline'], environment)).code, 0)
})
