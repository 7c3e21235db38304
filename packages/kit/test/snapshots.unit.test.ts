// Snapshot rounds in the changelog, with the Avro codec: which round and which snapshot of a key recovery takes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localCodec, openMemoryLog } from '@andon/kit'
import type { Mark, MemoryLog } from '@andon/kit'
import fc from 'fast-check'
import { ChangelogView, Standby } from '../src/changelog-view.ts'
import { Snapshots, changelogSpec } from '../src/snapshots.ts'

const open = async () => {
  const log = openMemoryLog({ partitions: 1 })
  await log.admin.ensureTopics([changelogSpec('adder', 1)])
  return { log, snapshots: new Snapshots(log, localCodec(), 'adder') }
}

const fill = async (log: MemoryLog, topic: string, count: number): Promise<void> => {
  await log.append(
    Array.from({ length: count }, (_, i) => ({ topic, key: 'a', value: Buffer.from('x'), headers: { ce_id: `${topic}-${i}` } })),
  )
}

const mark = (topic: string, offset: number, leaderEpoch = 0): Mark => ({
  topic,
  partition: 0,
  leaderEpoch,
  offset,
  id: offset < 0 ? '' : `${topic}-${offset}`,
})

const round = (offset: number, keys: Record<string, string>, output?: number, version = 2) => ({
  input: mark('numbers', offset),
  output: output === undefined ? undefined : mark('totals', output),
  kit: { dedupe: [], outputs: output === undefined ? [] : [mark('totals', output)] },
  keys: Object.entries(keys).map(([key, state]) => ({ key, version, state: Buffer.from(state) })),
})

const stateOf = (found: Awaited<ReturnType<Snapshots['recover']>>) =>
  Object.fromEntries((found?.keys ?? []).map(({ key, state }) => [key, Buffer.from(state).toString()]))

test('recovery takes the newest round and, per key, the newest snapshot up to it', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await snapshots.write(round(2, { a: 'a2', b: 'b2' }))
  await snapshots.write(round(5, { a: 'a5' }))
  const found = await snapshots.recover('numbers', 0)
  assert.equal(found?.input.offset, 5)
  assert.deepEqual(stateOf(found), { a: 'a5', b: 'b2' })
  assert.equal(found?.keys[0]?.version, 2)
  assert.equal(found?.rejected, false)
})

test('state of another version is passed over, also what it has further on in the input', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await snapshots.write(round(3, { a: 'a3', b: 'b3' }, undefined, 1))
  await snapshots.write(round(8, { a: 'a8' }, undefined, 1))
  assert.equal(await snapshots.recover('numbers', 0, 2), undefined)
  await snapshots.write(round(5, { a: 'new a5' }))
  const found = await snapshots.recover('numbers', 0, 2)
  assert.equal(found?.input.offset, 5)
  assert.deepEqual(stateOf(found), { a: 'new a5' })
  assert.equal(await snapshots.recover('numbers', 0, 3), undefined)
})

test('a round whose output is gone is passed over, with the snapshots it brought', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await fill(log, 'totals', 6)
  await snapshots.write(round(2, { a: 'a2' }, 2))
  await snapshots.write(round(5, { a: 'a5', c: 'c5' }, 5))
  log.cut('totals', 0, 4)
  const found = await snapshots.recover('numbers', 0)
  assert.equal(found?.input.offset, 2)
  assert.deepEqual(stateOf(found), { a: 'a2' })
  assert.equal(found?.rejected, true)
})

test('an offset that was written again under a new leader epoch is not the one that was marked', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 6)
  await snapshots.write(round(2, { a: 'a2' }))
  await snapshots.write(round(5, { a: 'a5' }))
  log.cut('numbers', 0, 4)
  await fill(log, 'numbers', 6)
  assert.equal((await snapshots.recover('numbers', 0))?.input.offset, 2)
})

test('a snapshot that stands on lost input does not count, even under a later round', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 6)
  await snapshots.write(round(2, { a: 'a2', b: 'b2' }))
  await snapshots.write(round(5, { b: 'b from lost records' }))
  log.cut('numbers', 0, 4)
  await log.append([{ topic: 'numbers', key: 'a', value: Buffer.from('x'), headers: { ce_id: 'numbers-4' } }])
  assert.equal((await snapshots.recover('numbers', 0))?.input.offset, 2) // as an owner does that is in doubt
  await snapshots.write({ ...round(4, { a: 'a4' }), input: mark('numbers', 4, 1) })
  const found = await snapshots.recover('numbers', 0)
  assert.deepEqual([found?.input.leaderEpoch, found?.input.offset], [1, 4])
  assert.deepEqual(stateOf(found), { a: 'a4', b: 'b2' })
})

test('a late round of an earlier owner does not take the state back', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await snapshots.write(round(8, { a: 'a8', b: 'b8' }))
  await snapshots.write(round(5, { a: 'a5' })) // the earlier owner was stopped in the middle and woke up
  const found = await snapshots.recover('numbers', 0)
  assert.equal(found?.input.offset, 8)
  assert.deepEqual(stateOf(found), { a: 'a8', b: 'b8' })
})

test('a standby gives every recovery what the changelog itself gives, also after a lost tail', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), gap: fc.nat(2), cut: fc.boolean() }), { minLength: 1, maxLength: 12 }),
      async (steps) => {
        const { log, snapshots } = await open()
        await fill(log, 'numbers', 40)
        const standby = new Standby(log, localCodec(), 'adder.changelog', 'numbers')
        await standby.start()
        const warm = new Snapshots(log, localCodec(), 'adder', { standby })
        let offset = -1
        for (const { key, gap, cut } of steps) {
          offset += 1 + gap
          await snapshots.write(round(offset, { [key]: `${key}${offset}` })).catch(() => snapshots.recover('numbers', 0)) // lost rounds: it starts from what is left
          await standby.view(0) // it has read what is lost now
          if (cut) log.cut('adder.changelog', 0, Math.max(0, (await log.latest('adder.changelog', 0)).offset - 2))
          const [read, kept] = [await snapshots.recover('numbers', 0), await warm.recover('numbers', 0)]
          assert.equal(kept?.input.offset, read?.input.offset)
          assert.deepEqual(stateOf(kept), stateOf(read))
        }
        await standby.stop()
      },
    ),
    { numRuns: 25 },
  )
})

test('a takeover by a standby does not read the changelog', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await snapshots.write(round(3, { a: 'a3' }))
  const standby = new Standby(log, localCodec(), 'adder.changelog', 'numbers')
  await standby.start()
  const reads: string[] = []
  const watched = { ...log, read: (range: Parameters<typeof log.read>[0]) => (reads.push(range.topic), log.read(range)) }
  const found = await new Snapshots(watched, localCodec(), 'adder', { standby }).recover('numbers', 0)
  await standby.stop()
  assert.deepEqual(stateOf(found), { a: 'a3' })
  assert.equal(reads.includes('adder.changelog'), false)
})

test('a standby forgets what is older than two minutes, but for the newest of each key', async () => {
  const view = new ChangelogView('adder.changelog', 'numbers', 0)
  const codec = localCodec()
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  for (const offset of [1, 3, 5]) await snapshots.write(round(offset, { a: `a${offset}`, ...(offset === 1 ? { b: 'b1' } : {}) }))
  for await (const batch of log.read({ topic: 'adder.changelog', partition: 0, from: 'earliest', to: 'latest' }))
    for (const record of batch.records) await view.take(codec, record, true)
  view.forget(Number.MAX_SAFE_INTEGER)
  assert.deepEqual(
    view.rounds.map(({ input }) => input.offset),
    [5],
  )
  assert.deepEqual(
    [...view.entries].map(([key, list]) => [key, list.length]),
    [
      ['a', 1],
      ['b', 1],
      ['@kit', 1],
    ],
  )
})

test('a mark below the log start was removed by retention and holds', async () => {
  const { log, snapshots } = await open()
  await fill(log, 'numbers', 10)
  await snapshots.write(round(3, { a: 'a3' }))
  log.trim('numbers', 0, 6)
  assert.equal((await snapshots.recover('numbers', 0))?.input.offset, 3)
})
