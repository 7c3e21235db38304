// The codecs of record batches: what Java's producer wrote in each of them is read (fixtures: batches of 60 records of
// kafka-clients 4.4.0, as a broker hands them out), damage is an error and never a hang or a flood.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { compressSync } from 'snappy'
import { decodeRecords } from '../src/log/kafka/batch-reader.ts'
import { CODEC, pack, packAside, unpack, unpackAside } from '../src/log/kafka/compression.ts'
import type { Compression } from '../src/log/kafka/compression.ts'

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const satisfies Compression[]
const text = Buffer.from('bearing temperature within its limits; '.repeat(9000))
const noise = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 2_654_435_761) >>> 24))

const fixtures = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/java-batches.json'), 'utf8')) as Record<string, string>

for (const codec of CODECS) {
  test(`${codec}: a batch of Java's producer is read`, async () => {
    const batch = await decodeRecords({
      topic: 't',
      partition: 0,
      bytes: Buffer.from(fixtures[codec]!, 'base64'),
      fromOffset: 0,
      aborted: [],
      highWatermark: 60,
    })
    assert.equal(batch.count, 60)
    for (const [n, record] of batch.records.entries()) {
      assert.deepEqual(
        [record.key, record.value?.toString(), record.timestampMs, record.headers()],
        [`key-${n}`, `value ${n} of a Java producer, `.repeat(40), 1_700_000_000_000 + n, { n: String(n) }],
      )
    }
  })

  test(`${codec}: what is packed is unpacked, at once or aside`, async () => {
    for (const bytes of [text, noise, Buffer.from('x')]) {
      assert.ok(unpack(CODEC[codec], pack(CODEC[codec], bytes), 't').equals(bytes))
      assert.ok((await unpackAside(CODEC[codec], await packAside(CODEC[codec], bytes), 't')).equals(bytes))
    }
    assert.ok(pack(CODEC[codec], text).length < text.length / 3)
  })

  test(`${codec}: bytes that are not its own are an error that names topic and codec`, async () => {
    for (const bytes of [Buffer.from('nothing of the sort, whatever it says'), pack(CODEC[codec], text).subarray(0, 40)]) {
      assert.throws(() => unpack(CODEC[codec], bytes, 'telemetry'), {
        code: 'ANDON_LOG_COMPRESSION',
        message: new RegExp(`telemetry.*${codec}`),
      })
      await assert.rejects(unpackAside(CODEC[codec], bytes, 'telemetry'), { code: 'ANDON_LOG_COMPRESSION' })
    }
  })
}

test('one raw block of snappy is read too', () => {
  assert.ok(unpack(CODEC.snappy, compressSync(text), 't').equals(text))
})

test('a codec that nobody knows is an error', () => {
  assert.throws(() => unpack(7, text, 't'), { code: 'ANDON_LOG_COMPRESSION' })
})

test('a batch that would unpack to more than 256 MiB is refused before it is unpacked', () => {
  // A raw snappy block that says it holds 4 GiB - 1, and a frame of lz4 that has a hundred blocks of 4 MiB.
  const flood = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00])
  assert.throws(() => unpack(CODEC.snappy, flood, 't'), /would unpack to 4294967295 bytes/)
  const block = Buffer.from([1, 0, 0, 0, 0])
  const frame = Buffer.concat([
    Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73]),
    ...Array.from({ length: 100 }, () => block),
    Buffer.alloc(4),
  ])
  assert.throws(() => unpack(CODEC.lz4, frame, 't'), /could unpack to/)
})
