import assert from 'node:assert/strict'
import { test } from 'node:test'
import { servicedBefore } from '../src/serviced.ts'

test('a service counts for windows that end after it, and for none before, although documents give their first version for all times', () => {
  const servicedAt = servicedBefore((assetId) => (assetId === 'press-1' ? 100 : undefined))
  assert.deepEqual([servicedAt('press-1', 100), servicedAt('press-1', 101), servicedAt('press-2', 101)], [null, 100, null])
})
