// One bit flips in a stored batch on the broker's disk, wherever in it: everything before and behind is read, nothing else is.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openKafkaLog } from '@andon/kit'
import type { KafkaLog } from '@andon/kit'
import { startKafka } from '@andon/platform'
import type { Kafka } from '@andon/platform'
import { batchesIn, flipBit, segmentFile } from '../../../test/faults/segments.ts'
import { readAround } from '../src/damaged-read.ts'

/** Byte and bit of a batch: what Kafka's checksum covers, and the length, the format and the checksum itself. */
const PLACES: readonly (readonly [what: string, byte: number, bit: number])[] = [
  ['length, a little more', 11, 1],
  ['length, much more', 8, 6],
  ['length, below nothing', 8, 7],
  ['length, much less', 10, 1],
  ['checksum', 18, 3],
  ['attributes', 22, 1],
  ['offset of its last record', 26, 2],
  ['number of records', 60, 0],
  ['a record', 100, 5],
]
const BATCHES = 40
const RECORDS = 20
const DAMAGED = 17

/** A partition beside them that nothing happens to. */
const WHOLE = PLACES.length

const dir = mkdtempSync(join(tmpdir(), 'andon-damaged-'))
let kafka: Kafka
let log: KafkaLog

before(async () => {
  kafka = await startKafka({ dir })
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'damaged' })
  await log.admin.ensureTopics([{ name: 'numbers', partitions: PLACES.length + 1 }])
  for (let batch = 0; batch < BATCHES; batch++)
    await log.append(
      Array.from({ length: PLACES.length + 1 }, (_, partition) => partition).flatMap((partition) =>
        Array.from({ length: RECORDS }, (_record, i) => ({
          topic: 'numbers',
          key: null,
          partition,
          value: Buffer.from(`${batch * RECORDS + i} ${'x'.repeat(40)}`),
        })),
      ),
    )
  await log.close()
  await kafka.stop()
  for (const [partition, [, byte, bit]] of PLACES.entries()) {
    const file = segmentFile(dir, 'numbers', partition)
    const batches = batchesIn(readFileSync(file))
    assert.equal(batches.length, BATCHES)
    flipBit(file, batches[DAMAGED]!.start + byte, bit)
  }
  await kafka.restart()
  log = await openKafkaLog({ brokers: kafka.brokers, clientId: 'damaged' })
})

after(async () => {
  await log?.close()
  await kafka?.stop()
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
})

test('a damaged batch holds up its own partition and no other', async () => {
  const next = new Map<number, number>()
  const isDone = Promise.withResolvers<void>()
  const run = await log.run({
    group: 'damaged',
    topics: ['numbers'],
    onAssigned: () => 'earliest' as const,
    onBatch: async ({ partition, nextOffset }) => {
      next.set(partition, nextOffset)
      if (next.get(WHOLE) === BATCHES * RECORDS) isDone.resolve()
    },
  })
  await isDone.promise
  await run.stop()
  for (const [partition] of PLACES.entries()) assert.ok((next.get(partition) ?? 0) <= DAMAGED * RECORDS, `partition ${partition}`)
})

// Together, each over connections of its own: where a length is wrong, waiting for the broker takes seconds.
describe('one bit of a stored batch', { concurrency: PLACES.length }, () => {
  for (const [partition, [what]] of PLACES.entries())
    test(what, async (t) => {
      const found: number[] = []
      const told: number[] = []
      const range = { topic: 'numbers', partition, from: 'earliest', to: 'latest' } as const
      const own = await openKafkaLog({ brokers: kafka.brokers, clientId: what })
      t.after(() => own.close())
      for await (const batch of readAround(own, range, (offset) => void told.push(offset)))
        for (const record of batch.records) {
          found.push(record.offset)
          assert.equal(record.value?.toString().split(' ')[0], String(record.offset))
        }
      const missing = Array.from({ length: BATCHES * RECORDS }, (_, offset) => offset).filter((offset) => !found.includes(offset))
      assert.ok(told.length > 0)
      assert.equal(missing[0], DAMAGED * RECORDS)
      assert.ok(missing.includes((DAMAGED + 1) * RECORDS - 1))
      // Where a length is wrong the broker finds the next batch by its index, which knows some of them.
      if (!what.startsWith('length')) assert.equal(missing.length, RECORDS)
      assert.ok(found.includes(BATCHES * RECORDS - 1), `missing up to ${missing.at(-1)}`)
    })
})
