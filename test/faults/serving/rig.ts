// A model behind its queue with callers at it, and what they were told: every request once, with the score an undisturbed run gives, bit
// for bit, or with an error that has a code. Anything else is found here.

import { setTimeout as sleep } from 'node:timers/promises'
import { ModelConfig } from '@andon/schemas/inference'
import type { Runner, Runtime } from '../../../services/inference/src/runtime/runner.ts'
import { threadRuntime } from '../../../services/inference/src/runtime/thread-runtime.ts'
import { scheduled } from '../../../services/inference/src/serving/scheduled.ts'
import type { RunRequest, Servable } from '../../../services/inference/src/serving/servable.ts'
import { statisticsOf } from '../../../services/inference/src/serving/statistics.ts'
import { troubleInputs, troubleModel } from '../../../services/inference/test/trouble.ts'
import type { FaultResult } from '../fault.ts'

const ROWS = 64
const ANSWER_MS = 60_000

export const servableOver = (runner: Runner, name = 'trouble'): Servable =>
  scheduled({
    name,
    version: 1,
    digest: name,
    config: ModelConfig.fromPartial({ name }),
    policy: {
      maxBatchRows: 0,
      instances: 1,
      isDynamic: false,
      preferredBatchRows: [],
      maxQueueDelayUs: 0,
      preservesOrdering: false,
      priorityLevels: 0,
      defaultPriority: 0,
      defaultQueue: { timeoutAction: 'reject', defaultTimeoutUs: 0, allowsTimeoutOverride: false, maxQueueSize: 4096 },
      priorityQueues: new Map(),
    },
    runner,
    statistics: statisticsOf(name, '1', () => Date.now()),
  })

export const requestOf = (i: number, asked: { readonly spins?: number; readonly grows?: number } = {}): RunRequest => ({
  inputs: troubleInputs(i % ROWS, asked),
  outputs: ['y'],
})

const hexOf = ({ outputs }: Awaited<ReturnType<Servable['run']>>): string => Buffer.from(outputs[0]!.bytes).toString('hex')

/** What each row's score is when nothing is wrong, from a thread of its own. */
export const undisturbed = async (): Promise<readonly string[]> => {
  const runtime: Runtime = threadRuntime({ workers: 1, runTimeoutMs: ANSWER_MS })
  try {
    const servable = servableOver(await runtime.open(troubleModel))
    const scores: string[] = []
    for (let i = 0; i < ROWS; i++) scores.push(hexOf(await servable.run(requestOf(i))))
    await servable.close()
    return scores
  } finally {
    await runtime.close()
  }
}

export interface Tally {
  asked: number
  right: number
  /** By code. */
  readonly refused: Map<string, number>
  readonly problems: string[]
  unanswered: number
  /** Of each right score, when it was asked for and when it came. */
  readonly rightAt: { readonly askedMs: number; readonly answeredMs: number }[]
}

export interface Load {
  readonly tally: Tally
  /** The next right score to a request that has not been made yet; rejects after a minute. */
  nextRight(): Promise<number>
  /** No more requests; waits for the answers. */
  stop(): Promise<Tally>
}

/** Callers that ask one after another, without end. */
export const startLoad = (servable: Servable, expected: readonly string[], callers = 12): Load => {
  const tally: Tally = { asked: 0, right: 0, refused: new Map(), problems: [], unanswered: 0, rightAt: [] }
  const waiting: { readonly sinceMs: number; readonly resolve: (atMs: number) => void }[] = []
  let isOn = true
  const ask = async (): Promise<void> => {
    const i = tally.asked++
    const askedMs = performance.now()
    tally.unanswered++
    try {
      const score = hexOf(await servable.run(requestOf(i)))
      const answeredMs = performance.now()
      if (score !== expected[i % ROWS]) tally.problems.push(`request ${i}: score ${score}, undisturbed ${expected[i % ROWS]}`)
      tally.right++
      tally.rightAt.push({ askedMs, answeredMs })
      for (const [at, each] of [...waiting.entries()].toReversed()) {
        if (askedMs < each.sinceMs) continue
        waiting.splice(at, 1)
        each.resolve(answeredMs)
      }
    } catch (error) {
      noteError(tally, i, error)
      await sleep(1) // refused at once: as a client that waits before it tries again
    } finally {
      tally.unanswered--
    }
  }
  const running = Array.from({ length: callers }, async () => {
    while (isOn) await ask()
  })
  return {
    tally,
    nextRight: () =>
      Promise.race([
        new Promise<number>((resolve) => waiting.push({ sinceMs: performance.now(), resolve })),
        sleep(ANSWER_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('no right score for a minute'))),
      ]),
    stop: async () => {
      isOn = false
      await Promise.race([Promise.all(running), sleep(ANSWER_MS, undefined, { ref: false })])
      return tally
    },
  }
}

const noteError = (tally: Tally, request: number, error: unknown): void => {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code === 'string' && code.startsWith('ANDON_INFERENCE_')) tally.refused.set(code, (tally.refused.get(code) ?? 0) + 1)
  else tally.problems.push(`request ${request}: an error without a code of ours: ${message ?? String(error)}`)
}

const SPINS = 20_000

/** How long a turn of a run takes: the shortest of some, since others use this machine as well. */
export const spinMsOf = async (run: (asked: { readonly spins: number }) => Promise<unknown>): Promise<number> => {
  let shortest = Infinity
  for (let i = 0; i < 4; i++) {
    const startedMs = performance.now()
    await run({ spins: SPINS })
    shortest = Math.min(shortest, (performance.now() - startedMs) / SPINS)
  }
  return shortest
}

/** One request beside the load, which has to be refused with one of these codes. */
export const refusedWith = async (answer: Promise<unknown>, codes: readonly string[]): Promise<string | undefined> => {
  try {
    await answer
    return `a request that cannot be scored was answered, expected ${codes.join(' or ')}`
  } catch (error) {
    const { code } = error as { code?: string }
    return code !== undefined && codes.includes(code) ? undefined : `expected ${codes.join(' or ')}, got ${code ?? String(error)}`
  }
}

const LONGEST_RECOVERY_S = 5

/** Every request answered once with the right score or a typed error, work again in time, and whatever else was demanded. */
export const judged = (
  tallies: readonly Tally[],
  recoveries: readonly number[],
  demands: readonly (string | undefined)[],
  detail: Readonly<Record<string, unknown>> = {},
): FaultResult => {
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0)
  const refused: Record<string, number> = {}
  for (const tally of tallies) for (const [code, count] of tally.refused) refused[code] = (refused[code] ?? 0) + count
  const recoveredS = recoveries.length === 0 ? null : Math.max(...recoveries) / 1000
  const unanswered = sum((tally) => tally.unanswered)
  const broken = demands.filter((demand) => demand !== undefined)
  if (recoveredS !== null && recoveredS > LONGEST_RECOVERY_S) broken.push(`right scores again after ${recoveredS.toFixed(1)} s`)
  if (sum((tally) => tally.right) === 0) broken.push('nothing was scored')
  return {
    verdict: {
      acknowledged: sum((tally) => tally.asked) - unanswered,
      lost: unanswered,
      duplicates: 0,
      misordered: 0,
      problems: [...(unanswered > 0 ? [`${unanswered} requests were never answered`] : []), ...tallies.flatMap(({ problems }) => problems)],
    },
    recoveredS,
    broken,
    detail: { right: sum((tally) => tally.right), refused, ...detail },
  }
}
