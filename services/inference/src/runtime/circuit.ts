// A model that hangs again and again is left alone for a while: its batches are refused at once, so that it takes no thread from the
// others, and nobody waits for it. Then one batch is let in; when it ends well, all are.

import { AndonError } from '@andon/kit/errors'
import { modelSuspended } from '../errors.ts'
import type { Runner } from './runner.ts'

export interface CircuitOptions {
  /** Name and version, for messages. */
  readonly label: string
  /** How long nothing is let in the first time; twice as long after each try that hangs, up to a minute. Default 2 s. */
  readonly coolOffMs?: number
  readonly onChange?: (change: { readonly isOpen: boolean; readonly coolOffMs: number }) => void
  /** Monotonic. */
  readonly nowMs?: () => number
}

/** What opens the circuit: so many timeouts in a row, or more of them in a minute with good runs in between. */
const MOST_IN_A_ROW = 3
const MOST_IN_WINDOW = 6
const WINDOW_MS = 60_000
const COOL_OFF_MS = 2_000
const LONGEST_COOL_OFF_MS = 60_000

/** The same runner, which does not run while its model is left alone. After a timeout it runs one batch at a time until one ends well. */
export const withCircuit = (runner: Runner, options: CircuitOptions): Runner => {
  const { label, coolOffMs = COOL_OFF_MS, onChange, nowMs = () => performance.now() } = options
  let timeoutsMs: number[] = []
  let inARow = 0
  /** Undefined: closed. */
  let openUntilMs: number | undefined
  let nextCoolOffMs = coolOffMs
  /** Batches are let in one by one. */
  let isWary = false
  /** It has hung before; asked of the runner only then. */
  let isSuspicious = false
  let underWay = 0
  let inLine: (() => void)[] = []

  /** A try that has not ended is the only one; none is made that the other models would pay for. */
  const isLeftAlone = (): boolean =>
    (openUntilMs !== undefined && (underWay > 0 || nowMs() < openUntilMs)) || (isSuspicious && runner.mayHang?.() === false)

  const timedOut = (): void => {
    isWary = true
    isSuspicious = true
    inARow++
    const now = nowMs()
    timeoutsMs = [...timeoutsMs.filter((atMs) => now - atMs < WINDOW_MS), now]
    const isTry = openUntilMs !== undefined
    if (!isTry && inARow < MOST_IN_A_ROW && timeoutsMs.length < MOST_IN_WINDOW) return
    openUntilMs = now + nextCoolOffMs
    onChange?.({ isOpen: true, coolOffMs: nextCoolOffMs })
    nextCoolOffMs = Math.min(2 * nextCoolOffMs, LONGEST_COOL_OFF_MS)
  }

  const endedWell = (): void => {
    isWary = false
    inARow = 0
    if (openUntilMs === undefined) return
    openUntilMs = undefined
    timeoutsMs = []
    nextCoolOffMs = coolOffMs
    onChange?.({ isOpen: false, coolOffMs: 0 })
  }

  const tellRoom = (): void => {
    const listeners = inLine
    inLine = []
    for (const listener of listeners) listener()
  }

  const { room } = runner
  return {
    io: runner.io,
    get provider() {
      return runner.provider
    },
    room: {
      // While nothing is let in there is room to be refused.
      hasRoom: () => isLeftAlone() || ((!isWary || underWay === 0) && room.hasRoom()),
      isIdle: () => isLeftAlone() || (room.isIdle?.() ?? true),
      whenRoom: (listener) => {
        if (isWary && underWay > 0) inLine.push(listener)
        else room.whenRoom(listener)
      },
    },
    run: async (batch) => {
      if (isLeftAlone()) throw modelSuspended(label, Math.ceil(Math.max(0, (openUntilMs ?? 0) - nowMs())))
      underWay++
      try {
        const answer = await runner.run(batch)
        endedWell()
        return answer
      } catch (error) {
        if (isTimeout(error)) timedOut()
        else if (isAnswer(error)) endedWell()
        throw error
      } finally {
        underWay--
        tellRoom()
      }
    },
    close: () => runner.close(),
  }
}

const isTimeout = (error: unknown): boolean => error instanceof AndonError && error.code === 'ANDON_INFERENCE_RUN_TIMEOUT'

/** The model has come back from the run, if only to refuse the input. */
const isAnswer = (error: unknown): boolean => error instanceof AndonError && error.code === 'ANDON_INFERENCE_RUN_FAILED'
