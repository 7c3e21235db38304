// The verifier itself: a clean ledger passes, and every planted error fails it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyRecords } from './record-ledger.ts'
import type { FoundRecord } from './record-ledger.ts'

const record = (number: number): FoundRecord => ({ id: `id-${number}`, lane: 'p0', number, content: `bytes of ${number}` })
const clean = Array.from({ length: 100 }, (_, number) => record(number))
const acknowledged = new Set(clean.map(({ id }) => id))
const NOTHING = { acknowledged: 100, lost: 0, duplicates: 0, misordered: 0, problems: [] }

test('a clean ledger has nothing to say', () => {
  assert.deepEqual(verifyRecords({ acknowledged, found: clean }), NOTHING)
})

test('one record less is one lost', () => {
  const verdict = verifyRecords({ acknowledged, found: clean.toSpliced(41, 1) })
  assert.deepEqual(verdict, { ...NOTHING, lost: 1, problems: ['id-41 was acknowledged and is not there'] })
})

test('one record twice is one duplicate', () => {
  const verdict = verifyRecords({ acknowledged, found: clean.toSpliced(60, 0, record(12)) })
  assert.deepEqual(verdict, { ...NOTHING, duplicates: 1, problems: ['id-12 is there twice'] })
})

test('a repeat with other bytes is said to differ', () => {
  const verdict = verifyRecords({ acknowledged, found: [...clean, { ...record(99), content: 'other bytes' }] })
  assert.deepEqual(verdict.problems, ['id-99 is there twice, with different contents'])
})

test('two records that changed places are one misordered', () => {
  const swapped = [...clean.slice(0, 30), record(31), record(30), ...clean.slice(32)]
  const verdict = verifyRecords({ acknowledged, found: swapped })
  assert.deepEqual(verdict, { ...NOTHING, misordered: 1, problems: ['id-30 of p0 comes after number 31'] })
})

test('lanes have orders of their own', () => {
  const other = clean.map((one) => ({ ...one, id: `other-${one.id}`, lane: 'p1' }))
  const ids = new Set([...acknowledged, ...other.map(({ id }) => id)])
  assert.deepEqual(verifyRecords({ acknowledged: ids, found: [...clean, ...other] }).misordered, 0)
})

test('a record without an answer may be there or not; one that nobody sent may not', () => {
  const extra = { ...record(100), id: 'late' }
  assert.deepEqual(verifyRecords({ acknowledged, unanswered: new Set(['late']), found: [...clean, extra] }), NOTHING)
  assert.deepEqual(verifyRecords({ acknowledged, unanswered: new Set(['late']), found: clean }), NOTHING)
  assert.deepEqual(verifyRecords({ acknowledged, found: [...clean, extra] }).problems, ['late is there, and nobody sent it'])
})
