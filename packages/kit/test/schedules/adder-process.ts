// The adder of the process rig as a process of its own, to be killed or stopped in the middle:
//   node adder-process.ts <brokers> <namespace> [ms that each batch takes]

import { openKafkaLog, runProcess } from '@andon/kit'
import { jsonCodec } from '../json-codec.ts'
import { silent, totals } from '../process-rig.ts'
import type { Add } from '../process-rig.ts'

const [brokers = '', namespace = '', delayMs = '0'] = process.argv.slice(2)
const timing = { sessionMs: 2000, heartbeatMs: 300 }
const log = await openKafkaLog({ brokers: brokers.split(','), clientId: 'adder', namespace, timing, appendDeadlineMs: 60_000 })

const open = () => {
  const inner = totals()
  return {
    ...inner,
    handle: async (batch: Parameters<typeof inner.handle>[0]) => {
      const out = await inner.handle(batch)
      process.stdout.write(`handled ${batch.inputs.length}\n`)
      await new Promise((resolve) => setTimeout(resolve, Number(delayMs)))
      return out
    },
  }
}
const run = await runProcess<Add>(
  log,
  jsonCodec,
  { service: 'adder', input: 'numbers', open, snapshotEveryRecords: 1000, snapshotEveryMs: 86_400_000 },
  silent,
)
process.stdout.write('running\n')
await run.ended
