// What `topics tail` is made of: starts, ranges, the merge by time, the look back, readable values and CEL filters.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HEADER, type LogRecord, localCodec, openMemoryLog } from '@andon/kit'
import { packDoubles } from '@andon/schemas/packed'
import { filterOf } from '../src/data/filter.ts'
import { lastOf, mergedByTime, parseStart, rangesOf } from '../src/data/ranges.ts'
import { readable, showRecord } from '../src/data/readable.ts'
import { parseSpanMs, parseTimeMs } from '../src/data/when.ts'

const codec = localCodec()
const nowMs = Date.parse('2026-11-23T08:00:00Z')

test('a start is a word, a time, a span before now or an offset, and nothing else', () => {
  assert.equal(parseStart('-o', 'end', nowMs), 'end')
  assert.deepEqual(parseStart('-o', '@-10m', nowMs), { timeMs: nowMs - 600_000 })
  assert.deepEqual(parseStart('-o', '@2026-11-23T07:00:00Z', nowMs), { timeMs: nowMs - 3_600_000 })
  assert.deepEqual(parseStart('-o', '17', nowMs), { offset: 17 })
  assert.equal(parseSpanMs('7d'), 7 * 86_400_000)
  for (const wrong of ['yesterday', '@tomorrow', '-3', '']) assert.throws(() => parseStart('-o', wrong, nowMs), /ANDON|expected/)
  assert.throws(() => parseTimeMs('--since', '10x', nowMs), { code: 'ANDON_CLI_TIME' })
})

/** Two or more partitions whose records have rising times. */
const withTimes = async (times: readonly (readonly number[])[]) => {
  const log = openMemoryLog({ partitions: times.length, maxBatchRecords: 3 })
  await log.admin.ensureTopics([{ name: 'features', partitions: times.length }])
  for (const [partition, list] of times.entries())
    for (const timestampMs of list.toSorted((a, b) => a - b))
      await log.append([{ topic: 'features', partition, key: 'a', value: Buffer.from('x'), timestampMs }])
  return log
}

const manyTimes = fc.array(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 20 }), { minLength: 1, maxLength: 4 })

test('a bounded read gives every record once, in the order of time', async () => {
  await fc.assert(
    fc.asyncProperty(manyTimes, async (times) => {
      const log = await withTimes(times)
      const seen: number[] = []
      for await (const record of mergedByTime(log, 'features', await rangesOf(log, 'features', 'start'))) seen.push(record.timestampMs)
      assert.deepEqual(
        seen,
        times.flat().toSorted((a, b) => a - b),
      )
    }),
    { numRuns: 50 },
  )
})

test('the look back gives the last matching records of all partitions', async () => {
  await fc.assert(
    fc.asyncProperty(manyTimes, fc.nat(12), async (times, count) => {
      const log = await withTimes(times)
      const even = async (record: LogRecord) => (record.timestampMs % 2 === 0 ? { timestampMs: record.timestampMs } : undefined)
      const last = await lastOf(log, 'features', await rangesOf(log, 'features', 'start'), count, even)
      const expected = times.flat().filter((time) => time % 2 === 0)
      assert.deepEqual(
        last.map(({ timestampMs }) => timestampMs),
        count === 0 ? [] : expected.toSorted((a, b) => a - b).slice(-count),
      )
    }),
    { numRuns: 50 },
  )
})

test('a range begins at its time and ends before the other', async () => {
  const log = await withTimes([
    [1, 5, 9],
    [5, 6],
  ])
  assert.deepEqual(await rangesOf(log, 'features', { timeMs: 5 }, undefined, 9), [
    { partition: 0, from: 1, to: 2 },
    { partition: 1, from: 0, to: 2 },
  ])
  await assert.rejects(rangesOf(log, 'features', 'start', 7), { code: 'ANDON_CLI_TOPIC' })
})

const vector = {
  type: 'vector',
  assetId: 'press-1',
  vector: {
    vectorId: 'v-1',
    featureSet: 'press',
    featureSetDigest: 'd',
    windowStartUs: 1,
    windowEndUs: 2,
    revision: 3,
    names: ['vibrationG.rms', 'temperatureC.mean'],
    values: packDoubles(Float64Array.of(2.5, Number.NaN)),
    ranges: [],
    complete: true,
  },
}

const recordOf = async (topic: string, value: Uint8Array, headers: Record<string, string> = {}): Promise<LogRecord> => {
  const log = openMemoryLog({ partitions: 1 })
  await log.append([{ topic, key: 'press-1', value, headers, timestampMs: nowMs }])
  for await (const batch of log.read({ topic, partition: 0, from: 0, to: 'latest' })) return batch.records[0]!
  throw new Error('nothing stored')
}

test('packed numbers are shown under their names', async () => {
  const shown = await showRecord(codec, await recordOf('features', codec.encode('features', vector)))
  const { vector: seen } = shown.value as { vector: { values: Record<string, number> } }
  assert.deepEqual(seen.values, { 'vibrationG.rms': 2.5, 'temperatureC.mean': Number.NaN })
  const verdict = { contributionNames: ['a', 'b'], contributions: packDoubles(Float64Array.of(0.75, 0.25)) }
  const prediction = readable('predictions.run.7', { names: ['a'], values: packDoubles(Float64Array.of(4)), verdicts: [verdict] })
  assert.deepEqual(prediction, {
    names: ['a'],
    values: { a: 4 },
    verdicts: [{ contributionNames: ['a', 'b'], contributions: { a: 0.75, b: 0.25 } }],
  })
})

test('a block is shown by channel, with its times and qualities as lists', () => {
  const samples = Buffer.alloc(16)
  for (const [i, value] of [1, 2, 30, 40].entries()) samples.writeFloatLE(value, i * 4)
  const timesUs = Buffer.alloc(16)
  timesUs.writeBigInt64LE(1_700_000_000_000_001n, 8)
  const block = {
    dtype: 'f32',
    rows: 2,
    width: 1,
    channels: ['a', 'b'],
    samples,
    timesUs,
    qualities: Buffer.from([0, 2]),
    recordedUs: null,
  }
  const shown = readable('telemetry', { type: 'block', block }) as { block: Record<string, unknown> }
  assert.deepEqual(shown.block['samples'], { a: [1, 2], b: [30, 40] })
  assert.deepEqual(shown.block['timesUs'], [0, 1_700_000_000_000_001])
  assert.deepEqual(shown.block['qualities'], [0, 2])
})

test('what cannot be decoded says why', async () => {
  const shown = await showRecord(codec, await recordOf('features', Buffer.from('rubbish')))
  assert.match((shown.value as { undecodable: string }).undecodable, /first byte/)
})

test('a filter sees values by name, key, headers, time, partition and offset', async () => {
  const shown = await showRecord(
    codec,
    await recordOf('features', codec.encode('features', vector), { [HEADER.id]: 'e-1', [HEADER.type]: 'vector', [HEADER.lane]: 'live' }),
  )
  const holds = (expression: string): boolean => filterOf(expression).matches(shown)
  assert.ok(holds('value.vector.values["vibrationG.rms"] > 2'))
  assert.ok(!holds('value.vector.values["vibrationG.rms"] > 3'))
  assert.ok(holds('key == "press-1" && partition == 0 && offset < 1 && id == "e-1" && headers["andon-lane"] == "live"'))
  assert.ok(holds(`type == "vector" && value.type == 'vector' && id != "type" && type(partition) == double`))
  assert.ok(holds('timestamp > timestamp("2026-11-23T07:59:59Z") && value.vector.revision == 3'))
})

test('a filter on a field that a record lacks leaves it out and says so', async () => {
  const shown = await showRecord(codec, await recordOf('features', codec.encode('features', vector)))
  const filter = filterOf('value.late.lost')
  assert.equal(filter.matches(shown), false)
  assert.equal(filter.failed.count, 1)
  assert.notEqual(filter.failed.reason, '')
})

test('an expression that is none, or gives no truth, is refused before anything is read', () => {
  for (const wrong of ['value.(', '1 + 2', 'nothing == 3']) assert.throws(() => filterOf(wrong), { code: 'ANDON_CLI_FILTER' })
})
