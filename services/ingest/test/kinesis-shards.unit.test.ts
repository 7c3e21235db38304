// Which shards are read, and when.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readableShards, withoutExpired } from '../src/kinesis-shards.ts'
import type { Shard } from '../src/kinesis-shards.ts'

const shards: Shard[] = [
  { id: 'a', parents: [] },
  { id: 'b', parents: ['a'] },
  { id: 'c', parents: ['a'] },
  { id: 'd', parents: ['b', 'c'] },
]
const ids = (done: Record<string, string | null>, listed = shards) =>
  readableShards(listed, { startedMs: 0, shards: done }).map(({ id }) => id)

test('a child waits until its parent has been read to its end', () => {
  assert.deepEqual(ids({}), ['a'])
  assert.deepEqual(ids({ a: '7' }), ['a'])
  assert.deepEqual(ids({ a: null }), ['b', 'c'])
})

test('a merged shard waits for both of its parents', () => {
  assert.deepEqual(ids({ a: null, b: null }), ['c'])
  assert.deepEqual(ids({ a: null, b: null, c: null }), ['d'])
})

test('nobody waits for a parent that has expired', () => {
  assert.deepEqual(ids({}, shards.slice(1)), ['b', 'c'])
})

test('positions of expired shards are forgotten, those of others are kept', () => {
  const position = { startedMs: 5, shards: { a: null, b: '3' } }
  assert.deepEqual(withoutExpired(shards.slice(1), position), { startedMs: 5, shards: { b: '3' } })
})
