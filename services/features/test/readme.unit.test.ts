import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { healthDefaults, parseFeatureSet, statisticNames } from '@andon/schemas'
import { withTables } from '../scripts/statistics-table.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the README lists every statistic as the catalogue has it', () => {
  assert.equal(withTables(readme), readme, 'run: node services/features/scripts/statistics-table.ts')
  for (const name of statisticNames) assert.ok(readme.includes(`| \`${name}\``), name)
})

test('the feature set that the README shows reads', () => {
  const [, source = ''] = /```yaml\n([\s\S]*?)```/.exec(readme) ?? []
  assert.ok(parseFeatureSet(source, { file: 'README.md' }).features.length > 2)
})

test('the README says what is looked for in sensors where a set says nothing', () => {
  for (const [name, value] of Object.entries(healthDefaults))
    assert.ok(readme.includes(`\`${name}\` | ${value === false ? 'off' : value} |`), name)
})
