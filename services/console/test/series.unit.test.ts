import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssetSeries } from '../src/series.ts'

const fill = (series: AssetSeries, from: number, to: number): void => {
  for (let t = from; t <= to; t++) series.add(t, ['a', 'b'], Float64Array.of(t, -t), t / 10)
}

test('the ring keeps the newest windows, oldest first', () => {
  const series = new AssetSeries(4)
  fill(series, 1, 6)
  assert.deepEqual(series.read('b', 0), { timesUs: [3, 4, 5, 6], values: [-3, -4, -5, -6], ratios: [0.3, 0.4, 0.5, 0.6] })
  assert.deepEqual(series.read('a', 5).timesUs, [5, 6])
})

test('a revision replaces the newest window, an older one is ignored', () => {
  const series = new AssetSeries(4)
  fill(series, 1, 3)
  series.add(3, ['a', 'b'], Float64Array.of(33, Number.NaN), 9)
  series.add(2, ['a', 'b'], Float64Array.of(22, 22), 9)
  assert.deepEqual(series.read('a', 0).values, [1, 2, 33])
  assert.deepEqual(series.read('b', 0).values, [-1, -2, null])
  assert.equal(series.newestRatio(), 9)
})

test('another feature set starts afresh and an unknown feature reads as gaps', () => {
  const series = new AssetSeries(4)
  fill(series, 1, 3)
  series.add(4, ['c'], Float64Array.of(7), 1)
  assert.deepEqual(series.read('c', 0).values, [7])
  assert.deepEqual(series.read('a', 0).values, [null])
})
