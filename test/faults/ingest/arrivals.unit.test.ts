// What the fault takes as progress on the log.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryLog } from '@andon/kit'
import { plainCodec } from '../../../services/ingest/test/rig.ts'
import { Arrivals } from './samples.ts'

const blockOf = (counts: readonly number[]) => {
  const samples = Buffer.alloc(counts.length * 8)
  counts.forEach((count, row) => samples.writeDoubleLE(count, row * 8))
  const timesUs = Buffer.alloc(counts.length * 8)
  return { channels: ['count'], withheld: [], seqFrom: 0, seqTo: counts.length - 1, rows: counts.length, samples, timesUs }
}

test('a number counts once however often it comes, a tick not at all, and each look reads on', async () => {
  const log = openMemoryLog({ partitions: 2 })
  const append = (partition: number, assetId: string, counts: readonly number[] | undefined) =>
    log.append([
      {
        topic: 'telemetry',
        key: null,
        partition,
        value: plainCodec.encode('telemetry', { assetId, block: counts === undefined ? null : blockOf(counts) }),
      },
    ])
  const arrivals = new Arrivals(log, plainCodec)
  await append(0, 'a', [1, 2])
  await append(1, 'b', [1])
  await append(0, 'a', undefined)
  await arrivals.look()
  assert.deepEqual([arrivals.of('a'), arrivals.of('b'), arrivals.of('c'), arrivals.samples], [2, 1, 0, 3])
  await append(0, 'a', [2, 3])
  await arrivals.look()
  assert.deepEqual([arrivals.of('a'), arrivals.samples], [3, 5])
  assert.equal(arrivals.hasAll(['a 1', 'a 3', 'b 1']), true)
  assert.equal(arrivals.hasAll(['a 1', 'b 2']), false)
  await arrivals.look()
  assert.equal(arrivals.samples, 5)
  arrivals.cutAt(0, 1) // what has these offsets now is read as new
  await arrivals.look()
  assert.deepEqual([arrivals.of('a'), arrivals.samples], [3, 7])
})
