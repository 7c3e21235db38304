// One living line under the start: what runs, what is open. On a terminal it is redrawn; elsewhere it is printed when it changes.

import type { Supervisor } from '@andon/platform'
import { duration } from '../output.ts'

export interface StatusLine {
  /** Prints a line above the status line. */
  say(text: string): void
  stop(): void
}

export const startStatusLine = (supervisor: Supervisor, openIncidents: () => Promise<number | undefined>): StatusLine => {
  const isTerminal = process.stdout.isTTY
  const startedMs = Date.now()
  let incidents: number | undefined
  let printed = ''

  const state = (): string => {
    const children = supervisor.children()
    const running = children.filter((child) => child.status === 'running').length
    const down = children.filter((child) => child.status !== 'running').map((child) => child.name)
    const open = incidents === undefined ? '' : ` · ${incidents} open incident${incidents === 1 ? '' : 's'}`
    return `${running}/${children.length} running${down.length > 0 ? ` (not: ${down.join(', ')})` : ''}${open}`
  }
  const clear = () => isTerminal && process.stdout.write('\r\u001b[2K')
  const draw = () => {
    const now = state()
    if (isTerminal) process.stdout.write(`\r\u001b[2K● up ${duration(Date.now() - startedMs)} · ${now} · Ctrl-C ends everything`)
    else if (now !== printed) console.log(`status: ${now}`)
    printed = now
  }
  const timer = setInterval(draw, 1000)
  const ask = async (): Promise<void> => {
    incidents = await openIncidents().catch(() => undefined)
  }
  const asking = setInterval(() => void ask(), 3000) // a failed question shows no number
  draw()
  return {
    say(text) {
      clear()
      console.log(text)
      if (isTerminal) draw()
    },
    stop() {
      clearInterval(timer)
      clearInterval(asking)
      clear()
    },
  }
}
