// Lineage headers and the marks that drop repeats.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupeMarks, compareOrders, emitter, eventHeaders, formatCause, formatOrder, parseCause, parseOrder, rfc3339 } from '@andon/kit'
import type { Input } from '@andon/kit'
import fc from 'fast-check'

const number = fc.nat()

const input: Input<unknown> = {
  topic: 'telemetry',
  partition: 3,
  position: { leaderEpoch: 2, offset: 40 },
  key: 'press-1',
  value: {},
  id: 'block-1',
  type: 'Block',
  timestampMs: 0,
  lane: 'redrive:7',
  order: { promotion: 1, leaderEpoch: 0, offset: 9, index: 2 },
  traceparent: '00-aa-bb-01',
}

const output = { topic: 'features', key: 'press-1', value: {}, id: 'v1', type: 'Vector', timeUs: 1_700_000_000_123_456 }

test('causes and orders survive their headers, anything else is no cause', () => {
  fc.assert(
    fc.property(number, number, number, number, (a, b, c, d) => {
      const cause = { topic: 'a.b-c', partition: a, leaderEpoch: b, offset: c, index: d }
      assert.deepEqual(parseCause(formatCause(cause)), cause)
      const order = { promotion: a, leaderEpoch: b, offset: c, index: d }
      assert.deepEqual(parseOrder(formatOrder(order)), order)
    }),
  )
  for (const text of [undefined, '', 'a/1/2/3', 'a/1/2/x/4', 'a/1/2/3/4/5']) assert.equal(parseCause(text), undefined)
  for (const text of [undefined, '1.2.3', '1.2.3.x']) assert.equal(parseOrder(text), undefined)
})

test('an event without causing input has no cause', () => {
  const headers = eventHeaders({ ...output, key: null }, 'ingest')
  assert.equal(headers['andon-cause'], undefined)
  assert.equal(headers['ce_subject'], undefined)
})

test('outputs are numbered per causing input, however calls interleave', () => {
  const out = emitter()
  const other = { ...input, position: { leaderEpoch: 2, offset: 41 } }
  for (const cause of [input, input, other, input]) out.emit(cause, output)
  assert.deepEqual(
    out.outputs.map(({ index }) => index),
    [0, 1, 0, 2],
  )
})

test('a repeat is dropped per upstream partition and lane; a new leader epoch goes on above the old one', () => {
  const marks = new DedupeMarks()
  const cause = (leaderEpoch: number, offset: number, index: number, partition = 0) => ({
    topic: 'up',
    partition,
    leaderEpoch,
    offset,
    index,
  })
  assert.equal(marks.admit(cause(0, 5, 1), 'live'), true)
  assert.equal(marks.admit(cause(0, 5, 1), 'live'), false)
  assert.equal(marks.admit(cause(0, 5, 0), 'live'), false)
  assert.equal(marks.admit(cause(0, 5, 2), 'live'), true)
  assert.equal(marks.admit(cause(0, 5, 1), 'redrive:1'), true)
  assert.equal(marks.admit(cause(0, 5, 1, 1), 'live'), true)
  assert.equal(marks.admit(cause(1, 3, 0), 'live'), true) // offsets start again after a cut
  assert.equal(marks.admit(cause(0, 9, 0), 'live'), false)
  assert.equal(marks.admit(undefined, 'live'), true)
  const restored = new DedupeMarks()
  restored.restore(marks.entries())
  assert.equal(restored.admit(cause(1, 3, 0), 'live'), false)
})

test('marks of old redrives are forgotten, oldest first; the live ones never', () => {
  const marks = new DedupeMarks()
  const cause = { topic: 'up', partition: 0, leaderEpoch: 0, offset: 5, index: 0 }
  marks.admit(cause, 'live')
  for (let redrive = 0; redrive < 300; redrive++) assert.equal(marks.admit(cause, `redrive:${redrive}`), true)
  assert.equal(marks.entries().length, 257)
  assert.equal(marks.admit(cause, 'live'), false)
  assert.equal(marks.admit(cause, 'redrive:299'), false)
  const restored = new DedupeMarks()
  restored.restore(marks.entries())
  assert.equal(restored.admit(cause, 'redrive:0'), true)
  marks.admit(cause, 'redrive:0')
  assert.deepEqual(restored.entries(), marks.entries())
})

test('orders compare promotion first, then place in the log', () => {
  const order = (promotion: number, leaderEpoch: number, offset: number, index: number) => ({ promotion, leaderEpoch, offset, index })
  const sorted = [order(0, 0, 9, 0), order(0, 1, 2, 0), order(0, 1, 2, 1), order(1, 0, 0, 0)]
  assert.deepEqual([...sorted].reverse().sort(compareOrders), sorted)
})

test('times keep their microseconds', () => {
  assert.equal(rfc3339(1_000_001), '1970-01-01T00:00:01.000001Z')
  assert.equal(rfc3339(0), '1970-01-01T00:00:00.000000Z')
})
