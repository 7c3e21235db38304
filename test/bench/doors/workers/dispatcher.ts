// Webhook deliveries alone, from a log in memory that is always a little ahead of them: what they cost this process.

import { fact, ownershipTaken, sign } from '@andon/decisions'
import { createLogger, createMetrics, localCodec, openMemoryLog } from '@andon/kit'
import { ACTIONS, openActionsLog } from '../../../../services/actions/src/actions-log.ts'
import { webhookSender } from '../../../../services/actions/src/adapters/webhook.ts'
import { webhooksPart } from '../../../../services/actions/src/webhooks.ts'

const [port, deliveries] = process.argv.slice(2).map(Number) as [number, number]
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const PARTITIONS = 4
const AT_ONCE = 50
/** Facts on the log that are not delivered yet. */
const AHEAD = 1_000

const logger = createLogger({ service: 'actions', level: 'silent' })
const log = openMemoryLog({ partitions: PARTITIONS })
const codec = localCodec()
await log.admin.ensureTopics([{ name: ACTIONS, partitions: PARTITIONS }])
const actionsLog = openActionsLog(log, codec, logger)
const atUs = Date.now() * 1000
for (let partition = 0; partition < PARTITIONS; partition += 1) {
  await actionsLog.append(partition, [ownershipTaken(`line-${partition}`, 1, 'bench', atUs)])
}
/** Some facts more in each partition. */
const append = async (from: number): Promise<void> => {
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const facts = Array.from({ length: AT_ONCE }, (_, i) =>
      fact('Notified', `line-${partition}`, atUs, [from + i], { title: 'smtp to 2 technicians', assetId: 'press-1' }),
    )
    await actionsLog.append(partition, sign(facts, 1, 'bench'))
  }
}
const metrics = createMetrics('actions')
const sender = webhookSender({ allow: ['127.0.0.1'] })
const webhooks = webhooksPart({
  log,
  actionsLog,
  codec,
  sender,
  secretOf: () => SECRET,
  timeoutMs: 5_000,
  maxAgeMs: 3_600_000,
  nowMs: () => Date.now(),
  logger,
  metrics,
})
const counted = metrics.counter('andon_actions_webhook_deliveries_total', 'Attempts to deliver an event', ['endpoint', 'outcome'])
const delivered = async (): Promise<number> =>
  (await counted.get()).values.filter(({ labels }) => labels['outcome'] === 'delivered').reduce((sum, { value }) => sum + value, 0)

globalThis.gc?.()
const rssBefore = process.memoryUsage.rss()
const from = process.cpuUsage()
const startedMs = performance.now()
let rssMost = rssBefore
await webhooks.set([{ id: 'bench', url: `http://127.0.0.1:${port}/`, secretEnv: 'ACTIONS_WEBHOOK_SECRET', types: [] }])
for (let appended = 0, done = 0; done < deliveries; done = await delivered()) {
  for (; appended < deliveries && appended - done < AHEAD; appended += AT_ONCE * PARTITIONS) await append(appended)
  rssMost = Math.max(rssMost, process.memoryUsage.rss())
  await new Promise((resolve) => setTimeout(resolve, 10))
}
const { user, system } = process.cpuUsage(from)
process.send?.({
  cpuSeconds: (user + system) / 1e6,
  wallSeconds: (performance.now() - startedMs) / 1000,
  growthMiB: (rssMost - rssBefore) / 1_048_576,
})
await webhooks.stop()
sender.close()
process.disconnect?.()
