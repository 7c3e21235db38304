// Members of a group that others take for dead, or that come and go faster than the group can settle.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import type { FaultOptions, FaultResult } from './fault.ts'
import { COPIES, TOTALS, TRANSACTIONAL_TOTALS, countRun } from './count-run.ts'
import type { Subject } from './count-run.ts'
import { until } from './rig.ts'

/** Shorter than a service's 10 s: a pause has to outlast it. */
const SESSION_MS = 3000
const PACE_MS = 40
const RECORDS_PER_SECOND = 5000

/**
 * A worker stands still in the middle of its work (SIGSTOP) until others have its partitions, and then goes on with what it had in
 * hand: what it still writes is fenced, or dropped by every reader's marks; its state is never the one that is restored.
 */
export const zombie = (options: FaultOptions): Promise<FaultResult> => standStill(options, TOTALS)

/** The loop in transactions: the zombie's are rolled back, and no reader needs marks. */
export const zombieTransactional = (options: FaultOptions): Promise<FaultResult> => standStill(options, TRANSACTIONAL_TOTALS)

/** The same inside an open transaction: it is rolled back, and never committed by the one that comes back. */
export const transactionZombie = (options: FaultOptions): Promise<FaultResult> => standStill(options, COPIES)

const standStill = (options: FaultOptions, subject: Subject): Promise<FaultResult> =>
  countRun(options, { subject, config: { paceMs: PACE_MS, sessionMs: SESSION_MS, snapshotEveryRecords: 500 } }, async (run) => {
    const { fraction: random } = seeded(options.seed)
    const times = options.scale < 1 ? 1 : 3
    const workers = [run.startWorker(), run.startWorker()]
    await Promise.all(workers.map(({ ready }) => ready))
    run.feed(RECORDS_PER_SECOND)
    await until('work under way', () => run.counted() > RECORDS_PER_SECOND / 2)
    let slowestS = 0
    for (let i = 0; i < times; i++) {
      await sleep(random() * 500)
      const asleep = workers[i % workers.length]!
      asleep.pause()
      const pausedMs = performance.now()
      const fed = run.fed() + RECORDS_PER_SECOND / 2
      // What was fed after the pause is counted by somebody else, in every partition.
      await until('others to take over', () => [...run.lastCounted().values()].every((number) => number > fed))
      slowestS = Math.max(slowestS, (performance.now() - pausedMs) / 1000)
      asleep.resume()
      options.note(`stood still for ${((performance.now() - pausedMs) / 1000).toFixed(1)} s, others took over, goes on`)
      const at = run.counted()
      await until('work with the one that is back', () => run.counted() > at + 2 * RECORDS_PER_SECOND)
    }
    // What it left behind must not come back as state either.
    await Promise.all(workers.map((worker) => worker.kill()))
    await run.startWorker().ready
    return { recoveredS: slowestS, broken: [] }
  })

/**
 * A service stands still, and its supervisor starts another one under the same name: that one has the partitions at once; the one
 * that stood still is fenced when it goes on, ends by itself and says why.
 */
export const instanceZombie = (options: FaultOptions): Promise<FaultResult> =>
  countRun(
    options,
    { subject: TOTALS, config: { paceMs: PACE_MS, sessionMs: 10_000, snapshotEveryRecords: 500, instance: 'a' } },
    async (run) => {
      const { fraction: random } = seeded(options.seed)
      const times = options.scale < 1 ? 1 : 3
      const broken: string[] = []
      let current = run.startWorker()
      await current.ready
      run.feed(RECORDS_PER_SECOND)
      await until('work under way', () => run.counted() > RECORDS_PER_SECOND / 2)
      let slowestS = 0
      for (let i = 0; i < times; i++) {
        await sleep(random() * 500)
        const asleep = current
        asleep.pause()
        asleep.mayEnd()
        const pausedMs = performance.now()
        const fed = run.fed() + RECORDS_PER_SECOND / 2
        current = run.startWorker()
        await until('the other one to take over', () => [...run.lastCounted().values()].every((number) => number > fed))
        const tookS = (performance.now() - pausedMs) / 1000
        slowestS = Math.max(slowestS, tookS)
        asleep.resume()
        options.note(`stood still for ${tookS.toFixed(1)} s, another one has its name, goes on`)
        const ended = await Promise.race([asleep.exited, sleep(60_000, 'never' as const, { ref: false })])
        if (ended !== 1) broken.push(`the one that stood still ended with ${String(ended)}, not by itself with 1`)
        const at = run.counted()
        await until('work to go on', () => run.counted() > at + RECORDS_PER_SECOND)
      }
      return { recoveredS: slowestS, broken }
    },
  )

/** A member joins or leaves every 3 s: work goes on in every window, and nothing is counted twice. */
export const rebalanceStorm = (options: FaultOptions): Promise<FaultResult> =>
  countRun(options, { subject: TOTALS, config: { paceMs: PACE_MS, sessionMs: SESSION_MS, snapshotEveryRecords: 500 } }, async (run) => {
    const { fraction: random } = seeded(options.seed)
    const changes = Math.max(6, Math.round(60 * options.scale))
    const windowMs = 10_000
    const workers = [run.startWorker()]
    await workers[0]!.ready
    run.feed(RECORDS_PER_SECOND / 2)
    await until('work under way', () => run.counted() > 0)
    const broken: string[] = []
    let [windowStart, atWindowStart, longestS] = [performance.now(), run.counted(), 0]
    let [lastMs, lastCount] = [performance.now(), run.counted()]
    const watch = (): void => {
      const now = performance.now()
      if (run.counted() > lastCount) [lastMs, lastCount] = [now, run.counted()]
      longestS = Math.max(longestS, (now - lastMs) / 1000)
      if (now - windowStart < windowMs) return
      if (run.counted() === atWindowStart) broken.push(`nothing was counted for ${windowMs / 1000} s`)
      ;[windowStart, atWindowStart] = [now, run.counted()]
    }
    for (let i = 0; i < changes; i++) {
      const joins = workers.length <= 1 || (workers.length < 4 && random() < 0.5)
      if (joins) workers.push(run.startWorker())
      else {
        const [leaver] = workers.splice(Math.floor(random() * workers.length), 1)
        await leaver!.ready.catch(() => undefined)
        void (random() < 0.5 ? leaver!.kill() : leaver!.terminate())
      }
      for (const endMs = performance.now() + 3000; performance.now() < endMs; watch()) await sleep(100)
    }
    options.note(`${changes} members joined or left; longest silence ${longestS.toFixed(1)} s`)
    return { recoveredS: longestS, broken }
  })

/** P22: a service is killed under load and started again under its name, as its supervisor would: state restored, caught up, nothing lost or counted twice. */
export const serviceKilled = (options: FaultOptions): Promise<FaultResult> =>
  countRun(options, { subject: TOTALS, config: { paceMs: 5, sessionMs: 10_000, instance: 'a' } }, async (run) => {
    const times = options.scale < 1 ? 1 : 5
    let worker = run.startWorker()
    await worker.ready
    run.feed(RECORDS_PER_SECOND)
    await until('work under way', () => run.counted() > 2 * RECORDS_PER_SECOND)
    const took: number[] = []
    for (let i = 0; i < times; i++) {
      await worker.kill()
      const killedMs = performance.now()
      const backlog = run.lag()
      const atKill = run.counted()
      worker = run.startWorker()
      await until('the first number after the kill', () => run.counted() > atKill + backlog)
      const firstS = (performance.now() - killedMs) / 1000
      // Caught up: everything that was appended a moment ago is counted, under the load that goes on.
      await until('the service to catch up', () => run.lag() <= RECORDS_PER_SECOND / 10)
      took.push((performance.now() - killedMs) / 1000)
      options.note(`killed: goes on after ${firstS.toFixed(1)} s, caught up after ${took.at(-1)!.toFixed(1)} s`)
      await sleep(3000)
    }
    const slowestS = Math.max(...took)
    return { recoveredS: slowestS, broken: slowestS <= 15 ? [] : [`caught up after ${slowestS.toFixed(1)} s, at most 15 s are allowed`] }
  })
