// Contender `service.ts <records>`: the features service with the settings of its environment, let on in portions. One round = that
// many records of telemetry handled, their vectors acknowledged. Only its door to the log is ours: between rounds it gets no batch.
// It runs what a replay runs of it: all but the part that reads the vectors again and keeps the latest ones in Redis.

import { openLog, startService } from '@andon/kit'
import type { KafkaLog, OpenedLog, RecordBatch } from '@andon/kit'
import { loadConfig } from '../../../../services/features/src/config.ts'
import { createFeaturesService } from '../../../../services/features/src/service.ts'
import { serveContender } from '../../../harness/bench-process.ts'
import { Meter } from '../../core/endless.ts'

const perRound = Number(process.argv[2])
const meter = new Meter()

type OnBatch<Context, Result> = (batch: RecordBatch, context: Context) => Promise<Result>
const gated =
  <Context, Result>(onBatch: OnBatch<Context, Result>): OnBatch<Context, Result> =>
  (batch, context) =>
    meter.append(batch.count, () => onBatch(batch, context))

const config = loadConfig(process.env)
const open = async (): Promise<OpenedLog> => {
  const { log, codec } = (await openLog(config, 'features')) as { log: KafkaLog; codec: OpenedLog['codec'] }
  const gatedLog: KafkaLog = {
    ...log,
    run: (options) => log.run({ ...options, onBatch: gated(options.onBatch) }),
    runTransactional: (options) => log.runTransactional({ ...options, onBatch: gated(options.onBatch) }),
  }
  return { log: gatedLog, codec }
}

const service = createFeaturesService(config, open)
const running = await startService({ ...service, parts: service.replay?.parts ?? [] })
running.failed.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
await serveContender(
  {},
  (rounds) => meter.advance(rounds * perRound),
  async () => {
    meter.release()
    await running.stop()
  },
)
process.exit(0)
