// Members with a name of their own (Kafka's static membership): back within their session they have their partitions again and
// nobody else notices; a name belongs to one living process.

import assert from 'node:assert/strict'
import type { KafkaLog, KafkaLogOptions, Run } from '@andon/kit'
import { openFaultProxy } from '../../../../test/harness/fault-proxy.ts'
import { until } from '../process-rig.ts'
import { checkOf, leftOut, text, toPartition, values } from './subject.ts'
import type { Bench, KafkaSubject, Rule } from './subject.ts'

/** Longer than a rule takes: what comes back in it comes back without anybody's session having run out. */
const TIMING = { sessionMs: 40_000, heartbeatMs: 300 }

const PROMISES = {
  back: ['rebalance', 'a named member that died and is back has its partitions again, and no other member notices'],
  fenced: ['zombies', 'a named member that stood still while another took its name is fenced: its run ends and says so'],
  second: ['fencing', 'a second process under the name of a living one ends the first'],
  topics: ['rebalance', 'a named member that comes back with other topics gets those'],
  stays: ['rebalance', 'a named member that is stopped leaves, unless it is told to stay'],
} as const satisfies Record<string, readonly [Rule, string]>

interface Member {
  readonly log: KafkaLog
  readonly run: Run
  /** Values handled, in order. */
  readonly seen: string[]
  /** Rebalances that held it up, and partitions that it was given or that were taken from it. */
  readonly moves: string[]
}

export const instanceRules = (subject: KafkaSubject | undefined, adapter: string): void => {
  if (!subject) {
    for (const [rule, promise] of Object.values(PROMISES)) leftOut(adapter, rule, promise, 'its members have no names')
    return
  }
  const run = checkOf(adapter, { open: (namespace) => subject.open(namespace) })
  const check = ([rule, promise]: readonly [Rule, string], body: (bench: Bench) => Promise<void>): void => run(rule, promise, body)

  const join = async (bench: Bench, instance: string, options: Partial<KafkaLogOptions> = {}, topics = ['numbers']): Promise<Member> => {
    const log = await subject.open(bench.namespace, { timing: TIMING, instance, ...options })
    bench.after(() => log.close())
    const seen: string[] = []
    const moves: string[] = []
    const running = await log.run({
      group: 'g',
      topics,
      commitEveryMs: 20,
      onAssigned: (topic, partition) => void moves.push(`has ${topic}/${partition}`),
      onHold: (topic, partition) => void moves.push(`held ${topic}/${partition}`),
      onRevoked: (topic, partition, lost) => void moves.push(`${lost ? 'lost' : 'gave'} ${topic}/${partition}`),
      onBatch: async (batch) => void seen.push(...batch.records.map(text)),
    })
    return { log, run: running, seen, moves }
  }

  const own = ({ run: of }: Member): string =>
    of
      .assigned()
      .map(({ topic, partition }) => `${topic}/${partition}`)
      .sort()
      .join(' ')

  const shared = (a: Member, b: Member): Promise<void> =>
    until(() => a.run.assigned().length === 2 && b.run.assigned().length === 2, 'an even split', 60_000)

  check(PROMISES.back, async (bench) => {
    const proxy = await openFaultProxy(subject.port())
    bench.after(() => proxy.close())
    const first = await join(bench, 'a', { via: proxy.via })
    const other = await join(bench, 'b')
    await shared(first, other)
    const [mine, theirs] = [own(first), own(other)]
    const settled = other.moves.length
    proxy.set({ blackhole: 'both' }) // as the dead are: nothing is heard of it, and its place is kept
    await bench.log.append([0, 1, 2, 3].flatMap((partition) => toPartition(partition, [`p${partition}`])))
    const back = await join(bench, 'a')
    assert.equal(own(back), mine)
    await until(() => back.seen.length === 2 && other.seen.length === 2, 'the records', 30_000)
    assert.equal(own(other), theirs)
    assert.deepEqual(other.moves.slice(settled), [])
  })

  check(PROMISES.fenced, async (bench) => {
    const proxy = await openFaultProxy(subject.port())
    bench.after(() => proxy.close())
    await bench.log.append(toPartition(0, values(0, 4)))
    const zombie = await join(bench, 'a', { via: proxy.via })
    await until(() => zombie.seen.length === 4)
    proxy.set({ blackhole: 'both' })
    const heir = await join(bench, 'a')
    await bench.log.append(toPartition(0, values(4, 3)))
    await until(async () => (await bench.log.admin.committed('g', 'numbers')).get(0) === 7, 'the commit', 30_000)
    proxy.heal()
    await assert.rejects(zombie.run.ended, { kind: 'fenced', code: 'ANDON_LOG_INSTANCE_TAKEN' })
    assert.deepEqual(
      zombie.moves.slice(-4).sort(),
      [0, 1, 2, 3].map((partition) => `lost numbers/${partition}`),
    ) // and nothing is written for them
    await bench.log.append(toPartition(0, values(7, 2)))
    await until(() => heir.seen.includes('8'), 'work to go on', 30_000)
    assert.equal(heir.run.assigned().length, 4)
    assert.ok(
      heir.moves.every((move) => move.startsWith('has ')),
      heir.moves.join(),
    )
  })

  check(PROMISES.second, async (bench) => {
    const first = await join(bench, 'a')
    const second = await join(bench, 'a')
    await assert.rejects(first.run.ended, { kind: 'fenced', code: 'ANDON_LOG_INSTANCE_TAKEN' })
    await bench.log.append(toPartition(0, ['x']))
    await until(() => second.seen.includes('x'), 'work to go on', 30_000)
    assert.equal(second.run.assigned().length, 4)
  })

  check(PROMISES.topics, async (bench) => {
    await bench.log.admin.ensureTopics([{ name: 'letters', partitions: 4 }])
    const stays = { instanceStays: true }
    const first = await join(bench, 'a', stays)
    const other = await join(bench, 'b')
    await shared(first, other)
    await first.run.stop()
    const back = await join(bench, 'a', stays, ['numbers', 'letters'])
    await until(() => back.run.assigned().filter(({ topic }) => topic === 'letters').length === 4, 'the other topic', 60_000)
    await bench.log.append(toPartition(1, ['x'], 'letters'))
    await until(() => back.seen.includes('x'), 'its records', 30_000)
  })

  check(PROMISES.stays, async (bench) => {
    const first = await join(bench, 'a', { instanceStays: true })
    const other = await join(bench, 'b')
    await shared(first, other)
    const [mine, settled] = [own(first), other.moves.length]
    await first.run.stop()
    const back = await join(bench, 'a')
    assert.equal(own(back), mine)
    assert.deepEqual(other.moves.slice(settled), [])
    await back.run.stop()
    await until(() => other.run.assigned().length === 4, 'the takeover', 30_000)
  })
}
