// The report of a diff as a page.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DiffReport } from '../src/replay/diff.ts'
import { diffHtml } from '../src/replay/diff-html.ts'

const counts = { same: 8, changed: 1, missing: 0, new: 0 }
const report: DiffReport = {
  run: 'run-42',
  against: 'live',
  fromMs: 0,
  toMs: 1,
  topics: [
    {
      topic: 'predictions',
      against: 'predictions',
      ...counts,
      fields: [{ path: 'verdicts[].ratio', records: 1, largestDelta: 3.5 }],
      groups: [{ assetId: 'press <1>', faultMode: '"wear" & tear', ...counts }],
      examples: [
        {
          verdict: 'changed',
          key: 'k',
          assetId: 'press <1>',
          faultMode: '-',
          atUs: 0,
          before: 'predictions/0@1',
          after: 'predictions.run.run-42/0@1',
          fields: [{ path: 'verdicts[].error', element: 't2spe', before: null, after: '<script>alert(1)</script>', delta: null }],
        },
      ],
    },
  ],
}

test('the page says in one sentence how much differs, and names fields, assets and places', () => {
  const page = diffHtml(report)
  assert.match(page, /<h1>run-42 differs from live in 1 of 9 records\.<\/h1>/)
  for (const text of ['verdicts[].ratio', 'predictions.run.run-42/0@1', '3.5']) assert.ok(page.includes(text), text)
  const same = { ...report, topics: report.topics.map((topic) => ({ ...topic, changed: 0, examples: [] })) }
  assert.match(diffHtml(same), /run-42 says what live says, in all 8 records/)
})

test('the page stands alone, and what records hold is text in it', () => {
  const page = diffHtml(report)
  assert.doesNotMatch(page, /<script|<link|src=|https?:\/\//)
  assert.ok(page.includes('press &lt;1&gt;') && page.includes('&quot;wear&quot; &amp; tear'))
})
