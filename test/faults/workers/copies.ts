// Kafka's own test service: copies numbers in transactions of 750 that carry the outputs and the position together.

import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaLog } from '@andon/kit'
import type { KafkaLogOptions } from '@andon/kit'
import { onTermination, tell, workerConfig } from './worker.ts'

const TRANSACTION_RECORDS = 750

interface Config {
  readonly brokers: readonly string[]
  readonly namespace: string
  readonly client: NonNullable<KafkaLogOptions['client']>
  /** Pause inside each transaction, ms, so that a fault finds it open. */
  readonly paceMs: number
  readonly sessionMs: number
}

const config = workerConfig<Config>()

const log = await openKafkaLog({
  brokers: config.brokers,
  clientId: 'faults-copies',
  namespace: config.namespace,
  client: config.client,
  appendDeadlineMs: 30_000,
  timing: { sessionMs: config.sessionMs, heartbeatMs: 500, rebalanceMs: 10_000 },
})
const run = await log.runTransactional({
  group: 'copies',
  topics: ['numbers'],
  commitEveryMs: 0,
  timeoutMs: 40_000,
  onBatch: async (batch, { append }) => {
    const records = batch.records.slice(0, TRANSACTION_RECORDS)
    await append(records.map(({ partition, key, value }) => ({ topic: 'totals', partition, key, value })))
    await sleep(config.paceMs)
    const last = records.at(-1)
    return last && records.length < batch.records.length ? last.offset + 1 : undefined
  },
})
onTermination(async () => {
  await run.stop()
  await log.close()
})
run.ended.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
tell({ ready: true })
