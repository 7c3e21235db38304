import { test } from 'node:test'
import { openCodec, openKafkaLog } from '@andon/kit'
import { startKafka, startRegistry } from '@andon/platform'
import { topology } from '@andon/schemas'
import { reviewFindingsBecomeWork } from './review-rig.ts'

test('on a real broker a fault mode that has drifted opens an incident by policy', async (t) => {
  const kafka = await startKafka()
  t.after(() => kafka.stop())
  const registry = await startRegistry({ brokers: kafka.brokers })
  t.after(() => registry.stop())
  const log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'test' })
  t.after(() => log.close())
  const codec = await openCodec({ registryUrl: registry.url })
  await log.admin.ensureTopics(Object.entries(topology.topics).map(([name, { partitions, configs }]) => ({ name, partitions, configs })))
  await reviewFindingsBecomeWork(t, log, codec)
})
