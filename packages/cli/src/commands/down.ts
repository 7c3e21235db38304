// andon down: ends the running mesh, or what a killed one left; --wipe removes its data as well.

import { rmSync } from 'node:fs'
import { clearLeftovers, endProcesses, isRunning, readState } from '@andon/platform'
import type { Context } from '../context.ts'
import { print } from '../output.ts'

/** How long an orderly end may take before the supervisor is killed. */
const GRACE_MS = 60_000

export const down = async (context: Context, options: { wipe?: boolean; json?: boolean }): Promise<void> => {
  const { home } = context
  const state = readState(home.stateFile)
  const wasRunning = state !== undefined && isRunning(state.supervisor)
  if (wasRunning) await endProcesses([state.supervisor], GRACE_MS)
  const leftovers = await clearLeftovers(home.stateFile)
  if (options.wipe) {
    // Only what Andon itself put there.
    for (const path of [home.kafka, home.redis, home.data, home.blobs, home.logs, home.tokens, home.pki, home.stateFile])
      rmSync(path, { recursive: true, force: true })
  }
  const ended = wasRunning
    ? 'Andon has ended.'
    : leftovers > 0
      ? `Ended ${leftovers} processes a killed run had left.`
      : 'Andon was not running.'
  print(
    options.json === true,
    { wasRunning, leftovers, wiped: options.wipe === true },
    () => `${ended}${options.wipe ? ` Data in ${home.root} is removed.` : ''}`,
  )
}
