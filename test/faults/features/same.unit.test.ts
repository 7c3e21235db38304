// The verifier of replays has to find what a disturbed run got wrong: errors planted one by one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifySame } from './same.ts'
import type { ReadRecord } from './same.ts'

const clean: readonly ReadRecord[] = Array.from({ length: 20 }, (_, i) => ({
  id: `v${i}`,
  partition: i % 2,
  content: `oven|type=vector|${i}`,
}))
const dropping = { mayRepeat: true }
const strict = { mayRepeat: false }
const change = (index: number, to: Partial<ReadRecord>): ReadRecord[] => clean.map((one, i) => (i === index ? { ...one, ...to } : one))

test('equal records pass, with repeats only where readers drop them', () => {
  assert.deepEqual(verifySame(clean, clean, strict).problems, [])
  const again = [...clean.slice(0, 12), ...clean.slice(6)]
  assert.deepEqual(verifySame(clean, again, dropping).problems, [])
  assert.equal(verifySame(clean, again, dropping).repeats, 6)
  assert.equal(verifySame(clean, again, strict).duplicates, 6)
})

test('a missing record is lost', () => {
  const verdict = verifySame(clean, clean.toSpliced(7, 1), dropping)
  assert.equal(verdict.lost, 1)
  assert.match(verdict.problems.join(), /v7 is not there/)
})

test('one byte of a body, a key or a header is noticed, also in a repeat', () => {
  assert.match(verifySame(clean, change(3, { content: 'oven|type=vector|4' }), dropping).problems.join(), /v3 is not the same/)
  assert.match(verifySame(clean, change(3, { content: 'press|type=vector|3' }), dropping).problems.join(), /v3 is not the same/)
  const again = [...clean, { ...clean[5]!, content: 'oven|type=late|5' }]
  assert.match(verifySame(clean, again, dropping).problems.join(), /v5 came again as another/)
})

test('a record that the undisturbed run does not have is noticed', () => {
  assert.match(
    verifySame(clean, change(3, { id: 'x' }), dropping).problems.join(),
    /x is there, and the undisturbed run has no such record/,
  )
})

test('two records of one partition that changed places are noticed, and another partition has no say in it', () => {
  const swapped = [...clean]
  ;[swapped[4], swapped[6]] = [swapped[6]!, swapped[4]!]
  assert.equal(verifySame(clean, swapped, dropping).misordered, 1)
  const beside = [...clean]
  ;[beside[4], beside[5]] = [beside[5]!, beside[4]!]
  assert.deepEqual(verifySame(clean, beside, strict).problems, [])
  assert.equal(verifySame(clean, change(4, { partition: 1 }), dropping).problems.length > 0, true)
})
