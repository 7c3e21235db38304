// The frame of faults that hit workers which count numbers: a steady feed, a watch on what has been counted, and at the end the
// verdict over everything that was acknowledged.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '@andon/kit'
import type { FaultOptions, FaultResult } from './fault.ts'
import { appendNumbers, ensureNumberTopics } from './numbers.ts'
import { judgeTotals, watchTotals } from './judge.ts'
import type { Promised } from './judge.ts'
import { until, withScene } from './rig.ts'
import type { KafkaStartOptions, Scene, Worker } from './rig.ts'

export interface CountRun {
  readonly scene: Scene
  readonly log: Log
  /** `more` adds to the configuration of this one. */
  startWorker(more?: Readonly<Record<string, unknown>>): Worker
  /** Feeds numbers at this rate until the fault is over. */
  feed(perSecond: number): void
  /** Distinct numbers counted so far. */
  counted(): number
  /** Numbers acknowledged so far. */
  fed(): number
  /** Newest number counted, by partition. */
  lastCounted(): ReadonlyMap<number, number>
  /** Acknowledged numbers that are not counted yet. */
  lag(): number
}

/** Which worker counts or copies, and what it promises. */
export interface Subject {
  readonly worker: string
  readonly promised: Promised
  readonly config?: Readonly<Record<string, unknown>>
}

/** The processing loop without transactions: readers drop repeats. */
export const TOTALS: Subject = { worker: 'totals', promised: { dedupe: true, sums: true } }
/** The same loop in transactions: no reader ever sees a repeat, and the sums are right all the same. */
export const TRANSACTIONAL_TOTALS: Subject = {
  worker: 'totals',
  promised: { dedupe: false, sums: true },
  config: { transactionMs: 100 },
}
/** Transactions by hand: no reader ever sees a repeat. */
export const COPIES: Subject = { worker: 'copies', promised: { dedupe: false, sums: false } }

export interface CountOptions {
  readonly subject: Subject
  readonly config: Readonly<Record<string, unknown>>
  readonly kafka?: (dir: string) => KafkaStartOptions
}

/** Plays a fault over workers that count; afterwards everything acknowledged has to be counted once, in order, with the right sums. */
export const countRun = (
  options: FaultOptions,
  { subject, config, kafka }: CountOptions,
  play: (run: CountRun) => Promise<Pick<FaultResult, 'recoveredS' | 'broken' | 'detail'>>,
): Promise<FaultResult> =>
  withScene(
    options,
    async (scene) => {
      const log = await scene.openLog()
      await ensureNumberTopics(log)
      const acknowledged = new Set<string>()
      const watch = await watchTotals(log)
      const workers: Worker[] = []
      let feeding: Promise<void> | undefined
      let isOver = false
      const feed = async (perSecond: number): Promise<void> => {
        const step = Math.max(1, Math.round(perSecond / 20))
        for (let next = 0; !isOver; next += step) {
          const startedMs = performance.now()
          await appendNumbers(log, next, next + step, (number) => void acknowledged.add(`number ${number}`))
          await sleep(Math.max(0, 50 - (performance.now() - startedMs)))
        }
      }
      const played = await play({
        scene,
        log,
        startWorker: (more) => {
          const started = scene.startWorker(subject.worker, { client: options.client, ...subject.config, ...config, ...more })
          workers.push(started)
          return started
        },
        feed: (perSecond) => {
          feeding = feed(perSecond)
          feeding.catch(() => undefined) // told when it is awaited below
        },
        counted: () => watch.distinct(),
        fed: () => acknowledged.size,
        lastCounted: () => watch.newest,
        lag: () => acknowledged.size - watch.distinct(),
      })
      isOver = true
      await feeding
      await until('everything to be counted', () => watch.distinct() >= acknowledged.size)
      await Promise.all(workers.map((one) => one.terminate()))
      await watch.stop()
      const judged = await judgeTotals(log, acknowledged, watch.records, subject.promised)
      return {
        verdict: judged.verdict,
        recoveredS: played.recoveredS,
        broken: [...scene.surprises, ...played.broken, ...judged.broken],
        detail: { ...played.detail, repeats: judged.repeats },
      }
    },
    kafka,
  )
