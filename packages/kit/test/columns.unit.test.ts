// Columns of a batch say what its records say, large batches are unpacked aside, and damage ends in a coded error.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AndonError, EncodedHeaders, encodeHeaders, RecordList, headersAsMap } from '@andon/kit'
import type { RecordBatch } from '@andon/kit'
import { crc32c } from '@node-rs/crc32'
import fc from 'fast-check'
import { decodeRecords } from '../src/log/kafka/batch-reader.ts'
import { BatchWriter, HeaderWriter } from '../src/log/kafka/batch-writer.ts'
import type { Columns } from '../src/log/kafka/columns.ts'
import { CODEC } from '../src/log/kafka/compression.ts'
import { TextCache } from '../src/log/text-cache.ts'

interface Sample {
  readonly key: string | null
  readonly value: Uint8Array | null
  readonly timestampMs: number
  readonly headers: Record<string, string>
}

const batchOf = (samples: readonly Sample[], codec = CODEC.none): Buffer => {
  const writer = new BatchWriter()
  const headers = new HeaderWriter()
  writer.begin()
  for (const { key, value, timestampMs, headers: map } of samples) {
    headers.write(map)
    writer.append(key === null ? null : Buffer.from(key), value, timestampMs, headers)
  }
  return Buffer.from(writer.take({ id: 7n, epoch: 0, sequence: 0 }, { codec }))
}

const at = (bytes: Buffer, baseOffset: number): Buffer => {
  bytes.writeBigInt64BE(BigInt(baseOffset), 0)
  return bytes
}

const read = (bytes: Buffer, fromOffset = 0): Columns | Promise<Columns> =>
  decodeRecords({ topic: 't', partition: 0, bytes, fromOffset, aborted: [], highWatermark: 99 })

const reads = (batch: RecordBatch, i: number, names: readonly string[]) => {
  const start = batch.valueStartAt(i)
  return {
    offset: batch.offsetAt(i),
    leaderEpoch: batch.leaderEpochAt(i),
    timestampMs: batch.timestampMsAt(i),
    key: batch.keyAt(i),
    value: batch.valueAt(i)?.toString('hex'),
    range: start < 0 ? undefined : batch.sourceAt(i).toString('hex', start, batch.valueEndAt(i)),
    headers: names.map((name) => batch.headerAt(i, name)),
  }
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const names = ['ce_id', 'ce_type', 'andon-cause', 'x', '__proto__', 'constructor']
const sample = fc.record({
  key: fc.option(fc.oneof(fc.constantFrom('press-1', 'press-2'), text), { nil: null }),
  value: fc.option(fc.uint8Array({ maxLength: 60 }), { nil: null }),
  timestampMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  headers: fc.dictionary(fc.oneof(fc.constantFrom('ce_id', 'ce_type', 'andon-cause'), fc.string({ minLength: 1, maxLength: 9 })), text, {
    maxKeys: 45, // more than are remembered by place
    noNullPrototype: true,
  }),
})

test('columns and records say the same, asked in any order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(sample, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(CODEC.none, CODEC.zstd),
      fc.nat({ max: 10 }),
      fc.infiniteStream(fc.nat()),
      (batches, codec, fromOffset, picks) => {
        let base = 0
        const bytes = batches.map((samples) => {
          const batch = at(batchOf(samples, codec), base)
          base += samples.length
          return batch
        })
        const columns = read(Buffer.concat(bytes), fromOffset)
        assert.ok(!(columns instanceof Promise))
        const wanted = batches.flat().slice(fromOffset)
        assert.equal(columns.count, wanted.length)
        assert.equal(columns.nextOffset, Math.max(base, fromOffset))
        const list = new RecordList('t', 0, columns.records, columns.nextOffset, 99)
        for (let n = 0; n < columns.count * 2; n++) {
          const i: number = picks.next().value! % columns.count
          const { key, value, timestampMs, headers } = wanted[i]!
          const expected: ReturnType<typeof reads> = {
            offset: fromOffset + i,
            leaderEpoch: -1,
            timestampMs,
            key,
            value: value === null ? undefined : Buffer.from(value).toString('hex'),
            range: value === null ? undefined : Buffer.from(value).toString('hex'),
            headers: names.map((name) => (Object.hasOwn(headers, name) ? headers[name] : undefined)),
          }
          assert.deepEqual(reads(columns, i, names), expected)
          assert.deepEqual(reads(list, i, names), expected)
        }
      },
    ),
    { numRuns: 200 },
  )
})

test('a large packed batch is unpacked aside, between small ones, in order', async () => {
  const noise = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => Math.imul(i, 2654435761) >>> 24)
  const one = (n: number, bytes: number): Sample => ({ key: `${n}`, value: noise(bytes), timestampMs: n, headers: {} })
  for (const codec of [CODEC.zstd, CODEC.gzip]) {
    const random = Buffer.from(Array.from({ length: 400_000 }, () => Math.floor(Math.random() * 256)))
    const bytes = Buffer.concat([
      at(batchOf([one(0, 10)], codec), 0),
      at(batchOf([{ ...one(1, 0), value: random }], codec), 1),
      at(batchOf([one(2, 10)]), 2),
    ])
    const promised = read(bytes)
    assert.ok(promised instanceof Promise)
    const columns = await promised
    assert.deepEqual(
      columns.records.map(({ key, offset }) => [key, offset]),
      [
        ['0', 0],
        ['1', 1],
        ['2', 2],
      ],
    )
    assert.ok(columns.valueAt(1)!.equals(random))
  }
})

test('records at or above an end are left out', () => {
  const columns = read(batchOf(Array.from({ length: 5 }, (_, n) => ({ key: `${n}`, value: null, timestampMs: 0, headers: {} })))) as Columns
  columns.endBefore(3)
  assert.deepEqual(
    columns.records.map(({ key }) => key),
    ['0', '1', '2'],
  )
  assert.equal(columns.nextOffset, 3)
})

test('a count or a length that its batch cannot hold is refused before memory is taken for it', () => {
  const whole = batchOf([{ key: 'k', value: Buffer.alloc(20), timestampMs: 0, headers: {} }])
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(whole)
    change(bytes)
    bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
    return bytes
  }
  const format = { code: 'ANDON_LOG_FORMAT', retriable: false }
  assert.throws(() => read(changed((bytes) => bytes.writeInt32BE(5, 57))), format)
  assert.throws(() => read(changed((bytes) => bytes.writeInt32BE(-1, 57))), format)
  const valueLength = 61 + 6 // behind length, attributes, time, offset, key length and key
  assert.equal(whole[valueLength], 40) // 20, zig-zag
  assert.throws(() => read(changed((bytes) => bytes.writeUInt8(42, valueLength))), format)
  assert.throws(() => read(changed((bytes) => bytes.writeInt32BE(-12, 8))), { code: 'ANDON_LOG_CORRUPT', retriable: true })
})

test('whatever is damaged behind a checksum that fits, reading ends with records or a coded error', () => {
  const whole = batchOf(
    Array.from({ length: 20 }, (_, n) => ({
      key: `k${n}`,
      value: Buffer.alloc(20, n),
      timestampMs: n,
      headers: { a: 'b', c: 'd'.repeat(n) },
    })),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (changes, hasGoodSum) => {
        const bytes = Buffer.from(whole)
        for (const [place, byte] of changes) bytes[place] = byte
        if (hasGoodSum) bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
        try {
          const columns = read(bytes)
          assert.ok(!(columns instanceof Promise))
          for (const record of columns.records) {
            assert.equal(typeof record.headers(), 'object')
            assert.ok(record.header('a') === undefined || typeof record.header('a') === 'string')
            assert.ok(record.key === null || typeof record.key === 'string')
          }
        } catch (error) {
          assert.ok(error instanceof AndonError, String(error))
          assert.match(error.code, /^ANDON_LOG_(CORRUPT|FORMAT|COMPRESSION)$/)
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('a text is the same string again while it is remembered, and right when it is not', () => {
  const cache = new TextCache()
  const press = Buffer.from('..press-1..')
  assert.equal(cache.text(press, 2, 7), 'press-1')
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 50 }), (all) => {
      for (const one of [...all, ...all]) {
        const bytes = Buffer.from(one)
        assert.equal(cache.text(Buffer.concat([Buffer.from('#'), bytes]), 1, bytes.length), one)
      }
    }),
  )
  for (let i = 0; i < 20_000; i++) assert.equal(cache.text(Buffer.from(`asset-${i}`), 0, `asset-${i}`.length), `asset-${i}`)
})

test('an encoded block is a map for whoever wants one', () => {
  const writer = new HeaderWriter()
  writer.write({ a: 'b', ü: 'ä' })
  const block = new EncodedHeaders(Buffer.from(writer.bytes), writer.from, writer.to)
  assert.deepEqual(headersAsMap(block), { a: 'b', ü: 'ä' })
  assert.deepEqual(headersAsMap(undefined), {})
  const map = { a: '', ü: 'ä'.repeat(300), b: 'plain' }
  assert.deepEqual(headersAsMap(encodeHeaders(map)), map)
  assert.deepEqual(headersAsMap(encodeHeaders({})), {})
})
