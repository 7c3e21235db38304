// The Kafka log keeps the promises of the log port, on a real broker and over either client's connections.

import { after, before } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { conformance } from './log-conformance.ts'

let kafka: Kafka

before(async () => {
  kafka = await startKafka()
})

after(() => kafka.stop())

for (const client of ['kafkajs', 'platformatic'] as const)
  conformance(client, {
    patienceMs: 15_000,
    open: (namespace) => openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-test', namespace: `${client}-${namespace}`, client }),
  })
