// Kafka's own transaction system test, redone: numbers come in while brokers and clients are bounced, hard and clean, each several
// times. What was copied is read while it happens and again afterwards.

import { setTimeout as sleep } from 'node:timers/promises'
import { seeded } from '@andon/kit'
import { COPIES, TOTALS, TRANSACTIONAL_TOTALS } from './count-run.ts'
import type { Subject } from './count-run.ts'
import type { FaultOptions, FaultResult } from './fault.ts'
import { judgeTotals, watchTotals } from './judge.ts'
import { appendNumbers, ensureNumberTopics } from './numbers.ts'
import { until, withScene } from './rig.ts'
import type { Scene, Worker } from './rig.ts'

const FULL_RECORDS = 100_000
/** Share of the numbers that is there, and copied, before the first bounce. */
const HEAD_START = 0.2
const WORKERS = 2

type Bounce = 'broker killed' | 'broker ended' | 'client killed' | 'client ended'
const KINDS: readonly Bounce[] = ['broker killed', 'broker ended', 'client killed', 'client ended']

/** Each kind `times` times, in an order that the seed decides. */
const drawBounces = (times: number, random: () => number): Bounce[] =>
  Array.from({ length: times }, () => KINDS)
    .flat()
    .map((kind) => ({ kind, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ kind }) => kind)

const runBounces = (options: FaultOptions, subject: Subject): Promise<FaultResult> =>
  withScene(options, async (scene) => {
    const { note } = options
    const { fraction: random } = seeded(options.seed)
    const records = Math.max(2000, Math.round(FULL_RECORDS * options.scale))
    const log = await scene.openLog()
    await ensureNumberTopics(log)
    const acknowledged = new Set<string>()
    const watch = await watchTotals(log)
    const copied = (): number => watch.distinct()
    const start = (): Worker =>
      scene.startWorker(subject.worker, { client: options.client, paceMs: 40, sessionMs: 6000, ...subject.config })
    const workers = Array.from({ length: WORKERS }, start)
    await Promise.all(workers.map(({ ready }) => ready))

    const plan = drawBounces(options.scale < 1 ? 1 : 3, random)
    const head = Math.round(records * HEAD_START)
    const append = (from: number, to: number) => appendNumbers(log, from, to, (number) => void acknowledged.add(`number ${number}`))
    await append(0, head)
    await until('the head start', () => copied() >= head)
    let sent = head
    let slowestS = 0
    const foundWork = new Set<Bounce>()
    for (const [i, kind] of plan.entries()) {
      const to = Math.round(head + ((records - head) * (i + 1)) / plan.length)
      const appending = append(sent, to)
      const hitAt = sent + random() * 0.8 * (to - sent)
      await until('numbers under way', () => acknowledged.size > hitAt)
      await sleep(random() * 30)
      if (copied() < acknowledged.size) foundWork.add(kind)
      await bounce(scene, kind, workers, start, random)
      const atEnd = performance.now()
      const atBounce = copied()
      await until(`progress after: ${kind}`, () => copied() > atBounce || copied() >= to)
      const recoveredS = (performance.now() - atEnd) / 1000
      slowestS = Math.max(slowestS, recoveredS)
      await appending
      await until(`the copies of ${to} numbers`, () => copied() >= to)
      sent = to
      note(`${kind}: going on after ${recoveredS.toFixed(1)} s, ${copied()} of ${records} copied`)
    }
    const codes = await Promise.all(workers.map((one) => one.terminate()))
    const broken = [
      ...scene.surprises,
      ...codes.filter((code) => code !== 0).map((code) => `a worker that was told to end gave code ${code}`),
    ]
    await watch.stop()
    const judged = await judgeTotals(log, acknowledged, watch.records, subject.promised)
    return { verdict: judged.verdict, recoveredS: slowestS, broken: [...broken, ...judged.broken], detail: { repeats: judged.repeats } }
  })

const bounce = async (scene: Scene, kind: Bounce, workers: Worker[], start: () => Worker, random: () => number): Promise<void> => {
  const [object, how] = kind.split(' ') as ['broker' | 'client', 'killed' | 'ended']
  if (object === 'broker') {
    const node = scene.kafka.nodes[Math.floor(random() * scene.kafka.nodes.length)]!
    if (how === 'killed') await node.kill()
    await node.restart()
    return
  }
  const index = Math.floor(random() * workers.length)
  const old = workers[index]!
  await (how === 'killed' ? old.kill() : old.terminate())
  workers[index] = start()
  await workers[index].ready
}

/** In transactions of 750: no reader of committed records ever sees one twice. */
export const transactions = (options: FaultOptions): Promise<FaultResult> => runBounces(options, COPIES)

/** The same for the loop that needs no transactions: readers drop repeats by their marks. */
export const effectOnce = (options: FaultOptions): Promise<FaultResult> => runBounces(options, TOTALS)

/** The same for the loop in transactions: what readers see is whole without any marks. */
export const effectOnceTransactional = (options: FaultOptions): Promise<FaultResult> => runBounces(options, TRANSACTIONAL_TOTALS)
