// What the windows of an asset occupy: the memory of the process with full windows, less that before the first block.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesPerAsset, momentsOf256 } from './synthetic.ts'

const KIB = 1024

for (const rowsPerBlock of [10, 64]) {
  test(`an asset of 32 channels with windows of 256 rows fits into 48 KiB (blocks of ${rowsPerBlock} rows)`, () => {
    const bytes = bytesPerAsset({ ...momentsOf256, assets: 400, channels: 32, rowsPerBlock })
    assert.ok(bytes <= 48 * KIB, `${(bytes / KIB).toFixed(1)} KiB`)
  })
}

test('an asset of one channel is small', () => {
  const bytes = bytesPerAsset({ ...momentsOf256, assets: 2000, channels: 1, rowsPerBlock: 50 })
  assert.ok(bytes <= 7 * KIB, `${(bytes / KIB).toFixed(1)} KiB`)
})

test('a set that counts rows keeps these, and little more', () => {
  const bytes = bytesPerAsset({ ...momentsOf256, assets: 2000, channels: 1, windowRows: 20, hopRows: 1, rowsPerBlock: 10, isByRow: true })
  assert.ok(bytes <= 4 * KIB, `${(bytes / KIB).toFixed(1)} KiB`)
})
