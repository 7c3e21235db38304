// Contender `idle.ts <broker> <run topic> <follow topics,…>`: a service as runService makes it, with one run, three follows, metrics and
// an admin door, on topics to which nobody writes. One round = 100 ms of doing nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger, createMetrics, openKafkaLog, startService } from '@andon/kit'
import type { Follow, Log, Run, Service } from '@andon/kit'
import { serveContender } from '../../../harness/bench-process.ts'

const ROUND_MS = 100
const FOLLOWS = 3

const [broker = '', runTopic = '', followTopics = ''] = process.argv.slice(2)
let log: Log
let run: Run
let follows: Follow[]
const service: Service = {
  name: 'bench',
  logger: createLogger({ service: 'bench', level: 'warn' }),
  metrics: createMetrics('bench', { withProcess: true }),
  admin: { host: '127.0.0.1', port: 0 },
  parts: [
    {
      name: 'log',
      async start() {
        log = await openKafkaLog({ brokers: [broker], clientId: 'bench' })
        const topics = followTopics.split(',')
        const groups = Array.from({ length: FOLLOWS }, (_, i) => topics.filter((_topic, at) => at % FOLLOWS === i))
        follows = await Promise.all(groups.map((group) => log.follow({ topics: group, onBatch: () => {} })))
        run = await log.run({ group: 'bench-idle', topics: [runTopic], onBatch: async () => {} })
      },
      async stop() {
        await run.stop()
        await Promise.all(follows.map((follow) => follow.stop()))
        await log.close()
      },
    },
  ],
}
const running = await startService(service)
await Promise.all(follows!.map((follow) => follow.caughtUp()))
await serveContender(
  {},
  async (rounds) => {
    await sleep(rounds * ROUND_MS)
    return rounds
  },
  () => running.stop(),
)
process.exit(0)
