// The Kafka log keeps the promises of the log port, on a real broker.

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

conformance('kafka', {
  patienceMs: 15_000,
  open: (namespace) => openKafkaLog({ brokers: [`127.0.0.1:${kafka.port}`], clientId: 'kit-test', namespace }),
})
