// topics against a real broker and registry.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { HEADER, openCodec, openKafkaLog } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { andon } from './command.ts'

const kafka = await startKafka()
const registry = await startRegistry({ brokers: kafka.brokers })
const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
after(async () => {
  await log.close()
  await registry.stop()
  await kafka.stop()
})
const environment = { ANDON_KAFKA_BROKERS: kafka.brokers.join(), ANDON_REGISTRY_URL: registry.url, ANDON_HOME: '/nonexistent-andon-home' }

await log.admin.ensureTopics([{ name: 'telemetry', partitions: 2 }])
const codec = await openCodec({ registryUrl: registry.url })
const tick = codec.encode('telemetry', { type: 'tick', assetId: '', block: null, tick: { instance: 'i-1', upToUs: 7 } })
await log.append([
  { topic: 'telemetry', partition: 1, key: null, value: tick, headers: { [HEADER.type]: 'andon.telemetry.tick' } },
  { topic: 'telemetry', partition: 0, key: 'press-1', value: Buffer.from('rubbish') },
])

test('topics list counts records', async () => {
  const { code, out, err } = await andon(['topics', 'list', '--json'], environment)
  assert.equal(code, 0, err)
  const { topics } = JSON.parse(out) as { topics: { name: string; records: number }[] }
  assert.deepEqual(
    topics.find((each) => each.name === 'telemetry'),
    { name: 'telemetry', partitions: 2, records: 2 },
  )
})

test('topics read decodes a record and says why it cannot decode another', async () => {
  const { code, out, err } = await andon(['topics', 'read', 'telemetry', '--json'], environment)
  assert.equal(code, 0, err)
  const records = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { partition: number; value: { tick?: { upToUs: number }; undecodable?: string } })
  assert.equal(records.find((each) => each.partition === 1)?.value.tick?.upToUs, 7)
  assert.equal(typeof records.find((each) => each.partition === 0)?.value.undecodable, 'string')
})

test('topics read begins where it is told, and refuses what is no offset', async () => {
  const read = async (...words: string[]) => {
    const { out } = await andon(['topics', 'read', 'telemetry', '--json', '-p', '1', ...words], environment)
    return out === '' ? 0 : out.trim().split('\n').length
  }
  assert.deepEqual([await read('--from', 'earliest'), await read('--from', '0'), await read('--from', '1')], [1, 1, 0])
  const { code, err } = await andon(['topics', 'read', 'telemetry', '--from', 'yesterday'], environment)
  assert.equal(code, 2)
  assert.match(err, /--from: expected a whole number, found "yesterday"/)
})
