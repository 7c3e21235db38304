// Webhook deliveries to a receiver on this machine: how many a core of the dispatching process makes, and what memory that takes.

import { limit, load, rounded } from '../../harness/bench-measurement.ts'
import type { Benchmark } from '../benchmark.ts'
import { nextMessage, startWorker } from './worker.ts'

const DELIVERIES = 20_000
const PER_CORE_SECOND = 1_000
const MOST_MIB = 64

export const webhooks: Benchmark = {
  name: 'webhooks',
  ids: ['webhooks', 'webhooks-memory'],
  async run({ records = DELIVERIES }) {
    const receiver = startWorker('receiver.ts')
    const { port } = await nextMessage<{ port: number }>(receiver)
    const dispatcher = startWorker('dispatcher.ts', port, records)
    try {
      const cost = await nextMessage<{ cpuSeconds: number; wallSeconds: number; growthMiB: number }>(dispatcher)
      const perSecond = records / Math.max(cost.cpuSeconds, cost.wallSeconds)
      const detail = { deliveries: records, ...cost, load: load() }
      return [
        {
          id: 'webhooks',
          score: rounded(perSecond / PER_CORE_SECOND),
          value: rounded(perSecond),
          required: PER_CORE_SECOND,
          unit: 'deliveries/s on one core',
          samples: 1,
          detail,
          isLimit: false,
        },
        limit('webhooks-memory', cost.growthMiB, MOST_MIB, 'MiB more RSS', 1, { load: load() }),
      ]
    } finally {
      receiver.kill()
      dispatcher.kill()
    }
  },
}
