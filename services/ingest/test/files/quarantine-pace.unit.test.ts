// How fast a file sends rows to quarantine: at once what is few, and of many only as many as may be held.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QuarantinePace, mostHeldRows } from '../../src/files/quarantine-pace.ts'
import { holdMs } from '../../src/held.ts'

test('a file whose bad rows are few never waits', () => {
  const pace = new QuarantinePace(() => 0)
  for (let batch = 0; batch < 100; batch++) pace.sent(mostHeldRows / 100 - 1)
  assert.equal(pace.waitMs(), 0)
})

test('who waits as told never has more rows held than allowed, but for one batch, and always goes on', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ rows: fc.nat(40_000), tookMs: fc.nat(3000) }), { maxLength: 60 }), (batches) => {
      let nowMs = 0
      const pace = new QuarantinePace(() => nowMs)
      const sent: { atMs: number; rows: number }[] = []
      for (const { rows, tookMs } of batches) {
        for (let waits = 0, waitMs = pace.waitMs(); waitMs > 0; waitMs = pace.waitMs()) {
          assert.ok(++waits <= sent.length + 1)
          nowMs += waitMs
        }
        nowMs += tookMs
        pace.sent(rows)
        sent.push({ atMs: nowMs, rows })
        const held = sent.filter(({ atMs }) => nowMs - atMs < holdMs).reduce((sum, each) => sum + each.rows, 0)
        assert.ok(held < mostHeldRows + rows)
      }
    }),
  )
})
