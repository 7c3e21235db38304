// A log for the time of one command.

import { type Log, openKafkaLog } from '@andon/kit'
import type { Context } from './context.ts'

/** Opens the log, does the work, and closes it whatever happens. */
export const withLog = async <T>(context: Context, work: (log: Log) => Promise<T>): Promise<T> => {
  const log = await openKafkaLog({ brokers: [...context.brokers], clientId: 'andon-cli', namespace: context.namespace })
  try {
    return await work(log)
  } finally {
    await log.close()
  }
}
