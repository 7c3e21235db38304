import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromPackedJson, toPackedJson } from '../../src/modes/packed.ts'
import { Sample, type SampleOptions, type SampleRow, type SampleState } from '../../src/modes/sample.ts'
import { drawn, randomFrom } from '../../src/random.ts'

const HOUR_US = 3_600_000_000
const options: SampleOptions = { width: 2, quota: 20, mostGroups: 8, keep: { halfLifeUs: 10 * HOUR_US } }

const rowsOf = (count: number, groups = 3, hours = 100): SampleRow[] =>
  Array.from({ length: count }, (_, i) => ({
    rowId: `vector-${i}`,
    group: `regime-${i % groups}`,
    timeUs: 1_790_000_000_000_000 + ((i * hours) / count) * HOUR_US,
    values: Float64Array.of(i, -i),
  }))

const sampled = (rows: readonly SampleRow[], given = options): Sample => {
  const sample = new Sample(given)
  for (const row of rows) sample.offer(row)
  return sample
}

test('what stays does not depend on the order of rows, on repeats, nor on how they were divided', () => {
  for (const keep of ['newest', { halfLifeUs: 5 * HOUR_US }, { halfLifeUs: Number.POSITIVE_INFINITY }] as const) {
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 5 }), (seed, partitions) => {
        // Three rows at every moment, so that ids decide among the newest.
        const rows = rowsOf(300).map((row, i, all) => ({ ...row, timeUs: (all[i - (i % 9)] as SampleRow).timeUs }))
        const expected = sampled(rows, { ...options, keep }).state()
        const shuffled = [...drawn(randomFrom(seed), rows.length, rows.length)].map((i) => rows[i] as SampleRow)
        assert.deepEqual(sampled([...shuffled, ...shuffled.slice(0, 50)], { ...options, keep }).state(), expected)
        const merged = new Sample({ ...options, keep })
        for (let part = 0; part < partitions; part++)
          merged.merge(
            sampled(
              shuffled.filter((_, i) => i % partitions === part),
              { ...options, keep },
            ),
          )
        assert.deepEqual(merged.state(), expected)
      }),
      { numRuns: 15 },
    )
  }
})

test('a rare group keeps its rows, and there are never more than allowed', () => {
  const rare = rowsOf(5).map((row) => ({ ...row, rowId: `rare-${row.rowId}`, group: 'rare' }))
  const sample = sampled([...rare, ...rowsOf(3000)])
  assert.equal(sample.rows, 5 + 3 * 20)
  const many = sampled(rowsOf(500, 30))
  assert.ok(new Set(many.all().map(({ group }) => group)).size <= 8)
})

test('of many groups those seen last stay', () => {
  const sample = sampled(rowsOf(200, 20), { ...options, mostGroups: 3 })
  assert.deepEqual([...new Set(sample.all().map(({ group }) => group))].toSorted(), ['regime-17', 'regime-18', 'regime-19'])
})

test('older rows are rarer by their half-life; without one all have the same chance', () => {
  const rows = rowsOf(20_000, 1, 40)
  const share = (keep: SampleOptions['keep']): number[] => {
    const { timesUs } = sampled(rows, { ...options, quota: 2000, keep }).state()
    const ages = [0, 0, 0, 0]
    for (const timeUs of timesUs) ages[Math.floor((timeUs - 1_790_000_000_000_000) / (10 * HOUR_US))]! += 1 / 2000
    return ages
  }
  // Quarters of 10 hours, half-life 10 hours, a tenth of the rows stays: 1:2:4:8, a little flatter since nobody is drawn twice.
  share({ halfLifeUs: 10 * HOUR_US }).forEach((found, i) => assert.ok(Math.abs(found - 2 ** i / 15) < 0.04, `quarter ${i}: ${found}`))
  share({ halfLifeUs: Number.POSITIVE_INFINITY }).forEach((found, i) => assert.ok(Math.abs(found - 0.25) < 0.03, `quarter ${i}: ${found}`))
})

test('the newest rows stay where the newest are asked for', () => {
  const sample = sampled(rowsOf(300, 1), { ...options, keep: 'newest' })
  assert.deepEqual(new Set(sample.all().map(({ rowId }) => rowId)), new Set(Array.from({ length: 20 }, (_, i) => `vector-${280 + i}`)))
})

test('a sample that was stored and read again keeps and takes the same rows', () => {
  const rows = rowsOf(400)
  const stored = fromPackedJson(toPackedJson(sampled(rows.slice(0, 250)).state())) as SampleState
  const again = new Sample(options, stored)
  for (const row of rows.slice(250)) again.offer(row)
  assert.deepEqual(again.state(), sampled(rows).state())
})

test('the caller may use its row again', () => {
  const values = Float64Array.of(1, 2)
  const sample = sampled([{ rowId: 'a', group: 'g', timeUs: 0, values }])
  values.fill(9)
  assert.deepEqual([...sample.points().matrix.values], [1, 2])
  assert.throws(() => sample.offer({ rowId: 'b', group: 'g', timeUs: 0, values: Float64Array.of(1) }), /1 numbers/)
})
