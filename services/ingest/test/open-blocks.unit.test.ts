// When a block closes: at once for a slow source, soon after a burst, after the linger in a steady stream.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OpenBlocks } from '../src/open-blocks.ts'
import { plantLookup } from '../src/plant-lookup.ts'
import { checkReading, isRefusal, maxValues } from '../src/reading.ts'
import { plant, reading, startUs } from './rig.ts'

const lookup = plantLookup(plant, new Map())

const open = (isAwaited = true) => {
  let nowMs = 1000
  const timers: { atMs: number; callback: () => void }[] = []
  const closed: { atMs: number; rows: number }[] = []
  const blocks = new OpenBlocks({
    limits: { maxRows: 1000, maxBytes: 1 << 20 },
    lingerMs: 20,
    monotonicMs: () => nowMs,
    keep: async ({ builder }) => void closed.push({ atMs: nowMs, rows: builder.count }),
    lost: () => undefined,
    schedule: (afterMs, callback) => void timers.push({ atMs: nowMs + afterMs, callback }),
  })
  const pass = (ms: number) => {
    for (const end = nowMs + ms; ;) {
      const next = timers.toSorted((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined || next.atMs > end) {
        nowMs = end
        return
      }
      timers.splice(timers.indexOf(next), 1)
      nowMs = next.atMs
      next.callback()
    }
  }
  let seq = 0
  const row = () => rowOf('oven-plc', ++seq)
  const rowOf = (source: string, number: number) => {
    const checked = checkReading(reading(number, { source, asset: 'oven' }))
    assert.ok(!isRefusal(checked))
    const values = new Float64Array(maxValues)
    const layout = lookup.place(checked, values)
    assert.ok(!isRefusal(layout))
    blocks.add(layout, checked, values, 1, number, {
      receivedUs: startUs,
      historical: false,
      sender: { door: 'mqtt', isAwaited, device: undefined, correction: undefined },
    })
  }
  return { pass, row, rowOf, closed }
}

test('who waits for an answer does not wait for company, once nothing of the source is on its way', async () => {
  const { pass, row, closed } = open()
  row()
  pass(0)
  await new Promise((resolve) => setImmediate(resolve)) // kept
  pass(5)
  row()
  pass(0)
  assert.deepEqual(
    closed.map(({ rows }) => rows),
    [1, 1],
  )
})

test('who waits for no answer keeps to the linger, so that its rows share blocks', async () => {
  const { pass, row, closed } = open(false)
  row()
  pass(0)
  await new Promise((resolve) => setImmediate(resolve)) // kept
  pass(5)
  row()
  pass(0)
  assert.equal(closed.length, 1)
  pass(20)
  assert.equal(closed.length, 2)
})

test('rows of one turn share a block, and a slow source does not wait', () => {
  const { pass, row, closed } = open()
  row()
  row()
  pass(0)
  pass(1000)
  row()
  pass(0)
  assert.deepEqual(closed, [
    { atMs: 1000, rows: 2 },
    { atMs: 2000, rows: 1 },
  ])
})

test('a burst closes soon after it has ended', () => {
  const { pass, row, closed } = open()
  row()
  pass(1)
  for (let count = 0; count < 10; count++) row()
  pass(100)
  assert.equal(closed[1]?.rows, 10)
  assert.ok(closed[1]!.atMs <= 1000 + 1 + 2 * 5)
})

test('a steady stream closes every linger', () => {
  const { pass, row, closed } = open()
  for (let count = 0; count < 100; count++) {
    row()
    pass(1)
  }
  assert.deepEqual(
    closed.slice(1).map(({ rows }) => rows >= 15 && rows <= 25),
    closed.slice(1).map(() => true),
  )
  assert.ok(closed.length >= 4)
})

test('however many sources there are, none loses its place in an open block', () => {
  const { pass, rowOf, closed } = open()
  const sources = Array.from({ length: 12_000 }, (_, at) => `source-${at}`)
  for (const round of [0, 1]) {
    for (const number of [1, 2]) for (const source of sources) rowOf(source, 2 * round + number)
    pass(1000)
    assert.equal(closed.length, sources.length * (round + 1))
  }
  assert.ok(closed.every(({ rows }) => rows === 2))
})
