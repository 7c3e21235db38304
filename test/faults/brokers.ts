// Brokers that go away under a producer and a service: the leader by kill -9, all of them one after another in order.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import type { Server } from '@andon/platform'
import { openTransport } from '../../packages/kit/src/log/kafka/log.ts'
import { TOTALS, countRun } from './count-run.ts'
import type { CountRun } from './count-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { until } from './rig.ts'

const RECORDS_PER_SECOND = 4000
/** An append gives up after 15 s by itself; nothing may hang beyond that. */
const LONGEST_SILENCE_S = 15

/** The node that leads a partition now. */
const leaderOf = async ({ scene }: CountRun, partition: number): Promise<Server> => {
  const transport = await openTransport({ brokers: scene.kafka.brokers, clientId: 'faults-look' })
  try {
    const { leader } = await transport.leader(`${scene.namespace}numbers`, partition)
    const node = scene.kafka.nodes[leader - 1]
    if (node === undefined) throw new Error(`partition ${partition} of numbers has no leader`)
    return node
  } finally {
    await transport.close()
  }
}

/** Watches for the longest time without an acknowledged record. */
const watchSilence = (run: CountRun): { longestS: () => number; stop: () => void } => {
  let [lastMs, last, longestMs] = [performance.now(), run.fed(), 0]
  const look = (): void => {
    const now = performance.now()
    longestMs = Math.max(longestMs, now - lastMs)
    if (run.fed() > last) [lastMs, last] = [now, run.fed()]
  }
  const timer = setInterval(look, 50)
  return {
    longestS: () => {
      look()
      return longestMs / 1000
    },
    stop: () => clearInterval(timer),
  }
}

const underLoad = (options: FaultOptions, harm: (run: CountRun, random: () => number) => Promise<void>): Promise<FaultResult> =>
  countRun(options, { subject: TOTALS, config: { paceMs: 20, sessionMs: 6000 } }, async (run) => {
    const { fraction: random } = seeded(options.seed)
    const workers = [run.startWorker(), run.startWorker()]
    await Promise.all(workers.map(({ ready }) => ready))
    run.feed(RECORDS_PER_SECOND)
    await until('work under way', () => run.counted() > RECORDS_PER_SECOND)
    const silence = watchSilence(run)
    await harm(run, random)
    const at = run.fed()
    await until('work after the fault', () => run.counted() > at + RECORDS_PER_SECOND)
    silence.stop()
    const longestS = silence.longestS()
    const broken = longestS > LONGEST_SILENCE_S ? [`no append was acknowledged for ${longestS.toFixed(1)} s`] : []
    return { recoveredS: longestS, broken }
  })

const settled = (run: CountRun): Promise<void> => {
  const at = run.fed()
  return until('appends to go on', () => run.fed() > at + RECORDS_PER_SECOND / 4)
}

/** The leader of a partition is killed while it is written to, and comes back; each time another one. */
export const leaderKilled = (options: FaultOptions): Promise<FaultResult> =>
  underLoad(options, async (run, random) => {
    for (let i = 0; i < (options.scale < 1 ? 1 : 3); i++) {
      const leader = await leaderOf(run, i)
      await sleep(random() * 500)
      await leader.kill()
      await settled(run)
      await leader.restart()
      await settled(run)
      options.note(`leader of partition ${i} killed and back`)
    }
  })

/** Every broker is ended in order and started again, one after the other, as an upgrade does. */
export const rollingRestart = (options: FaultOptions): Promise<FaultResult> =>
  underLoad(options, async (run) => {
    for (const [i, node] of run.scene.kafka.nodes.entries()) {
      await node.restart()
      await settled(run)
      options.note(`broker ${i + 1} restarted`)
    }
  })

/** The leader stands still (SIGSTOP) until the others have taken over, and goes on. */
export const leaderPaused = (options: FaultOptions): Promise<FaultResult> =>
  underLoad(options, async (run) => {
    const leader = await leaderOf(run, 0)
    leader.pause()
    await settled(run)
    leader.resume()
    await settled(run)
  })
