// The Kafka log keeps the promises of the log port, on a real broker and over either client's connections.

import { after, before } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import type { KafkaClient, KafkaLog, KafkaLogOptions } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { conformance } from './log-conformance.ts'

let kafka: Kafka

before(async () => {
  kafka = await startKafka()
})

after(() => kafka.stop())

for (const client of ['kafkajs', 'platformatic'] as const satisfies KafkaClient[]) {
  const open = (namespace: string, options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> =>
    openKafkaLog({ brokers: kafka.brokers, clientId: 'kit-test', namespace, client, ...options })
  conformance(client, {
    patienceMs: 30_000,
    open,
    trim: (log, topic, partition, before) => (log as KafkaLog).admin.deleteRecords(topic, partition, before),
    kafka: { client, brokers: () => kafka.brokers, port: () => kafka.port, open },
  })
}
