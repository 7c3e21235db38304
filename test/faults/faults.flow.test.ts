// `npm run faults -- ci` as tests: each fault with a share of its records, on one broker.

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { FAULTS } from './catalogue.ts'
import { lineOf } from './fault.ts'

for (const { id, title, ciScale, variants, run } of FAULTS) {
  if (ciScale === undefined) continue
  test(`${id}: ${title}`, { timeout: 300_000 }, async (t) => {
    const seed = randomInt(1, 2 ** 31)
    const { nodes, client } = variants?.[0] ?? { nodes: 1, client: 'kafkajs' }
    const line = lineOf(id, seed, await run({ seed, scale: ciScale, nodes, client, note: (text) => t.diagnostic(text) }))
    assert.ok(line.acknowledged > 0, 'there was something to judge')
    assert.deepEqual(
      { why: line.why ?? [], pass: line.pass },
      { why: [], pass: true },
      `again: npm run faults -- ${id} --records ${ciScale} --seed ${seed}`,
    )
  })
}
