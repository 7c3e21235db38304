// What the door remembers of readings without numbers: by place or by time, over restarts, and not beyond a failure.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DoorMemory, Traces, isTrace, rememberMs, subjectOf } from '../src/door-memory.ts'

const subject = subjectOf('key', 'oven-plc', 'file-1')
const safe = Promise.resolve()

test('rows that follow each other are one range, as text and in memory', () => {
  const traces = new Traces()
  for (let row = 0; row < 1000; row++) traces.addRows(subject, row, row + 1)
  traces.addRows(subject, 2000, 2010)
  assert.deepEqual(traces.texts(), [`${subject}r0,rs.`, `${subject}r1jk,1ju.`])
})

test('whatever was remembered is known after a restart, and nothing else', () => {
  const rows = fc.uniqueArray(fc.nat(60), { maxLength: 30 })
  const times = fc.uniqueArray(fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_000_000_100 }), { maxLength: 30 })
  fc.assert(
    fc.property(rows, times, (byRow, byTime) => {
      const traces = new Traces()
      for (const row of byRow) traces.addRows(subject, row, row + 1)
      for (const timeUs of byTime) traces.addTime('0'.repeat(32), timeUs)
      const texts = traces.texts()
      assert.ok(texts.every(isTrace))
      const memory = new DoorMemory(1, 0)
      memory.restore(texts)
      for (let row = 0; row <= 61; row++) assert.equal(memory.seenRow(subject, row) !== undefined, byRow.includes(row))
      for (let timeUs = 1_699_999_999_999_999; timeUs <= 1_700_000_000_000_101; timeUs++)
        assert.equal(memory.seenAt('0'.repeat(32), timeUs) !== undefined, byTime.includes(timeUs))
      memory.forget(texts)
      for (const row of byRow) assert.equal(memory.seenRow(subject, row), undefined)
      for (const timeUs of byTime) assert.equal(memory.seenAt('0'.repeat(32), timeUs), undefined)
    }),
  )
})

test('a text that was torn while being written is none', () => {
  const traces = new Traces()
  traces.addRows(subject, 0, 100_000)
  traces.addTime(subject, 1_700_000_000_000_000)
  traces.addTime(subject, 1_699_999_999_999_000)
  for (const text of traces.texts()) {
    assert.ok(isTrace(text))
    for (let length = 0; length < text.length; length++) assert.ok(!isTrace(text.slice(0, length)), text.slice(0, length))
  }
})

test('what failed is forgotten alone: what is beside it stays known', () => {
  const memory = new DoorMemory(1, 0)
  memory.rememberRows(subject, 0, 10, safe)
  memory.rememberRows(subject, 10, 20, Promise.resolve())
  const failed = new Traces()
  failed.addRows(subject, 10, 20)
  memory.forget(failed.texts())
  assert.deepEqual([memory.seenRow(subject, 9) === safe, memory.seenRow(subject, 10)], [true, undefined])
})

test('rows are known for ten to twenty minutes', () => {
  const memory = new DoorMemory(1, 0)
  memory.rememberRows(subject, 0, 1, safe)
  memory.rememberAt(subject, 5, safe)
  memory.age(rememberMs)
  assert.ok(memory.seenRow(subject, 0) !== undefined && memory.seenAt(subject, 5) !== undefined)
  memory.age(2 * rememberMs)
  assert.ok(memory.seenRow(subject, 0) === undefined && memory.seenAt(subject, 5) === undefined)
})

test('numbers of a source go on over runs of any length, each source has its own', () => {
  const memory = new DoorMemory(7, 0)
  assert.deepEqual(
    [memory.number('a', 10), memory.number('b'), memory.number('a'), memory.number('a', 5), memory.number('b')],
    [1, 1, 11, 12, 2],
  )
})
