// Several members of one group: who has what, what moves when, and what becomes of a member that dies.

import assert from 'node:assert/strict'
import type { Log, LogRecord, Run, RunContext } from '@andon/kit'
import { until } from '../process-rig.ts'
import { leftOut, text, toPartition, values } from './subject.ts'
import type { Check, Subject } from './subject.ts'

export const groupRules = (check: Check, subject: Subject, adapter: string): void => {
  check('rebalance', 'two members share the partitions, and one takes over when the other leaves', async ({ log, again }) => {
    const other = await again()
    const seen: string[] = []
    const options = {
      group: 'g',
      topics: ['numbers'],
      onBatch: async (batch: { records: readonly LogRecord[] }) => void seen.push(...batch.records.map(text)),
    }
    const first = await log.run(options)
    const second = await other.run(options)
    await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', subject.patienceMs)
    const all = [...first.assigned(), ...second.assigned()].map(({ partition }) => partition)
    assert.deepEqual(
      all.sort((a, b) => a - b),
      [0, 1, 2, 3],
    )
    for (let p = 0; p < 4; p++) await log.append(toPartition(p, [`p${p}`]))
    await until(() => seen.length === 4)
    await first.stop()
    await until(() => second.assigned().length === 4, 'the takeover', subject.patienceMs)
    for (let p = 0; p < 4; p++) await log.append(toPartition(p, [`q${p}`]))
    await until(() => seen.length === 8)
    assert.equal(new Set(seen).size, 8)
    await second.stop()
  })

  check(
    'rebalance',
    'members that want the assignment only share the partitions, and nothing is handled or committed',
    async ({ log, again }) => {
      const other = await again()
      for (let p = 0; p < 4; p++) await log.append(toPartition(p, values(0, 3)))
      const owners = Array.from({ length: 4 }, () => new Set<string>())
      let handled = 0
      const join = (of: Log, name: string): Promise<Run> =>
        of.run({
          group: 'owners',
          topics: ['numbers'],
          assignmentOnly: true,
          onAssigned: (_topic, partition) => void owners[partition]!.add(name),
          onRevoked: (_topic, partition) => void owners[partition]!.delete(name),
          onBatch: async () => void handled++,
        })
      const first = await join(log, 'first')
      await until(() => owners.every((names) => names.has('first')), 'all for the first', subject.patienceMs)
      const second = await join(other, 'second')
      const isEven = () => owners.every(({ size }) => size === 1) && owners.filter((names) => names.has('second')).length === 2
      await until(isEven, 'an even split', subject.patienceMs)
      await first.stop()
      await until(() => owners.every((names) => names.has('second') && names.size === 1), 'the takeover', subject.patienceMs)
      await second.stop()
      assert.equal(handled, 0)
      assert.equal((await log.admin.committed('owners', 'numbers')).size, 0)
    },
  )

  check('rebalance', 'a rebalance waits for the batch in hand and nothing is handled twice', async ({ log, again }) => {
    const other = await again()
    const done: string[] = []
    const working = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const onBatch = async (batch: { records: readonly LogRecord[] }, _context: RunContext) => {
      working.resolve()
      await release.promise
      done.push(...batch.records.map(text))
    }
    const first = await log.run({ group: 'g', topics: ['numbers'], onBatch })
    await log.append(toPartition(3, ['slow']))
    await working.promise
    const joining = other.run({ group: 'g', topics: ['numbers'], onBatch })
    await new Promise((resolve) => setTimeout(resolve, Math.min(subject.patienceMs / 5, 2500)))
    assert.equal(done.length, 0)
    release.resolve()
    const second = await joining
    await until(() => first.assigned().length === 2 && second.assigned().length === 2, 'an even split', subject.patienceMs)
    await log.append(toPartition(3, ['next']))
    await until(() => done.includes('next'))
    assert.deepEqual(done, ['slow', 'next'])
    await Promise.all([first.stop(), second.stop()])
  })

  check('rebalance', 'a storm of members that come and go handles every record once', async ({ log, again }) => {
    const logs: Log[] = [log]
    for (let i = 0; i < 4; i++) logs.push(await again())
    const seen: string[] = []
    const start = (of: Log): Promise<Run> =>
      of.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
    let sent = 0
    let isDone = false
    const sending = (async () => {
      while (!isDone) {
        await log.append([0, 1, 2, 3].flatMap((partition) => toPartition(partition, [`${partition}:${sent}`])))
        sent++
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    const share = (runs: readonly Run[], sizes: readonly number[]) =>
      until(() => runs.every((run, i) => run.assigned().length === sizes[i]), `shares of ${sizes.join()}`, subject.patienceMs * 2)
    const [a, b, c] = (await Promise.all(logs.slice(0, 3).map(start))) as [Run, Run, Run]
    await until(() => [a, b, c].reduce((sum, run) => sum + run.assigned().length, 0) === 4, 'an assignment', subject.patienceMs * 2)
    const [, , d, e] = (await Promise.all([a.stop(), b.stop(), start(logs[3]!), start(logs[4]!)])) as [void, void, Run, Run]
    await until(() => [c, d, e].reduce((sum, run) => sum + run.assigned().length, 0) === 4, 'another assignment', subject.patienceMs * 2)
    await Promise.all([c.stop(), d.stop()])
    await share([e], [4])
    isDone = true
    await sending
    await until(() => seen.length >= sent * 4, 'the rest', subject.patienceMs)
    assert.equal(new Set(seen).size, sent * 4)
    assert.equal(seen.length, sent * 4, 'nothing was handled twice')
    for (const partition of [0, 1, 2, 3])
      assert.deepEqual(
        seen.filter((value) => value.startsWith(`${partition}:`)),
        values(0, sent).map((n) => `${partition}:${n}`),
      )
    await e.stop()
  })

  const { crash } = subject
  const DEAD = 'what a dead member had not finished comes to another'
  if (!crash) leftOut(adapter, 'redelivery', DEAD, 'shown with a broker behind it, under zombies')
  else
    check('redelivery', DEAD, async ({ log, again }) => {
      const dying = await again()
      await log.append(toPartition(0, values(0, 3)))
      const working = Promise.withResolvers<void>()
      await dying.run({
        group: 'g',
        topics: ['numbers'],
        onBatch: async () => {
          working.resolve()
          await new Promise(() => undefined)
        },
      })
      await working.promise
      crash(dying)
      const seen: string[] = []
      const run = await log.run({ group: 'g', topics: ['numbers'], onBatch: async (batch) => void seen.push(...batch.records.map(text)) })
      await until(() => seen.length === 3, 'redelivery', subject.patienceMs)
      assert.deepEqual(seen, values(0, 3))
      await run.stop()
    })
}
