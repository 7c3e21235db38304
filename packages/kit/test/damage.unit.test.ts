// State that is not whole is never used: damaged batches, rounds that were not finished, and late rounds of an owner that stood
// still, with a compaction that may come at any time. What is used is the state that the input up to its position gives.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import type { Log, Mark, MemoryLog } from '@andon/kit'
import fc from 'fast-check'
import { readAround } from '../src/damaged-read.ts'
import { Snapshots, changelogSpec } from '../src/snapshots.ts'
import type { SnapshotOptions } from '../src/snapshots.ts'
import { wornLog } from './damaged-log.ts'
import type { Wear } from './damaged-log.ts'

const TOPIC = 'adder.changelog'
const INPUTS = 200
const KEYS = ['a', 'b', 'c', 'd', 'e']

/** Which key the input at an offset changes; `e` once only. */
const keyAt = (offset: number): string => (offset === 3 ? 'e' : KEYS[(offset * 7 + (offset >> 2)) % 4]!)

/** What a key's state is when the inputs up to an offset were applied. */
const stateUpTo = (offset: number): Record<string, string> => {
  const state: Record<string, string> = {}
  for (let at = 0; at <= offset; at++) state[keyAt(at)] = `${keyAt(at)}${at}`
  return state
}

const input = (offset: number): Mark => ({ topic: 'numbers', partition: 0, leaderEpoch: 0, offset, id: '' })

/** An owner of the partition, as the processing loop is one. */
class Owner {
  readonly snapshots: Snapshots
  offset = -1
  private state: Record<string, string> = {}
  private readonly dirty = new Set<string>()

  constructor(log: Log, options: SnapshotOptions) {
    this.snapshots = new Snapshots(log, localCodec(), 'adder', options)
  }

  /** The recovered state is right, or there is none. */
  async recover(): Promise<boolean> {
    const found = await this.snapshots.recover('numbers', 0)
    this.dirty.clear()
    this.offset = found?.input.offset ?? -1
    this.state = Object.fromEntries((found?.keys ?? []).map(({ key, state }) => [key, Buffer.from(state).toString()]))
    assert.deepEqual(sorted(this.state), sorted(stateUpTo(this.offset)))
    return found !== undefined
  }

  work(records: number): void {
    for (const end = Math.min(INPUTS - 1, this.offset + records); this.offset < end;) {
      const key = keyAt(++this.offset)
      this.state[key] = `${key}${this.offset}`
      this.dirty.add(key)
    }
  }

  async round(): Promise<void> {
    if (this.offset < 0) return
    if (!(await this.write())) await this.write()
  }

  private async write(): Promise<boolean> {
    const taken = (key: string) => ({ key, version: 1, state: Buffer.from(this.state[key]!) })
    const again = this.snapshots.unchanged(0).filter((key) => !this.dirty.has(key))
    const keys = [...this.dirty].map(taken)
    this.dirty.clear()
    return this.snapshots.write({
      input: input(this.offset),
      output: undefined,
      kit: { dedupe: [], outputs: [] },
      keys,
      again: again.map(taken),
    })
  }
}

const sorted = (state: Record<string, string>): string[] => Object.values(state).sort()

interface World {
  readonly inner: MemoryLog
  readonly log: Log
  readonly wear: Wear
  readonly told: string[]
  readonly owner: (options?: SnapshotOptions) => Owner
}

const open = async (): Promise<World> => {
  const inner = openMemoryLog({ partitions: 1 })
  await inner.admin.ensureTopics([changelogSpec('adder', 1)])
  await inner.append(Array.from({ length: INPUTS }, () => ({ topic: 'numbers', key: 'x', value: Buffer.from('x') })))
  const wear: Wear = { damage: [], compacted: new Set() }
  const log = wornLog(inner, TOPIC, wear)
  const told: string[] = []
  return {
    inner,
    log,
    wear,
    told,
    owner: (options = {}) => new Owner(log, { onDamage: (_fields, message) => void told.push(message), ...options }),
  }
}

const end = async ({ inner }: World): Promise<number> => (await inner.latest(TOPIC, 0)).offset

/** Keeps the last record of each key among those below an offset. */
const compact = async ({ inner, wear }: World, below: number): Promise<void> => {
  const last = new Map<string, number>()
  for await (const { records } of inner.read({ topic: TOPIC, partition: 0, from: 'earliest', to: below }))
    for (const { key, offset } of records) {
      const before = last.get(key!)
      if (before !== undefined) wear.compacted.add(before)
      last.set(key!, offset)
    }
}

test('reading goes on behind a damaged batch; of several, nothing damaged and nothing out of order is read', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.boolean()), { minLength: 1, maxLength: 12 }),
      async (batches) => {
        const world = await open()
        const whole: number[] = []
        for (const [count, isDamaged] of batches) {
          const from = await end(world)
          await world.inner.append(Array.from({ length: count }, () => ({ topic: TOPIC, key: 'k', value: Buffer.from('v') })))
          if (isDamaged) world.wear.damage.push({ from, to: from + count })
          else whole.push(...Array.from({ length: count }, (_, i) => from + i))
        }
        const told: number[] = []
        const found: number[] = []
        const range = { topic: TOPIC, partition: 0, from: 'earliest', to: 'latest' } as const
        for await (const batch of readAround(world.log, range, (offset) => void told.push(offset)))
          found.push(...batch.records.map(({ offset }) => offset))
        assert.equal(told.length > 0, world.wear.damage.length > 0)
        if (world.wear.damage.length <= 1) assert.deepEqual(found, whole)
        else
          assert.deepEqual(
            found,
            whole.filter((offset) => found.includes(offset)),
          )
      },
    ),
    { numRuns: 50 },
  )
})

test('a damaged round is passed over for the one before it, and told', async () => {
  const world = await open()
  const owner = world.owner()
  owner.work(20)
  await owner.round()
  owner.work(20)
  const from = await end(world)
  await owner.round()
  world.wear.damage.push({ from, to: await end(world) })
  const next = world.owner()
  assert.equal(await next.recover(), true)
  assert.equal(next.offset, 19)
  assert.equal(world.told.length, 1)
})

test('a round behind the damage is used once every key has been stored again', async () => {
  const world = await open()
  const owner = world.owner()
  owner.work(20)
  await owner.round()
  world.wear.damage.push({ from: 0, to: await end(world) })
  owner.work(2) // two keys of five
  await owner.round()
  assert.equal(await world.owner().recover(), false)
  for (let rounds = 0; rounds < 12; rounds++) {
    owner.work(2)
    await owner.round()
  }
  const next = world.owner()
  assert.equal(await next.recover(), true)
  assert.ok(next.offset > 22)
})

test('after a recovery that passed damage, one round holds every key', async () => {
  const world = await open()
  const owner = world.owner()
  owner.work(20)
  await owner.round()
  owner.work(1)
  const from = await end(world)
  await owner.round()
  world.wear.damage.push({ from, to: await end(world) })
  owner.work(1) // another key
  await owner.round()
  const next = world.owner()
  await next.recover()
  assert.equal(next.offset, 19)
  next.work(1)
  const behind = await end(world)
  await next.round()
  world.wear.damage.push({ from: 0, to: behind })
  const last = world.owner()
  assert.equal(await last.recover(), true)
  assert.equal(last.offset, next.offset)
})

test('a late round of an owner that stood still is outlived: compaction keeps the newer snapshots of the next owner', async () => {
  const world = await open()
  const frozen = world.owner()
  frozen.work(10)
  await frozen.round()
  frozen.work(4)
  const heir = world.owner()
  await heir.recover()
  heir.work(30)
  await heir.round()
  await frozen.round() // late: what it has of its keys is older, and lies behind
  heir.work(1) // one key
  await heir.round()
  await compact(world, await end(world))
  const next = world.owner()
  assert.equal(await next.recover(), true)
  assert.equal(next.offset, heir.offset)
})

test('a round larger than a batch is stored in parts; half of one is none', async () => {
  const world = await open()
  const owner = world.owner({ maxPartBytes: 100 })
  owner.work(20)
  await owner.round()
  const before = owner.offset
  owner.work(20)
  let appends = 0
  world.inner.failAppends(() => (++appends === 3 ? { error: new Error('killed') } : undefined))
  await assert.rejects(owner.round(), /killed/)
  world.inner.failAppends(undefined)
  const next = world.owner({ maxPartBytes: 100 })
  await next.recover()
  assert.equal(next.offset, before)
  next.work(30)
  await next.round()
  const last = world.owner()
  await last.recover()
  assert.equal(last.offset, next.offset)
})

const step = fc.oneof(
  fc.record({ do: fc.constantFrom('work' as const, 'frozen works' as const), count: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    do: fc.constantFrom('round' as const, 'frozen rounds' as const, 'takeover' as const, 'half a round' as const),
    count: fc.constant(1),
  }),
  fc.record({ do: fc.constantFrom('compact' as const), count: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ do: fc.constantFrom('damage' as const), count: fc.nat(1000) }),
)

test('whatever is damaged, half written, late or compacted: a state that is recovered is the right one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 40 }), async (steps) => {
      const world = await open()
      const options = { maxPartBytes: 120 }
      let owner = world.owner(options)
      let frozen = world.owner(options)
      await Promise.all([owner.recover(), frozen.recover()])
      for (const { do: what, count } of steps) {
        if (what === 'work') owner.work(count)
        else if (what === 'frozen works') frozen.work(count)
        else if (what === 'round') await owner.round().catch(() => owner.recover())
        else if (what === 'frozen rounds') await frozen.round().catch(() => frozen.recover())
        else if (what === 'compact') await compact(world, Math.max(0, (await end(world)) - count))
        else if (what === 'damage') {
          const from = count % Math.max(1, await end(world))
          world.wear.damage.push({ from, to: from + 1 + (count % 5) })
        } else if (what === 'half a round') {
          let appends = 0
          world.inner.failAppends(() => (++appends === 2 ? { error: new Error('killed') } : undefined))
          await owner.round().catch(() => undefined)
          world.inner.failAppends(undefined)
          await owner.recover()
        } else {
          frozen = owner
          owner = world.owner(options)
          await owner.recover()
        }
      }
      await world.owner(options).recover()
    }),
    { numRuns: 150 },
  )
})
