// The outbox is what makes a simulated sensor a careful one: order, repeats under the same numbers, a bounded memory.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchRefused, openOutbox } from '../src/outbox.ts'
import type { Reading } from '../src/reading.ts'

const reading = (seq: number): Reading => ({ source: 's', asset: 'a', epoch: 1, seq, timeUs: seq })
const readings = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => reading(from + i))
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
const quick = { first: 1, most: 2 }

test('what fails is sent again in the same order under the same numbers', async () => {
  const taken: number[] = []
  const attempts: number[][] = []
  const troubles: string[] = []
  const box = openOutbox({
    source: 's',
    maxBatch: 3,
    maxWaiting: 100,
    retryMs: quick,
    onTrouble: (error) => troubles.push(error?.message ?? 'well'),
    deliver: async (batch) => {
      attempts.push(batch.map((r) => r.seq))
      if (attempts.length <= 3) throw new Error('away')
      taken.push(...batch.map((r) => r.seq))
      return { quarantined: 0 }
    },
  })
  box.add(readings(0, 6))
  await until(() => taken.length === 7)
  await box.stop()
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6])
  assert.deepEqual(attempts.slice(0, 4), [
    [0, 1, 2],
    [0, 1, 2],
    [0, 1, 2],
    [0, 1, 2],
  ])
  assert.deepEqual(troubles, ['away', 'well'])
})

test('a batch that can never be taken does not hold up the ones behind it', async () => {
  const taken: number[] = []
  const box = openOutbox({
    source: 's',
    maxBatch: 1,
    maxWaiting: 100,
    retryMs: quick,
    deliver: async ([first]) => {
      if (first!.seq === 1) throw new BatchRefused('no')
      taken.push(first!.seq)
      return { quarantined: 0 }
    },
  })
  box.add(readings(0, 3))
  await until(() => taken.length === 3)
  await box.stop()
  assert.deepEqual(taken, [0, 2, 3])
  assert.deepEqual(box.counts(), { waiting: 0, acknowledged: 3, quarantined: 0, refused: 1, dropped: 0 })
})

test('over its bound the oldest readings go, also while they are being sent, and are counted', async () => {
  let release = () => {}
  const taken: number[] = []
  const box = openOutbox({
    source: 's',
    maxBatch: 2,
    maxWaiting: 4,
    retryMs: quick,
    deliver: async (batch) => {
      if (taken.length === 0) await new Promise<void>((resolve) => (release = resolve))
      taken.push(...batch.map((r) => r.seq))
      return { quarantined: 0 }
    },
  })
  box.add(readings(0, 3))
  await new Promise((resolve) => setImmediate(resolve))
  box.add(readings(4, 7))
  release()
  await until(() => taken.length === 6)
  await box.stop()
  assert.deepEqual(taken, [0, 1, 4, 5, 6, 7])
  assert.equal(box.counts().dropped, 4)
})

test('what is acknowledged is told as ranges of numbers; a batch with quarantined readings is not claimed', async () => {
  let delivered = 0
  const box = openOutbox({
    source: 's',
    maxBatch: 2,
    maxWaiting: 100,
    deliver: async (batch) => {
      delivered += batch.length
      return { quarantined: batch.some(({ seq }) => seq === 5) ? 1 : 0 }
    },
  })
  box.add(readings(0, 9))
  box.add([{ ...reading(0), epoch: 2 }])
  await until(() => delivered === 11)
  await box.stop()
  assert.deepEqual(box.acknowledged(), [
    { epoch: 1, from: 0, to: 3 },
    { epoch: 1, from: 6, to: 9 },
    { epoch: 2, from: 0, to: 0 },
  ])
})
