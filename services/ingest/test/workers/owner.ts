// A process that owns pull sources: prints `<source> …` after each change. Arguments: brokers, namespace, sources, each comma separated.

import { createLogger, openKafkaLog } from '@andon/kit'
import { groupAssignment } from '../../src/adapters/assignment.ts'

const [brokers, namespace, sources] = process.argv.slice(2) as [string, string, string]
const log = await openKafkaLog({ brokers: brokers.split(','), clientId: 'owner', namespace, timing: { sessionMs: 6000, heartbeatMs: 500 } })
const assignment = groupAssignment({ log: () => log, logger: createLogger({ service: 'owner', level: 'warn' }), settleMs: 500 })
const tell = () => {
  const mine = sources.split(',').filter((source) => assignment.isMine(source))
  process.stdout.write(`${mine.join(' ')}\n`)
}
assignment.onChange(tell)
tell()
process.on('SIGTERM', () => {
  void assignment
    .close()
    .then(() => log.close())
    .then(() => process.exit(0))
})
