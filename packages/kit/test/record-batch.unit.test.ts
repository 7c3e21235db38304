// Record batches: what is written is read back, kafkajs reads it too, and nothing damaged passes.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { murmur2, partitionOf } from '@andon/kit'
import fc from 'fast-check'
import { BatchWriter, HeaderWriter } from '../src/log/kafka/batch-writer.ts'
import { decodeRecords } from '../src/log/kafka/batch-reader.ts'
import type { Columns } from '../src/log/kafka/columns.ts'
import type { Aborted } from '../src/log/kafka/protocol.ts'

const require = createRequire(import.meta.url)

interface Sample {
  readonly key: string | null
  readonly value: Uint8Array | null
  readonly timestampMs: number
  readonly headers: Record<string, string>
}

const producer = { id: 7n, epoch: 0, sequence: 0 }

const write = (samples: readonly Sample[], codec = 0): Buffer => {
  const writer = new BatchWriter()
  const headers = new HeaderWriter()
  writer.begin()
  for (const { key, value, timestampMs, headers: map } of samples) {
    headers.write(map)
    writer.append(key === null ? null : Buffer.from(key), value, timestampMs, headers)
  }
  return Buffer.from(writer.take(producer, { codec }))
}

const read = (topic: string, partition: number, bytes: Buffer, fromOffset: number, aborted: readonly Aborted[]): Columns => {
  const columns = decodeRecords({ topic, partition, bytes, fromOffset, aborted, highWatermark: 0 })
  assert.ok(!(columns instanceof Promise), 'small batches are read at once')
  return columns
}

/** As a broker stores it. */
const stored = (batch: Buffer, baseOffset: number, leaderEpoch: number): Buffer => {
  const copy = Buffer.from(batch)
  copy.writeBigInt64BE(BigInt(baseOffset), 0)
  copy.writeInt32BE(leaderEpoch, 12)
  return copy
}

const setAttributes = (batch: Buffer, attributes: number, producerId = 7): Buffer => {
  batch.writeInt16BE(attributes, 21)
  batch.writeBigInt64BE(BigInt(producerId), 43)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

const plain = (n: number): Sample => ({ key: 'k', value: Buffer.from(String(n)), timestampMs: 1_700_000_000_000 + n, headers: {} })

const text = fc.string({ unit: 'grapheme', maxLength: 80 })
const sample = fc.record({
  key: fc.option(text, { nil: null }),
  value: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null }),
  // Deltas beyond 31 bits, as a backfill beside live data has them.
  timestampMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  headers: fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), text, { maxKeys: 6, noNullPrototype: true }),
})

test('a header may have any name', () => {
  const headers = Object.fromEntries([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ])
  const [record] = read('t', 0, stored(write([{ key: null, value: null, timestampMs: 0, headers }]), 0, 0), 0, []).records
  assert.deepEqual(Object.entries(record?.headers() ?? {}), Object.entries(headers))
})

test('what is written is read back, compressed or not', () => {
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1, maxLength: 40 }), fc.integer({ min: 0, max: 4 }), (samples, codec) => {
      const { records, nextOffset } = read('t', 3, stored(write(samples, codec), 100, 9), 100, [])
      assert.equal(nextOffset, 100 + samples.length)
      assert.deepEqual(
        records.map((record) => ({
          key: record.key,
          value: record.value && Uint8Array.from(record.value),
          timestampMs: record.timestampMs,
          headers: record.headers(),
          at: [record.leaderEpoch, record.offset],
        })),
        samples.map((one, i) => ({ ...one, value: one.value && Uint8Array.from(one.value), at: [9, 100 + i] })),
      )
      for (const [i, record] of records.entries())
        for (const [name, value] of Object.entries(samples[i]!.headers)) if (/^[ -~]*$/.test(name)) assert.equal(record.header(name), value)
    }),
    { numRuns: 300 },
  )
})

test('kafkajs reads what we write', async () => {
  const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => unknown
  const MagicByte = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
    decoder: unknown,
  ) => Promise<{ records: { key: Buffer; value: Buffer; offset: string; timestamp: string; headers: Record<string, Buffer> }[] }>
  const samples = [
    plain(0),
    { key: 'ü', value: Buffer.from('x'), timestampMs: 1_700_000_500_000, headers: { a: 'b', long: 'ä'.repeat(200) } },
  ]
  const { records } = await MagicByte(new Decoder(stored(write(samples), 5, 1)))
  assert.deepEqual(
    records.map(({ key, value, offset, timestamp }) => [key.toString(), value.toString(), offset, timestamp]),
    [
      ['k', '0', '5', '1700000000000'],
      ['ü', 'x', '6', '1700000500000'],
    ],
  )
  assert.equal(records[1]!.headers['long']?.toString(), 'ä'.repeat(200))
})

test('records before the wanted offset are left out and a cut last batch is ignored', () => {
  const one = stored(write([plain(0), plain(1), plain(2)]), 10, 0)
  const two = stored(write([plain(3)]), 13, 1)
  const { records, nextOffset } = read('t', 0, Buffer.concat([one, two.subarray(0, two.length - 3)]), 11, [])
  assert.deepEqual(
    records.map(({ offset }) => offset),
    [11, 12],
  )
  assert.equal(nextOffset, 13)
})

test('a flipped byte does not pass', () => {
  const batch = stored(write([plain(0)]), 0, 0)
  batch[batch.length - 2]! ^= 1
  assert.throws(() => read('t', 0, batch, 0, []), { code: 'ANDON_LOG_CORRUPT', retriable: true })
})

test('gzip batches of other producers are read, lz4 ones are named', () => {
  const batch = write([plain(0), plain(1)])
  const packed = Buffer.concat([batch.subarray(0, 61), gzipSync(batch.subarray(61))])
  packed.writeInt32BE(packed.length - 12, 8)
  assert.deepEqual(
    read('t', 0, setAttributes(packed, 1), 0, []).records.map(({ value }) => value?.toString()),
    ['0', '1'],
  )
  assert.throws(() => read('t', 0, setAttributes(packed, 3), 0, []), { code: 'ANDON_LOG_COMPRESSION', retriable: false })
})

test('records of aborted transactions and control records are left out, their offsets are passed', () => {
  const bytes = Buffer.concat([
    setAttributes(stored(write([plain(0)]), 0, 0), 0x10, 7), // aborted below
    setAttributes(stored(write([plain(1)]), 1, 0), 0x10, 8), // committed below
    setAttributes(stored(write([plain(2)]), 2, 0), 0x30, 7), // abort marker
    setAttributes(stored(write([plain(3)]), 3, 0), 0x30, 8), // commit marker
    setAttributes(stored(write([plain(4)]), 4, 0), 0x10, 7), // a later transaction of the first producer
    setAttributes(stored(write([plain(5)]), 5, 0), 0x30, 7),
  ])
  const { records, nextOffset } = read('t', 0, bytes, 0, [{ producerId: 7, firstOffset: 0 }])
  assert.deepEqual(
    records.map(({ offset }) => offset),
    [1, 4],
  )
  assert.equal(nextOffset, 6)
})

test('keys hash as in the Java client', () => {
  // Vectors of org.apache.kafka.common.utils.UtilsTest#testMurmur2.
  const vectors: Record<string, number> = {
    '21': -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    'a-little-bit-longer-string': -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
  }
  for (const [key, hash] of Object.entries(vectors)) assert.equal(murmur2(Buffer.from(key)), hash, key)
  assert.equal(murmur2(Buffer.from([97, 98, 99])), 479470107)
  assert.equal(partitionOf('foobar', 12), (-790332482 & 0x7fffffff) % 12)
})
