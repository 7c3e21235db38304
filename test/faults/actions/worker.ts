// The actions service as its own process, with a hand on it: told a point of the executor protocol, it kills or stops itself there.
// The service has no setting for that; this file hands it the hook.

import { writeSync } from 'node:fs'
import { createLogger, openLog, runService } from '@andon/kit'
import { loadConfig } from '../../../services/actions/src/config.ts'
import type { ExecutionPoint } from '../../../services/actions/src/execution.ts'
import { actionsService } from '../../../services/actions/src/service.ts'

export interface Armed {
  readonly point: ExecutionPoint
  readonly signal: 'SIGKILL' | 'SIGSTOP'
  /** Between reaching the point and the signal, ms; 0 = on the spot. */
  readonly delayMs: number
}

let armed: Armed | undefined
process.on('message', ({ where }: { where?: Armed }) => {
  armed = where
})
process.channel?.unref()

const reached = (point: ExecutionPoint): void => {
  if (armed?.point !== point) return
  const { signal, delayMs } = armed
  armed = undefined
  const fall = (): void => {
    writeSync(1, `${JSON.stringify({ fell: point })}\n`)
    process.kill(process.pid, signal)
  }
  if (delayMs === 0) fall()
  else setTimeout(fall, delayMs)
}

await runService(async () => {
  const config = loadConfig(process.env)
  const logger = createLogger({ service: 'actions', level: config.logLevel })
  return actionsService(config, { ...(await openLog(config, 'actions')), logger, reached })
})
