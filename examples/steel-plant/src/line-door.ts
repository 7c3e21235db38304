// What every door of the line does with a command: it may be lost, come late, be answered late or never, as the line was told.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Line, LineRequest } from './line.ts'

/** The line's answer; undefined when the caller hears nothing. */
export const obey = async (
  line: Line,
  request: LineRequest,
  now: () => number,
): Promise<{ accepted: boolean; code: string } | undefined> => {
  const { commands, answers, delayMs = 0 } = line.astray()
  if (commands === 'lost') return undefined
  if (commands === 'late') await sleep(delayMs)
  line.advance(now())
  const answer = line.ask(request, now())
  if (answers === 'slow') await sleep(delayMs)
  return answers === 'lost' ? undefined : answer
}

/** What the line shows of itself through any door. */
export const shown = (line: Line, nowMs: number) => ({
  state: line.state,
  mode: line.mode,
  emergencyStop: line.emergencyStop,
  interlocksClosed: line.interlocksClosed,
  localResetDone: line.localResetDone,
  speedPercent: line.speedPercent,
  heartbeat: Math.floor(nowMs / 500) % 2 ** 31,
  doneRequestId: line.doneRequestId,
  targetTimeMs: nowMs,
})
