// andon status: who runs, since when, how much memory, and what is not ready.

import { memoryBytes } from '@andon/platform'
import { type Context, requireRunning } from '../context.ts'
import { duration, mebibytes, print, table } from '../output.ts'
import { unready } from '../up/services.ts'

export const status = async (context: Context, options: { json?: boolean }): Promise<void> => {
  const state = requireRunning(context)
  const waiting = await unready(context.portOffset)
  const children = state.children.map(({ name, wave, identity, status: childStatus, restarts, sinceMs }) => ({
    name,
    wave,
    status: childStatus,
    ready: !waiting.has(name),
    ...(waiting.has(name) ? { notReady: waiting.get(name) } : {}),
    pid: identity.pid,
    restarts,
    sinceMs,
    memoryBytes: memoryBytes(identity.pid),
  }))
  const view = {
    status: state.status,
    pid: state.supervisor.pid,
    startedMs: state.startedMs,
    home: context.home.root,
    ...state.about,
    children,
  }
  print(options.json === true, view, () => {
    const rows = children.map((child) => [
      child.name,
      child.status,
      child.notReady === undefined ? 'ready' : `not ready (${child.notReady})`,
      String(child.pid),
      duration(Date.now() - child.sinceMs),
      mebibytes(child.memoryBytes),
      String(child.restarts),
    ])
    const total = children.reduce((sum, child) => sum + (child.memoryBytes ?? 0), 0)
    return `Andon is ${state.status} for ${duration(Date.now() - state.startedMs)} (pid ${state.supervisor.pid}), ${mebibytes(total)} in all\n\n${table([['NAME', 'STATUS', 'READY', 'PID', 'FOR', 'MEMORY', 'RESTARTS'], ...rows])}`
  })
}
