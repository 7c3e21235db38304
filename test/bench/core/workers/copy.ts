// Contender `copy.ts <transactional|plain> <broker> <from> <to>`: copies values from one topic to another, partition by partition: in
// transactions of 100 ms whose positions commit with them, or at least once. One round = 1 000 records. There is no other work, so
// the difference is all theirs.

import { openKafkaLog } from '@andon/kit'
import type { Append, RecordBatch } from '@andon/kit'
import { serveContender } from '../../../harness/bench-process.ts'
import { Meter } from '../endless.ts'

const [variant, broker = '', from = '', to = ''] = process.argv.slice(2)
const PER_ROUND = 1000

const copiesOf = (batch: RecordBatch): Append[] =>
  Array.from({ length: batch.count }, (_, i) => ({
    topic: to,
    partition: batch.partition,
    key: batch.keyAt(i),
    value: batch.valueAt(i),
    timestampMs: batch.timestampMsAt(i),
  }))

/** At its end a partition starts again. */
const next = (batch: RecordBatch): number | undefined => (batch.nextOffset >= batch.highWatermark ? 0 : undefined)

const log = await openKafkaLog({ brokers: [broker], clientId: 'bench' })
const meter = new Meter()
const group = `bench-${variant}-${process.pid}`
const run =
  variant === 'transactional'
    ? await log.runTransactional({
        group,
        topics: [from],
        commitEveryMs: 100,
        onBatch: async (batch, { append }) => {
          await meter.append(batch.count, () => append(copiesOf(batch)))
          return next(batch)
        },
      })
    : await log.run({
        group,
        topics: [from],
        onBatch: async (batch) => {
          await meter.append(batch.count, () => log.append(copiesOf(batch)))
          return next(batch)
        },
      })
run.ended.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
await serveContender(
  {},
  (rounds) => meter.advance(rounds * PER_ROUND),
  async () => {
    meter.release()
    await run.stop()
    await log.close()
  },
)
process.exit(0)
