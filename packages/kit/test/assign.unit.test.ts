// Who reads what: whatever members, topics and claims there are, the plan is complete, co-partitioned, even, sticky and the
// same for every member that works it out.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assign } from '../src/log/kafka/assign.ts'
import type { GroupReader } from '../src/log/kafka/assign.ts'

const reader = (memberId: string, owned: number[], generation = 1): GroupReader => ({
  memberId,
  topics: ['t'],
  claim: { generation, owned: owned.map((partition) => ({ topic: 't', partition })) },
})

const partitionsOf = (plan: ReturnType<typeof assign>, topic = 't'): Record<string, number[]> =>
  Object.fromEntries(
    [...plan].map(([id, list]) => [
      id,
      list
        .filter((one) => one.topic === topic)
        .map(({ partition }) => partition)
        .sort((a, b) => a - b),
    ]),
  )

test('an assignment is even, complete and keeps what it can', () => {
  const counts = new Map([['t', 6]])
  assert.deepEqual(partitionsOf(assign([reader('a', [0, 1, 2, 3, 4, 5]), reader('b', [])], counts)), { a: [0, 1, 2], b: [3, 4, 5] })
  assert.deepEqual(partitionsOf(assign([reader('b', []), reader('a', [1, 3, 5])], counts)), { a: [1, 3, 5], b: [0, 2, 4] })
})

test('an old claim yields to a newer one', () => {
  const plan = assign([reader('a', [0, 1, 2], 1), reader('b', [0, 1, 2], 2)], new Map([['t', 6]]))
  assert.deepEqual(partitionsOf(plan), { a: [3, 4, 5], b: [0, 1, 2] })
})

test('topics with other readers or another number of partitions do not disturb each other', () => {
  const both: GroupReader = { memberId: 'a', topics: ['t', 'u'], claim: { generation: -1, owned: [] } }
  const one: GroupReader = { memberId: 'b', topics: ['t'], claim: { generation: -1, owned: [] } }
  const plan = assign(
    [both, one],
    new Map([
      ['t', 4],
      ['u', 4],
      ['nobody', 2],
    ]),
  )
  assert.deepEqual(partitionsOf(plan, 'u'), { a: [0, 1, 2, 3], b: [] })
  assert.deepEqual(
    Object.values(partitionsOf(plan)).map((list) => list.length),
    [2, 2],
  )
})

const TOPICS = ['telemetry', 'config', 'features'] as const

/** All members read all topics, as the instances of one service do; claims are whatever they are. */
const group = fc.record({
  counts: fc.tuple(...TOPICS.map(() => fc.integer({ min: 1, max: 13 }))),
  members: fc.uniqueArray(
    fc.record({
      memberId: fc.string({ minLength: 1, maxLength: 6 }),
      generation: fc.integer({ min: -1, max: 3 }),
      owned: fc.array(fc.record({ topic: fc.constantFrom(...TOPICS, 'gone'), partition: fc.nat(14) }), { maxLength: 30 }),
    }),
    { minLength: 1, maxLength: 7, selector: ({ memberId }) => memberId },
  ),
})

const readersOf = ({ members }: { members: readonly { memberId: string; generation: number; owned: GroupReader['claim']['owned'] }[] }) =>
  members.map(({ memberId, generation, owned }): GroupReader => ({ memberId, topics: TOPICS, claim: { generation, owned } }))

const countsOf = (counts: readonly number[]): Map<string, number> => new Map(TOPICS.map((topic, i) => [topic, counts[i]!]))

test('every partition has exactly one reader', () => {
  fc.assert(
    fc.property(group, (given) => {
      const counts = countsOf(given.counts)
      const all = [...assign(readersOf(given), counts).values()].flat().map(({ topic, partition }) => `${topic}/${partition}`)
      const wanted = [...counts].flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => `${topic}/${partition}`))
      assert.deepEqual(all.sort(), wanted.sort())
    }),
  )
})

test('equal partition numbers of topics with equal partition counts have one reader', () => {
  fc.assert(
    fc.property(group, (given) => {
      const counts = countsOf(given.counts)
      for (const list of assign(readersOf(given), counts).values())
        for (const { topic, partition } of list)
          for (const [other, count] of counts)
            if (count === counts.get(topic)) assert.ok(list.some((one) => one.topic === other && one.partition === partition))
    }),
  )
})

test('loads differ by at most one partition per topic', () => {
  fc.assert(
    fc.property(group, (given) => {
      const plan = assign(readersOf(given), countsOf(given.counts))
      for (const topic of TOPICS) {
        const sizes = Object.values(partitionsOf(plan, topic)).map((list) => list.length)
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${topic}: ${sizes.join()}`)
      }
    }),
  )
})

test('every member works out the same plan, in whatever order it hears of members and topics', () => {
  fc.assert(
    fc.property(group, fc.infiniteStream(fc.nat()), (given, dice) => {
      const shuffled = <T>(items: readonly T[]): T[] =>
        items
          .map((item) => ({ item, at: dice.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ item }) => item)
      const one = assign(readersOf(given), countsOf(given.counts))
      const other = assign(
        shuffled(readersOf(given)).map((member) => ({ ...member, topics: shuffled(member.topics) })),
        new Map(shuffled([...countsOf(given.counts)])),
      )
      for (const [memberId, list] of one) assert.deepEqual(other.get(memberId), list)
    }),
  )
})

test('when members come and go, no partition moves that could have stayed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 24 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 0, max: 4 }),
      fc.nat(5),
      (count, old, joins, leaves) => {
        const counts = new Map([
          ['t', count],
          ['u', count],
        ])
        const fresh = (memberId: string): GroupReader => ({ memberId, topics: ['t', 'u'], claim: { generation: -1, owned: [] } })
        const names = Array.from({ length: old }, (_, i) => `m${i}`)
        const first = assign(names.map(fresh), counts)
        const staying = names
          .slice(Math.min(leaves, old - 1))
          .map((memberId): GroupReader => ({ memberId, topics: ['t', 'u'], claim: { generation: 7, owned: first.get(memberId)! } }))
        const members = [...staying, ...Array.from({ length: joins }, (_, i) => fresh(`n${i}`))]
        const second = assign(members, counts)
        const floor = Math.floor(count / members.length)
        const odd = count % members.length
        const before = staying.map(({ memberId }) => first.get(memberId)!.length / 2)
        const mayStay =
          before.reduce((sum, load) => sum + Math.min(load, floor), 0) + Math.min(odd, before.filter((load) => load > floor).length)
        const stayed = staying.reduce(
          (sum, { memberId }) =>
            sum +
            second
              .get(memberId)!
              .filter(({ topic, partition }) => topic === 't' && first.get(memberId)!.some((p) => p.partition === partition)).length,
          0,
        )
        assert.equal(stayed, mayStay)
      },
    ),
  )
})
